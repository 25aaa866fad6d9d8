/* SPDX-License-Identifier: MIT */
/* The broker contract for the memory broker, on a stepped runtime and on one with threads. */
#include <stdlib.h>

#include "cluster/broker_contract.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/testing/memory_network.h"

typedef struct world {
  test_host th;
  vestry_runtime *runtime;
  vestry_memory_network *network;
  size_t joined;
} world;

static void *begin_with(uint32_t threads_count) {
  world *w = malloc(sizeof *w);
  test_host_init(&w->th);
  w->joined = 0;
  const vestry_runtime_options options = {.host = &w->th.host, .threads_count = threads_count};
  assert_int_equal(vestry_runtime_create(&options, &w->runtime), VESTRY_OK);
  assert_int_equal(vestry_memory_network_create(w->runtime, NULL, &w->network), VESTRY_OK);
  return w;
}

static void *begin_stepped(void) {
  return begin_with(VESTRY_THREADS_NONE);
}

static void *begin_threads(void) {
  return begin_with(2);
}

static void end(void *ctx) {
  world *w = ctx;
  vestry_memory_network_stats stats = {0};
  vestry_memory_network_stats_get(w->network, &stats);
  assert_int_equal(stats.waiting_count, 0);
  assert_int_equal(stats.sent_count, stats.delivered_count + stats.cut_count);
  vestry_memory_network_destroy(w->network);
  vestry_runtime_destroy(w->runtime);
  test_host_assert_clean(&w->th);
  free(w);
}

static vestry_broker join(void *ctx) {
  world *w = ctx;
  vestry_broker broker;
  assert_int_equal(vestry_memory_network_join(w->network, &broker), VESTRY_OK);
  w->joined++;
  return broker;
}

static void step(void *ctx) {
  for (int i = 0; i < 10000 && vestry_runtime_step(((world *)ctx)->runtime); i++)
    continue; /* other threads may publish */
}

static void bring_down(void *ctx) {
  world *w = ctx;
  uint8_t parts[16];
  memset(parts, VESTRY_MEMORY_NETWORK_DOWN, sizeof parts);
  assert_int_equal(vestry_memory_network_divide(w->network, parts, w->joined), VESTRY_OK);
}

static void bring_up(void *ctx) {
  assert_int_equal(vestry_memory_network_divide(((world *)ctx)->network, NULL, 0), VESTRY_OK);
}

int main(void) {
  contract_world kind = {.name = "memory, stepped",
                         .begin = begin_stepped,
                         .end = end,
                         .join = join,
                         .settle = step,
                         .bring_down = bring_down,
                         .bring_up = bring_up};
  int failed = broker_contract_run(&kind);
  kind.name = "memory, with threads";
  kind.begin = begin_threads;
  return failed + broker_contract_run(&kind);
}
