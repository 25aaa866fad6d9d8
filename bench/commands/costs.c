/* SPDX-License-Identifier: MIT */
/* vestry-bench costs: the figures of the guide's table of costs (docs/guide/connections.md#costs).
 *
 *   memory    bytes of a stream, of a further key, and of a waiting event by the policy of its queue; malloc's rounding
 *             included. The transport takes no memory, and the runtime is not stepped while events wait
 *   sends     microseconds a stream of one event to all streams, by key and by channel, while all queues together are
 *             below and above 7/8 of their bound: processor time of the sending thread, so that other programs on the
 *             machine disturb it less. One runtime thread runs, and no client reads
 *
 * Allocations are printed for one dispatch to one stream, those of jansson included. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vestry/adapter.h>
#include <vestry/vestry.h>

#include "bench.h"
#include "memory.h"
#include "request.h"

/* ---- Streams whose client reads everything, or nothing ----------------------------------------------------------- */

static _Atomic(bool) is_blocked; /* set before a send, read by the runtime's thread */

static vestry_io stream_open(void *transport) {
  (void)transport;
  return VESTRY_IO_OK;
}

static vestry_io stream_write(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  (void)transport, (void)slices, (void)count;
  *ret_written = 0;
  return is_blocked ? VESTRY_IO_WOULD_BLOCK : VESTRY_IO_OK;
}

static void stream_end(void *transport, bool clean, vestry_cause cause) {
  (void)transport, (void)clean, (void)cause;
}

static void stream_release(void *transport) {
  (void)transport;
}

static vestry_err request_open(void *request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                               void **ret_transport) {
  static const vestry_transport_ops ops = {
      .open = stream_open, .write = stream_write, .end = stream_end, .release = stream_release};
  (void)request, (void)head;
  *ret_ops = &ops;
  *ret_transport = (void *)&is_blocked; /* unused */
  return VESTRY_OK;
}

/* ---- One instance with streams ----------------------------------------------------------------------------------- */

static const vestry_scope nowhere = {NULL, 0};

/* What the handler gives its stream. */
typedef struct opening {
  int id;
  bool is_shared, has_more, joins; /* a key of all streams instead of its own; a further key; a channel */
} opening;

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  const opening *o = app;
  vestry_err error =
      o->is_shared ? vestry_reply_key(reply, VESTRY_KEY("all")) : vestry_reply_key(reply, VESTRY_KEY("stream", o->id));
  if (!error && o->has_more) error = vestry_reply_add_key(reply, req->scope, VESTRY_KEY("more", o->id), 0);
  if (!error && o->joins) error = vestry_reply_join(reply, req->scope, VESTRY_KEY("channel"));
  return error ? error : vestry_reply_keep(reply, o->is_shared ? VESTRY_KEEP_MANY : VESTRY_KEEP_REPLACE, UINT32_MAX);
}

static bool open_stream(vestry *v, const opening *o) {
  vestry_request_ops ops = bench_request_ops;
  ops.open = request_open;
  bench_request request = {.method = "GET", .path = "/", .header = "Datastar-Request", .value = "true", .peer = "/"};
  vestry_connection *stream = NULL;
  if (vestry_serve(v, &ops, &request, live, (void *)(uintptr_t)o, &stream) || !stream) return false;
  vestry_connection_unref(stream);
  return true;
}

static bool open_streams(vestry *v, uint64_t count, opening o) {
  for (uint64_t id = 0; id < count; id++) {
    o.id = (int)id;
    if (!open_stream(v, &o)) return false;
    while (vestry_runtime_step(vestry_parts_of(v)->runtime)) continue;
  }
  return true;
}

static void quiet(void *ctx, vestry_log_level level, const char *text) {
  (void)ctx, (void)level, (void)text;
}

static vestry *create(vestry_host *host, uint32_t threads, size_t queued_bytes) {
  vestry *v = NULL;
  *host = *bench_counting_host();
  host->log = quiet; /* streams are closed on purpose */
  const vestry_bounds bounds = {.max_count = 1000000, .max_queued_bytes = queued_bytes};
  const vestry_connection_options connection = {.full = VESTRY_FULL_DROP};
  const vestry_options options = {.host = host, .threads_count = threads, .bounds = &bounds, .connection = &connection};
  return vestry_create(&options, &v) ? NULL : v;
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

/* Return the bytes that a stream takes. */
static double bytes_a_stream(uint64_t streams, opening o) {
  vestry_host host;
  vestry *v = create(&host, VESTRY_THREADS_NONE, SIZE_MAX);
  if (!v) return -1;
  const int64_t before = bench_counted_bytes();
  const bool right = open_streams(v, streams, o);
  const double bytes = (double)(bench_counted_bytes() - before) / (double)streams;
  vestry_destroy(v);
  return right ? bytes : -1;
}

/* Return the bytes that a waiting event takes, and by ret_text_bytes the length of its text. is_shared: one event for
 * all streams, so that its text counts little. */
static double bytes_an_event(uint64_t streams, bool is_shared, double *ret_text_bytes) {
  enum { EVENTS = 50 };
  vestry_host host;
  vestry *v = create(&host, VESTRY_THREADS_NONE, SIZE_MAX);
  if (!v) return -1;
  bool right = open_streams(v, streams, (opening){.is_shared = is_shared});
  const int64_t before = bench_counted_bytes();
  char html[64];
  for (int event = 0; right && event < EVENTS; event++) {
    snprintf(html, sizeof html, "<p id=\"row-%d\">%d</p>", event, event * 17);
    for (uint64_t id = 0; right && id < (is_shared ? 1 : streams); id++) {
      const vestry_key *key = is_shared ? VESTRY_KEY("all") : VESTRY_KEY("stream", (int)id);
      right = vestry_dispatch(v, nowhere, key, VESTRY_LIST("patch-elements", html)) == VESTRY_OK;
    }
  }
  vestry_stats stats = {0};
  vestry_stats_get(v, &stats);
  const double events = (double)streams * EVENTS;
  const double bytes = (double)(bench_counted_bytes() - before) / events;
  vestry_event *event = NULL;
  right = right && stats.accepted_count == streams * EVENTS &&
          vestry_event_elements(&host, html, strlen(html), NULL, &event) == VESTRY_OK;
  if (event) *ret_text_bytes = (double)vestry_event_bytes(event).len;
  vestry_event_unref(event);
  vestry_destroy(v);
  return right ? bytes : -1;
}

static bool print_memory(uint64_t streams) {
  const double one = bytes_a_stream(streams, (opening){.id = 0});
  const double more = bytes_a_stream(streams, (opening){.has_more = true});
  const double joined = bytes_a_stream(streams, (opening){.joins = true});
  printf("vestry costs streams=%" PRIu64 " bytes_per_stream=%.0f bytes_per_further_key=%.0f bytes_per_channel=%.0f\n",
         streams, one, more - one, joined - one);
  double text_bytes = 0;
  const double own = bytes_an_event(streams, false, &text_bytes);
  const double shared = bytes_an_event(streams, true, &text_bytes);
  printf("vestry costs text_bytes=%.0f bytes_per_own_event=%.0f bytes_per_shared_event=%.0f\n", text_bytes, own,
         shared);
  return one > 0 && more > one && joined > one && own > 0 && shared > 0;
}

/* ---- Allocations ------------------------------------------------------------------------------------------------- */

static bool print_allocations(void) {
  enum { COUNT = 1000 };
  const vestry_host host = bench_allocating_host();
  vestry *v = NULL;
  const vestry_options options = {.host = &host, .threads_count = VESTRY_THREADS_NONE};
  bool right = vestry_create(&options, &v) == VESTRY_OK;
  const uint64_t created = bench_allocations();
  right = right && open_streams(v, 1, (opening){.id = 0});
  uint64_t before = bench_allocations();
  for (int i = 0; right && i < COUNT; i++) {
    right = vestry_dispatch(v, nowhere, VESTRY_KEY("stream", 0), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", i))) ==
            VESTRY_OK;
    while (vestry_runtime_step(vestry_parts_of(v)->runtime)) continue;
  }
  const uint64_t dispatched = bench_allocations() - before;
  if (right)
    printf("vestry costs allocations_per_create=%" PRIu64 " allocations_per_dispatch=%.2f\n", created,
           (double)dispatched / COUNT);
  vestry_destroy(v);
  json_set_alloc_funcs(malloc, free);
  return right;
}

/* ---- Sends ------------------------------------------------------------------------------------------------------- */

static vestry_err send_by_key(vestry *v, int n) {
  return vestry_dispatch(v, nowhere, VESTRY_KEY("all"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", n)));
}

static vestry_err send_by_channel(vestry *v, int n) {
  vestry_event *event = NULL;
  vestry_err error = vestry_event_signals(vestry_parts_of(v)->host, VESTRY_OBJECT("n", n), NULL, &event);
  if (!error) error = vestry_broadcast(v, nowhere, VESTRY_KEY("channel"), event, NULL);
  vestry_event_unref(event);
  return error;
}

typedef vestry_err (*send_fn)(vestry *v, int n);

/* Measure the microseconds a stream of sends to all. Returns the mean number of open streams; below 0: none is open. */
static double time_sends(vestry *v, send_fn send, uint64_t rounds, double *ret_us) {
  double sends = 0;
  uint64_t spent_ns = 0;
  for (uint64_t i = 0; i < rounds; i++) {
    vestry_stats stats = {0};
    vestry_stats_get(v, &stats);
    if (!stats.open_count) return -1;
    const uint64_t from = bench_thread_cpu_ns();
    (void)send(v, (int)i); /* FULL is a result here */
    spent_ns += bench_thread_cpu_ns() - from;
    sends += (double)stats.open_count;
  }
  *ret_us = (double)spent_ns / sends / 1000;
  return sends / (double)rounds;
}

enum { QUEUED_BYTES_A_STREAM = 1000, BELOW_ROUNDS = 2, ABOVE_ROUNDS = 10 };

static bool print_sends(uint64_t streams, bool by_channel) {
  const send_fn send = by_channel ? send_by_channel : send_by_key;
  vestry_host host;
  vestry *v = create(&host, 1, (size_t)streams * QUEUED_BYTES_A_STREAM);
  if (!v) return false;
  is_blocked = false;
  bool right = open_streams(v, streams, (opening){.is_shared = !by_channel, .joins = by_channel});
  double below_us = -1, above_us = -1;
  is_blocked = true;
  right = right && time_sends(v, send, BELOW_ROUNDS, &below_us) == (double)streams;
  vestry_stats stats = {0};
  for (int i = 0; right && i < 1000; i++) { /* up to the mark: streams are closed from there on */
    vestry_stats_get(v, &stats);
    if (stats.closed_by_cause[VESTRY_CAUSE_BUDGET]) break;
    (void)send(v, i);
  }
  right = right && stats.closed_by_cause[VESTRY_CAUSE_BUDGET];
  const double open = right ? time_sends(v, send, ABOVE_ROUNDS, &above_us) : -1;
  printf("vestry costs way=%s streams=%" PRIu64 " below_us_per_stream=%.3f above_us_per_stream=%.3f open_above=%.0f\n",
         by_channel ? "channel" : "key", streams, below_us, above_us, open);
  vestry_destroy(v);
  return right && open > 0;
}

int bench_costs(int argc, char **argv) {
  uint64_t streams = 1000, only = 0;
  const bench_option options[] = {{"--streams", NULL, &streams, 10, 100000}, {"--sends", NULL, &only, 10, 100000}};
  int status = bench_options(argc, argv, options, 2);
  if (status) return status;
  static const uint64_t counts[] = {250, 4000, 40000};
  bool right = print_memory(streams) && print_allocations();
  for (size_t i = 0; right && i < (only ? 1 : sizeof counts / sizeof *counts); i++)
    for (int by_channel = 0; right && by_channel < 2; by_channel++)
      right = print_sends(only ? only : counts[i], by_channel);
  if (!right) fprintf(stderr, "vestry-bench: costs: a figure is missing\n");
  return right ? 0 : 1;
}
