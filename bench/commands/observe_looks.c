/* SPDX-License-Identifier: MIT */
/* The time of queries: a scrape, the explanation of a stream, a page of a listing; by function and by endpoint. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"
#include "observe.h"

enum { TEXT_BYTES = 1 << 17, ORDERS = VESTRY_STREAMS_BYTES + 1 };

static const char *const orders[ORDERS] = {"newest", "oldest", "queued", "bytes"};

typedef struct look {
  looked_into *l;
  uint64_t id; /* of a stream */
  vestry_stream_query query;
  char path[64], rest[96]; /* of an endpoint */
} look;

typedef bool (*look_fn)(look *at);

/* The median and the maximum of all turns, in microseconds. */
typedef struct times {
  double median_us, worst_us;
} times;

static bool measure(look *at, look_fn fn, times *ret) {
  static double us[OBSERVE_TURNS_MOST];
  for (uint64_t i = 0; i < at->l->turns; i++) {
    const uint64_t since_ns = bench_now_ns();
    if (!fn(at)) return false;
    us[i] = (double)(bench_now_ns() - since_ns) / 1e3;
  }
  *ret = (times){.median_us = bench_share(us, at->l->turns, 0.5)};
  ret->worst_us = us[at->l->turns - 1];
  return true;
}

/* ------------------------------------------------------------------------------------------------- each look ----- */

static bool scrape(look *at) {
  static char text[TEXT_BYTES];
  return !vestry_observe_metrics(at->l->observe, VESTRY_METRICS_OPEN, text, sizeof text, NULL);
}

static bool explain(look *at) {
  vestry_stream_info info = {0};
  return !vestry_observe_stream(at->l->observe, at->id, &info) && info.id == at->id;
}

static void count_one(const vestry_stream_info *info, void *ctx) {
  (void)info;
  ++*(uint64_t *)ctx;
}

static bool list(look *at) {
  uint64_t count = 0;
  return !vestry_observe_streams(at->l->observe, &at->query, count_one, &count, NULL) && count > 0;
}

static bool ask(look *at) {
  vestry_memory_exchange *answer = looked_into_ask(at->l, at->path, at->rest);
  const bool is_well = answer && vestry_memory_look(answer).status == 200;
  vestry_memory_destroy(answer);
  return is_well;
}

/* ------------------------------------------------------------------------------------------------------ lines ---- */

static bool look_at_metrics(look *at) {
  times by_function, by_endpoint;
  snprintf(at->path, sizeof at->path, "/observe/metrics");
  *at->rest = '\0';
  if (!measure(at, scrape, &by_function) || !measure(at, ask, &by_endpoint)) return false;
  printf("scrape streams=%" PRIu64 " us=%.1f worst_us=%.1f endpoint_us=%.1f endpoint_worst_us=%.1f\n",
         at->l->streams_count, by_function.median_us, by_function.worst_us, by_endpoint.median_us,
         by_endpoint.worst_us);
  return true;
}

/* Explain a stream. which: its number by age. */
static bool look_at_one(look *at, const char *name, uint64_t which) {
  times by_function, by_endpoint;
  at->id = vestry_connection_look(vestry_memory_look(at->l->streams[which]).connection).id;
  snprintf(at->path, sizeof at->path, "/observe/streams/%" PRIu64, at->id);
  *at->rest = '\0';
  if (!measure(at, explain, &by_function) || !measure(at, ask, &by_endpoint)) return false;
  printf("explain which=%s us=%.1f worst_us=%.1f endpoint_us=%.1f endpoint_worst_us=%.1f\n", name,
         by_function.median_us, by_function.worst_us, by_endpoint.median_us, by_endpoint.worst_us);
  return true;
}

/* Find the beginning of the last page with streams. */
static bool seek_last(look *at) {
  vestry_stream_query query = {.order = at->query.order};
  for (vestry_stream_cursor next = {0, 0};; query.from = next) {
    uint64_t count = 0;
    if (vestry_observe_streams(at->l->observe, &query, count_one, &count, &next)) return false;
    if (count) at->query.from = query.from;
    if (!next.id) return true;
  }
}

static bool look_at_page(look *at, const char *name) {
  times by_function, by_endpoint;
  const vestry_stream_cursor from = at->query.from;
  snprintf(at->path, sizeof at->path, "/observe/streams");
  int len = snprintf(at->rest, sizeof at->rest, "sort=%s", orders[at->query.order]);
  if (from.id)
    snprintf(at->rest + len, sizeof at->rest - (size_t)len, "&cursor=%" PRIu64 "-%" PRIu64, from.value, from.id);
  if (!measure(at, list, &by_function) || !measure(at, ask, &by_endpoint)) return false;
  printf("list order=%s%s page=%s us=%.1f worst_us=%.1f endpoint_us=%.1f endpoint_worst_us=%.1f\n",
         orders[at->query.order], at->query.prefix ? "+prefix" : "", name, by_function.median_us, by_function.worst_us,
         by_endpoint.median_us, by_endpoint.worst_us);
  return true;
}

static bool look_at_order(look *at, vestry_stream_order order) {
  at->query = (vestry_stream_query){.order = order};
  return look_at_page(at, "first") && seek_last(at) && look_at_page(at, "last");
}

/* List by a prefix that no key has, which visits every key. Only by function, because the endpoint would have the same
 * result. */
static bool look_for_prefix(look *at) {
  uint64_t count = 0;
  static double us[OBSERVE_TURNS_MOST];
  at->query = (vestry_stream_query){.prefix = "none has it"};
  for (uint64_t i = 0; i < at->l->turns; i++) {
    const uint64_t since_ns = bench_now_ns();
    if (vestry_observe_streams(at->l->observe, &at->query, count_one, &count, NULL) || count) return false;
    us[i] = (double)(bench_now_ns() - since_ns) / 1e3;
  }
  const double median_us = bench_share(us, at->l->turns, 0.5);
  printf("list order=prefix page=none us=%.1f worst_us=%.1f\n", median_us, us[at->l->turns - 1]);
  return true;
}

bool observe_looks(looked_into *l) {
  look at = {.l = l};
  if (!looked_into_observe(l) || !look_at_metrics(&at)) return false;
  if (!look_at_one(&at, "oldest", 0) || !look_at_one(&at, "middle", l->streams_count / 2 | 1) ||
      !look_at_one(&at, "newest", l->streams_count - 1))
    return false;
  for (int order = 0; order < ORDERS; order++)
    if (!look_at_order(&at, (vestry_stream_order)order)) return false;
  return look_for_prefix(&at);
}
