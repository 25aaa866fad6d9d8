/* SPDX-License-Identifier: MIT */
/* Checking JSON text (RFC 8259) in one pass, without recursion and allocation. Text from a client is checked before
 * jansson builds a tree from it, and text for a client is checked before it is sent. */
#ifndef VSI_JSON_JSON_H
#define VSI_JSON_JSON_H

#include "vestry/signals.h"

/* The deepest nesting that is ever accepted. jansson builds and frees values recursively and needs about 80 bytes of
 * stack a level. That makes 20 kB, which fits into the 100 kB stacks of civetweb's workers. */
#define VSI_JSON_MAX_DEPTH 256

typedef struct vsi_json_limits {
  uint32_t max_depth; /* 1 to VSI_JSON_MAX_DEPTH; the outermost level is 1 */
  uint32_t max_count; /* number of values inside the outermost one, all levels together */
  bool for_c;         /* reject characters that a C string or UTF-8 cannot hold: \u0000, half a surrogate pair */
} vsi_json_limits;

typedef vestry_signals_error vsi_json_fault;

/* Set a fault's message and offset; ret_fault may be NULL. Returns its first argument. */
vestry_err vsi_json_fail(vestry_err error, size_t offset, const char *message, vsi_json_fault *ret_fault);

/* The outermost value of a text: an object, an array, or any value (also a string, a number, true, false, null). */
typedef enum vsi_json_root { VSI_JSON_ROOT_OBJECT, VSI_JSON_ROOT_ARRAY, VSI_JSON_ROOT_ANY } vsi_json_root;

/* Check that the text is one value of this kind, with white space around it. OK | MALFORMED | TOO_LARGE (a limit); both
 * errors set ret_fault. */
vestry_err vsi_json_check(const char *json, size_t len, const vsi_json_limits *limits, vsi_json_root kind,
                          vsi_json_fault *ret_fault);

/* Return the number of bytes, from the beginning of the text, that can stand unescaped in a JSON string. Quotes,
 * backslashes, control characters and malformed UTF-8 cannot. */
size_t vsi_json_plain_len(const char *text, size_t len);

#endif
