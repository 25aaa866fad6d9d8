/* SPDX-License-Identifier: MIT */
/* G2 to G10: nodes that reach each other's streams, on the stepped runtime, over a network that the test controls. */
#include "cluster/holders.h" /* first */

#include "cluster/nodes.h"
#include "event/layout.h"
#include "vestry/app/bus.h"
#include "vestry/testing/memory_network.h"

#include <stdlib.h>

static const char hello[] = "[[\"note\"]]";

/* -------------------------------------------------------------------------------------------------- members ------- */

#define NODES_CASE(name) TEST_CASE_WITH(name, nodes, n, nodes_begin(n, 3, NULL), nodes_end(n))

/* capability: G7 */
NODES_CASE(nodes_find_each_other) {
  for (size_t i = 0; i < 3; i++) {
    vestry_cluster_stats stats = node_stats(&n->all[i]);
    assert_int_equal(stats.alive_count, 2);
    assert_int_equal(stats.unsynced_count, 0);
    for (size_t k = 0; k < 3; k++) {
      assert_int_equal(vestry_cluster_member(n->all[i].cluster, n->all[k].name), VESTRY_MEMBER_ALIVE);
      assert_int_equal(n->all[i].reported[k], i == k ? VESTRY_MEMBER_NONE : VESTRY_MEMBER_ALIVE);
    }
    assert_int_equal(vestry_cluster_member(n->all[i].cluster, "z"), VESTRY_MEMBER_NONE);
    assert_int_equal(n->all[i].lost, 0);
  }
}

/* capability: G7 */
NODES_CASE(g7_dead_node_is_detected_within_stated_times) {
  node *a = &n->all[0], *b = &n->all[1], *c = &n->all[2];
  node_open(b, "x", VESTRY_KEEP_REPLACE);
  nodes_pass_ms(n, 10);
  assert_int_equal(holders_of(a->cluster, (vestry_scope){NULL, 0}, VESTRY_KEY("room", "x")), 1);
  size_t gaps = a->gaps;
  node_kill(b);
  nodes_pass_ms(n, 700);
  assert_int_equal(vestry_cluster_member(a->cluster, "b"), VESTRY_MEMBER_ALIVE);
  nodes_pass_ms(n, 600);
  assert_int_equal(vestry_cluster_member(a->cluster, "b"), VESTRY_MEMBER_SUSPECT);
  nodes_pass_ms(n, 2000);
  assert_int_equal(vestry_cluster_member(a->cluster, "b"), VESTRY_MEMBER_DEAD);
  assert_int_equal(a->reported[1], VESTRY_MEMBER_DEAD);
  assert_true(a->gaps > gaps); /* its last messages may be lost */
  assert_int_equal(node_stats(a).others_keys_count, 0);
  /* A goodbye is effective at once, and no message is lost. */
  gaps = a->gaps;
  node_stop(c);
  nodes_pass_ms(n, 2);
  assert_int_equal(vestry_cluster_member(a->cluster, "c"), VESTRY_MEMBER_LEFT);
  assert_int_equal(a->gaps, gaps);
  /* The node returns. */
  b = node_start(n, 1, "b", NULL);
  nodes_pass_ms(n, 300);
  assert_int_equal(vestry_cluster_member(a->cluster, "b"), VESTRY_MEMBER_ALIVE);
  node_open(b, "x", VESTRY_KEEP_REPLACE);
  nodes_pass_ms(n, 10);
  assert_int_equal(node_dispatch(a, "x", "again", NULL), VESTRY_OK);
}

/* capability: G7 */
TEST_CASE(second_node_of_one_name_is_refused) {
  nodes n;
  nodes_begin(&n, 2, NULL);
  node *late = node_start(&n, 2, "b", NULL);
  nodes_pass_ms(&n, 2500);
  assert_int_equal(vestry_cluster_member(late->cluster, "b"), VESTRY_MEMBER_REFUSED);
  assert_int_equal(late->reported[1], VESTRY_MEMBER_REFUSED);
  assert_non_null(strstr(n.th.last_log, "was refused, because another node has its name"));
  assert_int_equal(vestry_cluster_member(n.all[1].cluster, "b"), VESTRY_MEMBER_ALIVE);
  node_open(&n.all[1], "x", VESTRY_KEEP_REPLACE);
  nodes_pass_ms(&n, 600);
  assert_int_equal(node_dispatch(&n.all[0], "x", "to the first", NULL), VESTRY_OK);
  nodes_end(&n);
}

/* ----------------------------------------------------------------------------------------------- dispatches ------- */

/* capability: G2 */
NODES_CASE(g2_dispatch_reaches_a_key_on_any_node) {
  node *a = &n->all[0], *b = &n->all[1];
  uint32_t count = 0;
  vestry_memory_exchange *here = node_open(a, "here", VESTRY_KEEP_REPLACE);
  vestry_memory_exchange *there = node_open(b, "there", VESTRY_KEEP_REPLACE);
  nodes_pass_ms(n, 10);
  vestry_cluster_stats before = node_stats(a);
  assert_int_equal(node_dispatch(a, "here", "one", &count), VESTRY_OK);
  assert_int_equal(count, 1);
  assert_int_equal(node_stats(a).sent_count, before.sent_count); /* a stream found here causes no message */
  assert_int_equal(node_dispatch(a, "there", "two", &count), VESTRY_OK);
  assert_int_equal(count, 1);
  /* only the node that holds the key receives a request */
  assert_int_equal(node_stats(a).sent_count, before.sent_count + 1);
  assert_int_equal(node_dispatch(a, "nowhere", "three", &count), VESTRY_NOT_FOUND);
  assert_int_equal(count, 0);
  assert_int_equal(node_stats(a).sent_count, before.sent_count + 2); /* all other nodes receive one question */
  assert_int_equal(count_in(here, "one"), 1);
  assert_int_equal(count_in(there, "two"), 1);
  vestry_cluster_stats stats = node_stats(a);
  assert_int_equal(stats.remote_requests_count, 2);
  assert_int_equal(stats.ok_count, 1);
  assert_int_equal(stats.not_found_count, 1);
}

/* capability: G2 */
NODES_CASE(dispatch_reaches_all_streams_of_a_key) {
  uint32_t count = 0;
  vestry_memory_exchange *streams[4];
  for (size_t i = 0; i < 4; i++) streams[i] = node_open(&n->all[i % 3], "all", VESTRY_KEEP_MANY);
  nodes_pass_ms(n, 10);
  assert_int_equal(holders_of(n->all[1].cluster, (vestry_scope){NULL, 0}, VESTRY_KEY("room", "all")), 3);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(node_dispatch(&n->all[i], "all", "everybody", &count), VESTRY_OK);
    assert_int_equal(count, 4);
  }
  for (size_t i = 0; i < 4; i++) assert_int_equal(count_in(streams[i], "everybody"), 3);
}

/* A stream that gets another scope leaves the directory under its old keys, and is there under the new ones. */
/* capability: P2 */
TEST_CASE(directory_follows_the_scope_of_a_stream) {
  nodes n;
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  const vestry_scope ann = {"ann", 3}, nobody = {NULL, 0};
  vestry_memory_exchange *stream = node_open(b, "x", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 10);
  assert_int_equal(holders_of(a->cluster, nobody, VESTRY_KEY("room", "x")), 1);
  assert_int_equal(vestry_connection_scope_set(vestry_memory_look(stream).connection, ann, 0), VESTRY_OK);
  nodes_pass_ms(&n, 10);
  assert_int_equal(holders_of(a->cluster, nobody, VESTRY_KEY("room", "x")), 0);
  assert_int_equal(holders_of(a->cluster, ann, VESTRY_KEY("room", "x")), 1);
  node_close(b, stream);
  nodes_pass_ms(&n, 10);
  assert_int_equal(holders_of(a->cluster, ann, VESTRY_KEY("room", "x")), 0);
  nodes_end(&n);
}

/* capability: G2 */
NODES_CASE(dispatch_finds_a_key_that_was_not_announced) {
  node *a = &n->all[0], *b = &n->all[1], *c = &n->all[2];
  vestry_memory_exchange *old = node_open(b, "x", VESTRY_KEEP_REPLACE);
  nodes_pass_ms(n, 10);
  node_close(b, old);
  vestry_memory_exchange *new = node_open(c, "x", VESTRY_KEEP_REPLACE);
  assert_int_equal(node_dispatch(a, "x", "moved", NULL), VESTRY_OK); /* neither change was announced yet */
  assert_int_equal(count_in(new, "moved"), 1);
}

/* capability: G2, G9, G10 */
NODES_CASE(dispatch_reports_its_result_or_timeout) {
  node *a = &n->all[0], *b = &n->all[1];
  answer is;
  node_open(b, "x", VESTRY_KEEP_REPLACE);
  nodes_pass_ms(n, 10);
  node_ask(a, "x", "[[\"note\",\"FULL\"]]", &is);
  nodes_settle(n);
  assert_int_equal(is.error, VESTRY_FULL);
  assert_int_equal(is.count, 1);
  /* An effect that is not on the list: nothing of the list is performed. */
  size_t effects = b->effects;
  node_ask(a, "x", "[[\"note\"],[\"secret-note\"]]", &is);
  nodes_settle(n);
  assert_int_equal(is.error, VESTRY_INVALID);
  assert_int_equal(b->effects, effects);
  /* Without an answer the result is unknown. */
  nodes_divide(n, "aba");
  node_ask(a, "x", hello, &is);
  nodes_pass_ms(n, 999);
  assert_int_equal(is.times, 0);
  nodes_pass_ms(n, 2);
  assert_int_equal(is.times, 1);
  assert_int_equal(is.error, VESTRY_TIMEOUT);
  /* Wait, although no other thread advances the clock. */
  assert_int_equal(node_dispatch(a, "x", "unheard", NULL), VESTRY_TIMEOUT);
  /* The request cannot be sent. */
  nodes_divide(n, "-aa");
  node_ask(a, "x", hello, &is);
  assert_int_equal(is.times, 1);
  assert_int_equal(is.error, VESTRY_IO);
  node_ask(a, "nowhere", hello, &is);
  assert_int_equal(is.error, VESTRY_IO);
  nodes_divide(n, NULL);
  /* A node that has just come up does not know which nodes are alive. */
  node_ask(a, "nowhere", hello, &is);
  nodes_settle(n);
  assert_int_equal(is.error, VESTRY_TIMEOUT);
  nodes_pass_ms(n, 600);
  node_ask(a, "nowhere", hello, &is);
  nodes_settle(n);
  assert_int_equal(is.error, VESTRY_NOT_FOUND);
  vestry_cluster_stats stats = node_stats(a);
  assert_int_equal(stats.refused_count, 2);
  assert_int_equal(stats.unsent_count, 2);
}

/* capability: G2 */
TEST_CASE(dispatch_inside_a_remote_effect_is_busy) {
  nodes n;
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  answer is;
  node_open(b, "x", VESTRY_KEEP_REPLACE);
  node_open(a, "far", VESTRY_KEEP_REPLACE);
  nodes_pass_ms(&n, 10);
  node_ask(a, "x", "[[\"relay\"]]", &is);
  nodes_settle(&n);
  assert_int_equal(is.error, VESTRY_BUSY);
  assert_int_equal(a->effects, 0);
  nodes_end(&n);
}

/* capability: G2 */
TEST_CASE(stopping_node_ends_waiting_dispatches) {
  nodes n;
  nodes_begin(&n, 2, NULL);
  answer is;
  node_open(&n.all[1], "x", VESTRY_KEEP_REPLACE);
  nodes_pass_ms(&n, 10);
  nodes_divide(&n, "ab");
  node_ask(&n.all[0], "x", hello, &is);
  node_stop(&n.all[0]);
  assert_int_equal(is.times, 1);
  assert_int_equal(is.error, VESTRY_CLOSED);
  nodes_end(&n);
}

/* ------------------------------------------------------------------------------------------------- policies ------- */

/* capability: G4 */
NODES_CASE(g4_newest_stream_replaces_all_others) {
  vestry_memory_exchange *first = node_open(&n->all[0], "x", VESTRY_KEEP_REPLACE);
  nodes_pass_ms(n, 10);
  vestry_memory_exchange *second = node_open(&n->all[1], "x", VESTRY_KEEP_REPLACE);
  nodes_pass_ms(n, 10);
  assert_true(vestry_memory_look(first).ended);
  assert_false(vestry_memory_look(second).ended);
  vestry_stats stats = {0};
  vestry_stats_get(n->all[0].v, &stats);
  assert_int_equal(stats.closed_by_cause[VESTRY_CAUSE_REPLACED], 1);
  assert_int_equal(node_stats(&n->all[0]).replaced_count, 1);
  /* REJECT: as far as known. */
  vestry_memory_exchange *third = node_open(&n->all[2], "x", VESTRY_KEEP_REJECT);
  assert_int_equal(vestry_memory_look(third).status, 409);
  /* Of two at the same time, one stays. */
  vestry_memory_exchange *fourth = node_open(&n->all[0], "y", VESTRY_KEEP_REPLACE);
  vestry_memory_exchange *fifth = node_open(&n->all[2], "y", VESTRY_KEEP_REPLACE);
  nodes_pass_ms(n, 20);
  assert_true(vestry_memory_look(fourth).ended != vestry_memory_look(fifth).ended);
}

/* capability: G4 */
NODES_CASE(g4_one_stream_remains_after_a_partition) {
  nodes_divide(n, "aab");
  nodes_pass_ms(n, 4000);
  vestry_memory_exchange *first = node_open(&n->all[0], "x", VESTRY_KEEP_REPLACE);
  nodes_pass_ms(n, 10);
  vestry_memory_exchange *second = node_open(&n->all[2], "x", VESTRY_KEEP_REPLACE);
  nodes_pass_ms(n, 100);
  assert_false(vestry_memory_look(first).ended);
  assert_false(vestry_memory_look(second).ended);
  assert_int_equal(node_dispatch(&n->all[1], "x", "its side", NULL), VESTRY_OK); /* both partitions serve */
  nodes_divide(n, NULL);
  nodes_pass_ms(n, 2000);
  assert_true(vestry_memory_look(first).ended != vestry_memory_look(second).ended);
  for (size_t i = 0; i < 3; i++) assert_int_equal(node_stats(&n->all[i]).unsynced_count, 0);
  uint32_t count = 0;
  assert_int_equal(node_dispatch(&n->all[1], "x", "whole", &count), VESTRY_OK);
  assert_int_equal(count, 1);
}

/* ------------------------------------------------------------------------------------- events and refreshes ------- */

/* capability: G3 */
NODES_CASE(g3_event_is_sent_to_nodes_with_members) {
  node *a = &n->all[0], *b = &n->all[1], *c = &n->all[2];
  assert_int_equal(node_broadcast(a, "x", "to nobody"), VESTRY_NOT_FOUND);
  vestry_memory_exchange *one = node_join(b, "x"), *two = node_join(b, "x"), *own = node_join(a, "x");
  nodes_pass_ms(n, 10);
  vestry_cluster_stats before = node_stats(a);
  assert_int_equal(node_broadcast(a, "x", "from a"), VESTRY_OK);
  assert_int_equal(node_stats(a).sent_count, before.sent_count + 1); /* once to b, and none to c */
  assert_int_equal(node_broadcast(c, "x", "from c"), VESTRY_OK);     /* c has no member itself */
  nodes_settle(n);
  vestry_memory_exchange *all[] = {one, two, own};
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(count_in(all[i], "from a"), 1);
    assert_int_equal(count_in(all[i], "from c"), 1);
  }
  /* Keys and channels are separate: streams under a key are not members, and members are not under a key. */
  assert_int_equal(node_dispatch(a, "x", "no", NULL), VESTRY_NOT_FOUND);
}

/* The queue of the slow stream reports this, and its policy applies; no other page has lost an event. */
TEST_CASE(full_queue_of_a_member_is_no_gap) {
  nodes n;
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  vestry_memory_exchange *slow = node_join(b, "x"), *other = node_join(b, "x");
  nodes_pass_ms(&n, 10);
  vestry_memory_mode_set(slow, VESTRY_MEMORY_BLOCKS);
  vestry_err error = VESTRY_OK;
  for (int i = 0; i < 100000 && !error; i++) error = node_broadcast(b, "x", "fills it"), nodes_settle(&n);
  assert_int_equal(error, VESTRY_FULL);
  size_t gaps = b->gaps;
  assert_int_equal(node_broadcast(a, "x", "from afar"), VESTRY_OK);
  nodes_pass_ms(&n, 600);
  assert_int_equal(count_in(other, "from afar"), 1);
  assert_int_equal(b->gaps, gaps);
  nodes_end(&n);
}

/* capability: G6 */
TEST_CASE(event_before_join_is_announced_is_a_gap) {
  nodes n;
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  vestry_memory_exchange *late = node_join(b, "x");
  size_t gaps = b->gaps;
  assert_int_equal(node_broadcast(a, "x", "unseen"), VESTRY_NOT_FOUND); /* the member was not announced yet */
  nodes_pass_ms(&n, 600);
  assert_int_equal(count_in(late, "unseen"), 0);
  assert_int_equal(b->gaps, gaps + 1);
  assert_int_equal(node_broadcast(a, "x", "seen"), VESTRY_OK);
  nodes_settle(&n);
  assert_int_equal(count_in(late, "seen"), 1);
  nodes_end(&n);
}

static uint64_t refreshes_of(const node *of) {
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(of->pages, &stats);
  return stats.refreshes_count;
}

/* A topic, a key and a channel can begin with any byte. */
TEST_CASE(names_of_any_bytes_reach_other_nodes) {
  nodes n;
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  node_show(b);
  for (int byte = 1; byte < 256; byte++) {
    const char name[] = {(char)byte, 'x', '\0'};
    strcpy(n.topic, name);
    assert_int_equal(vestry_refresh(b->pages, NULL, NULL), VESTRY_OK);
    vestry_memory_exchange *kept = node_open(b, name, VESTRY_KEEP_MANY), *joined = node_join(b, name);
    nodes_pass_ms(&n, 60);
    const size_t renders = b->renders;
    uint32_t count;
    assert_int_equal(vestry_refresh(a->pages, name, NULL), VESTRY_OK);
    assert_int_equal(node_dispatch(a, name, "seen", &count), VESTRY_OK);
    assert_int_equal(node_broadcast(a, name, "told"), VESTRY_OK);
    nodes_pass_ms(&n, 60);
    assert_int_equal(b->renders, renders + 1);
    assert_int_equal(count_in(kept, "seen"), 1);
    assert_int_equal(count_in(joined, "told"), 1);
    node_close(b, kept);
    node_close(b, joined);
  }
  nodes_end(&n);
}

/* capability: G3 */
NODES_CASE(g3_refreshes_reach_other_nodes_coalesced) {
  node *a = &n->all[0], *b = &n->all[1];
  node_show(b);
  node_show(a);
  nodes_pass_ms(n, 100);
  size_t renders = b->renders;
  vestry_cluster_stats before = node_stats(a);
  uint64_t refreshes = refreshes_of(a);
  for (size_t i = 0; i < 100; i++) {
    assert_int_equal(vestry_refresh(a->pages, "room", NULL), VESTRY_OK);
    if (i % 10 == 9) nodes_pass_ms(n, 1);
  }
  nodes_pass_ms(n, 60);
  assert_in_range(b->renders - renders, 1, 2);
  assert_in_range(node_stats(a).sent_count - before.sent_count, 2, 6); /* to two nodes */
  assert_int_equal(refreshes_of(a), refreshes + 100); /* refreshes from other nodes are not forwarded */
  /* A refresh that stays on this node. */
  size_t renders_here = a->renders;
  renders = b->renders;
  assert_int_equal(vestry_refresh_here(a->pages, "room", NULL), VESTRY_OK);
  assert_int_equal(vestry_refresh_here(a->pages, "", NULL), VESTRY_INVALID);
  nodes_pass_ms(n, 60);
  assert_int_equal(a->renders, renders_here + 1);
  /* A topic that no page shows; then all topics. */
  assert_int_equal(vestry_refresh(a->pages, "other", NULL), VESTRY_OK);
  nodes_pass_ms(n, 60);
  assert_int_equal(b->renders, renders);
  assert_int_equal(vestry_refresh(a->pages, NULL, NULL), VESTRY_OK);
  nodes_pass_ms(n, 60);
  assert_int_equal(b->renders, renders + 1);
}

typedef struct heard {
  size_t times;
  char text[32];
} heard;

static void note_message(const vestry_bus_message *message, void *ctx) {
  heard *h = ctx;
  h->times++;
  snprintf(h->text, sizeof h->text, "%.*s", (int)message->len, (const char *)message->data);
}

/* capability: G3 */
NODES_CASE(publish_reaches_subscribers_of_all_nodes) {
  heard all[3] = {{0}};
  vestry_subscription *subscriptions[3];
  const vestry_key *topic = VESTRY_KEY("jobs");
  for (size_t i = 0; i < 3; i++)
    assert_int_equal(vestry_subscribe(n->all[i].v, (vestry_scope){"me", 2}, topic,
                                      &(vestry_subscriber){.call = note_message, .ctx = &all[i]}, &subscriptions[i]),
                     VESTRY_OK);
  assert_int_equal(vestry_cluster_publish(n->all[0].cluster, (vestry_scope){"me", 2}, topic, "done", 4), VESTRY_OK);
  assert_int_equal(vestry_cluster_publish(n->all[0].cluster, (vestry_scope){NULL, 0}, topic, "else", 4), VESTRY_OK);
  nodes_settle(n);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(all[i].times, 1);
    assert_string_equal(all[i].text, "done");
    vestry_unsubscribe(subscriptions[i]);
  }
}

static void take_here(vestry_err error, uint32_t count, void *ctx) {
  answer *is = ctx;
  *is = (answer){is->times + 1, error, count};
}

static vestry_err dispatch_here(node *from, const char *key, uint32_t *ret_count) {
  json_t *effects = json_pack("[[s,{s:s}]]", "patch-signals", "s", "here");
  vestry_dispatch_result result = {0};
  const vestry_dispatch_options here = {.key = VESTRY_KEY("room", key), .only_here = true};
  vestry_err error = vestry_dispatch_with(from->v, effects, &here, &result);
  answer is = {0};
  assert_int_equal(vestry_cluster_dispatch(from->cluster, effects, &here, take_here, &is), VESTRY_OK);
  nodes_settle(from->in);
  assert_int_equal(is.times, 1);
  assert_int_equal(is.error, error);
  assert_int_equal(is.count, result.connections_count);
  json_decref(effects);
  *ret_count = result.connections_count;
  return error;
}

TEST_CASE(only_here_sends_no_remote_request) {
  nodes n;
  uint32_t count;
  nodes_begin(&n, 2, NULL);
  vestry_memory_exchange *there = node_open(&n.all[1], "x", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 10);
  assert_int_equal(dispatch_here(&n.all[0], "x", &count), VESTRY_NOT_FOUND);
  assert_int_equal(count, 0);
  vestry_memory_exchange *here = node_open(&n.all[0], "x", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 10);
  assert_int_equal(dispatch_here(&n.all[0], "x", &count), VESTRY_OK);
  assert_int_equal(count, 1);
  assert_int_equal(count_in(here, "\"here\""), 2);
  assert_int_equal(count_in(there, "\"here\""), 0);
  assert_int_equal(node_stats(&n.all[0]).remote_requests_count, 0);
  nodes_end(&n);
}

/* ----------------------------------------------------------------- remote events are queued like local ones ------- */

static vestry_err join_slowly(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_join(reply, req->scope, VESTRY_KEY("board", "x"));
  vestry_reply_stream(reply,
                      &(vestry_stream_options){.connection = &(vestry_connection_options){.max_queued_count = 8}});
  vestry_reply_keep(reply, VESTRY_KEEP_REUSE, 0);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("opened", 1));
}

static vestry_memory_exchange *open_slow(node *of) {
  vestry_memory_exchange *stream;
  assert_int_equal(vestry_memory_request(of->v, &(vestry_memory_call){.datastar = true}, join_slowly, NULL, &stream),
                   VESTRY_OK);
  of->streams[of->streams_count++] = stream;
  nodes_settle(of->in);
  vestry_memory_mode_set(stream, VESTRY_MEMORY_BLOCKS);
  return stream;
}

static void broadcast_event(node *from, vestry_err made, vestry_event *event) {
  assert_int_equal(made, VESTRY_OK);
  assert_int_equal(vestry_broadcast(from->v, (vestry_scope){NULL, 0}, VESTRY_KEY("board", "x"), event, NULL),
                   VESTRY_OK);
  vestry_event_unref(event);
  nodes_settle(from->in);
}

/* capability: G3 */
TEST_CASE(remote_events_supersede_like_local_ones) {
  nodes n;
  nodes_begin(&n, 2, NULL);
  vestry_memory_exchange *near = open_slow(&n.all[0]), *far = open_slow(&n.all[1]);
  static const vestry_elements_options a = {.state = "a"}, b = {.state = "b"};
  static const vestry_signals_options n_state = {.state = "n"};
  nodes_pass_ms(&n, 10);
  for (int i = 0; i < 40; i++) {
    vestry_event *event = NULL;
    vestry_err made;
    switch (i % 4) {
    case 0: made = vestry_event_elementsf(NULL, &a, &event, "<div id=\"a\">%d</div>", i); break;
    case 1: made = vestry_event_signals(NULL, VESTRY_OBJECT("n", i), &n_state, &event); break;
    case 2: made = vestry_event_elementsf(NULL, &b, &event, "<div id=\"b\" title=\"t\">%d</div>", i); break;
    default: made = vsi_event_comment(NULL, i % 8 == 3 ? "x" : "y", &event); break;
    }
    if (i % 4 != 3 || i < 5) {
      broadcast_event(&n.all[0], made, event);
    } else {
      vestry_event_unref(event);
    }
  }
  vestry_connection_stats here = {0}, there = {0};
  vestry_connection_stats_get(vestry_memory_look(near).connection, &here);
  vestry_connection_stats_get(vestry_memory_look(far).connection, &there);
  assert_true(here.conflated_count > 10);
  assert_int_equal(there.conflated_count, here.conflated_count);
  for (size_t i = 0; i < 2; i++) vestry_memory_mode_set(i ? far : near, VESTRY_MEMORY_READS);
  nodes_settle(&n);
  vestry_slice one = vestry_memory_look(near).received, other = vestry_memory_look(far).received;
  assert_int_equal(one.len, other.len);
  assert_memory_equal(one.data, other.data, one.len);
  assert_non_null(strstr(other.data, "38"));
  nodes_end(&n);
}

/* -------------------------------------------------------------------------------------------------- goodbye ------- */

/* capability: G7 */
TEST_CASE(draining_node_is_announced_at_once) {
  nodes n;
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  vestry_memory_exchange *stream = node_open(b, "x", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 10);
  assert_int_equal(vestry_drain(b->v, 10000), VESTRY_OK);
  nodes_pass_ms(&n, 1);
  assert_int_equal(vestry_cluster_member(a->cluster, "b"), VESTRY_MEMBER_DRAINING);
  assert_int_equal(vestry_cluster_member(b->cluster, "b"), VESTRY_MEMBER_DRAINING);
  assert_int_equal(a->reported[1], VESTRY_MEMBER_DRAINING);
  assert_int_equal(b->reported[0], VESTRY_MEMBER_ALIVE);
  /* Its streams are still reached. */
  uint32_t count;
  assert_int_equal(node_dispatch(a, "x", "still", &count), VESTRY_OK);
  assert_int_equal(count, 1);
  assert_int_equal(count_in(stream, "still"), 1);
  assert_int_equal(vestry_memory_look(node_open(b, "y", VESTRY_KEEP_MANY)).status, 503);
  /* A node that joins later knows it, too. */
  node_start(&n, 2, "c", NULL);
  nodes_pass_ms(&n, 600);
  assert_int_equal(vestry_cluster_member(n.all[2].cluster, "b"), VESTRY_MEMBER_DRAINING);
  assert_int_equal(node_stats(a).alive_count, 2);
  /* The node is suspect, and then draining again. */
  nodes_divide(&n, "aba");
  nodes_pass_ms(&n, 1500);
  assert_int_equal(vestry_cluster_member(a->cluster, "b"), VESTRY_MEMBER_SUSPECT);
  nodes_divide(&n, NULL);
  nodes_pass_ms(&n, 300);
  assert_int_equal(vestry_cluster_member(a->cluster, "b"), VESTRY_MEMBER_DRAINING);
  nodes_pass_ms(&n, 10000);
  assert_true(vestry_memory_look(stream).ended);
  assert_int_equal(node_dispatch(a, "x", "none", NULL), VESTRY_NOT_FOUND);
  node_stop(b);
  nodes_pass_ms(&n, 1);
  assert_int_equal(a->reported[1], VESTRY_MEMBER_LEFT);
  /* After a restart it is no longer draining. */
  node_start(&n, 1, "b", NULL);
  nodes_pass_ms(&n, 600);
  assert_int_equal(vestry_cluster_member(a->cluster, "b"), VESTRY_MEMBER_ALIVE);
  nodes_end(&n);
}
