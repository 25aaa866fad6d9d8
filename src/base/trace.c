/* SPDX-License-Identifier: MIT */
/* Traces by W3C Trace Context (https://www.w3.org/TR/trace-context/): sections 3.2 (traceparent) and 5 (random ids).
 *
 * Each thread has a separate generator of ids, so that a span costs neither a system call nor a lock. The generator is
 * splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014), with a random start.
 * Ids are not secret. */
#include "base/trace.h"

#include "base/callback.h"
#include "base/hex.h"

enum { VERSION_AT = 0, TRACE_AT = 3, SPAN_AT = 36, FLAGS_AT = 53, TEXT_LEN = 55, SAMPLED = 1 };

static _Thread_local const vestry_trace *here;
static _Thread_local struct {
  uint64_t state;
  bool has_begun;
} ids;

const vestry_trace *vestry_trace_here(void) {
  return here;
}

const vestry_trace *vestry_trace_enter(const vestry_trace *trace) {
  const vestry_trace *former = here;
  here = trace;
  return former;
}

void vestry_trace_write(const vestry_trace *trace, char *text) {
  memcpy(text, "00-", TRACE_AT);
  vsi_hex_write(text + TRACE_AT, trace->trace_id, sizeof trace->trace_id);
  text[SPAN_AT - 1] = '-';
  vsi_hex_write(text + SPAN_AT, trace->span_id, sizeof trace->span_id);
  memcpy(text + FLAGS_AT - 1, trace->is_sampled ? "-01" : "-00", 4);
}

/* An id of zeroes is invalid. */
static const unsigned char no_id[sizeof((vestry_trace *)0)->trace_id];

vestry_err vsi_trace_read(const char *text, size_t len, vestry_trace *ret_trace) {
  if (!text || len < TEXT_LEN) return VESTRY_MALFORMED;
  for (size_t i = 0; i < TEXT_LEN; i++) { /* digits must be lower-case (section 3.2.2) */
    const bool is_dash = i == TRACE_AT - 1 || i == SPAN_AT - 1 || i == FLAGS_AT - 1;
    if (is_dash ? text[i] != '-' : vsi_hex_digit(text[i]) < 0) return VESTRY_MALFORMED;
  }
  bool is_first = memcmp(text + VERSION_AT, "00", 2) == 0;
  if (memcmp(text + VERSION_AT, "ff", 2) == 0 || (len > TEXT_LEN && (is_first || text[TEXT_LEN] != '-')))
    return VESTRY_MALFORMED;
  vestry_trace trace;
  unsigned char flags;
  vsi_hex_read(trace.trace_id, text + TRACE_AT, sizeof trace.trace_id);
  vsi_hex_read(trace.span_id, text + SPAN_AT, sizeof trace.span_id);
  vsi_hex_read(&flags, text + FLAGS_AT, 1);
  if (!memcmp(trace.trace_id, no_id, sizeof trace.trace_id) || !memcmp(trace.span_id, no_id, sizeof trace.span_id))
    return VESTRY_MALFORMED;
  trace.is_sampled = flags & SAMPLED;
  *ret_trace = trace;
  return VESTRY_OK;
}

static uint64_t next_id(const vestry_host *host) {
  if (!ids.has_begun) {
    if (host->random(host->ctx, &ids.state, sizeof ids.state)) ids.state = vsi_now_ns(host) ^ (uintptr_t)&ids;
    ids.has_begun = true;
  }
  uint64_t id = 0;
  while (!id) {
    id = ids.state += UINT64_C(0x9E3779B97F4A7C15);
    id = (id ^ id >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    id = (id ^ id >> 27) * UINT64_C(0x94D049BB133111EB);
    id ^= id >> 31;
  }
  return id;
}

void vsi_trace_make(const vestry_host *host, const vestry_trace *parent, vestry_span_kind kind, vestry_span *ret_span) {
  const vestry_tracer *tracer = host->tracer;
  *ret_span = (vestry_span){.kind = kind, .begun_ns = vsi_now_ns(host), .name = ""};
  vestry_trace *trace = &ret_span->trace;
  if (parent) {
    *trace = *parent;
    memcpy(ret_span->parent_id, parent->span_id, sizeof ret_span->parent_id);
  } else {
    const uint64_t words[2] = {next_id(host), next_id(host)};
    memcpy(trace->trace_id, words, sizeof trace->trace_id);
    trace->is_sampled = tracer->one_in < 2 || words[0] % tracer->one_in == 0;
  }
  uint64_t id = next_id(host);
  memcpy(trace->span_id, &id, sizeof trace->span_id);
}

void vsi_trace_report(const vestry_host *host, vestry_span *span) {
  const vestry_tracer *tracer = host->tracer;
  if (!tracer || !span->trace.is_sampled) return; /* the tracer was removed meanwhile */
  span->ended_ns = vsi_now_ns(host);
  vsi_callback_begin();
  tracer->on_span(span, tracer->ctx);
  vsi_callback_end();
}

const vestry_trace *vsi_trace_carried(const vestry_host *host) {
  return host->tracer && here && here->is_sampled ? here : NULL;
}

void vsi_span_begin_followed(vsi_span *span, const vestry_host *host, vestry_span_kind kind,
                             const vestry_trace *parent) {
  span->host = host;
  vsi_trace_make(host, parent ? parent : here, kind, &span->record);
  span->former = vestry_trace_enter(&span->record.trace);
}

void vsi_span_end_followed(vsi_span *span) {
  (void)vestry_trace_enter(span->former);
  vsi_trace_report(span->host, &span->record);
}
