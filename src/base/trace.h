/* SPDX-License-Identifier: MIT */
/* Spans that are begun and ended by one thread, nested in one another. A span that ends on another thread is made by
 * vsi_trace_make, and reported by vsi_trace_report. */
#ifndef VSI_BASE_TRACE_H
#define VSI_BASE_TRACE_H

#include "base/memory.h"
#include "vestry/trace.h"

/* A span. Without a tracer it is not recorded. */
typedef struct vsi_span {
  const vestry_host *host; /* NULL: not recorded */
  const vestry_trace *former;
  vestry_span record;
} vsi_span;

/* Read a trace from the value of a header traceparent, of any version that begins as version 00 does. text needs no
 * terminator, and may be untrusted; NULL has no trace. OK | MALFORMED */
vestry_err vsi_trace_read(const char *text, size_t len, vestry_trace *ret_trace);

/* Begin a span of a trace. parent NULL: begin a new trace. */
VESTRY_API void vsi_trace_make(const vestry_host *host, const vestry_trace *parent, vestry_span_kind kind,
                               vestry_span *ret_span);
/* End a span now, and report it if it is sampled. No lock held. */
VESTRY_API void vsi_trace_report(const vestry_host *host, vestry_span *span);

/* Return the trace of this thread, if it is sampled and there is a tracer; NULL: there is none to continue. */
VESTRY_API const vestry_trace *vsi_trace_carried(const vestry_host *host);

VESTRY_API void vsi_span_begin_followed(vsi_span *span, const vestry_host *host, vestry_span_kind kind,
                                        const vestry_trace *parent);
VESTRY_API void vsi_span_end_followed(vsi_span *span);

/* Begin a span. parent NULL: the trace of this thread, or none. Until the end, this thread is in the span. */
static inline void vsi_span_begin(vsi_span *span, const vestry_host *host, vestry_span_kind kind,
                                  const vestry_trace *parent) {
  span->host = NULL;
  if (host->tracer) vsi_span_begin_followed(span, host, kind, parent);
}
/* Leave the span before its end. vsi_span_come_back enters it again, on this or another thread. */
static inline void vsi_span_leave(const vsi_span *span) {
  if (span->host) (void)vestry_trace_enter(span->former);
}
static inline void vsi_span_come_back(vsi_span *span) {
  if (span->host) span->former = vestry_trace_enter(&span->record.trace);
}
/* End a span. No lock held. name: NULL: none. */
static inline void vsi_span_end(vsi_span *span, const char *name, uint64_t count, vestry_err error) {
  if (!span->host) return;
  span->record.name = name ? name : "";
  span->record.count = count;
  span->record.error = error;
  vsi_span_end_followed(span);
}

#endif
