/* SPDX-License-Identifier: MIT */
/* Reading JSON text (RFC 8259) in one pass, without recursion. Text for a client is only checked before it is sent. */
#ifndef VSI_JSON_JSON_H
#define VSI_JSON_JSON_H

#include "vestry/signals.h"

/* The deepest nesting that is ever accepted. jansson frees values recursively and needs about 80 bytes of stack a
 * level. That makes 20 kB, which fits into the 100 kB stacks of civetweb's workers. */
#define VSI_JSON_MAX_DEPTH 256

typedef struct vsi_json_limits {
  uint32_t max_depth; /* 1 to VSI_JSON_MAX_DEPTH; the outermost level is 1 */
  uint32_t max_count; /* number of values inside the outermost one, all levels together */
  bool for_c;         /* reject what C cannot hold: \u0000, half a surrogate pair, integers beyond 64 bits */
} vsi_json_limits;

typedef vestry_signals_error vsi_json_fault;

/* Set a fault's message and offset; ret_fault may be NULL. Returns its first argument. */
vestry_err vsi_json_fail(vestry_err error, size_t offset, const char *message, vsi_json_fault *ret_fault);

/* The outermost value of a text: an object, an array, or any value (also a string, a number, true, false, null). */
typedef enum vsi_json_root { VSI_JSON_ROOT_OBJECT, VSI_JSON_ROOT_ARRAY, VSI_JSON_ROOT_ANY } vsi_json_root;

/* Read one value of this kind, with white space around it. Of members with the same name, the last one counts.
 *
 * Without for_c, values are mended: half a surrogate pair and a zero character become U+FFFD, and an integer beyond 64
 * bits becomes the nearest double. Without this, a text that is cut inside an emoji, or a field with 20 digits, would
 * make every request of its tab fail.
 *  ret_value  NULL: the text is only checked, without an allocation; for_c then means only the characters
 *  Returns    OK | MALFORMED (also a number that does not fit) | TOO_LARGE (a limit); both set ret_fault | NO_MEMORY */
vestry_err vsi_json_read(const char *json, size_t len, const vsi_json_limits *limits, vsi_json_root kind,
                         json_t **ret_value, vsi_json_fault *ret_fault);

/* Return the number of bytes, from the beginning of the text, that can stand unescaped in a JSON string. Quotes,
 * backslashes, control characters and malformed UTF-8 cannot. */
size_t vsi_json_plain_len(const char *text, size_t len);

#endif
