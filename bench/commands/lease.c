/* SPDX-License-Identifier: MIT */
/* The cost of a tab's answer to its stream (vestry_leases_create), compared with the smallest answer of a handler. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "request.h"
#include "vestry/app/stream.h"
#include "vestry/testing/memory.h"

enum { LEASE_BYTES = 65 };

static vestry_err answer(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  return vestry_reply_status(reply, 204);
}

static vestry_err stream(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  vestry_reply_key(reply, VESTRY_KEY("tabs"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, UINT32_MAX);
}

typedef struct tab {
  vestry_memory_exchange *page;
  char lease[LEASE_BYTES];
} tab;

static bool open_tab(vestry *v, tab *one) {
  static const vestry_header wanted = {"Vestry-Signs", "lease"};
  static const char line[] = "data: lease ";
  const vestry_memory_call call = {.path = "/page", .datastar = true, .headers = &wanted, .headers_count = 1};
  if (vestry_memory_request(v, &call, NULL, NULL, &one->page)) return false;
  while (vestry_runtime_step(vestry_parts_of(v)->runtime)) continue;
  const char *at = strstr(vestry_memory_since(one->page).data, line);
  if (at) memcpy(one->lease, at + sizeof line - 1, LEASE_BYTES - 1);
  return at;
}

/* Return the nanoseconds for a request; below 0: a request was not served. */
static double serve(vestry *v, const tab *tabs, uint64_t tabs_count, uint64_t count) {
  uint64_t served = 0, since = bench_now_ns();
  for (uint64_t i = 0; i < count; i++) {
    bench_request request = {.method = "POST", .path = "/page"};
    if (tabs) request.header = "Vestry-Lease", request.value = tabs[i * 2654435761u % tabs_count].lease;
    vestry_connection *none;
    if (!vestry_serve(v, &bench_request_ops, &request, NULL, NULL, &none)) served += request.status == 204;
  }
  return served == count ? (double)(bench_now_ns() - since) / (double)count : -1;
}

static int run(vestry *v, tab *tabs, uint64_t tabs_count, uint64_t count, uint64_t turns) {
  double handled = 0, answered = 0;
  for (uint64_t i = 0; i < tabs_count; i++)
    if (!open_tab(v, &tabs[i])) return 1;
  for (uint64_t i = 0; i < turns; i++) { /* the fastest of each */
    double one = serve(v, NULL, 0, count), other = serve(v, tabs, tabs_count, count);
    if (one < 0 || other < 0) return 1;
    if (!i || one < handled) handled = one;
    if (!i || other < answered) answered = other;
  }
  vestry_lease_stats stats = {0};
  vestry_lease_stats_get(v, &stats);
  if (stats.renewals_count != count * turns || stats.unknown_count) return 1;
  printf("lease tabs=%" PRIu64 " handler_ns=%.0f answer_ns=%.0f\n", tabs_count, handled, answered);
  return 0;
}

int bench_lease(int argc, char **argv) {
  uint64_t tabs_count = 10000, count = 200000, turns = 9;
  const bench_option options[] = {{"--tabs", NULL, &tabs_count, 1, 1 << 20},
                                  {"--count", NULL, &count, 1, 100000000},
                                  {"--turns", NULL, &turns, 1, 1000}};
  int status = bench_options(argc, argv, options, 3);
  if (status) return status;
  vestry *v;
  const vestry_bounds bounds = {.max_count = (size_t)tabs_count + 1};
  if (vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE, .bounds = &bounds}, &v)) return 1;
  if (vestry_leases_create(v, 0)) return 1;
  tab *tabs = calloc((size_t)tabs_count, sizeof *tabs);
  status = 1;
  if (tabs && !vestry_route(v, "POST", "/page", answer, NULL) && !vestry_route(v, "GET", "/page", stream, NULL))
    status = run(v, tabs, tabs_count, count, turns);
  if (status) fputs("lease: a request of a tab failed\n", stderr);
  for (uint64_t i = 0; tabs && i < tabs_count; i++) vestry_memory_destroy(tabs[i].page);
  vestry_destroy(v);
  free(tabs);
  return status;
}
