/* SPDX-License-Identifier: MIT */
/* Requests of other nodes under endless load: gaps and membership changes are still reported to the application, and
 * other actors get their turn. */
#include "cluster/cluster/cluster.h" /* first, because its names differ */
#include "cluster/cluster/served_requests.h"
#include "testing/memory_network.h"

#include "cluster/nodes.h"

enum { FED_MOST = 20000, NEWS_AT = 100, RUN_MAX = 64 };

static struct {
  node *at;
  size_t fed, gap_at, member_at; /* number of requests at the time of the report; 0: none */
} feed;

/* Add another request from the other node. Called with the lock held. */
static void feed_one(void) {
  vestry_cluster *cluster = feed.at->cluster;
  vsi_peer *peer = cluster->peers[0];
  vsi_buffer body;
  vsi_buffer_init(&body, cluster->host);
  vsi_wire_put(&body, 1, 8);
  vsi_wire_put_name(&body, (vsi_wire_name){{NULL, 0}, {"\1\2", 2}});
  vsi_wire_put(&body, 2, 4);
  vsi_buffer_append_str(&body, "[]");
  vsi_served_take(cluster, peer,
                  &(vsi_wire_message){.kind = VSI_WIRE_REQUEST,
                                      .from = peer->id,
                                      .epoch = peer->epoch,
                                      .body = (const unsigned char *)body.data,
                                      .len = body.len},
                  false);
  vsi_served_rouse(cluster, false);
  vsi_buffer_finish(&body);
  feed.fed++;
}

/* This node publishes only answers: after each answer another request arrives. */
static vestry_err publish_and_feed(void *broker, const char *subject, const void *data, size_t len) {
  vsi_peer *peer = feed.at->cluster->peers[0];
  if (feed.fed == FED_MOST) return VESTRY_OK;
  feed_one();
  if (feed.fed == NEWS_AT) {
    vsi_peer_lose(peer, 1);
    peer->state = VESTRY_MEMBER_SUSPECT;
    peer->has_change = true;
    vsi_cluster_notify(feed.at->cluster);
  }
  if (!feed.gap_at && feed.fed > NEWS_AT && feed.at->gaps) feed.gap_at = feed.fed;
  if (!feed.member_at && feed.at->reported[0] == VESTRY_MEMBER_SUSPECT) feed.member_at = feed.fed;
  return VESTRY_OK;
}

TEST_CASE(gaps_and_members_are_reported_under_endless_load) {
  nodes n;
  nodes_begin(&n, 2, NULL);
  memset(&feed, 0, sizeof feed);
  node *b = feed.at = &n.all[1];
  b->gaps = 0;
  b->ops.publish = publish_and_feed;
  vsi_cluster_lock(b->cluster);
  feed_one();
  vsi_cluster_unlock(b->cluster);
  size_t turns = 0; /* turns of all actors */
  while (vestry_runtime_step(n.runtime)) turns++;
  b->ops.publish = vsi_memory_broker_ops.publish;
  assert_int_equal(feed.fed, FED_MOST);
  assert_in_range(feed.gap_at, NEWS_AT, NEWS_AT + 2 * RUN_MAX);
  assert_in_range(feed.member_at, NEWS_AT, NEWS_AT + 2 * RUN_MAX);
  assert_true(turns >= FED_MOST / RUN_MAX);
  assert_int_equal(node_stats(b).remote_bytes, 0);
  nodes_end(&n);
}

/* Closing a stream calls hooks: nodes.c checks that none is called inside of an event of the broker. */
TEST_CASE(replaced_streams_are_not_closed_on_the_broker_thread) {
  nodes n;
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  char key[STREAMS_MOST / 2][8];
  for (size_t i = 0; i < STREAMS_MOST / 2; i++) {
    snprintf(key[i], sizeof key[i], "k%zu", i);
    node_open(a, key[i], VESTRY_KEEP_REPLACE);
  }
  nodes_pass_ms(&n, 100);
  for (size_t i = 0; i < STREAMS_MOST / 2; i++) node_open(b, key[i], VESTRY_KEEP_REPLACE);
  nodes_pass_ms(&n, 100);
  assert_int_equal(a->replaced, STREAMS_MOST / 2);
  assert_int_equal(node_stats(a).replaced_count, STREAMS_MOST / 2);
  assert_int_equal(b->replaced, 0);
  nodes_end(&n);
}
