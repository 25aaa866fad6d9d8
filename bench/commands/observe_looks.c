/* SPDX-License-Identifier: MIT */
/* The time of queries by their endpoints: a scrape, the explanation of a stream, a page of a listing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "observe.h"

enum { ORDERS = 4 };

static const char *const orders[ORDERS] = {"newest", "oldest", "queued", "bytes"};

typedef struct look {
  looked_into *l;
  char path[64], rest[96]; /* of an endpoint */
} look;

/* The median and the maximum of all turns, in microseconds. */
typedef struct times {
  double median_us, worst_us;
} times;

static bool ask(look *at) {
  vestry_memory_exchange *answer = looked_into_ask(at->l, at->path, at->rest);
  const bool is_well = answer && vestry_memory_look(answer).status == 200;
  vestry_memory_destroy(answer);
  return is_well;
}

static bool measure(look *at, times *ret) {
  static double us[OBSERVE_TURNS_MOST];
  for (uint64_t i = 0; i < at->l->turns; i++) {
    const uint64_t since_ns = bench_now_ns();
    if (!ask(at)) return false;
    us[i] = (double)(bench_now_ns() - since_ns) / 1e3;
  }
  *ret = (times){.median_us = bench_share(us, at->l->turns, 0.5)};
  ret->worst_us = us[at->l->turns - 1];
  return true;
}

/* ------------------------------------------------------------------------------------------------------ lines ---- */

static bool look_at_metrics(look *at) {
  times took;
  snprintf(at->path, sizeof at->path, "/observe/metrics");
  *at->rest = '\0';
  if (!measure(at, &took)) return false;
  printf("scrape streams=%" PRIu64 " us=%.1f worst_us=%.1f\n", at->l->streams_count, took.median_us, took.worst_us);
  return true;
}

/* Explain a stream. which: its number by age. */
static bool look_at_one(look *at, const char *name, uint64_t which) {
  times took;
  snprintf(at->path, sizeof at->path, "/observe/streams/%" PRIu64,
           vestry_connection_look(vestry_memory_look(at->l->streams[which]).connection).id);
  *at->rest = '\0';
  if (!measure(at, &took)) return false;
  printf("explain which=%s us=%.1f worst_us=%.1f\n", name, took.median_us, took.worst_us);
  return true;
}

static bool look_at_page(look *at, const char *order, const char *name) {
  times took;
  if (!measure(at, &took)) return false;
  printf("list order=%s page=%s us=%.1f worst_us=%.1f\n", order, name, took.median_us, took.worst_us);
  return true;
}

static bool has_streams(look *at, const char *rest) {
  static const char none[] = "\"streams\":[]";
  vestry_memory_exchange *answer = looked_into_ask(at->l, at->path, rest);
  const vestry_slice text = answer ? vestry_memory_look(answer).received : (vestry_slice){NULL, 0};
  const bool is_empty = !text.len || memmem(text.data, text.len, none, sizeof none - 1);
  vestry_memory_destroy(answer);
  return !is_empty;
}

/* Set the query to the last page with streams of an order. */
static bool seek_last(look *at, const char *order) {
  static const char member[] = "\"next\":\"";
  for (bool is_last = false; !is_last;) {
    vestry_memory_exchange *answer = looked_into_ask(at->l, at->path, at->rest);
    if (!answer) return false;
    const vestry_slice text = vestry_memory_look(answer).received;
    const char *next = text.len ? memmem(text.data, text.len, member, sizeof member - 1) : NULL;
    char cursor[64] = "";
    if (next) sscanf(next + sizeof member - 1, "%63[0-9a-f-]", cursor);
    vestry_memory_destroy(answer);
    char rest[sizeof at->rest];
    snprintf(rest, sizeof rest, "sort=%s&cursor=%s", order, cursor);
    is_last = !next || !has_streams(at, rest);
    if (!is_last) strcpy(at->rest, rest);
  }
  return true;
}

static bool look_at_order(look *at, const char *order) {
  snprintf(at->path, sizeof at->path, "/observe/streams");
  snprintf(at->rest, sizeof at->rest, "sort=%s", order);
  return look_at_page(at, order, "first") && seek_last(at, order) && look_at_page(at, order, "last");
}

bool observe_looks(looked_into *l) {
  look at = {.l = l};
  if (!looked_into_observe(l) || !look_at_metrics(&at)) return false;
  if (!look_at_one(&at, "oldest", 0) || !look_at_one(&at, "middle", l->streams_count / 2 | 1) ||
      !look_at_one(&at, "newest", l->streams_count - 1))
    return false;
  for (int order = 0; order < ORDERS; order++)
    if (!look_at_order(&at, orders[order])) return false;
  /* a prefix that no key has, so every key is visited */
  snprintf(at.rest, sizeof at.rest, "prefix=none-has-it");
  return look_at_page(&at, "prefix", "none");
}
