/* SPDX-License-Identifier: MIT */
/** Effects as text: a list of effects is data, which can be logged, stored, and sent to another process or machine.
 *
 *      char text[512];
 *      if (!vestry_effects_print(effects, text, sizeof text, NULL)) puts(text);  // [["patch-signals",{"counter":4}]]
 *
 *  Trust the text as much as its source: a parsed effect can name every registered effect, so dispatch only texts of
 *  your own. */
#ifndef VESTRY_EFFECTS_H
#define VESTRY_EFFECTS_H

#include "vestry/signals.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Print a list of effects as compact JSON on one line.
 *  effects   borrowed
 *  buffer    receives at most capacity - 1 bytes and a NUL; untouched on failure. NULL with capacity 0: get the length
 *            only, with TOO_LARGE
 *  ret_len   bytes without the NUL, also on TOO_LARGE because of the buffer; may be NULL
 *  Returns  OK | INVALID (not a list of arrays that begin with names; a text in it that is not UTF-8) | TOO_LARGE (the
 *           buffer; nested deeper than 256; longer than VESTRY_EVENT_MAX_BYTES)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_effects_print(const json_t *effects, char *buffer, size_t capacity, size_t *ret_len);

/** Parse a list of effects: a JSON array of arrays that begin with names, followed by white space only. Size, depth and
 *  count are checked before a tree is built. Unlike in vestry_signals_parse, a zero character, half a surrogate pair
 *  and an integer beyond 64 bits are MALFORMED. The output of vestry_effects_print is parsed to an equal list, within
 *  the limits, unless a text in it has a zero character.
 *  json         len bytes, not terminated
 *  limits       NULL: the defaults; the list itself has depth 1
 *  ret_effects  a new reference, owned by the caller (json_decref); untouched on failure
 *  ret_error    may be NULL; set on MALFORMED and TOO_LARGE only
 *  Returns  OK | MALFORMED | TOO_LARGE (any of the limits) | INVALID (json NULL with len > 0) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_effects_parse(const char *json, size_t len, const vestry_signals_limits *limits,
                                           json_t **ret_effects, vestry_signals_error *ret_error);

#ifdef __cplusplus
}
#endif
#endif
