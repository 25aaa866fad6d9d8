/* SPDX-License-Identifier: MIT */
/* Writing text with a prefix in front of each line (layout.h). */
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

void vsi_put_lines(vsi_writer *writer, const char *text, size_t len, const char *prefix) {
  if (!len) return;
  const size_t prefix_len = strlen(prefix);
  const bool is_first_pass = !writer->to || writer->draft;
  /* Most texts have no breaks, for example HTML of the builder: they are searched in the first pass only. */
  walk w = is_first_pass || writer->has_breaks ? begin(text, len) : (walk){text + len, text + len, text + len};
  for (const char *at, *behind; (at = next(&w, &behind)) != w.end; text = behind) {
    writer->has_breaks = true;
    vsi_put(writer, text, (size_t)(at - text));
    vsi_put(writer, "\n", 1);
    vsi_put(writer, prefix, prefix_len);
  }
  vsi_put(writer, text, (size_t)(w.end - text));
}
