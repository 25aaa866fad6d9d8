/* SPDX-License-Identifier: MIT */
/* Checking JSON text (RFC 8259) without building anything: one pass, no recursion, no memory. What comes from a client
 * is checked by it before a tree is allocated, what goes to a client before it is sent. */
#ifndef VSI_JSON_JSON_H
#define VSI_JSON_JSON_H

#include "vestry/signals.h"

/* The deepest nesting ever accepted. jansson builds and frees by recursion, about 80 bytes of stack a level: this is
 * 20 kB, which fits the 100 kB stacks of civetweb's workers. */
#define VSI_JSON_MAX_DEPTH 256

typedef struct vsi_json_limits {
  uint32_t max_depth; /* 1 to VSI_JSON_MAX_DEPTH; the outermost is 1 */
  uint32_t max_count; /* values inside the outermost, all levels together */
  bool for_c;         /* refuse what a C string or UTF-8 cannot hold: \u0000, half a surrogate pair */
} vsi_json_limits;

typedef vestry_signals_error vsi_json_fault;

/* Put a message and an offset where the caller wants them; ret_fault may be NULL. Returns its first argument. */
vestry_err vsi_json_fail(vestry_err error, size_t offset, const char *message, vsi_json_fault *ret_fault);

/* One object, one array, or any value (an object or array, a string, a number, true, false, null), white space around
 * it. Returns OK | MALFORMED | TOO_LARGE (a limit); ret_fault is set on
 * these two. */
vestry_err vsi_json_check_object(const char *json, size_t len, const vsi_json_limits *limits,
                                 vsi_json_fault *ret_fault);
vestry_err vsi_json_check_array(const char *json, size_t len, const vsi_json_limits *limits, vsi_json_fault *ret_fault);
vestry_err vsi_json_check_value(const char *json, size_t len, const vsi_json_limits *limits, vsi_json_fault *ret_fault);

/* How many bytes from here on can stand in a JSON string as they are: all but quotes, backslashes, control characters,
 * and what is not well-formed UTF-8. */
size_t vsi_json_plain_len(const char *text, size_t len);

/* Where an element of an array begins, in text that passed vsi_json_check_array; its end, if there are not so many. */
size_t vsi_json_element_offset(const char *json, size_t len, size_t index);

#endif
