/* SPDX-License-Identifier: MIT */
/* The cost of finding the route of a request, as adapters do, among the routes of a large application. */
#include <inttypes.h>
#include <stdio.h>

#include "bench.h"
#include "vestry/adapter.h"

static vestry_err nothing(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)reply, (void)app;
  return VESTRY_OK;
}

enum { PATHS = 1024 };

/* Add routes, a quarter of each kind: a page, an item by its number, a sub-item, files. */
static vestry_err mount(vestry *v, unsigned count) {
  vestry_err error = VESTRY_OK;
  for (unsigned i = 0; i < count && !error; i++) {
    static const char *const ends[] = {"", "/{id}", "/{id}/card/{card}", "/files/{path...}"};
    char pattern[80];
    snprintf(pattern, sizeof pattern, "/thing%u%s", i / 4, ends[i % 4]);
    error = vestry_route(v, "GET", pattern, nothing, NULL);
  }
  return error;
}

static void choose_paths(char paths[PATHS][64], unsigned things, unsigned round) {
  static const char *const ends[] = {"", "/4711", "/4711/card/12", "/files/css/page.css"};
  for (unsigned i = 0; i < PATHS; i++)
    snprintf(paths[i], 64, "/thing%u%s", (i * 2654435761u + round * 40503u) % things, ends[i % 4]);
}

int bench_routes(int argc, char **argv) {
  uint64_t count = 1000, rounds = 200;
  const bench_option options[] = {{"--count", NULL, &count, 4, 1000000}, {"--rounds", NULL, &rounds, 1, 100000}};
  int status = bench_options(argc, argv, options, 2);
  if (status) return status;
  vestry *v;
  if (vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &v)) return 1;
  if (mount(v, (unsigned)count)) {
    vestry_destroy(v);
    return 1;
  }
  static char paths[PATHS][64];
  uint64_t lookups = 0, found = 0, took_ns = 0;
  for (unsigned round = 0; round < rounds; round++, lookups += PATHS) {
    choose_paths(paths, (unsigned)count / 4, round);
    uint64_t since = bench_now_ns();
    for (unsigned i = 0; i < PATHS; i++) found += vestry_route_status(v, "GET", paths[i]) == 200;
    took_ns += bench_now_ns() - since;
  }
  printf("routes count=%u lookups=%" PRIu64 " found=%" PRIu64 " ns=%.0f\n", (unsigned)count, lookups, found,
         (double)took_ns / (double)lookups);
  vestry_destroy(v);
  return found == lookups ? 0 : 1;
}
