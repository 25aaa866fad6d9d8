/* SPDX-License-Identifier: MIT */
/* Handshakes of nodes: replayed messages (replay_test.c replays whole runs; these are earlier failures), nodes with
 * equal names, and nodes of another version. */
#include "cluster/cluster/cluster.h" /* first, because its names differ */

#include <endian.h>

#include "cluster/nodes.h"
#include "vestry/testing/memory_network.h"

/* -------------------------------------------------------------------- an attacker with access to the broker ------- */

typedef struct eavesdropper {
  vestry_broker broker;
  uint64_t victim;
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  unsigned char first[512], last[512]; /* HEARTBEATs of the victim */
  size_t first_len, last_len;
} eavesdropper;

static void record_hello(const char *subject, const void *data, size_t len, void *ctx) {
  eavesdropper *e = ctx;
  uint64_t from;
  memcpy(&from, (const unsigned char *)data + 8, sizeof from);
  if (le64toh(from) != e->victim || len > sizeof e->last) return;
  if (!e->first_len) memcpy(e->first, data, e->first_len = len);
  memcpy(e->last, data, e->last_len = len);
}

static void begin_to_listen(eavesdropper *e, nodes *n, const node *victim) {
  *e = (eavesdropper){.victim = victim->cluster->id};
  snprintf(e->subject, sizeof e->subject, "%s", victim->cluster->all_subject);
  assert_int_equal(vestry_memory_network_join(n->network, &e->broker), VESTRY_OK);
  n->joined++;
  const vestry_broker_events events = {.on_message = record_hello, .ctx = e};
  assert_int_equal(e->broker.ops->start(e->broker.broker, (const char *const[]){e->subject}, 1, &events), VESTRY_OK);
}

static void replay(eavesdropper *e, const void *data, size_t len) {
  assert_int_equal(e->broker.ops->publish(e->broker.broker, e->subject, data, len), VESTRY_OK);
}

#define NODES_CASE(name) TEST_CASE_WITH(name, nodes, n, nodes_begin(n, 2, NULL), nodes_end(n))

/* capability: G10 */
NODES_CASE(replayed_hello_ejects_no_node) {
  eavesdropper e;
  uint32_t count;
  node *a = &n->all[0], *b = &n->all[1];
  begin_to_listen(&e, n, b);
  nodes_pass_ms(n, 10000);
  unsigned char old[512];
  size_t old_len = e.last_len;
  assert_true(old_len > 0);
  memcpy(old, e.last, old_len);
  node_stop(b);
  b = node_start(n, 1, "b", NULL);
  nodes_pass_ms(n, 5000);
  node_open(b, "x", VESTRY_KEEP_MANY);
  nodes_pass_ms(n, 100);
  for (int i = 0; i < 20; i++) {
    replay(&e, old, old_len);
    nodes_pass_ms(n, 500);
    assert_int_equal(vestry_cluster_member(b->cluster, "b"), VESTRY_MEMBER_ALIVE);
    assert_int_equal(vestry_cluster_member(a->cluster, "b"), VESTRY_MEMBER_ALIVE);
    assert_int_equal(node_dispatch(a, "x", "after", &count), VESTRY_OK);
  }
  e.broker.ops->destroy(e.broker.broker);
}

/* The first HEARTBEAT before a restart is replayed to a node that knows of no earlier run, as if it were new. */
TEST_CASE(replayed_first_hello_takes_no_name) {
  nodes n;
  eavesdropper e;
  uint32_t count;
  nodes_begin(&n, 1, NULL);
  node *a = &n.all[0], *b = node_start(&n, 1, "b", NULL);
  begin_to_listen(&e, &n, b);
  nodes_pass_ms(&n, 1000);
  unsigned char young[512];
  size_t young_len = e.first_len;
  assert_true(young_len > 0);
  memcpy(young, e.first, young_len);
  node_stop(b);
  b = node_start(&n, 1, "b", NULL);
  nodes_pass_ms(&n, 1000);
  node_stop(a);
  a = node_start(&n, 0, "a", NULL);
  nodes_pass_ms(&n, 1000);
  node_open(b, "x", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 100);
  for (int i = 0; i < 20; i++) {
    replay(&e, young, young_len);
    nodes_pass_ms(&n, 500);
    assert_int_equal(node_dispatch(a, "x", "here", &count), VESTRY_OK);
    assert_int_equal(count, 1);
  }
  /* The node dies, and no node waits for it, whatever is replayed. */
  node_kill(b);
  nodes_pass_ms(&n, 3500);
  for (int i = 0; i < 20; i++) {
    replay(&e, i % 2 ? young : e.last, i % 2 ? young_len : e.last_len);
    nodes_pass_ms(&n, 100);
    assert_int_equal(vestry_cluster_member(a->cluster, "b"), VESTRY_MEMBER_DEAD);
    assert_int_equal(node_dispatch(a, "nowhere", "here", &count), VESTRY_NOT_FOUND);
  }
  e.broker.ops->destroy(e.broker.broker);
  nodes_end(&n);
}

/* ------------------------------------------------------------------------------------ two nodes of one name ------- */

static size_t count_refused(nodes *n, const size_t *places, size_t count) {
  size_t refused = 0;
  for (size_t i = 0; i < count; i++)
    refused += vestry_cluster_member(n->all[places[i]].cluster, "b") == VESTRY_MEMBER_REFUSED;
  return refused;
}

/* Both start in one tick, over networks with random delays: exactly one stays, and is a member. */
TEST_CASE(one_of_two_equal_names_starting_together_stays) {
  size_t later = 0;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    nodes n;
    nodes_prepare(&n, &(vestry_memory_network_options){
                          .seed = seed, .delay = 10000, .max_delay_ms = 1 + seed % 3 * 20, .duplicate = 2000});
    n.th.seed = seed * 7919; /* the seed of epochs: either node can be the one */
    node *a = node_start(&n, 0, "a", NULL), *b = node_start(&n, 1, "b", NULL);
    if (seed % 4 == 0) nodes_pass_ms(&n, seed / 4); /* or almost at once */
    node *b2 = node_start(&n, 2, "b", NULL);
    nodes_pass_ms(&n, 1000);
    assert_int_equal(count_refused(&n, (const size_t[]){1, 2}, 2), 1);
    node *stays = vestry_cluster_member(b->cluster, "b") == VESTRY_MEMBER_ALIVE ? b : b2;
    later += stays == b2;
    nodes_pass_ms(&n, 1000);
    assert_int_equal(vestry_cluster_member(a->cluster, "b"), VESTRY_MEMBER_ALIVE);
    assert_int_equal(count_refused(&n, (const size_t[]){1, 2}, 2), 1);
    node_open(stays, "x", VESTRY_KEEP_MANY);
    nodes_pass_ms(&n, 600);
    answer is;
    node_ask(a, "x", "[[\"note\"]]", &is);
    nodes_pass_ms(&n, 200);
    assert_int_equal(is.error, VESTRY_OK);
    nodes_end(&n);
  }
  assert_in_range(later, 1, 59);
}

NODES_CASE(refused_node_does_not_hide_keys_of_the_first) {
  node *a = &n->all[0], *b = &n->all[1];
  node_open(b, "x", VESTRY_KEEP_MANY);
  nodes_pass_ms(n, 1000);
  node_start(n, 2, "b", NULL);
  uint32_t count;
  for (int i = 0; i < 200; i++) {
    assert_int_equal(node_dispatch(a, "x", "first", &count), VESTRY_OK);
    assert_int_equal(count, 1);
    nodes_pass_ms(n, 10);
  }
  assert_int_equal(vestry_cluster_member(n->all[2].cluster, "b"), VESTRY_MEMBER_REFUSED);
}

NODES_CASE(refused_node_has_no_members) {
  node *a = &n->all[0];
  vestry_memory_exchange *x = node_open(a, "x", VESTRY_KEEP_MANY);
  nodes_pass_ms(n, 1000);
  node *late = node_start(n, 2, "b", NULL);
  nodes_pass_ms(n, 3000);
  assert_int_equal(vestry_cluster_member(late->cluster, "b"), VESTRY_MEMBER_REFUSED);
  assert_int_equal(node_stats(late).alive_count, 0);
  assert_int_equal(node_stats(late).others_keys_count, 0);
  assert_int_equal(vestry_memory_look(node_open(late, "x", VESTRY_KEEP_REJECT)).status, 200);
  node_close(a, x);
}

/* A node is killed and starts again at once: other nodes use the new one within a second. */
TEST_CASE(restarted_node_is_a_member_within_a_second) {
  for (uint64_t after_ms = 0; after_ms <= 600; after_ms += 75) {
    nodes n;
    nodes_begin(&n, 2, NULL);
    nodes_pass_ms(&n, after_ms % 250);
    node_kill(&n.all[1]);
    nodes_pass_ms(&n, after_ms);
    node *b = node_start(&n, 1, "b", NULL);
    node_open(b, "x", VESTRY_KEEP_REPLACE);
    nodes_pass_ms(&n, 1000);
    uint32_t count;
    assert_int_equal(vestry_cluster_member(n.all[0].cluster, "b"), VESTRY_MEMBER_ALIVE);
    assert_int_equal(node_dispatch(&n.all[0], "x", "again", &count), VESTRY_OK);
    assert_int_equal(count, 1);
    nodes_end(&n);
  }
}

/* ------------------------------------------------------------------------------------------ another version ------- */

/* Write a message as a node of an earlier or later version does: the seal is the same in all versions. */
static size_t write_hello_of_version(const node *to, uint8_t version, unsigned char *message) {
  memset(message, 0, 64);
  message[0] = 'v';
  message[1] = version;
  message[2] = 1;
  memcpy(message + 8, "somebody", 8);
  message[16] = 1;
  vsi_hash_128 seal = vsi_siphash_128_of(to->cluster->seal_key, message, 40);
  const uint64_t words[] = {htole64(seal.low), htole64(seal.high)};
  memcpy(message + 40, words, sizeof words);
  return 56;
}

NODES_CASE(other_versions_are_logged_once_a_minute_each) {
  unsigned char message[64];
  node *a = &n->all[0];
  long lines = n->th.log_lines;
  size_t len = write_hello_of_version(a, 3, message);
  for (int i = 0; i < 40; i++) {
    vsi_cluster_received(a->cluster->all_subject, message, len, a->cluster);
    nodes_pass_ms(n, 250);
  }
  assert_int_equal(n->th.log_lines, lines + 1); /* once a minute */
  assert_non_null(strstr(n->th.last_log, "version 3"));
  assert_int_equal(node_stats(a).other_version_count, 40);
  assert_int_equal(node_stats(a).malformed_count, 40);
  /* two versions that alternate are two reasons, each logged once a minute */
  for (uint8_t i = 0; i < 10; i++) {
    (void)write_hello_of_version(a, i % 2 ? 3 : VSI_WIRE_VERSION + 1, message);
    vsi_cluster_received(a->cluster->all_subject, message, len, a->cluster);
    nodes_settle(n);
    assert_int_equal(n->th.log_lines, lines + 2);
    assert_non_null(strstr(n->th.last_log, "version 9"));
  }
  nodes_pass_ms(n, 60000);
  (void)write_hello_of_version(a, VSI_WIRE_VERSION + 1, message);
  vsi_cluster_received(a->cluster->all_subject, message, len, a->cluster);
  nodes_settle(n);
  assert_int_equal(n->th.log_lines, lines + 3);
  assert_non_null(strstr(n->th.last_log, "version 9"));
  /* A message without a valid seal is not counted as another version. */
  message[50] ^= 1;
  vsi_cluster_received(a->cluster->all_subject, message, len, a->cluster);
  assert_int_equal(node_stats(a).other_version_count, 51);
  assert_int_equal(node_stats(a).alive_count, 1);
}

/* A broker that does not accept handshakes, or only short requests. */
TEST_CASE(broker_with_small_messages_is_logged_once_a_minute) {
  static const size_t sizes[] = {40, 64, 100, 1023};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    char text[64];
    nodes n;
    nodes_prepare(&n, &(vestry_memory_network_options){.max_payload = sizes[i]});
    for (size_t at = 0; at < 2; at++) (void)node_start(&n, at, at ? "b" : "a", NULL);
    nodes_pass_ms(&n, 2000);
    const long lines = n.th.log_lines;
    assert_int_equal(lines, 2); /* a node each */
    snprintf(text, sizeof text, "at most %zu bytes", sizes[i]);
    assert_non_null(strstr(n.th.last_log, text));
    nodes_pass_ms(&n, 50000);
    assert_int_equal(n.th.log_lines, lines);
    nodes_pass_ms(&n, 20000);
    assert_int_equal(n.th.log_lines, 2 * lines);
    assert_int_equal(vestry_memory_network_set(n.network, &(vestry_memory_network_options){.max_payload = 1024}),
                     VESTRY_OK);
    nodes_pass_ms(&n, 60000);
    assert_int_equal(node_stats(&n.all[0]).alive_count, 1);
    assert_int_equal(n.th.log_lines, 2 * lines);
    nodes_end(&n);
  }
}
