/* SPDX-License-Identifier: MIT */
/* The cost of a rate guard for a request: the same requests alternately without and with it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "request.h"
#include "vestry/app/rate.h"

enum { MOST_TURNS = 1000 };

static vestry_err answer(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  return vestry_reply_status(reply, 204);
}

/* Serve requests of clients in turn for this path. Returns the nanoseconds for a request; below 0: a request was not
 * served. */
static double serve(vestry *v, const char *path, unsigned clients, uint64_t count) {
  char peer[24];
  bench_request request = {.method = "GET", .path = path, .peer = peer};
  uint64_t served = 0, took_ns = 0;
  for (uint64_t i = 0; i < count; i++) {
    unsigned client = (unsigned)(i * 2654435761u) % clients;
    snprintf(peer, sizeof peer, "10.%u.%u.%u", client >> 16, client >> 8 & 255, client & 255);
    uint64_t since = bench_now_ns();
    vestry_connection *none;
    if (!vestry_serve(v, &bench_request_ops, &request, NULL, NULL, &none)) served += request.status == 204;
    took_ns += bench_now_ns() - since;
  }
  return served == count ? (double)took_ns / (double)count : -1;
}

static int run(vestry *v, vestry_rate *rate, unsigned clients, uint64_t count, unsigned turns) {
  static double bare[MOST_TURNS], guarded[MOST_TURNS], costs[MOST_TURNS];
  for (unsigned i = 0; i < turns; i++) {
    bare[i] = serve(v, "/bare", clients, count);
    guarded[i] = serve(v, "/guarded", clients, count);
    if (bare[i] < 0 || guarded[i] < 0) {
      fputs("rate: a request failed\n", stderr);
      return 1;
    }
    costs[i] = guarded[i] - bare[i];
  }
  vestry_rate_stats stats = {0};
  vestry_rate_stats_get(rate, &stats);
  if (stats.passed_count != count * turns || stats.refused_count) return 1;
  printf("rate clients=%u bare_ns=%.0f guarded_ns=%.0f guard_ns=%.0f remembered=%" PRIu64 " forgotten=%" PRIu64 "\n",
         clients, bench_median(bare, turns), bench_median(guarded, turns), bench_median(costs, turns),
         stats.filling_count, stats.reassigned_count);
  return 0;
}

int bench_rate(int argc, char **argv) {
  uint64_t clients = 10000, count = 200000, turns = 9;
  const bench_option options[] = {{"--clients", NULL, &clients, 1, 1 << 24},
                                  {"--count", NULL, &count, 1, 100000000},
                                  {"--turns", NULL, &turns, 1, MOST_TURNS}};
  int status = bench_options(argc, argv, options, 3);
  if (status) return status;
  vestry *v;
  if (vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &v)) return 1;
  vestry_rate *rate = NULL;
  status = 1;
  /* A token returns after a day, so that every client is remembered; all requests pass. */
  const vestry_rate_options given = {
      .count = 400, .period_ms = 86400000, .burst_count = 160000, .max_count = (size_t)clients * 2};
  if (!vestry_rate_create(v, &given, &rate) && !vestry_route(v, "GET", "/bare", answer, NULL) &&
      !vestry_route(v, "GET", "/guarded", answer, NULL) && !vestry_guard(v, "/guarded", vestry_rate_guard, rate))
    status = run(v, rate, (unsigned)clients, count, (unsigned)turns);
  vestry_rate_destroy(rate);
  vestry_destroy(v);
  return status;
}
