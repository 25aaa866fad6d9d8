/* SPDX-License-Identifier: MIT */
/* A cluster as JSON: its members, this node first, and the gaps in the messages of each. */
#include <jansson.h>

#include "cluster/nodes.h"
#include "vestry/ops/observe.h"

static bool all_may(const vestry_request *req, void *ctx) {
  return true;
}

typedef struct suite {
  nodes n;
  vestry_observe *observe; /* of node b */
} suite;

static void begin(suite *s, size_t count) {
  nodes_begin(&s->n, count, NULL);
  const node *b = &s->n.all[1];
  const vestry_observe_options options = {
      .trusts_loopback = true, .cluster = b->cluster, .pages = b->pages, .may = all_may};
  assert_int_equal(vestry_observe_create(b->v, &options, &s->observe), VESTRY_OK);
  assert_int_equal(vestry_observe_mount(s->observe, "/observe"), VESTRY_OK);
}

static void end(suite *s) {
  vestry_observe_destroy(s->observe);
  nodes_end(&s->n);
}

static json_t *request_cluster(suite *s) {
  vestry_memory_exchange *made;
  const vestry_memory_call call = {.path = "/observe/cluster"};
  assert_int_equal(vestry_memory_request(s->n.all[1].v, &call, NULL, NULL, &made), VESTRY_OK);
  const vestry_slice text = vestry_memory_look(made).received;
  json_t *reported = json_loadb(text.data, text.len, 0, NULL);
  assert_non_null(reported);
  vestry_memory_destroy(made);
  return reported;
}

static json_int_t number(const json_t *of, const char *name) {
  assert_true(json_is_integer(json_object_get(of, name)));
  return json_integer_value(json_object_get(of, name));
}

static const json_t *member(const json_t *reported, const char *name) {
  size_t i;
  json_t *at;
  json_array_foreach(json_object_get(reported, "members"), i, at) {
    if (strcmp(json_string_value(json_object_get(at, "node")), name) == 0) return at;
  }
  fail_msg("there is no member %s", name);
  return NULL;
}

/* Lose this many messages of node a. */
static void lose(suite *s, int messages) {
  assert_int_equal(vestry_memory_network_set(s->n.network, &(vestry_memory_network_options){.drop = 10000}), VESTRY_OK);
  for (int i = 0; i < messages; i++) assert_int_equal(node_broadcast(&s->n.all[0], "x", "dropped"), VESTRY_OK);
  nodes_settle(&s->n);
  assert_int_equal(vestry_memory_network_set(s->n.network, NULL), VESTRY_OK);
  nodes_pass_ms(&s->n, 500);
}

/* capability: H4, G6 */
TEST_CASE(gap_is_counted_for_its_member) {
  suite s;
  begin(&s, 2);
  (void)node_join(&s.n.all[1], "x");
  nodes_pass_ms(&s.n, 300);
  json_t *before = request_cluster(&s);
  assert_int_equal(json_array_size(json_object_get(before, "members")), 2);
  const json_t *own = json_array_get(json_object_get(before, "members"), 0);
  assert_string_equal(json_string_value(json_object_get(own, "node")), "b"); /* this node first */
  assert_string_equal(json_string_value(json_object_get(own, "state")), "alive");
  lose(&s, 3);
  json_t *after = request_cluster(&s);
  const json_t *a = member(after, "a");
  assert_int_equal(number(a, "gaps_count"), number(member(before, "a"), "gaps_count") + 1);
  assert_int_equal(number(a, "lost_count"), number(member(before, "a"), "lost_count") + 3);
  assert_true(number(a, "gap_ago_ms") <= 500);
  own = member(after, "b");
  assert_int_equal(number(own, "gaps_count"), number(member(before, "b"), "gaps_count"));
  const json_int_t gaps = number(a, "gaps_count") + number(own, "gaps_count");
  assert_int_equal(gaps, number(after, "gaps_count")); /* the sum of all members */
  assert_int_equal(number(a, "lost_count") + number(own, "lost_count"), number(after, "lost_count"));
  const json_int_t ago_ms = number(a, "gap_ago_ms");
  nodes_pass_ms(&s.n, 1000);
  json_t *later = request_cluster(&s);
  assert_int_equal(number(member(later, "a"), "gap_ago_ms"), ago_ms + 1000);
  json_decref(before);
  json_decref(after);
  json_decref(later);
  end(&s);
}

/* capability: H4 */
TEST_CASE(gaps_are_kept_when_a_node_restarts) {
  suite s;
  begin(&s, 2);
  (void)node_join(&s.n.all[1], "x");
  nodes_pass_ms(&s.n, 300);
  lose(&s, 2);
  node_kill(&s.n.all[0]);
  nodes_pass_ms(&s.n, 4000);
  json_t *reported = request_cluster(&s);
  const json_int_t gaps = number(member(reported, "a"), "gaps_count");
  assert_string_equal(json_string_value(json_object_get(member(reported, "a"), "state")), "dead");
  json_decref(reported);
  node_start(&s.n, 0, "a", NULL);
  nodes_pass_ms(&s.n, 1000);
  reported = request_cluster(&s);
  assert_string_equal(json_string_value(json_object_get(member(reported, "a"), "state")), "alive");
  assert_true(number(member(reported, "a"), "gaps_count") >= gaps);
  assert_true(number(member(reported, "a"), "lost_count") >= 2);
  json_decref(reported);
  end(&s);
}
