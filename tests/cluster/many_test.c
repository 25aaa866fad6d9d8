/* SPDX-License-Identifier: MIT */
/* One node more than a cluster may have; and many channels with recent events. */
#include "cluster/cluster/cluster.h" /* first */

#include <stdlib.h>

#include "runtime/random.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/cluster/cluster.h"
#include "vestry/testing/memory_network.h"
#include "vestry/vestry.h"

enum { MOST = 8, DEAD_MS = 3000 }; /* MOST: nodes here; VESTRY_CLUSTER_MAX_COUNT of them would take long */

static const char secret[32] = "thirty-two bytes, all of them.";

typedef struct crowd {
  test_host th;
  vestry_runtime *runtime;
  vestry_memory_network *network;
  struct {
    vestry *v;
    vestry_broker broker;
    vestry_cluster *cluster;
    char name[16];
  } all[MOST + 1];
} crowd;

static void pass_ms(crowd *c, uint64_t ms) {
  for (uint64_t at = 0; at < ms; at += 10) {
    test_host_advance_ms(&c->th, 10);
    while (vestry_runtime_step(c->runtime)) continue;
  }
}

static void join(crowd *c, int i) {
  snprintf(c->all[i].name, sizeof c->all[i].name, "n%d", i);
  assert_int_equal(vestry_create(&(vestry_options){.host = &c->th.host, .runtime = c->runtime}, &c->all[i].v),
                   VESTRY_OK);
  assert_int_equal(vestry_memory_network_join(c->network, &c->all[i].broker), VESTRY_OK);
  const vestry_cluster_options options = {
      .node = c->all[i].name, .secret = secret, .secret_len = sizeof secret, .dead_ms = DEAD_MS};
  assert_int_equal(vestry_cluster_create(c->all[i].v, &c->all[i].broker, &options, &c->all[i].cluster), VESTRY_OK);
  c->all[i].cluster->peers_most = MOST - 1;
}

static crowd *begin(int count) {
  crowd *c = calloc(1, sizeof *c);
  assert_non_null(c);
  test_host_init(&c->th);
  const vestry_runtime_options options = {.host = &c->th.host, .threads_count = VESTRY_THREADS_NONE};
  assert_int_equal(vestry_runtime_create(&options, &c->runtime), VESTRY_OK);
  assert_int_equal(vestry_memory_network_create(c->runtime, NULL, &c->network), VESTRY_OK);
  for (int i = 0; i < count; i++) join(c, i);
  pass_ms(c, 2000);
  return c;
}

static void end(crowd *c) {
  for (int i = 0; i <= MOST && c->all[i].v; i++) {
    (void)vestry_stop(c->all[i].v, 0);
    vestry_cluster_destroy(c->all[i].cluster);
    c->all[i].broker.ops->destroy(c->all[i].broker.broker);
    vestry_destroy(c->all[i].v);
  }
  vestry_memory_network_destroy(c->network);
  vestry_runtime_destroy(c->runtime);
  test_host_assert_clean(&c->th);
  free(c);
}

static size_t alive_to(crowd *c, int i) {
  vestry_cluster_stats stats = {0};
  vestry_cluster_stats_get(c->all[i].cluster, &stats);
  return stats.alive_count;
}

static void keep_answer(vestry_err error, uint32_t count, void *ctx) {
  *(vestry_err *)ctx = error;
}

static vestry_err dispatch_to_no_stream(crowd *c) {
  vestry_err error = VESTRY_FAILED;
  json_t *effects = json_pack("[[s,{s:i}]]", "patch-signals", "n", 1);
  assert_int_equal(vestry_cluster_dispatch(c->all[0].cluster, effects,
                                           &(vestry_dispatch_options){.key = VESTRY_KEY("nowhere")}, keep_answer,
                                           &error),
                   VESTRY_OK);
  json_decref(effects);
  pass_ms(c, 1100);
  return error;
}

/* The last node is ignored, which is logged. The others stay complete, and report absent keys again once it has
 * gone. */
TEST_CASE(one_node_too_many_is_ignored) {
  crowd *c = begin(MOST);
  pass_ms(c, DEAD_MS);
  assert_int_equal(alive_to(c, 0), MOST - 1);
  assert_int_equal(dispatch_to_no_stream(c), VESTRY_NOT_FOUND);
  atomic_store(&c->th.log_lines, 0);
  join(c, MOST);
  pass_ms(c, 500);
  assert_true(atomic_load(&c->th.log_lines) >= 2); /* on two nodes */
  assert_non_null(strstr(c->th.last_log, "nodes"));
  vestry_cluster_stats stats = {0};
  vestry_cluster_stats_get(c->all[0].cluster, &stats);
  assert_int_equal(stats.placeless_count, 1);
  assert_int_equal(stats.alive_count, MOST - 1);
  assert_int_equal(dispatch_to_no_stream(c), VESTRY_TIMEOUT); /* the key may be on the ignored node */
  assert_int_equal(vestry_cluster_member(c->all[0].cluster, c->all[MOST].name), VESTRY_MEMBER_NONE);
  vestry_cluster_destroy(c->all[MOST].cluster);
  c->all[MOST].cluster = NULL;
  pass_ms(c, DEAD_MS);
  assert_int_equal(dispatch_to_no_stream(c), VESTRY_NOT_FOUND);
  end(c);
}

/* A channel without recent events has no gap, however many others have. */
TEST_CASE(channel_without_recent_events_has_no_gap) {
  enum { SENT = 20000, OTHERS = 10000 };
  test_host th;
  test_host_init(&th);
  vestry_cluster *cluster = calloc(1, sizeof *cluster);
  assert_non_null(cluster);
  cluster->host = &th.host;
  cluster->dead_ns = vsi_ms_to_ns(DEAD_MS);
  test_host_advance_ms(&th, 10000);
  uint64_t random = 1, sent[64];
  for (int turn = 0; turn < 3; turn++) { /* nothing remains of earlier turns */
    for (int i = 0; i < SENT; i++) {
      uint64_t hash = random_next(&random) << 1; /* hash of a channel */
      vsi_recent_note(cluster, hash, &(vsi_bits){{1}});
      if (i >= SENT - 64) sent[i - SENT + 64] = hash;
      if (i % 1000 == 0) test_host_advance_ms(&th, 100);
    }
    int missed = 0;
    for (int i = 0; i < OTHERS; i++) missed += vsi_recent_look_back(cluster, random_next(&random) << 1, 1);
    assert_true(missed <= OTHERS / 500);
    for (int i = 0; i < 64; i++) assert_true(vsi_recent_was_without(cluster, sent[i], 2, 0));
    test_host_advance_ms(&th, 3000);
  }
  test_host_advance_ms(&th, DEAD_MS + 2001);
  for (int i = 0; i < 64; i++) assert_false(vsi_recent_look_back(cluster, sent[i], 3)); /* it has expired */
  free(cluster);
  test_host_assert_clean(&th);
}
