/* SPDX-License-Identifier: MIT */
/* Counting line breaks, and copying text with a prefix in front of each line (layout.h). */
#include "event/layout.h"

#include <string.h>

/* A walk through the line breaks of a text. Each kind of break is searched for only when the last one that was found is
 * passed, so a text without CR is searched once for it. */
typedef struct walk {
  const char *lf, *cr, *end; /* the next of its kind; end: none */
} walk;

static const char *find(const char *at, const char *end, char c) {
  const char *found = at < end ? memchr(at, c, (size_t)(end - at)) : NULL;
  return found ? found : end;
}

static walk begin(const char *text, size_t len) {
  const char *end = text + len;
  return (walk){find(text, end, '\n'), find(text, end, '\r'), end};
}

/* Return the next break, and set ret_behind to the place after it; the end of the text: there is none. */
static const char *next(walk *w, const char **ret_behind) {
  const char *at = w->lf < w->cr ? w->lf : w->cr;
  if (at == w->end) return at;
  const char *behind = at + 1;
  if (*at == '\r' && behind < w->end && behind == w->lf) behind++; /* a CRLF is one break */
  if (w->lf < behind) w->lf = find(behind, w->end, '\n');
  if (w->cr < behind) w->cr = find(behind, w->end, '\r');
  *ret_behind = behind;
  return at;
}

vsi_line_breaks vsi_lines_count(const char *text, size_t len) {
  vsi_line_breaks breaks = {0, 0};
  if (!len) return breaks;
  walk w = begin(text, len);
  for (const char *at, *behind; (at = next(&w, &behind)) != w.end; breaks.count++)
    breaks.bytes += (size_t)(behind - at);
  return breaks;
}

static char *put(char *to, const char *from, size_t len) {
  memcpy(to, from, len);
  return to + len;
}

char *vsi_lines_copy(char *to, const char *text, size_t len, const char *prefix, size_t prefix_len) {
  if (!len) return to;
  walk w = begin(text, len);
  for (const char *at, *behind; (at = next(&w, &behind)) != w.end; text = behind) {
    to = put(to, text, (size_t)(at - text));
    *to++ = '\n';
    to = put(to, prefix, prefix_len);
  }
  return put(to, text, (size_t)(w.end - text));
}
