/** Signals: the page's state as it arrives with a request. All of it comes from the client: nothing in it is trusted.
 *
 *  GET and DELETE carry the signals in the query parameter `datastar`, the other methods as a JSON body. Values are
 *  jansson's (json_t): strict JSON, valid UTF-8, reference-counted. */
#ifndef VESTRY_SIGNALS_H
#define VESTRY_SIGNALS_H

#include <jansson.h>

#include "vestry/host.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What is accepted from a client. Zero: the default in brackets. */
typedef struct vestry_signals_limits {
  size_t max_bytes;   /**< of JSON text, after URL decoding [1 MiB] */
  uint32_t max_depth; /**< of nesting, the object itself is 1 [32]; more than 256 counts as 256 */
  uint32_t max_count; /**< of values inside the object, all levels together [10,000] */
} vestry_signals_limits;

/** Where and why parsing failed. */
typedef struct vestry_signals_error {
  size_t offset;    /**< bytes into the JSON text */
  char message[96]; /**< one English sentence without a full stop, terminated; safe to show: no input is repeated */
} vestry_signals_error;

/** Parse signals: one JSON object, nothing behind it but white space. Size, depth and count are checked before a tree
 *  is built. Of duplicate names the last wins, as in the browser. Beyond JSON's grammar these are MALFORMED too: a zero
 *  character (`\u0000`; C would end the text there), half a surrogate pair, an integer beyond 64 bits, a number beyond
 *  a double.
 *  json         len bytes, not terminated; an empty text is an empty object
 *  limits       NULL: the defaults
 *  ret_signals  an object; a new reference, the caller's (json_decref); untouched on failure
 *  ret_error    may be NULL; set on MALFORMED and TOO_LARGE only
 *  Returns  OK | MALFORMED | TOO_LARGE (any of the limits) | INVALID (json NULL with len > 0) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_signals_parse(const char *json, size_t len, const vestry_signals_limits *limits,
                                           json_t **ret_signals, vestry_signals_error *ret_error);

/** Parse the signals of a query string: its parameter `datastar`, URL-decoded. Without the parameter: an empty object.
 *  query  as on the request line, without '?', len bytes; NULL with 0: no query. Of several the first counts
 *  Otherwise as vestry_signals_parse; a broken % escape is MALFORMED (offset: into the query). */
VESTRY_API vestry_err vestry_signals_parse_query(const vestry_host *host, const char *query, size_t len,
                                                 const vestry_signals_limits *limits, json_t **ret_signals,
                                                 vestry_signals_error *ret_error);

/** The URL-decoded value of the first parameter of that name in a query string or form body ('+' is a space).
 *  buffer   receives at most capacity - 1 bytes and a NUL; the value may itself contain NUL bytes
 *  ret_len  bytes without the NUL; untouched on failure
 *  Returns  OK | NOT_FOUND | MALFORMED (a broken % escape) | TOO_LARGE (capacity; buffer untouched)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_query_value(const char *query, size_t query_len, const char *name, char *buffer,
                                         size_t capacity, size_t *ret_len);

#ifdef __cplusplus
}
#endif
#endif
