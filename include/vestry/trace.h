/* SPDX-License-Identifier: MIT */
/** Traces: where the time goes between a request and what tabs are sent for it, also through other nodes.
 *
 *  A trace is made of spans, each of which began and ended and has a parent: a request; a dispatch; the question to
 *  other nodes, and the dispatch there; the render of a page that was refreshed; the write of an event. A program that
 *  wants them gives its host a tracer:
 *
 *      static void on_span(const vestry_span *span, void *ctx) { … }      // a line of a file, say
 *      static const vestry_tracer tracer = {.on_span = on_span};
 *      vestry_host host = *vestry_host_default();
 *      host.tracer = &tracer;
 *
 *  A request that has the header `traceparent` (W3C Trace Context, https://www.w3.org/TR/trace-context/) goes on with
 *  that trace; any other begins one. What vestry does on a thread that is inside of a span has that span as its parent;
 *  what the program does there it adds by vestry_trace_here, and it carries a trace to other threads by
 *  vestry_trace_enter. A host without a tracer costs a comparison at each of these places. */
#ifndef VESTRY_TRACE_H
#define VESTRY_TRACE_H

#include "vestry/host.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Where in which trace. */
typedef struct vestry_trace {
  unsigned char trace_id[16]; /**< not all zeroes */
  unsigned char span_id[8];   /**< not all zeroes */
  bool is_sampled;            /**< its spans are told */
} vestry_trace;

/** What a span is of. */
typedef enum vestry_span_kind {
  VESTRY_SPAN_REQUEST = 1,    /**< a request, until its answer is made; name: its method; count: none */
  VESTRY_SPAN_DISPATCH,       /**< effects that are performed; name: the first one's; count: streams */
  VESTRY_SPAN_REMOTE_REQUEST, /**< a dispatch that goes to other nodes, until all have answered; count: streams there */
  VESTRY_SPAN_RENDER, /**< a page, or a shared part; name: its path, or its element's id; count: none. Its parent
                                is the first of the refreshes that it is for, as far as that is still known */
  VESTRY_SPAN_WRITE   /**< an event, from when it was made until the transport has it; count: its bytes. Of one
                                that goes to many streams the first VESTRY_TRACE_WRITES_MAX are told */
} vestry_span_kind;

/** Writes of one event that are told. */
#define VESTRY_TRACE_WRITES_MAX 16

/** A span that has ended. */
typedef struct vestry_span {
  vestry_span_kind kind;
  vestry_trace trace;          /**< the span's own: its children have span_id as their parent */
  unsigned char parent_id[8];  /**< zeroes: it is the first of its trace */
  uint64_t begun_ns, ended_ns; /**< of the host's clock */
  const char *name;            /**< "" if it has none; valid during the call */
  uint64_t count;
  vestry_err error; /**< what became of it */
} vestry_span;

/** Where spans go. Borrowed by the host that it is given to. */
typedef struct vestry_tracer {
  size_t size; /**< sizeof(vestry_tracer), or 0 */
  /** Takes a span that has ended. Any thread, concurrently, no lock held; what it costs, the thread pays. It may call
   *  nothing of vestry's but this header's functions. Mandatory. */
  void (*on_span)(const vestry_span *span, void *ctx);
  void *ctx;
  uint32_t one_in; /**< of the traces that begin here, one in so many is sampled; 0: 1, each. A trace that comes from
                        elsewhere says itself whether it is */
} vestry_tracer;

/** The trace that this thread is in; NULL: none. Valid until the span ends, or what was entered is left. So it goes
 *  into a request that the program makes:
 *      char text[VESTRY_TRACE_TEXT_BYTES];
 *      const vestry_trace *here = vestry_trace_here();
 *      if (here) vestry_trace_write(here, text);                // the value of the header traceparent
 *  Threads  any; a load */
VESTRY_API const vestry_trace *vestry_trace_here(void);

/** Let this thread be in that trace. What vestry does on it from now on belongs there.
 *  trace    borrowed until another one is entered; NULL: none
 *  Returns  the former one, which is to be entered again at the end
 *  Threads  any; a store */
VESTRY_API const vestry_trace *vestry_trace_enter(const vestry_trace *trace);

/** Bytes of a trace as text, with the terminator. */
#define VESTRY_TRACE_TEXT_BYTES 56

/** A trace as the value of the header traceparent, version 00.
 *  text     at least VESTRY_TRACE_TEXT_BYTES; written whole
 *  Threads  any */
VESTRY_API void vestry_trace_write(const vestry_trace *trace, char *text);

/** The trace that the value of a header traceparent names, of any version that begins as version 00 does.
 *  text, len  need no terminator; may come from a stranger; NULL has none
 *  Returns    OK | MALFORMED, *ret_trace untouched
 *  Threads    any */
VESTRY_API vestry_err vestry_trace_read(const char *text, size_t len, vestry_trace *ret_trace);

#ifdef __cplusplus
}
#endif
#endif
