/* SPDX-License-Identifier: MIT */
/* One node more than a cluster may have; and many channels with recent events. */
#include "cluster/cluster/cluster.h" /* first */

#include <stdlib.h>

#include "cluster/nodes.h"
#include "runtime/random.h"

enum { DEAD_MS = 3000 };

static vestry_err dispatch_to_no_stream(nodes *n) {
  answer is;
  node_ask(&n->all[0], "nowhere", "[[\"note\"]]", &is);
  nodes_pass_ms(n, 1100);
  return is.error;
}

/* The last node is ignored, which is logged. The others stay complete, and report absent keys again once it has
 * gone. */
TEST_CASE(one_node_too_many_is_ignored) {
  static const char *const names[] = {"a", "b", "c", "d"};
  nodes n;
  nodes_prepare(&n, NULL);
  for (size_t i = 0; i < 3; i++) node_start(&n, i, names[i], NULL)->cluster->peers_most = 2;
  nodes_pass_ms(&n, 2000);
  assert_int_equal(dispatch_to_no_stream(&n), VESTRY_NOT_FOUND);
  const long lines = n.th.log_lines;
  node *last = node_start(&n, 3, names[3], NULL);
  last->cluster->peers_most = 2;
  nodes_pass_ms(&n, 500);
  assert_true(n.th.log_lines >= lines + 2); /* on two nodes */
  assert_int_equal(node_stats(&n.all[0]).alive_count, 2);
  assert_int_equal(dispatch_to_no_stream(&n), VESTRY_TIMEOUT); /* the key may be on the ignored node */
  assert_int_equal(vestry_cluster_member(n.all[0].cluster, names[3]), VESTRY_MEMBER_NONE);
  node_kill(last);
  nodes_pass_ms(&n, DEAD_MS);
  assert_int_equal(dispatch_to_no_stream(&n), VESTRY_NOT_FOUND);
  nodes_end(&n);
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
