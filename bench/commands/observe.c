/* SPDX-License-Identifier: MIT */
/* What it costs to look into an instance: a scrape of its metrics, what others wait for it meanwhile, and what an event
 * costs more because some are timed. */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "vestry/memory.h"
#include "vestry/vestry.h"

enum { MOST_TURNS = 10000, TEXT_BYTES = 1 << 17, BATCH = 64 };

typedef struct looked_into {
  vestry *v;
  vestry_observe *observe;
  vestry_memory_exchange **streams;
  uint64_t streams_count, turns;
  atomic_bool is_over;
  _Atomic(uint64_t) scrapes;
} looked_into;

static vestry_err keep(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  vestry_reply_key(reply, VESTRY_KEY("observed"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, UINT32_MAX);
}

static bool open_one(looked_into *l, vestry_memory_exchange **ret_stream) {
  const vestry_memory_call call = {.path = "/", .datastar = true};
  if (vestry_memory_request(l->v, &call, NULL, NULL, ret_stream)) return false;
  while (vestry_runtime_step(vestry_parts_of(l->v)->runtime)) continue;
  return true;
}

static void close_one(looked_into *l, vestry_memory_exchange *stream) {
  vestry_memory_destroy(stream);
  while (vestry_runtime_step(vestry_parts_of(l->v)->runtime)) continue;
}

static int compare(const void *a, const void *b) {
  const uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
  return (one > other) - (one < other);
}

static bool scrape(const looked_into *l) {
  static char text[TEXT_BYTES];
  return vestry_observe_metrics(l->observe, VESTRY_METRICS_OPEN, text, sizeof text, NULL) == VESTRY_OK;
}

static bool time_scrapes(const looked_into *l, uint64_t *times) {
  for (uint64_t i = 0; i < l->turns; i++) {
    const uint64_t since = bench_now_ns();
    if (!scrape(l)) return false;
    times[i] = bench_now_ns() - since;
  }
  qsort(times, l->turns, sizeof *times, compare);
  return true;
}

/* A stream that comes and goes: what it takes is what it waits, and a little more. */
static bool time_streams(looked_into *l, uint64_t *times) {
  for (uint64_t i = 0; i < l->turns; i++) {
    vestry_memory_exchange *stream;
    const uint64_t since = bench_now_ns();
    if (!open_one(l, &stream)) return false;
    close_one(l, stream);
    times[i] = bench_now_ns() - since;
  }
  qsort(times, l->turns, sizeof *times, compare);
  return true;
}

static void *scrape_on(void *of) {
  looked_into *l = of;
  while (!atomic_load(&l->is_over) && scrape(l)) atomic_fetch_add(&l->scrapes, 1);
  return NULL;
}

static bool time_streams_under_scrapes(looked_into *l, uint64_t *times) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, scrape_on, l)) return false;
  while (!atomic_load(&l->scrapes)) continue;
  const bool is_well = time_streams(l, times);
  atomic_store(&l->is_over, true);
  pthread_join(thread, NULL);
  return is_well;
}

/* Nanoseconds for an event to one stream; the least of all turns. 0: it was not taken. */
static double time_events(const looked_into *l, vestry_event *event, uint64_t count) {
  vestry_connection *connection = vestry_memory_look(l->streams[0]).connection;
  double least = 0;
  for (uint64_t turn = 0; turn < l->turns / 10 + 1; turn++) {
    const uint64_t since = bench_now_ns();
    for (uint64_t sent = 0; sent < count; sent += BATCH) {
      for (int i = 0; i < BATCH; i++)
        if (vestry_connection_send(connection, event)) return 0;
      while (vestry_runtime_step(vestry_parts_of(l->v)->runtime)) continue;
      (void)vestry_memory_since(l->streams[0]);
    }
    const double took = (double)(bench_now_ns() - since) / (double)count;
    if (!least || took < least) least = took;
  }
  return least;
}

static bool run(looked_into *l, uint64_t count) {
  static uint64_t scrapes[MOST_TURNS], alone[MOST_TURNS], meanwhile[MOST_TURNS];
  static const char text[] = "<p id=\"a\">observed</p>";
  vestry_event *event;
  for (uint64_t i = 0; i < l->streams_count; i++)
    if (!open_one(l, &l->streams[i])) return false;
  if (vestry_event_elements(NULL, text, sizeof text - 1, NULL, &event)) return false;
  const double unobserved_ns = time_events(l, event, count);
  bool is_well = unobserved_ns > 0 && vestry_observe_create(l->v, NULL, &l->observe) == VESTRY_OK;
  const double observed_ns = is_well ? time_events(l, event, count) : 0;
  vestry_event_unref(event);
  is_well = is_well && observed_ns > 0 && time_scrapes(l, scrapes) && time_streams(l, alone) &&
            time_streams_under_scrapes(l, meanwhile);
  if (!is_well) return false;
  const uint64_t middle = l->turns / 2, last = l->turns - 1, most = last - l->turns / 100;
  printf("observe streams=%" PRIu64 " scrape_us=%.0f scrape_worst_us=%.0f stream_us=%.1f stream_99_us=%.1f "
         "stream_scraped_us=%.1f stream_scraped_99_us=%.1f stream_scraped_worst_us=%.0f event_ns=%.0f "
         "event_observed_ns=%.0f\n",
         l->streams_count, (double)scrapes[middle] / 1e3, (double)scrapes[last] / 1e3, (double)alone[middle] / 1e3,
         (double)alone[most] / 1e3, (double)meanwhile[middle] / 1e3, (double)meanwhile[most] / 1e3,
         (double)meanwhile[last] / 1e3, unobserved_ns, observed_ns);
  return true;
}

int bench_observe(int argc, char **argv) {
  looked_into l = {.streams_count = 10000, .turns = 500};
  uint64_t count = 64000;
  const bench_option options[] = {{"--streams", NULL, &l.streams_count, 1, 1 << 20},
                                  {"--turns", NULL, &l.turns, 1, MOST_TURNS},
                                  {"--count", NULL, &count, BATCH, 100000000}};
  const int status = bench_options(argc, argv, options, 3);
  if (status) return status;
  const vestry_bounds bounds = {.max_count = (size_t)l.streams_count + 10};
  l.streams = calloc((size_t)l.streams_count, sizeof *l.streams);
  bool is_well =
      l.streams && !vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE, .bounds = &bounds}, &l.v);
  is_well = is_well && !vestry_route(l.v, "GET", "/", keep, NULL) && run(&l, count);
  for (uint64_t i = 0; l.streams && i < l.streams_count; i++) vestry_memory_destroy(l.streams[i]);
  vestry_observe_destroy(l.observe);
  if (l.v) vestry_destroy(l.v);
  free(l.streams);
  if (!is_well) fputs("observe: something was refused\n", stderr);
  return !is_well;
}
