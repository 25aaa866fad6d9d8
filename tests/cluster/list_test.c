/* SPDX-License-Identifier: MIT */
/* Keys on all nodes: the number of streams of one key, and the list of all keys in pages. */
#include "cluster/nodes.h"

static vestry_cluster_count count_of(const node *of, const char *key) {
  vestry_cluster_count count = {0};
  assert_int_equal(vestry_cluster_count_get(of->cluster, (vestry_scope){0}, VESTRY_KEY("room", key), &count),
                   VESTRY_OK);
  return count;
}

/* capability: G8 */
TEST_CASE(g8_count_is_the_sum_of_all_nodes) {
  nodes n;
  nodes_begin(&n, 3, NULL);
  for (int i = 0; i < 6; i++) node_open(&n.all[i % 3 ? 2 : 0], "x", VESTRY_KEEP_MANY);
  node_open(&n.all[1], "y", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 10);
  for (size_t i = 0; i < 3; i++) {
    vestry_cluster_count x = count_of(&n.all[i], "x"), y = count_of(&n.all[i], "y"), z = count_of(&n.all[i], "z");
    assert_int_equal(x.streams_count, 6);
    assert_int_equal(x.nodes_count, 2);
    assert_int_equal(y.streams_count, 1);
    assert_int_equal(y.nodes_count, 1);
    assert_int_equal(z.streams_count, 0);
    assert_int_equal(z.nodes_count, 0);
    assert_false(x.is_partial || y.is_partial || z.is_partial);
  }
  assert_int_equal(node_stats(&n.all[1]).remote_requests_count, 1); /* the nodes that hold a key are known */
  nodes_end(&n);
}

/* capability: G8 */
TEST_CASE(count_without_an_answer_is_partial) {
  nodes n;
  nodes_begin(&n, 3, NULL);
  for (size_t i = 0; i < 3; i++) node_open(&n.all[i], "x", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 10);
  nodes_divide(&n, "aab");
  vestry_cluster_count count = count_of(&n.all[0], "x");
  assert_int_equal(count.streams_count, 2);
  assert_true(count.is_partial);
  nodes_pass_ms(&n, 3600); /* now the node is dead */
  count = count_of(&n.all[0], "x");
  assert_int_equal(count.streams_count, 2);
  assert_false(count.is_partial);
  nodes_divide(&n, "-aa");
  nodes_pass_ms(&n, 3600);
  count = count_of(&n.all[0], "x");
  assert_int_equal(count.streams_count, 1);
  assert_true(count.is_partial);
  assert_int_equal(vestry_cluster_count_get(NULL, (vestry_scope){0}, VESTRY_KEY(1), &count), VESTRY_INVALID);
  assert_int_equal(vestry_cluster_count_get(n.all[0].cluster, (vestry_scope){0}, NULL, &count), VESTRY_INVALID);
  nodes_end(&n);
}

/* ---------------------------------------------------------------------------------------------------- pages ------- */

typedef struct seen {
  const nodes *in;
  size_t keys[NODES_MOST], streams[NODES_MOST], most, page;
  char last[128];
} seen;

static void see(const vestry_cluster_listed *listed, void *ctx) {
  seen *s = ctx;
  for (size_t i = 0; i < s->in->count; i++) {
    if (strcmp(s->in->all[i].name, listed->node) != 0) continue;
    s->keys[i]++;
    s->streams[i] += listed->streams_count;
  }
  (void)vestry_key_format(listed->key, listed->key_len, s->last, sizeof s->last, NULL);
  if (++s->page > s->most) s->most = s->page;
}

/* List all pages, and return their number. */
static size_t list_all(const node *of, const vestry_scope *scope, size_t page_count, seen *s, bool is_partial) {
  vestry_cluster_cursor cursor = {0};
  size_t pages = 0;
  *s = (seen){.in = of->in};
  for (; !cursor.done; pages++) {
    s->page = 0;
    assert_int_equal(vestry_cluster_list(of->cluster, scope, page_count, &cursor, see, s), VESTRY_OK);
    assert_true(pages < 1000);
  }
  assert_int_equal(cursor.is_partial, is_partial);
  return pages;
}

typedef struct visit {
  vestry_scope scope;
  const vestry_key *key;
} visit;

static vestry_err open_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  const visit *of = app;
  vestry_reply_add_key(reply, of->scope, of->key, 0);
  vestry_reply_keep(reply, VESTRY_KEEP_REUSE, 0);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("opened", 1));
}

static void open_at(node *of, const char *scope, const vestry_key *key) {
  const vestry_memory_call call = {.datastar = true};
  visit v = {{scope, strlen(scope)}, key};
  assert_int_equal(vestry_memory_request(of->v, &call, open_handler, &v, &of->streams[of->streams_count++]), VESTRY_OK);
}

/* capability: G8 */
TEST_CASE(all_keys_are_listed_in_pages) {
  nodes n;
  seen s;
  nodes_begin(&n, 3, NULL);
  for (int i = 0; i < 30; i++) open_at(&n.all[1], i % 3 ? "one" : "other", VESTRY_KEY("k", i));
  for (int i = 0; i < 20; i++) open_at(&n.all[2], "one", VESTRY_KEY("k", i % 10));
  open_at(&n.all[0], "own", VESTRY_KEY("here"));
  for (size_t i = 0; i < 3; i++) {
    size_t pages = list_all(&n.all[i], NULL, 7, &s, false);
    assert_int_equal(s.keys[0], 1);
    assert_int_equal(s.keys[1], 30);
    assert_int_equal(s.keys[2], 10);
    assert_int_equal(s.streams[2], 20);
    assert_true(s.most <= 7 && pages >= 8);
  }
  const vestry_scope one = {"one", 3}, none = {"none", 4}, own = {"own", 3};
  list_all(&n.all[0], &one, 0, &s, false);
  assert_int_equal(s.keys[0] + s.keys[1] + s.keys[2], 30);
  list_all(&n.all[0], &none, 0, &s, false);
  assert_int_equal(s.keys[0] + s.keys[1] + s.keys[2], 0);
  list_all(&n.all[1], &own, 0, &s, false);
  assert_string_equal(s.last, "[\"here\"]");
  vestry_cluster_cursor cursor = {0};
  assert_int_equal(vestry_cluster_list(n.all[0].cluster, NULL, 4097, &cursor, see, &s), VESTRY_INVALID);
  nodes_end(&n);
}

/* Large keys: fewer per page. */
/* capability: G8 */
TEST_CASE(page_of_large_keys_is_limited_in_bytes) {
  nodes n;
  seen s;
  nodes_begin(&n, 2, NULL);
  static unsigned char bytes[60000];
  for (int i = 0; i < 12; i++) {
    bytes[0] = (unsigned char)i;
    open_at(&n.all[1], "", VESTRY_KEY(vestry_key_bytes(bytes, sizeof bytes)));
  }
  size_t pages = list_all(&n.all[0], NULL, 0, &s, false);
  assert_int_equal(s.keys[1], 12);
  assert_true(s.most <= 2 && pages > 6);
  nodes_end(&n);
}

/* A key that fits in no message of the broker is left out, and the keys after it are listed. */
/* capability: G8 */
TEST_CASE(key_larger_than_a_message_is_left_out) {
  enum { SMALL = 20 };
  nodes n;
  seen s;
  nodes_begin(&n, 3, &(vestry_memory_network_options){.max_payload = 20000});
  static unsigned char bytes[30000];
  for (int i = 0; i < SMALL; i++) open_at(&n.all[1], "", VESTRY_KEY("k", i));
  for (int i = 0; i < 2; i++) {
    bytes[0] = (unsigned char)i;
    open_at(&n.all[1], "", VESTRY_KEY(vestry_key_bytes(bytes, sizeof bytes)));
  }
  open_at(&n.all[2], "", VESTRY_KEY("last"));
  nodes_pass_ms(&n, 10);
  for (size_t page_count = 0; page_count < 2; page_count++) {
    list_all(&n.all[0], NULL, page_count, &s, true);
    assert_int_equal(s.keys[1], SMALL);
    assert_int_equal(s.keys[2], 1);
  }
  assert_int_equal(node_stats(&n.all[0]).timeout_count, 0);
  list_all(&n.all[1], NULL, 0, &s, false); /* its own keys need no message */
  assert_int_equal(s.keys[1], SMALL + 2);
  nodes_end(&n);
}

/* capability: G8 */
TEST_CASE(list_without_a_node_is_partial) {
  nodes n;
  seen s;
  nodes_begin(&n, 3, NULL);
  for (size_t i = 0; i < 3; i++) open_at(&n.all[i], "", VESTRY_KEY("k", (int)i));
  nodes_divide(&n, "aba");
  list_all(&n.all[0], NULL, 0, &s, true);
  assert_int_equal(s.keys[0], 1);
  assert_int_equal(s.keys[1], 0);
  assert_int_equal(s.keys[2], 1);
  nodes_divide(&n, NULL);
  nodes_pass_ms(&n, 1000);
  list_all(&n.all[0], NULL, 0, &s, false);
  assert_int_equal(s.keys[1], 1);
  /* One node restarts during the listing, and another one has gone. */
  for (int i = 3; i < 6; i++) open_at(&n.all[1], "", VESTRY_KEY("k", i));
  vestry_cluster_cursor cursor = {0};
  s = (seen){.in = &n};
  while (!s.keys[1]) assert_int_equal(vestry_cluster_list(n.all[0].cluster, NULL, 1, &cursor, see, &s), VESTRY_OK);
  node_kill(&n.all[1]);
  node_start(&n, 1, "b", NULL);
  open_at(&n.all[1], "", VESTRY_KEY("k", 6));
  nodes_pass_ms(&n, 600);
  while (!cursor.done) assert_int_equal(vestry_cluster_list(n.all[0].cluster, NULL, 1, &cursor, see, &s), VESTRY_OK);
  assert_true(cursor.is_partial);
  assert_int_equal(s.keys[1], 1);
  cursor = (vestry_cluster_cursor){.node = 1};
  size_t before = s.keys[1];
  while (cursor.node == 1)
    assert_int_equal(vestry_cluster_list(n.all[0].cluster, NULL, 1, &cursor, see, &s), VESTRY_OK);
  assert_true(cursor.is_partial);
  assert_int_equal(s.keys[1], before);
  nodes_end(&n);
}

static vestry_err count_inside(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  vestry_cluster_count count = {0};
  return vestry_cluster_count_get(((node *)ctx)->cluster, (vestry_scope){0}, VESTRY_KEY("room", "far"), &count);
}

TEST_CASE(count_inside_a_remote_effect_is_busy) {
  nodes n;
  static const char *const allow[] = {"count", NULL};
  const vestry_cluster_options options = {.secret = nodes_secret, .secret_len = 32, .node = "a", .allow = allow};
  nodes_prepare(&n, NULL);
  node_start(&n, 0, "a", &options);
  node_start(&n, 1, "b", NULL);
  nodes_pass_ms(&n, 600);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(n.all[0].v)->registry, "count", count_inside, &n.all[0]),
                   VESTRY_OK);
  node_open(&n.all[0], "x", VESTRY_KEEP_MANY);
  node_open(&n.all[1], "far", VESTRY_KEEP_MANY);
  nodes_pass_ms(&n, 10);
  answer is;
  node_ask(&n.all[1], "x", "[[\"count\"]]", &is);
  nodes_settle(&n);
  assert_int_equal(is.error, VESTRY_BUSY);
  nodes_end(&n);
}

TEST_CASE(failed_allocation_is_reported_or_partial) {
  for (long at = 0;; at++) {
    nodes n;
    seen s = {.in = &n};
    nodes_begin(&n, 2, NULL);
    open_at(&n.all[1], "", VESTRY_KEY("room", "x"));
    nodes_pass_ms(&n, 10);
    vestry_cluster_cursor cursor = {0};
    vestry_cluster_count count = {0};
    test_host_fail_in(&n.th, at);
    vestry_err error = vestry_cluster_count_get(n.all[0].cluster, (vestry_scope){0}, VESTRY_KEY("room", "x"), &count);
    vestry_err listed = VESTRY_OK;
    while (!listed && !cursor.done) listed = vestry_cluster_list(n.all[0].cluster, NULL, 1, &cursor, see, &s);
    bool is_over = !test_host_has_failed(&n.th);
    if (!error && !count.is_partial) assert_int_equal(count.streams_count, 1);
    if (error) assert_int_equal(error, VESTRY_NO_MEMORY);
    if (listed) assert_int_equal(listed, VESTRY_NO_MEMORY);
    if (!listed && !cursor.is_partial) assert_int_equal(s.keys[1], 1);
    if (is_over) assert_true(!error && !listed && !count.is_partial && !cursor.is_partial);
    nodes_end(&n);
    if (is_over) break;
  }
}
