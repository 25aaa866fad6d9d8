/* SPDX-License-Identifier: MIT */
/** Traces: the time between a request and the events that tabs get for it, also through other nodes.
 *
 *  A trace consists of spans, each with a begin, an end and a parent; vestry_span_kind lists the spans of vestry. A
 *  program that wants traces gives its host a tracer:
 *
 *      static void on_span(const vestry_span *span, void *ctx) { … }      // for example, write a line to a file
 *      static const vestry_tracer tracer = {.on_span = on_span};
 *      vestry_host host = *vestry_host_default();
 *      host.tracer = &tracer;
 *
 *  A request with the header `traceparent` (W3C Trace Context, https://www.w3.org/TR/trace-context/) continues that
 *  trace; any other begins one. vestry's spans on a thread have the current span of that thread as their parent. The
 *  program adds its own by vestry_trace_here, and carries a trace to other threads by vestry_trace_enter. Without a
 *  tracer each such place costs a comparison. */
#ifndef VESTRY_TRACE_H
#define VESTRY_TRACE_H

#include "vestry/host.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A position in a trace: a trace and a span. */
typedef struct vestry_trace {
  unsigned char trace_id[16]; /**< not all zeroes */
  unsigned char span_id[8];   /**< not all zeroes */
  bool is_sampled;            /**< its spans are reported */
} vestry_trace;

/** Kinds of spans. */
typedef enum vestry_span_kind {
  VESTRY_SPAN_REQUEST = 1,    /**< a request, until its response is made; name: its method; count: none */
  VESTRY_SPAN_DISPATCH,       /**< a dispatch of effects; name: that of the first effect; count: streams */
  VESTRY_SPAN_REMOTE_REQUEST, /**< a dispatch to other nodes, until all have answered; count: streams there */
  VESTRY_SPAN_RENDER, /**< a page, or a shared part; name: its path, or its element's id; count: none. Its parent is the
                           first of the refreshes that it is for, if that is still known */
  VESTRY_SPAN_WRITE   /**< an event, from its making until the transport has taken it; count: its bytes. For an event to
                           many streams the first VESTRY_TRACE_WRITES_MAX are reported */
} vestry_span_kind;

/** Maximum number of reported writes of one event. */
#define VESTRY_TRACE_WRITES_MAX 16

/** A span that has ended. */
typedef struct vestry_span {
  vestry_span_kind kind;
  vestry_trace trace;          /**< of this span: its children have span_id as their parent */
  unsigned char parent_id[8];  /**< zeroes: the first span of its trace */
  uint64_t begun_ns, ended_ns; /**< on the host's clock */
  const char *name;            /**< "" if it has none; valid during the call */
  uint64_t count;
  vestry_err error; /**< result of the operation */
} vestry_span;

/** Receiver of spans. Borrowed by the host that has it. */
typedef struct vestry_tracer {
  /** Receives a span that has ended. Any thread, concurrently, no lock held; its cost is added to that thread's work.
   *  It may call no function of vestry except those of this header. Mandatory. */
  void (*on_span)(const vestry_span *span, void *ctx);
  void *ctx;
  uint32_t one_in; /**< sample one in this number of the traces that begin here; 0 or 1: all of them. For a trace that
                        comes with a request, its header decides */
} vestry_tracer;

/** Get the trace of this thread; NULL: none. Valid until the span ends, or vestry_trace_enter sets the former trace
 *  again. Use it for a request that the program makes:
 *      char text[VESTRY_TRACE_TEXT_BYTES];
 *      const vestry_trace *here = vestry_trace_here();
 *      if (here) vestry_trace_write(here, text);                // the value of the header traceparent
 *  Threads  any; a load */
VESTRY_API const vestry_trace *vestry_trace_here(void);

/** Set the trace of this thread. Spans of vestry on it belong to the trace from now on.
 *  trace    borrowed until another one is set; NULL: none
 *  Returns  the former one; set it again at the end
 *  Threads  any; a store */
VESTRY_API const vestry_trace *vestry_trace_enter(const vestry_trace *trace);

/** Size of a trace as text, with the terminator. */
#define VESTRY_TRACE_TEXT_BYTES 56

/** Write a trace as the value of the header traceparent, version 00.
 *  text     at least VESTRY_TRACE_TEXT_BYTES; written completely
 *  Threads  any */
VESTRY_API void vestry_trace_write(const vestry_trace *trace, char *text);

#ifdef __cplusplus
}
#endif
#endif
