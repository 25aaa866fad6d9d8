#include "event/lines.h"

#include <stdint.h>
#include <string.h>

/* Counting must not depend on how long the lines are, so it looks at every byte, but without a branch on any of them:
 * the compiler makes vector code of the inner loop. The counters are bytes, as wide as what they count, because that
 * keeps all lanes of a vector busy; hence blocks short enough that none of them can wrap. */
enum { COUNT_BLOCK = 255 };

vsi_line_breaks vsi_lines_count(const char *text, size_t len) {
  size_t ends = 0, pairs = 0; /* CR or LF; LF right behind CR */
  if (len) ends = text[0] == '\n' || text[0] == '\r';
  for (size_t at = 1; at < len;) {
    size_t stop = len - at > COUNT_BLOCK ? at + COUNT_BLOCK : len;
    uint8_t block_ends = 0, block_pairs = 0;
    for (; at < stop; at++) {
      uint8_t lf = text[at] == '\n', cr = text[at] == '\r', after_cr = text[at - 1] == '\r';
      block_ends = (uint8_t)(block_ends + (lf | cr));
      block_pairs = (uint8_t)(block_pairs + (lf & after_cr));
    }
    ends += block_ends;
    pairs += block_pairs;
  }
  return (vsi_line_breaks){.count = ends - pairs, .bytes = ends};
}

/* Where the byte is next, or end. */
static const char *find(const char *from, const char *end, char byte) {
  const char *found = from < end ? memchr(from, byte, (size_t)(end - from)) : NULL;
  return found ? found : end;
}

/* The next CR and the next LF are both remembered and searched for again only when they have been passed: text without
 * one of them is searched for it once, not once a line. */
char *vsi_lines_copy(char *to, const char *text, size_t len, const char *prefix, size_t prefix_len) {
  if (!len) return to;
  const char *end = text + len;
  const char *lf = find(text, end, '\n'), *cr = find(text, end, '\r');
  for (;;) {
    const char *stop = lf < cr ? lf : cr;
    size_t line_len = (size_t)(stop - text);
    memcpy(to, text, line_len);
    to += line_len;
    if (stop == end) return to;
    *to++ = '\n';
    memcpy(to, prefix, prefix_len);
    to += prefix_len;
    text = stop + 1;
    if (stop == cr) {
      if (text == lf && lf < end) text++; /* CRLF is one break */
      cr = find(text, end, '\r');
    }
    if (lf < text) lf = find(text, end, '\n');
  }
}
