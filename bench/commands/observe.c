/* SPDX-License-Identifier: MIT */
/* vestry-bench observe: the cost of observing an instance with many streams, and the delay of other threads. */
#include "observe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { BLOCKED_EACH = 10, SENT_MOST = 5, TOPICS = 100 };

/* ------------------------------------------------------------------------------------------------ an instance ---- */

static vestry_err keep(const vestry_request *req, vestry_reply *reply, void *app) {
  looked_into *l = app;
  (void)req;
  vestry_reply_key(reply, VESTRY_KEY("observed", (int64_t)l->others++));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

void looked_into_step(looked_into *l) {
  while (vestry_runtime_step(vestry_parts_of(l->v)->runtime)) continue;
}

vestry_memory_exchange *looked_into_ask(looked_into *l, const char *path, const char *query) {
  static const vestry_header here = {"Host", "localhost"};
  const vestry_memory_call call = {
      .path = path, .query = query, .peer = "127.0.0.1", .headers = &here, .headers_count = 1};
  vestry_memory_exchange *exchange;
  return vestry_memory_request(l->v, &call, NULL, NULL, &exchange) ? NULL : exchange;
}

static vestry_memory_exchange *open_stream(looked_into *l, const char *path, const char *query) {
  const vestry_memory_call call = {.path = path, .query = query, .datastar = true};
  vestry_memory_exchange *stream = NULL;
  if (!vestry_memory_request(l->v, &call, NULL, NULL, &stream)) looked_into_step(l);
  if (!stream || vestry_memory_look(stream).connection) return stream;
  vestry_memory_destroy(stream);
  return NULL;
}

vestry_memory_exchange *looked_into_add(looked_into *l) {
  return open_stream(l, "/kept", NULL);
}

void looked_into_drop(looked_into *l, vestry_memory_exchange *stream) {
  vestry_memory_destroy(stream);
  looked_into_step(l);
}

static bool fill(looked_into *l, uint64_t number) {
  char query[64];
  snprintf(query, sizeof query, "topic=t%u&bytes=100", (unsigned)(number / 2 % TOPICS));
  vestry_memory_exchange *stream = number % 2 ? open_stream(l, "/page", query) : looked_into_add(l);
  l->streams[number] = stream;
  if (!stream) return false;
  if (number % BLOCKED_EACH == BLOCKED_EACH - 1) vestry_memory_mode_set(stream, VESTRY_MEMORY_BLOCKS);
  for (uint64_t i = 0; i < number % SENT_MOST; i++)
    if (vestry_connection_send(vestry_memory_look(stream).connection, l->event)) return false;
  looked_into_step(l);
  return true;
}

bool looked_into_observe(looked_into *l) {
  const vestry_observe_options options = {.pages = bench_pages_of(l->pages), .trusts_loopback = true};
  return !vestry_observe_create(l->v, &options, &l->observe) && !vestry_observe_mount(l->observe, "/observe");
}

void looked_into_cease(looked_into *l) {
  vestry_observe_destroy(l->observe);
  l->observe = NULL;
}

bool looked_into_open(looked_into *l, const vestry_host *host, bool is_observed) {
  static const char text[] = "<p id=\"a\">observed</p>";
  const vestry_bounds bounds = {.max_count = (size_t)l->streams_count + 10};
  const vestry_options options = {
      .host = host, .store = "hash", .threads_count = VESTRY_THREADS_NONE, .bounds = &bounds};
  l->streams = calloc((size_t)l->streams_count, sizeof *l->streams);
  if (!l->streams || vestry_create(&options, &l->v) || bench_pages_create(l->v, &l->pages)) return false;
  bool is_well = !vestry_route(l->v, "GET", "/kept", keep, l) && (!is_observed || looked_into_observe(l)) &&
                 !vestry_event_elements(NULL, text, sizeof text - 1, NULL, &l->event);
  for (uint64_t i = 0; is_well && i < l->streams_count; i++) is_well = fill(l, i);
  return is_well;
}

void looked_into_close(looked_into *l) {
  for (uint64_t i = 0; l->streams && i < l->streams_count; i++) vestry_memory_destroy(l->streams[i]);
  free(l->streams);
  vestry_event_unref(l->event);
  if (l->v) looked_into_step(l);
  looked_into_cease(l);
  if (l->v) (void)vestry_stop(l->v, VESTRY_NEVER_MS);
  bench_pages_destroy(l->pages);
  if (l->v) vestry_destroy(l->v);
}

/* ------------------------------------------------------------------------------------------------ the command ---- */

static const struct {
  const char *name;
  bool (*measure)(looked_into *l);
} parts[] = {
    {"looks", observe_looks}, {"writers", observe_writers}, {"events", observe_events}, {"tails", observe_tails}};
enum { PARTS_COUNT = sizeof parts / sizeof *parts };

int bench_observe(int argc, char **argv) {
  looked_into l = {.streams_count = 10000, .turns = 50, .events_count = 6400};
  const char *only = NULL;
  const bench_option options[] = {{"--streams", NULL, &l.streams_count, 20, 1 << 20},
                                  {"--turns", NULL, &l.turns, 1, OBSERVE_TURNS_MOST},
                                  {"--count", NULL, &l.events_count, 64, 100000000},
                                  {"--only", &only, NULL, 0, 0}};
  const int status = bench_options(argc, argv, options, 4);
  if (status) return status;
  bool is_known = !only || !strcmp(only, "memory"), is_well = true;
  if (is_known) is_well = observe_memory(&l);
  looked_into of = l;
  is_well = is_well && looked_into_open(&of, NULL, false);
  for (size_t i = 0; is_well && i < PARTS_COUNT; i++) {
    if (only && strcmp(only, parts[i].name) != 0) continue;
    is_known = true;
    is_well = parts[i].measure(&of);
    looked_into_cease(&of);
  }
  looked_into_close(&of);
  if (!is_well) fputs("observe: an operation was refused\n", stderr);
  if (!is_known) fputs("observe: --only: expected memory, looks, writers, events or tails\n", stderr);
  return is_known ? !is_well : 2;
}
