/* SPDX-License-Identifier: MIT */
/* A cluster under faults: lost, repeated and forged messages, excess load, and failed allocations. */
#include "cluster/nodes.h"
#include "event/layout.h"
#include "vestry/testing/memory_network.h"

#include <stdlib.h>

static const char hello[] = "[[\"note\"]]";

/* capability: G6 */
TEST_CASE(g6_lost_message_is_a_gap_within_a_second) {
  nodes n;
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  vestry_memory_exchange *member = node_join(b, "x");
  node_show(b);
  nodes_pass_ms(&n, 300);
  size_t gaps = b->gaps, lost = b->lost, renders = b->renders;
  assert_int_equal(vestry_memory_network_set(n.network, &(vestry_memory_network_options){.drop = 10000}), VESTRY_OK);
  assert_int_equal(node_broadcast(a, "x", "dropped"), VESTRY_OK);
  nodes_settle(&n);
  assert_int_equal(vestry_memory_network_set(n.network, NULL), VESTRY_OK);
  nodes_pass_ms(&n, 500);
  assert_int_equal(count_in(member, "dropped"), 0);
  assert_int_equal(b->gaps, gaps + 1);
  assert_int_equal(b->lost, lost + 1);
  assert_int_equal(b->renders, renders + 1); /* its pages are rendered again */
  /* The broker is down: the caller gets an error, and the node that missed the event gets a gap. */
  gaps = b->gaps;
  nodes_divide(&n, "-a");
  assert_int_equal(node_broadcast(a, "x", "unsent"), VESTRY_IO);
  nodes_divide(&n, NULL);
  nodes_pass_ms(&n, 500);
  assert_int_equal(b->gaps, gaps + 1);
  nodes_end(&n);
}

/* capability: G5 */
TEST_CASE(g5_duplicate_message_is_processed_once) {
  nodes n;
  nodes_begin(&n, 2, &(vestry_memory_network_options){.seed = 3, .duplicate = 10000, .max_delay_ms = 20});
  vestry_memory_exchange *stream = node_open(&n.all[1], "x", VESTRY_KEEP_REPLACE);
  vestry_memory_exchange *member = node_join(&n.all[1], "x");
  nodes_pass_ms(&n, 300);
  answer is;
  for (int i = 0; i < 20; i++) {
    assert_int_equal(node_broadcast(&n.all[0], "x", "event"), VESTRY_OK);
    node_ask(&n.all[0], "x", "[[\"note\"],[\"patch-signals\",{\"s\":1}]]", &is);
    nodes_pass_ms(&n, 30);
    assert_int_equal(is.times, 1);
    assert_int_equal(is.error, VESTRY_OK);
  }
  nodes_pass_ms(&n, 100);
  assert_int_equal(n.all[1].effects, 20);
  assert_int_equal(count_in(stream, "{\"s\":1}"), 20);
  assert_int_equal(count_in(member, "event"), 20 + 1); /* once in "event: datastar-patch-signals" */
  assert_true(node_stats(&n.all[1]).duplicates_count >= 40);
  nodes_end(&n);
}

/* capability: G9 */
TEST_CASE(g9_remote_requests_over_limit_get_full) {
  nodes n;
  nodes_prepare(&n, NULL);
  node *a = node_start(&n, 0, "a", NULL);
  static const char *const allow[] = {"note", NULL};
  node *b = node_start(&n, 1, "b",
                       &(vestry_cluster_options){.node = "b",
                                                 .secret = nodes_secret,
                                                 .secret_len = sizeof nodes_secret,
                                                 .allow = allow,
                                                 .max_remote_bytes = 400});
  nodes_pass_ms(&n, 600);
  node_open(b, "x", VESTRY_KEEP_REPLACE);
  node_join(b, "x");
  nodes_pass_ms(&n, 10);
  answer is[10];
  size_t full = 0, ok = 0, gaps = b->gaps;
  char text[2000];
  snprintf(text, sizeof text, "[[\"note\"],[\"note\",\"%0900d\"]]", 1);
  node_ask(a, "x", text, &is[0]);
  nodes_settle(&n);
  assert_int_equal(is[0].error, VESTRY_FULL);
  for (size_t i = 0; i < 10; i++) node_ask(a, "x", hello, &is[i]);
  nodes_settle(&n);
  for (size_t i = 0; i < 10; i++) {
    assert_int_equal(is[i].times, 1);
    full += is[i].error == VESTRY_FULL;
    ok += is[i].error == VESTRY_OK;
  }
  assert_int_equal(full + ok, 10);
  assert_true(ok >= 1);
  assert_int_equal(b->effects, ok);
  memset(text, 'x', 1000);
  text[1000] = '\0';
  assert_int_equal(node_broadcast(a, "x", text), VESTRY_OK);
  nodes_settle(&n);
  assert_int_equal(b->gaps, gaps + 1);
  assert_int_equal(node_stats(b).over_budget_count, full + 2);
  assert_int_equal(node_stats(b).remote_bytes, 0);
  nodes_end(&n);
}

/* capability: G10 */
TEST_CASE(g10_node_with_another_secret_is_no_member) {
  nodes n;
  nodes_begin(&n, 2, NULL);
  static const char other[32] = "thirty-two bytes of another one";
  node_start(&n, 2, "c", &(vestry_cluster_options){.node = "c", .secret = other, .secret_len = sizeof other});
  nodes_pass_ms(&n, 600);
  assert_int_equal(node_stats(&n.all[0]).alive_count, 1);
  assert_int_equal(node_stats(&n.all[2]).alive_count, 0);
  assert_int_equal(node_stats(&n.all[0]).malformed_count, 0); /* their subjects differ */
  nodes_end(&n);
}

TEST_CASE(invalid_options_and_arguments_are_refused) {
  nodes n;
  nodes_prepare(&n, NULL);
  const char *s = nodes_secret;
  const vestry_cluster_options wrong[] = {
      {.secret = s, .secret_len = 32},
      {.node = "", .secret = s, .secret_len = 32},
      {.node = "12345678901234567890123456789012345678901234567890123456789012345", .secret = s, .secret_len = 32},
      {.node = "a", .secret_len = 32},
      {.node = "a", .secret = s, .secret_len = 31},
      {.node = "a", .secret = s, .secret_len = 32, .heartbeat_ms = 1000},
      {.node = "a", .secret = s, .secret_len = 32, .dead_ms = 750},
      {.node = "a", .secret = s, .secret_len = 32, .dead_ms = 60001},
      {.node = "a", .secret = s, .secret_len = 32, .answer_ms = 60001},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_int_equal(node_try(&n, 0, "a", &wrong[i]), VESTRY_INVALID);
  node *a = node_start(&n, 0, "a", NULL);
  vestry_broker more;
  vestry_cluster *second = NULL;
  assert_int_equal(vestry_memory_network_join(n.network, &more), VESTRY_OK);
  const vestry_cluster_options options = {.node = "b", .secret = s, .secret_len = 32};
  assert_int_equal(vestry_cluster_create(a->v, &more, &options, &second), VESTRY_EXISTS);
  assert_int_equal(vestry_cluster_create(NULL, &more, &options, &second), VESTRY_INVALID);
  assert_int_equal(vestry_cluster_create(a->v, NULL, &options, &second), VESTRY_INVALID);
  assert_int_equal(vestry_cluster_create(a->v, &more, NULL, &second), VESTRY_INVALID);
  more.ops->destroy(more.broker);
  json_t *effects = json_loads(hello, 0, NULL);
  const vestry_key *key = VESTRY_KEY("x");
  const vestry_dispatch_options ok = {.key = key}, none = {.key = NULL};
  assert_int_equal(vestry_cluster_dispatch(NULL, effects, &ok, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_cluster_dispatch(a->cluster, NULL, &ok, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_cluster_dispatch(a->cluster, effects, &none, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_cluster_dispatch(a->cluster, effects, NULL, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_cluster_publish(a->cluster, (vestry_scope){NULL, 0}, key, NULL, 1), VESTRY_INVALID);
  assert_int_equal(vestry_cluster_publish(a->cluster, (vestry_scope){NULL, 0}, NULL, NULL, 0), VESTRY_INVALID);
  assert_int_equal(vestry_cluster_member(NULL, "a"), VESTRY_MEMBER_NONE);
  json_decref(effects);
  vestry_cluster_destroy(NULL);
  nodes_end(&n);
}

/* -------------------------------------------------------------------------------------------- out of memory ------- */

/* Each allocation of a run fails once: no message is lost without a report, and nothing is leaked. */
/* capability: G6 */
TEST_CASE(failed_allocation_is_reported_as_error_or_gap) {
  for (long at = 0;; at++) {
    nodes n;
    nodes_begin(&n, 1, NULL);
    test_host_fail_in(&n.th, at);
    vestry_err error = node_try(&n, 1, "b", NULL);
    bool is_over = !test_host_has_failed(&n.th);
    if (is_over) assert_int_equal(error, VESTRY_OK);
    if (!error) n.count = 2;
    nodes_end(&n);
    if (is_over) break;
  }
  for (long at = 0;; at++) {
    nodes n;
    nodes_begin(&n, 2, NULL);
    node *a = &n.all[0], *b = &n.all[1];
    vestry_memory_exchange *stream = node_open(b, "x", VESTRY_KEEP_REPLACE), *member = node_join(b, "x");
    nodes_pass_ms(&n, 300);
    size_t gaps = b->gaps;
    test_host_fail_in(&n.th, at);
    answer is;
    const vestry_key *room = VESTRY_KEY("room", "x");
    json_t *effects = json_pack("[[s,{s:s}]]", "patch-signals", "s", "told");
    vestry_dispatch_result result = {0};
    is.error = vestry_dispatch_with(a->v, effects, &(vestry_dispatch_options){.key = room}, &result);
    json_decref(effects);
    vestry_event *event = NULL;
    vestry_err sent = vsi_event_comment(&n.th.host, "sent", &event);
    if (event) sent = vestry_broadcast(a->v, (vestry_scope){NULL, 0}, VESTRY_KEY("board", "x"), event, NULL);
    vestry_event_unref(event);
    nodes_pass_ms(&n, 1000);
    bool is_over = !test_host_has_failed(&n.th);
    nodes_pass_ms(&n, 1000);
    if (is.error == VESTRY_OK && !vestry_memory_look(stream).ended) assert_int_equal(count_in(stream, "told"), 1);
    if (is_over) assert_int_equal(is.error, VESTRY_OK);
    bool is_told = sent != VESTRY_OK || b->gaps > gaps || vestry_memory_look(member).ended;
    if (!is_told) assert_int_equal(count_in(member, ": sent"), 1);
    if (is_over) assert_false(is_told);
    nodes_end(&n);
    if (is_over) break;
  }
}
