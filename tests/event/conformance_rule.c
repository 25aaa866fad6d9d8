/* SPDX-License-Identifier: MIT */
#include "event/conformance_rule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The order of the table in protocol.md. Words that are not in it come last, so the comparison fails. */
static const char *const order[] = {"selector",  "mode",          "useViewTransition", "viewTransitionSelector",
                                    "namespace", "onlyIfMissing", "elements",          "signals"};
enum { WORDS = sizeof order / sizeof *order };

/* Return whether each word of a's data has the same lines in b's. */
static bool has_words_of(const sse_event *a, const sse_event *b) {
  bool same = true;
  for (size_t at = 0; a->data.data && at <= a->data.len && same;) {
    const char *line = a->data.data + at;
    char word[64];
    size_t word_len = strcspn(line, " \n");
    snprintf(word, sizeof word, "%.*s", (int)word_len, line);
    sse_text ours = sse_value(a, word), theirs = sse_value(b, word);
    same = sse_text_equal(ours, theirs);
    sse_text_finish(&ours);
    sse_text_finish(&theirs);
    at += strcspn(line, "\n") + 1;
  }
  return same;
}

static const char *compare_events(const sse_event *got, const sse_event *expected) {
  if (!sse_text_equal(got->type, expected->type)) return "another event type";
  if (!sse_text_equal(got->id, expected->id)) return "another id";
  if (!sse_text_equal(got->retry, expected->retry)) return "another retry";
  if (!has_words_of(expected, got)) return "data lines are missing or differ";
  if (!has_words_of(got, expected)) return "there are more data lines";
  return NULL;
}

const char *conformance_compare(sse_text got, sse_text expected) {
  sse_stream ours, theirs;
  sse_parse(got.data, got.len, &ours);
  sse_parse(expected.data, expected.len, &theirs);
  const char *why = NULL;
  if (theirs.events_count == 0) why = "nothing is expected";
  if (ours.events_count != theirs.events_count) why = "another number of events";
  if (ours.comments_count || ours.strange_count) why = "comments, or fields of other names";
  for (size_t i = 0; !why && i < ours.events_count; i++) why = compare_events(&ours.events[i], &theirs.events[i]);
  sse_finish(&ours);
  sse_finish(&theirs);
  return why;
}

static size_t rank_of(const char *line) {
  static const char data[] = "data: ";
  if (strncmp(line, data, strlen(data)) != 0) return 0; /* event, id, retry: first, in their order */
  line += strlen(data);
  size_t word_len = strcspn(line, " \n");
  for (size_t i = 0; i < WORDS; i++) {
    if (strlen(order[i]) == word_len && strncmp(line, order[i], word_len) == 0) return i + 1;
  }
  return WORDS + 1;
}

sse_text conformance_canonical(sse_text expected) {
  sse_text out = {NULL, 0};
  sse_text_append(&out, "", 0);
  for (const char *event = expected.data; *event;) {
    const char *end = strstr(event, "\n\n");
    end = end ? end + 1 : event + strlen(event);
    for (size_t rank = 0; rank <= WORDS + 1; rank++) {
      for (const char *line = event; line < end;) {
        size_t len = strcspn(line, "\n") + 1;
        if (rank_of(line) == rank) sse_text_append(&out, line, len);
        line += len;
      }
    }
    sse_text_append(&out, "\n", 1);
    event = *end ? end + 1 : end;
  }
  return out;
}

sse_text conformance_read(const char *directory, const char *file) {
  sse_text text = {NULL, 0};
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", directory, file);
  FILE *stream = fopen(path, "rb");
  if (!stream) return text;
  sse_text_append(&text, "", 0);
  char block[4096];
  for (size_t got; (got = fread(block, 1, sizeof block, stream)) > 0;) sse_text_append(&text, block, got);
  fclose(stream);
  return text;
}
