/* SPDX-License-Identifier: MIT */
/** Signals: the state of a page, as it arrives with a request. The client controls all of it, so trust none of it.
 *
 *      const char *name; // req: the handler's (vestry/request.h); VESTRY_INTO: vestry/value.h
 *      vestry_err error = vestry_signals_get(req->signals, "user.name", VESTRY_INTO(&name), NULL);
 *      if (error) return error;
 *
 *  GET and DELETE carry the signals in the query parameter `datastar`, the other methods as a JSON body. Values are
 *  jansson's (json_t): strict JSON, valid UTF-8, reference-counted. */
#ifndef VESTRY_SIGNALS_H
#define VESTRY_SIGNALS_H

#include <jansson.h>

#include "vestry/value.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Limits of signals from a client. Zero: the default in brackets. */
typedef struct vestry_signals_limits {
  size_t max_bytes;   /**< of JSON text, after URL decoding [1 MiB] */
  uint32_t max_depth; /**< of nesting, the object itself counts 1 [32]; more than 256 counts as 256 */
  uint32_t max_count; /**< of values inside the object, all levels together [10,000] */
} vestry_signals_limits;

/** Place and reason of a failure to parse, or to read a value. */
typedef struct vestry_signals_error {
  size_t offset;    /**< bytes into the JSON text, or into the path */
  char message[96]; /**< one English sentence without a full stop, terminated; safe to show, because it repeats no text
                         of the client */
} vestry_signals_error;

/** Parse signals: one JSON object, followed by white space only. Size, depth and count are checked before a tree is
 *  built. Of duplicate names the last wins, as in the browser. An integer beyond 64 bits is read as a real; a number
 *  beyond a double is MALFORMED. A zero character (`\u0000`, which would end the text in C) and half a surrogate pair
 *  become U+FFFD. vestry does not refuse them: each request of a tab carries all of its signals, so one such character
 *  would make every submission fail.
 *  json         len bytes, not terminated; an empty text is an empty object
 *  limits       NULL: the defaults
 *  ret_signals  an object; a new reference, owned by the caller (json_decref); untouched on failure
 *  ret_error    may be NULL; set on MALFORMED and TOO_LARGE only
 *  Returns  OK | MALFORMED | TOO_LARGE (any of the limits) | INVALID (json NULL with len > 0) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_signals_parse(const char *json, size_t len, const vestry_signals_limits *limits,
                                           json_t **ret_signals, vestry_signals_error *ret_error);

/** Maximum number of names in a path. */
#define VESTRY_SIGNALS_PATH_MAX_DEPTH 256

/** Read the value at a path: names with dots between them, as in `user.name`. Inside an array a name is an index:
 *  digits, as in `items.0.name`. The client chooses the signals, so an existing value may be of any type.
 *      int64_t stars;
 *      vestry_signals_error why;
 *      vestry_err error = vestry_signals_get(req->signals, "stars", vestry_into_between(&stars, 1, 5), &why);
 *  signals    an object, borrowed; NULL, as of an ordinary request: NOT_FOUND
 *  path       terminated; never pass a path that a client sent, because the error's message repeats it
 *  into       see vestry/value.h; texts and JSON are borrowed from signals
 *  ret_error  may be NULL; set on failure: offset is the position in the path of the name that was not found or has the
 *             wrong type; the message is "PATH: no such signal" or "PATH: expected TYPE, found TYPE", with the last 40
 *             bytes of a longer path
 *  Returns  OK | NOT_FOUND | MALFORMED (another type; an integer out of bounds; a value on the way that is no object or
 *           array) | INVALID (the path: an empty name, too many names; an invalid into)
 *  Threads  any, while no thread changes signals; does not block */
VESTRY_API vestry_err vestry_signals_get(const json_t *signals, const char *path, vestry_into into,
                                         vestry_signals_error *ret_error);

#ifdef __cplusplus
}
#endif
#endif
