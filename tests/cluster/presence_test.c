/* SPDX-License-Identifier: MIT */
/* Presence on several nodes: a member at a place of one node is present on all. */
#include "cluster/nodes.h"
#include "vestry/testing/memory_network.h"

static void begin(nodes *n, size_t count, const vestry_memory_network_options *options) {
  static const char *const names[] = {"a", "b", "c", "d"};
  nodes_prepare(n, options);
  n->have_presence = true;
  for (size_t i = 0; i < count; i++) node_start(n, i, names[i], NULL);
  nodes_pass_ms(n, 600);
}

static size_t count_at(const node *of, int place) {
  return vestry_presence_count(of->presence, VESTRY_KEY("place", place));
}

static void expect_all(const nodes *n, int place, const char *people) {
  for (size_t i = 0; i < n->count; i++) {
    const node *of = &n->all[i];
    if (!of->cluster) continue;
    for (int user = 0; user < PEOPLE_MOST; user++) {
      bool is_there = strchr(people, '0' + user) != NULL;
      if (node_has(of, place, user) != is_there || of->believes[place][user] != is_there)
        fail_msg("%s: place %d: p%d is%s there: %d, believed: %d", of->name, place, user, is_there ? "" : " not",
                 node_has(of, place, user), of->believes[place][user]);
    }
    assert_int_equal(count_at(of, place), strlen(people));
    assert_false(node_presence_stats(of).is_partial);
  }
}

#define NODES_CASE(name) TEST_CASE_WITH(name, nodes, n, begin(n, 3, NULL), nodes_end(n))

/* The members are the union of the members of all nodes. */
/* capability: G8 */
NODES_CASE(g8_count_is_the_sum_of_all_nodes) {
  for (int user = 0; user < 6; user++) node_present(&n->all[user % 3], user % 2, user);
  nodes_pass_ms(n, 10);
  expect_all(n, 0, "024");
  expect_all(n, 1, "135");
  expect_all(n, 2, "");
  size_t sum = 0;
  for (size_t i = 0; i < 3; i++) sum += node_presence_stats(&n->all[i]).own_count;
  assert_int_equal(sum, 6);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(node_presence_stats(&n->all[i]).here_count, sum);
    assert_int_equal(n->all[i].comings, 6);
  }
}

/* Tabs on two nodes are one member, reported once. */
/* capability: G8 */
NODES_CASE(tabs_on_two_nodes_are_one_member) {
  vestry_memory_exchange *one = node_present(&n->all[0], 0, 1);
  nodes_pass_ms(n, 10);
  vestry_memory_exchange *two = node_present(&n->all[1], 0, 1);
  nodes_pass_ms(n, 10);
  expect_all(n, 0, "1");
  node_close(&n->all[0], one);
  nodes_pass_ms(n, GRACE_MS + 20);
  expect_all(n, 0, "1");
  for (size_t i = 0; i < 3; i++) assert_int_equal(n->all[i].comings, 1);
  /* A reload that reaches another node. */
  node_close(&n->all[1], two);
  nodes_pass_ms(n, GRACE_MS / 2);
  one = node_present(&n->all[2], 0, 1);
  nodes_pass_ms(n, GRACE_MS * 2);
  expect_all(n, 0, "1");
  for (size_t i = 0; i < 3; i++) assert_int_equal(n->all[i].comings + n->all[i].leavings, 1);
  node_close(&n->all[2], one);
  nodes_pass_ms(n, GRACE_MS + 20);
  expect_all(n, 0, "");
  for (size_t i = 0; i < 3; i++) assert_int_equal(n->all[i].leavings, 1);
}

/* capability: G8 */
NODES_CASE(members_of_dead_and_stopped_nodes_leave) {
  for (int user = 0; user < 3; user++) node_present(&n->all[user], 0, user);
  node_present(&n->all[1], 0, 2);
  nodes_pass_ms(n, 10);
  expect_all(n, 0, "012");
  node_stop(&n->all[0]);
  nodes_pass_ms(n, 2);
  expect_all(n, 0, "12");
  node_kill(&n->all[2]);
  nodes_pass_ms(n, 2000);
  assert_int_equal(count_at(&n->all[1], 0), 2);
  nodes_pass_ms(n, 1500);
  expect_all(n, 0, "12"); /* the member is on b, too */
  node_start(n, 0, "a", NULL);
  nodes_pass_ms(n, 600);
  expect_all(n, 0, "12");
  assert_int_equal(n->all[1].comings, 3);
  assert_int_equal(n->all[1].leavings, 1);
}

/* capability: G8 */
NODES_CASE(partitions_keep_their_members_and_merge) {
  for (int user = 0; user < 3; user++) node_present(&n->all[user], 0, user);
  nodes_pass_ms(n, 10);
  nodes_divide(n, "aab");
  nodes_pass_ms(n, 3600);
  assert_int_equal(count_at(&n->all[0], 0), 2);
  assert_int_equal(count_at(&n->all[1], 0), 2);
  assert_int_equal(count_at(&n->all[2], 0), 1);
  node_present(&n->all[2], 0, 3);
  nodes_pass_ms(n, 10);
  nodes_divide(n, NULL);
  nodes_pass_ms(n, 2000);
  expect_all(n, 0, "0123");
  /* A short partition is not reported. */
  size_t reported = n->all[0].comings + n->all[0].leavings;
  nodes_divide(n, "aab");
  nodes_pass_ms(n, 1500);
  assert_int_equal(count_at(&n->all[0], 0), 4);
  nodes_divide(n, NULL);
  nodes_pass_ms(n, 1000);
  expect_all(n, 0, "0123");
  assert_int_equal(n->all[0].comings + n->all[0].leavings, reported);
  /* One node is cut off, and detects it. */
  nodes_divide(n, "aa-");
  nodes_pass_ms(n, 100);
  assert_true(node_presence_stats(&n->all[2]).is_partial);
}

/* capability: G8 */
TEST_CASE(late_presence_receives_all_members) {
  nodes n;
  begin(&n, 2, NULL);
  node_presence_end(&n.all[1]);
  node_present(&n.all[0], 0, 0);
  nodes_pass_ms(&n, 600);
  /* a node without presences does not request them again and again */
  assert_int_equal(node_stats(&n.all[1]).unsynced_count, 0);
  uint64_t received = node_stats(&n.all[1]).received_count;
  nodes_pass_ms(&n, 1000);
  assert_true(node_stats(&n.all[1]).received_count - received <= 8 + 4);
  node_presence_begin(&n.all[1]);
  assert_true(node_presence_stats(&n.all[1]).is_partial);
  nodes_pass_ms(&n, 600);
  expect_all(&n, 0, "0");
  node_presence_end(&n.all[0]); /* and its members are gone */
  nodes_pass_ms(&n, 1000);
  assert_int_equal(count_at(&n.all[1], 0), 0);
  vestry_presence *other;
  assert_int_equal(vestry_presence_create(n.all[1].v, &(vestry_presence_options){.name = "here"}, &other),
                   VESTRY_EXISTS);
  assert_int_equal(vestry_presence_create(n.all[1].v, &(vestry_presence_options){.name = ""}, &other), VESTRY_INVALID);
  char name[66];
  memset(name, 'x', 65), name[65] = '\0';
  assert_int_equal(vestry_presence_create(n.all[1].v, &(vestry_presence_options){.name = name}, &other),
                   VESTRY_INVALID);
  nodes_end(&n);
}

/* Presences with different names are separate, and one without a name is local. */
TEST_CASE(each_name_is_a_separate_presence) {
  nodes n;
  begin(&n, 2, NULL);
  vestry_presence *alone[2], *other[2], *here[2] = {n.all[0].presence, n.all[1].presence};
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(vestry_presence_create(n.all[i].v, NULL, &alone[i]), VESTRY_OK);
    assert_int_equal(vestry_presence_create(n.all[i].v, &(vestry_presence_options){.name = "other"}, &other[i]),
                     VESTRY_OK);
  }
  node_present(&n.all[0], 0, 0);
  n.all[0].presence = alone[0];
  node_present(&n.all[0], 0, 1);
  n.all[0].presence = other[0];
  node_present(&n.all[0], 0, 2);
  node_present(&n.all[0], 1, 2);
  n.all[0].presence = here[0];
  nodes_pass_ms(&n, 600);
  const vestry_key *place = VESTRY_KEY("place", 0);
  assert_true(vestry_presence_is(here[1], place, "p0") && vestry_presence_is(other[1], place, "p2"));
  assert_int_equal(vestry_presence_count(here[1], place), 1);
  assert_int_equal(vestry_presence_count(other[1], place), 1);
  assert_int_equal(vestry_presence_count(alone[0], place), 1);
  assert_int_equal(vestry_presence_count(alone[1], place), 0);
  vestry_presence_stats stats = {0};
  vestry_presence_stats_get(other[1], &stats);
  assert_int_equal(stats.here_count, 2);
  assert_int_equal(stats.own_count, 0);
  for (size_t i = 0; i < 2; i++) {
    vestry_presence_destroy(alone[i]);
    vestry_presence_destroy(other[i]);
  }
  nodes_end(&n);
}

/* Places are keys of any kind, and arrive unchanged. There are more of them than fit one message. */
typedef struct heard {
  size_t count;
  bool is_right;
} heard;

static void check_place(const vestry_presence_change *change, void *ctx) {
  heard *h = ctx;
  const vestry_key *key = change->place;
  h->count++;
  h->is_right = key->type == VESTRY_KEY_TUPLE && key->len == 4 && key->parts[0].type == VESTRY_KEY_STRING &&
                strcmp(key->parts[0].data, "big") == 0 && key->parts[1].type == VESTRY_KEY_BYTES &&
                key->parts[1].len == 9000 && key->parts[2].type == VESTRY_KEY_TUPLE && key->parts[2].len == 2 &&
                key->parts[2].parts[0].integer == -5 && key->parts[2].parts[1].len == 0 &&
                key->parts[3].integer == INT64_MIN && strcmp(change->user, "\xc3\xa9") == 0;
}

typedef struct at {
  vestry_presence *presence;
  const vestry_key *place;
  const char *user;
} at;

static vestry_err be_present_at(const vestry_request *req, vestry_reply *reply, void *app) {
  const at *a = app;
  vestry_reply_keep(reply, VESTRY_KEEP_REUSE, 0);
  vestry_err error = vestry_reply_present(reply, a->presence, a->place, a->user);
  return error ? error : vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1));
}

TEST_CASE(keys_of_places_arrive_unchanged) {
  nodes n;
  begin(&n, 2, NULL);
  heard h = {0};
  vestry_presence *from, *to;
  assert_int_equal(vestry_presence_create(n.all[0].v, &(vestry_presence_options){.name = "big"}, &from), VESTRY_OK);
  assert_int_equal(vestry_presence_create(
                       n.all[1].v, &(vestry_presence_options){.name = "big", .on_change = check_place, .ctx = &h}, &to),
                   VESTRY_OK);
  static unsigned char bytes[9000];
  vestry_memory_exchange *streams[6];
  for (int i = 0; i < 6; i++) {
    bytes[0] = (unsigned char)i;
    const vestry_key *place =
        VESTRY_KEY("big", vestry_key_bytes(bytes, sizeof bytes), VESTRY_KEY(-5, vestry_key_tuple(NULL, 0)), INT64_MIN);
    const vestry_memory_call call = {.datastar = true};
    assert_int_equal(
        vestry_memory_request(n.all[0].v, &call, be_present_at, &(at){from, place, "\xc3\xa9"}, &streams[i]),
        VESTRY_OK);
  }
  nodes_pass_ms(&n, 600);
  assert_int_equal(h.count, 6);
  assert_true(h.is_right);
  vestry_presence_destroy(to); /* all at once, when the presence begins again */
  h.count = 0;
  assert_int_equal(vestry_presence_create(
                       n.all[1].v, &(vestry_presence_options){.name = "big", .on_change = check_place, .ctx = &h}, &to),
                   VESTRY_OK);
  nodes_pass_ms(&n, 600);
  assert_int_equal(h.count, 6);
  for (int i = 0; i < 6; i++) vestry_memory_destroy(streams[i]);
  vestry_presence_destroy(from);
  vestry_presence_destroy(to);
  nodes_end(&n);
}

/* Make "u" a member of "big" at a place with so many bytes. Returns the stream. */
static vestry_memory_exchange *be_far(const node *of, vestry_presence *big, size_t bytes) {
  static const unsigned char zeroes[9000];
  assert_true(bytes <= sizeof zeroes);
  const vestry_memory_call call = {.datastar = true};
  vestry_memory_exchange *stream = NULL;
  at place = {big, VESTRY_KEY("far", vestry_key_bytes(zeroes, bytes)), "u"};
  assert_int_equal(vestry_memory_request(of->v, &call, be_present_at, &place, &stream), VESTRY_OK);
  nodes_settle(of->in);
  return stream;
}

static vestry_presence *begin_big(const node *of) {
  vestry_presence *big = NULL;
  const vestry_presence_options options = {.name = "big", .grace_ms = GRACE_MS};
  assert_int_equal(vestry_presence_create(of->v, &options, &big), VESTRY_OK);
  return big;
}

static size_t count_of(vestry_presence *presence) {
  vestry_presence_stats stats = {0};
  vestry_presence_stats_get(presence, &stats);
  assert_false(stats.is_partial);
  return stats.here_count;
}

/* Two members fit a message each, and are too large for one. */
TEST_CASE(members_share_only_messages_that_fit) {
  nodes n;
  vestry_memory_exchange *streams[24];
  nodes_begin(&n, 2, &(vestry_memory_network_options){.max_payload = 8192});
  vestry_presence *from = begin_big(&n.all[0]), *to = begin_big(&n.all[1]);
  for (size_t i = 0; i < 24; i++) streams[i] = be_far(&n.all[0], from, (i % 2 ? 5000 : 3900) + i);
  nodes_pass_ms(&n, 1000);
  assert_int_equal(count_of(to), 24);
  assert_int_equal(n.th.log_lines, 0);
  for (size_t i = 0; i < 24; i++) vestry_memory_destroy(streams[i]);
  vestry_presence_destroy(from);
  vestry_presence_destroy(to);
  nodes_end(&n);
}

/* Its reply gets the error, and all other members are announced. */
TEST_CASE(member_too_large_for_a_message_is_an_error) {
  nodes n;
  nodes_begin(&n, 2, &(vestry_memory_network_options){.max_payload = 4096});
  vestry_presence *from = begin_big(&n.all[0]), *to = begin_big(&n.all[1]), *alone;
  assert_int_equal(vestry_presence_create(n.all[0].v, NULL, &alone), VESTRY_OK);
  vestry_memory_exchange *small = be_far(&n.all[0], from, 3900), *large = be_far(&n.all[0], from, 4096);
  assert_int_equal(vestry_memory_look(small).status, 200);
  assert_int_equal(vestry_memory_look(large).status, 500);
  assert_int_equal(n.th.log_lines, 2);                           /* the reason, and the request */
  vestry_memory_exchange *here = be_far(&n.all[0], alone, 4096); /* no other node is concerned */
  assert_int_equal(vestry_memory_look(here).status, 200);
  nodes_pass_ms(&n, 1000);
  assert_int_equal(count_of(from), 1);
  assert_int_equal(count_of(to), 1);
  vestry_memory_destroy(small);
  vestry_memory_destroy(large);
  vestry_memory_destroy(here);
  vestry_presence_destroy(alone);
  vestry_presence_destroy(from);
  vestry_presence_destroy(to);
  nodes_end(&n);
}

/* The broker accepts smaller messages than when the member joined: only its node knows it from then on, with one line
 * in the log, and all others are announced. */
TEST_CASE(member_too_large_since_then_harms_no_other) {
  nodes n;
  nodes_begin(&n, 2, &(vestry_memory_network_options){.max_payload = 8192});
  vestry_presence *big[3] = {begin_big(&n.all[0]), begin_big(&n.all[1])};
  vestry_memory_exchange *large = be_far(&n.all[0], big[0], 5000);
  nodes_pass_ms(&n, 1000);
  assert_int_equal(count_of(big[1]), 1);
  assert_int_equal(vestry_memory_network_set(n.network, &(vestry_memory_network_options){.max_payload = 4096}),
                   VESTRY_OK);
  node_start(&n, 2, "c", NULL);
  big[2] = begin_big(&n.all[2]);
  vestry_memory_exchange *small = be_far(&n.all[0], big[0], 10);
  nodes_pass_ms(&n, 3000);
  assert_int_equal(count_of(big[0]), 2);
  assert_int_equal(count_of(big[1]), 1);
  assert_int_equal(count_of(big[2]), 1);
  assert_int_equal(n.th.log_lines, 1);
  assert_non_null(strstr(n.th.last_log, "presence big: "));
  uint64_t received = node_stats(&n.all[1]).received_count;
  nodes_pass_ms(&n, 1000); /* no node sends requests again and again */
  assert_true(node_stats(&n.all[1]).received_count - received <= 2 * (8 + 4));
  /* It leaves and joins again when the broker accepts it. */
  vestry_memory_mode_set(large, VESTRY_MEMORY_HANGS_UP);
  nodes_pass_ms(&n, GRACE_MS + 1000);
  assert_int_equal(vestry_memory_network_set(n.network, &(vestry_memory_network_options){.max_payload = 8192}),
                   VESTRY_OK);
  vestry_memory_exchange *again = be_far(&n.all[0], big[0], 5000);
  nodes_pass_ms(&n, 1000);
  for (size_t i = 0; i < 3; i++) assert_int_equal(count_of(big[i]), 2);
  vestry_memory_destroy(large);
  vestry_memory_destroy(small);
  vestry_memory_destroy(again);
  for (size_t i = 0; i < 3; i++) vestry_presence_destroy(big[i]);
  nodes_end(&n);
}

/* At the limit, members of this node are not accepted either, and the presence is partial. When there is room again,
 * they arrive. */
/* capability: G8 */
TEST_CASE(members_over_limit_are_refused_and_partial) {
  nodes n;
  nodes_prepare(&n, NULL);
  n.have_presence = true;
  n.max_present = 3;
  node_start(&n, 0, "a", NULL);
  n.max_present = 0;
  node_start(&n, 1, "b", NULL);
  nodes_pass_ms(&n, 600);
  vestry_memory_exchange *own = node_present(&n.all[0], 0, 0);
  for (int user = 1; user < 5; user++) node_present(&n.all[1], 0, user);
  nodes_pass_ms(&n, 600);
  vestry_presence_stats stats = node_presence_stats(&n.all[0]);
  assert_int_equal(stats.here_count, 3);
  assert_int_equal(stats.own_count, 1);
  assert_true(stats.is_partial && stats.refused_count);
  assert_int_equal(node_presence_stats(&n.all[1]).here_count, 5);
  assert_false(node_presence_stats(&n.all[1]).is_partial);
  vestry_memory_exchange *refused = node_present(&n.all[0], 0, 5);
  assert_int_equal(vestry_memory_look(refused).status, 503);
  uint64_t received = node_stats(&n.all[0]).received_count;
  nodes_pass_ms(&n, 1000); /* no node sends requests again and again */
  assert_true(node_stats(&n.all[0]).received_count - received <= 8 + 4);
  node_close(&n.all[0], own);
  for (int i = 0; i < 2; i++) node_close(&n.all[1], n.all[1].streams[0]);
  nodes_pass_ms(&n, GRACE_MS + 1000);
  assert_int_equal(node_presence_stats(&n.all[0]).here_count, 2);
  assert_int_equal(node_presence_stats(&n.all[1]).here_count, 2);
  assert_false(node_presence_stats(&n.all[0]).is_partial);
  nodes_end(&n);
}

/* After any failed allocation, all is correct within two seconds. */
/* capability: G8 */
TEST_CASE(presence_recovers_from_failed_allocations) {
  for (long number = 0;; number++) {
    nodes n;
    begin(&n, 2, NULL);
    test_host_fail_in(&n.th, number);
    vestry_memory_exchange *streams[3] = {NULL};
    for (int user = 0; user < 3; user++) {
      const vestry_memory_call call = {.datastar = true};
      vestry_presence *presence = n.all[user % 2].presence;
      (void)vestry_memory_request(n.all[user % 2].v, &call, be_present_at,
                                  &(at){presence, VESTRY_KEY("place", user), "p0"}, &streams[user]);
      nodes_pass_ms(&n, 10);
    }
    bool is_over = !test_host_has_failed(&n.th);
    nodes_pass_ms(&n, 1500);
    assert_int_equal(node_presence_stats(&n.all[0]).here_count, node_presence_stats(&n.all[1]).here_count);
    assert_int_equal(node_presence_stats(&n.all[0]).here_count,
                     node_presence_stats(&n.all[0]).own_count + node_presence_stats(&n.all[1]).own_count);
    for (int user = 0; user < 3; user++) vestry_memory_destroy(streams[user]);
    nodes_end(&n);
    if (is_over) break;
  }
}

/* A second cluster of an instance is refused, and the first one continues. */
TEST_CASE(refused_second_cluster_ends_no_presence) {
  nodes n;
  nodes_prepare(&n, NULL);
  n.have_presence = true;
  node *a = node_start(&n, 0, "a", NULL), *b = node_start(&n, 1, "b", NULL);
  nodes_pass_ms(&n, 1000);
  node_present(a, 0, 1);
  nodes_pass_ms(&n, 1000);
  assert_true(node_has(b, 0, 1));
  vestry_broker another;
  assert_int_equal(vestry_memory_network_join(n.network, &another), VESTRY_OK);
  n.joined++;
  vestry_cluster *second = NULL;
  const vestry_cluster_options options = {.node = "z", .secret = nodes_secret, .secret_len = sizeof nodes_secret};
  assert_int_equal(vestry_cluster_create(a->v, &another, &options, &second), VESTRY_EXISTS);
  node_present(a, 0, 2);
  nodes_pass_ms(&n, 10000);
  assert_true(node_has(b, 0, 1));
  assert_true(node_has(b, 0, 2));
  assert_int_equal(vestry_cluster_member(b->cluster, "z"), VESTRY_MEMBER_NONE);
  another.ops->destroy(another.broker);
  nodes_end(&n);
}
