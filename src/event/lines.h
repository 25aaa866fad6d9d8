/* SPDX-License-Identifier: MIT */
/* Line breaks in text. CR, LF and CRLF each end a line, as an event stream's reader sees it; nothing else does: U+2028,
 * U+2029 and U+0085 are text, and no byte of a UTF-8 sequence, valid or broken, is taken for a CR or LF. */
#ifndef VSI_EVENT_LINES_H
#define VSI_EVENT_LINES_H

#include <stddef.h>

/* How many line breaks there are, and how many bytes they are written with. */
typedef struct vsi_line_breaks {
  size_t count, bytes;
} vsi_line_breaks;

vsi_line_breaks vsi_lines_count(const char *text, size_t len);

/* Copy text to `to`, every line break as LF and then the prefix of the next line. Writes exactly
 * len - breaks.bytes + breaks.count * (1 + prefix_len) bytes and returns the place after them. No overlap. */
char *vsi_lines_copy(char *to, const char *text, size_t len, const char *prefix, size_t prefix_len);

/* The same, by words of eight bytes instead of SSE2's vectors: what the two above are on other processors. They have
 * names of their own so that they are tested on every one. */
vsi_line_breaks vsi_lines_count_words(const char *text, size_t len);
char *vsi_lines_copy_words(char *to, const char *text, size_t len, const char *prefix, size_t prefix_len);

#endif
