/* SPDX-License-Identifier: MIT */
/* Line breaks in text. CR, LF and CRLF each end a line, as for the reader of an event stream. Nothing else does:
 * U+2028, U+2029 and U+0085 are text, and no byte of a UTF-8 sequence, valid or broken, is mistaken for CR or LF. */
#ifndef VSI_EVENT_LINES_H
#define VSI_EVENT_LINES_H

#include <stddef.h>

/* Number of line breaks, and number of bytes that form them. */
typedef struct vsi_line_breaks {
  size_t count, bytes;
} vsi_line_breaks;

vsi_line_breaks vsi_lines_count(const char *text, size_t len);

/* Copy text to `to`, and write each line break as LF followed by the prefix. Writes exactly len - breaks.bytes +
 * breaks.count * (1 + prefix_len) bytes and returns the position after them. The memory must not overlap. */
char *vsi_lines_copy(char *to, const char *text, size_t len, const char *prefix, size_t prefix_len);

/* Do the same by words of eight bytes instead of SSE2 vectors, as the two functions above do on other processors. They
 * have separate names so that they are tested on every processor. */
vsi_line_breaks vsi_lines_count_words(const char *text, size_t len);
char *vsi_lines_copy_words(char *to, const char *text, size_t len, const char *prefix, size_t prefix_len);

#endif
