/* SPDX-License-Identifier: MIT */
/* The recorded spans, in the order in which they ended. Only one recorder exists at a time. */
#ifndef TESTS_SUPPORT_SPANS_H
#define TESTS_SUPPORT_SPANS_H

#include "support/test.h"
#include "vestry/trace.h"

enum { SPANS_MOST = 256 };

typedef struct spans {
  vestry_tracer tracer;
  size_t count; /* all; those beyond SPANS_MOST are not stored */
  vestry_span all[SPANS_MOST];
  char names[SPANS_MOST][32];
} spans;

static inline void spans_take(const vestry_span *span, void *ctx) {
  spans *s = ctx;
  if (s->count < SPANS_MOST) {
    s->all[s->count] = *span;
    snprintf(s->names[s->count], sizeof s->names[0], "%.31s", span->name);
    s->all[s->count].name = s->names[s->count];
  }
  s->count++;
}

/* Record the host's spans from now on. */
static inline void spans_begin(spans *s, vestry_host *host) {
  memset(s, 0, sizeof *s);
  s->tracer.on_span = spans_take;
  s->tracer.ctx = s;
  host->tracer = &s->tracer;
}

static inline size_t spans_count(const spans *s, vestry_span_kind kind) {
  size_t count = 0;
  for (size_t i = 0; i < s->count && i < SPANS_MOST; i++) count += s->all[i].kind == kind;
  return count;
}

/* Return the only span of a kind. */
static inline const vestry_span *spans_one(const spans *s, vestry_span_kind kind) {
  const vestry_span *found = NULL;
  for (size_t i = 0; i < s->count && i < SPANS_MOST; i++) {
    if (s->all[i].kind != kind) continue;
    if (found) fail_msg("a second span of kind %d: %s, %s", (int)kind, found->name, s->all[i].name);
    found = &s->all[i];
  }
  if (!found) fail_msg("no span of kind %d", (int)kind);
  return found;
}

static inline void spans_assert_child(const vestry_span *child, const vestry_trace *parent) {
  assert_memory_equal(child->trace.trace_id, parent->trace_id, sizeof parent->trace_id);
  assert_memory_equal(child->parent_id, parent->span_id, sizeof parent->span_id);
  assert_memory_not_equal(child->trace.span_id, parent->span_id, sizeof parent->span_id);
  assert_true(child->begun_ns <= child->ended_ns);
}

#endif
