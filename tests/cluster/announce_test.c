/* SPDX-License-Identifier: MIT */
/* Announcements to all nodes: too large for the broker, and more keys than the broker accepts at once. */
#include "cluster/cluster/cluster.h" /* first, because its names differ */
#include "testing/memory_network.h"

#include <stdlib.h>

#include "cluster/holders.h"
#include "cluster/nodes.h"
#include "vestry/app/history.h"
#include "vestry/testing/memory_network.h"

static size_t kept(const node *of) {
  vestry_history_stats stats = {0};
  vestry_history_stats_get(of->v, (vestry_scope){NULL, 0}, VESTRY_KEY("board", "log"), &stats);
  return stats.kept_count;
}

/* Only the sender gets an error: neither nodes with members nor nodes that get one soon after get a gap. */
TEST_CASE(too_large_message_is_an_error_and_no_gap) {
  nodes n;
  nodes_begin(&n, 3, &(vestry_memory_network_options){.max_payload = 20000});
  node *a = &n.all[0], *b = &n.all[1], *c = &n.all[2];
  vestry_memory_exchange *member = node_join(b, "x");
  node_show(b);
  assert_int_equal(vestry_history_begin(b->v, (vestry_scope){NULL, 0}, VESTRY_KEY("board", "log"), NULL), VESTRY_OK);
  nodes_pass_ms(&n, 1000);
  for (int i = 0; i < 10; i++) node_broadcast(b, "log", "kept");
  nodes_pass_ms(&n, 3000);
  size_t gaps = b->gaps, gaps_of_c = c->gaps, renders = b->renders;
  char *large = malloc(30000);
  assert_non_null(large);
  memset(large, 'x', 29999);
  large[29999] = '\0';
  assert_int_equal(node_broadcast(a, "x", large), VESTRY_TOO_LARGE);
  const vestry_key *key = VESTRY_KEY("topic");
  assert_int_equal(vestry_cluster_publish(a->cluster, (vestry_scope){NULL, 0}, key, large, 29999), VESTRY_TOO_LARGE);
  node_join(c, "x");
  nodes_pass_ms(&n, 2000);
  assert_int_equal(b->gaps, gaps);
  assert_int_equal(c->gaps, gaps_of_c);
  assert_int_equal(b->renders, renders);
  assert_int_equal(kept(b), 10);
  assert_int_equal(node_broadcast(a, "x", "small"), VESTRY_OK);
  nodes_settle(&n);
  assert_int_equal(count_in(member, "small"), 1);
  free(large);
  nodes_end(&n);
}

/* The names of refreshed topics fit no message: each page renders, and nothing is lost. */
TEST_CASE(too_many_refreshed_topics_become_refresh_all) {
  nodes n;
  nodes_begin(&n, 2, &(vestry_memory_network_options){.max_payload = 4000});
  node *a = &n.all[0], *b = &n.all[1];
  node_show(b);
  nodes_pass_ms(&n, 1000);
  size_t renders = b->renders, gaps = b->gaps;
  for (int i = 0; i < 200; i++) {
    char topic[64];
    snprintf(topic, sizeof topic, "a topic of some length, that no page has: %d", i);
    assert_int_equal(vestry_refresh(a->pages, topic, NULL), VESTRY_OK);
  }
  nodes_pass_ms(&n, 500);
  assert_int_equal(b->renders, renders + 1);
  assert_int_equal(b->gaps, gaps);
  nodes_end(&n);
}

/* ---------------------------------------------------------------- more keys than the broker accepts at once ------- */

static struct {
  size_t room, room_most; /* messages that it accepts until the clock advances */
  size_t refused;
} narrow;

static vestry_err publish_limited(void *broker, const char *subject, const void *data, size_t len) {
  if (!narrow.room) {
    narrow.refused++;
    return VESTRY_FULL;
  }
  narrow.room--;
  return vsi_memory_broker_ops.publish(broker, subject, data, len);
}

static void pass_limited(nodes *n, uint64_t ms) {
  for (; ms > 0; ms--) {
    narrow.room = narrow.room_most;
    nodes_pass_ms(n, 1);
  }
}

static size_t known(const node *of) {
  return node_stats(of).others_keys_count;
}

static uint64_t hash_of(uint64_t i) {
  return i * UINT64_C(0x9E3779B97F4A7C15) & VSI_KEYS_HASH & ~VSI_KEYS_CHANNEL;
}

/* One node has more keys than its broker accepts at once: all arrive soon, and so do concurrent changes. */
TEST_CASE(keys_arrive_although_the_broker_is_full) {
  enum { KEYS = 30000 };
  nodes n;
  bool is_first;
  nodes_begin(&n, 2, &(vestry_memory_network_options){.max_payload = 4096});
  node *a = &n.all[0], *b = &n.all[1];
  narrow.room = narrow.room_most = 4;
  narrow.refused = 0;
  a->ops.publish = publish_limited;
  for (uint64_t i = 1; i <= KEYS; i++)
    assert_int_equal(vsi_keys_come(&a->cluster->keys, hash_of(i), &is_first), VESTRY_OK);
  vsi_cluster_announce_soon(a->cluster);
  for (int i = 0; i < 40 && known(b) < KEYS; i++) {
    pass_limited(&n, 10);
    for (uint64_t k = 1; k <= 20; k++) { /* some are removed, others added */
      vsi_keys_leave(&a->cluster->keys, hash_of((uint64_t)i * 20 + k), 0, &is_first);
      assert_int_equal(vsi_keys_come(&a->cluster->keys, hash_of(KEYS + (uint64_t)i * 20 + k), &is_first), VESTRY_OK);
    }
    vsi_cluster_announce_soon(a->cluster);
  }
  pass_limited(&n, 400);
  assert_true(narrow.refused > 0);
  assert_int_equal(known(b), KEYS);
  assert_int_equal(node_stats(b).unsynced_count, 0);
  assert_int_equal(node_stats(a).keys_count, KEYS);
  for (uint64_t i = 1; i <= KEYS + 1000; i++)
    assert_int_equal(holders_of_hash(&b->cluster->keys, hash_of(i)), vsi_keys_are_here(&a->cluster->keys, hash_of(i)));
  /* The same from the beginning, for a node that starts. */
  node *c = node_start(&n, 2, "c", NULL);
  pass_limited(&n, 700);
  assert_int_equal(known(c), KEYS);
  assert_int_equal(node_stats(c).unsynced_count, 0);
  a->ops.publish = vsi_memory_broker_ops.publish;
  nodes_end(&n);
}
