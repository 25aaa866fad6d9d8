/* SPDX-License-Identifier: MIT */
/* Remote requests: streams opened while their key is dispatched to, questions about keys, many waiting requests, and
 * options sent along with the effects. */
#include "cluster/cluster/cluster.h" /* first */

#include <stdlib.h>
#include <time.h>

#include "cluster/nodes.h"
#include "vestry/testing/memory_network.h"

/* ----------------------------- a stream opened at that moment receives the dispatch, or its node gets a gap ------- */

TEST_CASE(stream_opened_before_a_dispatch_gets_it_or_a_gap) {
  for (int wait_ms = 0; wait_ms <= 8; wait_ms++) {
    nodes n;
    uint32_t count;
    nodes_begin(&n, 2, NULL);
    node *a = &n.all[0], *b = &n.all[1];
    node_open(a, "x", VESTRY_KEEP_MANY);
    nodes_pass_ms(&n, 3000);
    size_t gaps = b->gaps;
    vestry_memory_exchange *there = node_open(b, "x", VESTRY_KEEP_MANY);
    nodes_pass_ms(&n, (uint64_t)wait_ms);
    assert_int_equal(node_dispatch(a, "x", "m1", &count), VESTRY_OK);
    nodes_pass_ms(&n, 600);
    assert_int_equal(count_in(there, "m1"), count - 1);
    assert_int_equal(b->gaps, gaps + (count == 1));
    nodes_end(&n);
  }
}

/* The same if a third node holds the key, and this one does not. */
TEST_CASE(stream_opened_beside_another_node_gets_a_gap) {
  nodes n;
  uint32_t count;
  nodes_begin(&n, 3, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  node_open(&n.all[2], "x", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 3000);
  size_t gaps = b->gaps, gaps_of_a = a->gaps;
  vestry_memory_exchange *there = node_open(b, "x", VESTRY_KEEP_MANY);
  assert_int_equal(node_dispatch(a, "x", "m1", &count), VESTRY_OK);
  assert_int_equal(count, 1);
  nodes_pass_ms(&n, 600);
  assert_int_equal(count_in(there, "m1"), 0);
  assert_int_equal(b->gaps, gaps + 1);
  assert_int_equal(a->gaps, gaps_of_a);
  nodes_end(&n);
}

/* The same if the announcement of the key was lost. */
TEST_CASE(dispatch_before_a_late_announcement_is_a_gap) {
  nodes n;
  uint32_t count;
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  node_open(a, "y", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 1000);
  vestry_memory_network_set(n.network, &(vestry_memory_network_options){.drop = 10000});
  vestry_memory_exchange *there = node_open(b, "y", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 20);
  vestry_memory_network_set(n.network, NULL);
  size_t missed = 0;
  for (int i = 0; i < 300; i += 10) {
    char text[16];
    snprintf(text, sizeof text, "y%d;", i);
    size_t gaps = b->gaps;
    assert_int_equal(node_dispatch(a, "y", text, &count), VESTRY_OK);
    bool is_missed = !count_in(there, text);
    missed += is_missed;
    nodes_pass_ms(&n, 10);
    if (!is_missed) continue;
    nodes_pass_ms(&n, 600);
    assert_true(b->gaps > gaps);
  }
  assert_true(missed > 0);
  nodes_end(&n);
}

/* A stream does not get a gap for a dispatch before it was opened, because nothing was missed. */
TEST_CASE(stream_opened_after_a_dispatch_has_no_gap) {
  nodes n;
  uint32_t count;
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  node_open(a, "x", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 1000);
  for (int i = 0; i < 20; i++) {
    size_t gaps = b->gaps;
    assert_int_equal(node_dispatch(a, "x", "before", &count), VESTRY_OK);
    assert_int_equal(node_dispatch(a, "nobody", "before", &count), VESTRY_NOT_FOUND);
    nodes_pass_ms(&n, 100);
    vestry_memory_exchange *there = node_open(b, "x", VESTRY_KEEP_MANY),
                           *new = node_open(b, "nobody", VESTRY_KEEP_MANY);
    nodes_pass_ms(&n, 600);
    assert_int_equal(b->gaps, gaps);
    node_close(b, there);
    node_close(b, new);
    nodes_pass_ms(&n, 100);
  }
  nodes_end(&n);
}

/* ------------------------------------------------------------------------------------------------ questions ------- */

static void dispatch_to(node *from, const char *key, const char *text, answer *ret) {
  char effects[64];
  snprintf(effects, sizeof effects, "[[\"patch-signals\", {\"s\": \"%s\"}]]", text);
  node_ask(from, key, effects, ret);
}

/* Let questions wait as in a cluster of 80 nodes, until the next heartbeat. */
static void let_questions_wait(node *of) {
  atomic_store(&of->cluster->keys_ms, 40);
}

/* Questions share messages, and one question serves all requests that wait for it, in order. */
TEST_CASE(questions_share_a_message) {
  enum { KEYS = 5, EACH = 4, LATE = 3 };
  nodes n;
  answer first = {0}, absent[KEYS][EACH] = {{{0}}}, late[LATE] = {{0}};
  nodes_begin(&n, 3, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  for (const uint64_t beat_ns = a->cluster->beat_ns; a->cluster->beat_ns == beat_ns;) nodes_pass_ms(&n, 1);
  let_questions_wait(a);
  const uint64_t before = node_stats(a).sent_count;
  dispatch_to(a, "first", "x", &first);
  nodes_settle(&n);
  assert_int_equal(first.error, VESTRY_NOT_FOUND); /* it did not wait, because there was no question before */
  assert_int_equal(node_stats(a).sent_count, before + 1);
  vestry_memory_exchange *there = node_open(b, "late", VESTRY_KEEP_MANY);
  for (int i = 0; i < KEYS * EACH; i++) {
    char key[8];
    snprintf(key, sizeof key, "no%d", i % KEYS);
    dispatch_to(a, key, "x", &absent[i % KEYS][i / KEYS]);
  }
  for (int i = 0; i < LATE; i++) dispatch_to(a, "late", (const char *[]){"m1", "m2", "m3"}[i], &late[i]);
  nodes_pass_ms(&n, 39);
  assert_int_equal(node_stats(a).sent_count, before + 1);
  assert_int_equal(absent[0][0].times + late[0].times, 0);
  nodes_pass_ms(&n, 2);
  assert_int_equal(node_stats(a).sent_count, before + 2 + LATE);
  for (int i = 0; i < KEYS * EACH; i++) assert_int_equal(absent[i % KEYS][i / KEYS].error, VESTRY_NOT_FOUND);
  for (int i = 0; i < LATE; i++) assert_int_equal(late[i].count, 1);
  const char *got = vestry_memory_look(there).received.data;
  assert_true(strstr(got, "m1") < strstr(got, "m2") && strstr(got, "m2") < strstr(got, "m3"));
  nodes_end(&n);
}

/* A lost reply ends the requests to which the question applied, by TIMEOUT. A later one gets its own question. */
TEST_CASE(lost_reply_holds_up_no_later_request) {
  nodes n;
  answer first = {0}, later = {0};
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0];
  nodes_divide(&n, "ab");
  dispatch_to(a, "nowhere", "x", &first);
  nodes_pass_ms(&n, 500);
  nodes_divide(&n, NULL);
  dispatch_to(a, "nowhere", "x", &later);
  nodes_pass_ms(&n, 499);
  assert_int_equal(first.times + later.times, 0);
  nodes_pass_ms(&n, 20);
  assert_int_equal(first.error, VESTRY_TIMEOUT);
  assert_int_equal(later.error, VESTRY_NOT_FOUND);
  nodes_end(&n);
}

/* ------------------------------------------------------------------------------------ many waiting requests ------- */

static size_t answers, full;

static void count_answer(vestry_err error, uint32_t count, void *ctx) {
  answers++;
  full += error == VESTRY_FULL;
}

static double cpu_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void dispatch_many(node *from, size_t count) {
  json_t *effects = json_pack("[[s]]", "note");
  const vestry_dispatch_options options = {.key = VESTRY_KEY("room", "hot")};
  for (size_t i = 0; i < count; i++)
    assert_int_equal(vestry_cluster_dispatch(from->cluster, effects, &options, count_answer, NULL), VESTRY_OK);
  json_decref(effects);
}

/* Let this many requests for one key wait for a node that does not answer, and time out. Returns the CPU time. */
static double time_many(size_t count) {
  nodes n;
  nodes_begin(&n, 2, NULL);
  node_open(&n.all[1], "hot", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 500);
  nodes_divide(&n, "ab");
  answers = 0;
  double begun = cpu_s();
  dispatch_many(&n.all[0], count);
  assert_int_equal(node_stats(&n.all[0]).waiting_count, count);
  test_host_advance_ms(&n.th, 1000);
  nodes_settle(&n);
  double took = cpu_s() - begun;
  assert_int_equal(answers, count);
  assert_int_equal(node_stats(&n.all[0]).timeout_count, count);
  nodes_end(&n);
  return took;
}

TEST_CASE(waiting_requests_of_one_key_take_linear_time) {
  (void)time_many(1000);
  double few = time_many(8000), many = time_many(64000);
  print_message("8,000 of one key: %.3f s, 64,000: %.3f s\n", few, many);
  assert_true(many < few * 8 * 3); /* not 64 times as much */
}

TEST_CASE(waiting_requests_over_limit_get_full) {
  nodes n;
  nodes_prepare(&n, NULL);
  const vestry_cluster_options options = {
      .node = "a", .secret = nodes_secret, .secret_len = sizeof nodes_secret, .max_waiting_count = 100};
  node *a = node_start(&n, 0, "a", &options);
  node_start(&n, 1, "b", NULL);
  nodes_pass_ms(&n, 600);
  node_open(&n.all[1], "hot", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 500);
  nodes_divide(&n, "ab");
  answers = full = 0;
  dispatch_many(a, 150);
  assert_int_equal(answers, 50);
  assert_int_equal(full, 50);
  assert_int_equal(node_stats(a).waiting_count, 100);
  assert_int_equal(node_stats(a).over_waiting_count, 50);
  assert_int_equal(node_stats(a).unsent_count, 50);
  nodes_pass_ms(&n, 1001);
  assert_int_equal(answers, 150);
  nodes_divide(&n, NULL);
  nodes_pass_ms(&n, 600);
  dispatch_many(a, 1);
  nodes_settle(&n);
  assert_int_equal(node_stats(a).ok_count, 1);
  nodes_end(&n);
}

/* ------------------------------------------------------------------------------------------------ fail_fast ------- */

TEST_CASE(fail_fast_applies_on_other_nodes) {
  nodes n;
  nodes_begin(&n, 2, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  node_open(a, "here", VESTRY_KEEP_MANY);
  node_open(b, "there", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 1000);
  json_t *effects = json_pack("[[s,s],[s],[s]]", "note", "FAILED", "note", "note");
  for (int fast = 1; fast >= 0; fast--)
    for (int i = 0; i < 2; i++) {
      a->effects = b->effects = 0;
      const vestry_dispatch_options options = {.key = VESTRY_KEY("room", i ? "there" : "here"), .fail_fast = fast};
      assert_int_equal(vestry_dispatch_with(a->v, effects, &options, NULL), VESTRY_FAILED);
      assert_int_equal(a->effects + b->effects, fast ? 1 : 3);
      a->effects = b->effects = 0;
      assert_int_equal(vestry_cluster_dispatch(a->cluster, effects, &options, NULL, NULL), VESTRY_OK);
      nodes_settle(&n);
      assert_int_equal(a->effects + b->effects, fast ? 1 : 3);
    }
  json_decref(effects);
  nodes_end(&n);
}
