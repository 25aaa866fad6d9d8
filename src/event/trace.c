/* SPDX-License-Identifier: MIT */
/* The trace that an event belongs to, stored as an extra of the event, and the spans of its writes. */
#include "event/trace.h"

typedef struct traced {
  vsi_event_extra extra; /* first member */
  const vestry_host *host;
  vestry_trace parent;
  uint64_t made_ns;
  _Atomic(uint32_t) count; /* writes, both reported and not reported */
} traced;

static void release(vsi_event_extra *extra) {
  vsi_free(((traced *)extra)->host, extra);
}

vsi_event_extra *vsi_event_trace_make(const vestry_host *host) {
  const vestry_trace *parent = vsi_trace_carried(host);
  traced *of = parent ? vsi_alloc(host, sizeof *of) : NULL;
  if (!of) return NULL;
  of->extra = (vsi_event_extra){.release = release};
  of->host = host;
  of->parent = *parent;
  of->made_ns = vsi_now_ns(host);
  atomic_init(&of->count, 0);
  return &of->extra;
}

void vsi_event_trace_written(const vestry_host *host, const vsi_event_extra *extras, size_t len) {
  while (extras && extras->release != release) extras = extras->next;
  traced *of = (traced *)extras;
  /* relaxed: a counter. The load prevents it from ever wrapping. */
  if (!of || atomic_load_explicit(&of->count, memory_order_relaxed) >= VESTRY_TRACE_WRITES_MAX) return;
  if (atomic_fetch_add_explicit(&of->count, 1, memory_order_relaxed) >= VESTRY_TRACE_WRITES_MAX) return;
  vestry_span span;
  vsi_trace_make(host, &of->parent, VESTRY_SPAN_WRITE, &span);
  span.begun_ns = of->made_ns;
  span.count = len;
  vsi_trace_report(host, &span);
}
