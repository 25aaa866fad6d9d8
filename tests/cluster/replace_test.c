/* SPDX-License-Identifier: MIT */
/* REPLACE on several nodes: a newer stream closes those under its key on other nodes, whatever their policy. After a
 * partition the newer one stays, even if the other node was busier. */
#include "cluster/nodes.h"

TEST_CASE(replace_closes_streams_of_any_policy) {
  nodes n;
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  vestry_memory_exchange *other = node_open(a, "other", VESTRY_KEEP_MANY);
  vestry_memory_exchange *many[3], *reuse = node_open(a, "r", VESTRY_KEEP_REUSE);
  for (int i = 0; i < 3; i++) many[i] = node_open(a, "k", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 1000);
  vestry_memory_exchange *by_b = node_open(b, "k", VESTRY_KEEP_REPLACE);
  node_open(b, "r", VESTRY_KEEP_REPLACE);
  nodes_pass_ms(&n, 100);
  for (int i = 0; i < 3; i++) assert_true(vestry_memory_look(many[i]).ended);
  assert_true(vestry_memory_look(reuse).ended);
  assert_false(vestry_memory_look(other).ended);
  assert_int_equal(a->replaced, 4);
  assert_int_equal(node_stats(a).replaced_count, 4);
  /* A later stream stays next to it, as on one node, also when all keys are announced again. */
  vestry_memory_exchange *later = node_open(a, "k", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 1000);
  nodes_divide(&n, "ab");
  nodes_pass_ms(&n, 4000);
  nodes_divide(&n, NULL);
  nodes_pass_ms(&n, 2000);
  assert_false(vestry_memory_look(later).ended);
  assert_false(vestry_memory_look(by_b).ended);
  nodes_end(&n);
}

/* The stream has gone before it was announced. */
TEST_CASE(stream_that_ended_at_once_replaces_others) {
  nodes n;
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  vestry_memory_exchange *many = node_open(a, "k", VESTRY_KEEP_MANY), *single = node_open(a, "s", VESTRY_KEEP_REPLACE);
  nodes_pass_ms(&n, 1000);
  node_close(b, node_open(b, "k", VESTRY_KEEP_REPLACE));
  node_close(b, node_open(b, "s", VESTRY_KEEP_REPLACE));
  nodes_pass_ms(&n, 100);
  assert_true(vestry_memory_look(many).ended);
  assert_true(vestry_memory_look(single).ended);
  assert_int_equal(node_stats(b).keys_count, 0);
  nodes_end(&n);
}

TEST_CASE(newer_stream_stays_after_a_partition) {
  for (int turn = 0; turn < 4; turn++) {
    nodes n;
    nodes_begin(&n, 2, NULL);
    node *busy = &n.all[turn % 2], *idle = &n.all[1 - turn % 2];
    nodes_divide(&n, "ab");
    nodes_pass_ms(&n, 4000);
    for (int i = 0; i < 50; i++) node_close(busy, node_open(busy, "other", VESTRY_KEEP_REPLACE));
    vestry_memory_exchange *older = node_open(busy, "q", turn / 2 ? VESTRY_KEEP_MANY : VESTRY_KEEP_REPLACE);
    nodes_pass_ms(&n, 60000);
    vestry_memory_exchange *newer = node_open(idle, "q", VESTRY_KEEP_REPLACE);
    nodes_pass_ms(&n, 100);
    nodes_divide(&n, NULL);
    nodes_pass_ms(&n, 3000);
    assert_true(vestry_memory_look(older).ended);
    assert_false(vestry_memory_look(newer).ended);
    nodes_end(&n);
  }
}

/* Many keys, some of which were stored with both policies: all are found. */
TEST_CASE(replace_finds_each_of_many_keys) {
  enum { KEYS = STREAMS_MOST - 2 };
  nodes n;
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  char key[KEYS][8];
  vestry_memory_exchange *many[KEYS];
  for (size_t i = 0; i < KEYS; i++) {
    snprintf(key[i], sizeof key[i], "k%zu", i);
    many[i] = node_open(a, key[i], VESTRY_KEEP_MANY);
  }
  nodes_pass_ms(&n, 1000);
  for (size_t i = 0; i < KEYS; i += 2) node_open(b, key[i], VESTRY_KEEP_REPLACE);
  nodes_pass_ms(&n, 100);
  for (size_t i = 0; i < KEYS; i++) assert_int_equal(vestry_memory_look(many[i]).ended, i % 2 == 0);
  nodes_end(&n);
}
