/* SPDX-License-Identifier: MIT */
#include "guard/tab_contract.h"

enum { NOW_S = 1000000 };

static const tab_world *world;

static void open_first(tab_node *s, tab_bounds bounds) {
  world->clear();
  world->clock(NOW_S);
  world->open(0, &bounds, s);
}

/* ------------------------------------------------------------------------------------------------- reading -------- */

/* capability: D9, M3 */
TEST_CASE(state_is_read_as_written_at_each_node) {
  tab_node nodes[2], *other = &nodes[world->nodes_count - 1];
  char one[TAB_TOKEN_BYTES], two[TAB_TOKEN_BYTES];
  open_first(&nodes[0], (tab_bounds){0});
  if (world->nodes_count > 1) world->open(1, &(tab_bounds){0}, &nodes[1]);
  tab_begin(&nodes[0], "u", one);
  tab_begin(&nodes[0], "u", two);
  assert_int_equal(tab_write(&nodes[0], "u", one, "draft", 5), VESTRY_OK);
  assert_string_equal(tab_read(other, "u", one), "draft");
  assert_string_equal(tab_read(&nodes[0], "u", two), "");
  assert_int_equal(tab_write(other, "u", one, "a longer\0\x80 draft", 16), VESTRY_OK);
  tab_act a = {.node = &nodes[0], .capacity = 100};
  tab_ask(&a, "u", one);
  assert_int_equal(a.read_len, 16);
  assert_memory_equal(a.read, "a longer\0\x80 draft", 16);
  assert_int_equal(tab_write(&nodes[0], "u", two, "its own", 7), VESTRY_OK);
  assert_string_equal(tab_read(other, "u", one), "a longer");
  assert_string_equal(tab_read(other, "u", two), "its own");
  assert_int_equal(tab_write(&nodes[0], "u", one, "", 0), VESTRY_OK);
  assert_string_equal(tab_read(other, "u", one), "");
  assert_int_equal(world->count(), 1);
  for (size_t i = world->nodes_count; i-- > 0;) world->close(i);
}

/* capability: D9, M3 */
TEST_CASE(state_is_bound_to_scope_and_tab) {
  tab_node s;
  char one[TAB_TOKEN_BYTES], nameless[TAB_TOKEN_BYTES];
  open_first(&s, (tab_bounds){0});
  tab_begin(&s, "u", one);
  tab_begin(&s, "", nameless); /* the scope without a name */
  assert_int_equal(tab_write(&s, "u", one, "mine", 4), VESTRY_OK);
  assert_int_equal(tab_write(&s, "v", one, "stolen", 6), VESTRY_NOT_FOUND);
  assert_int_equal(tab_write(&s, "u", "0123", "forged", 6), VESTRY_NOT_FOUND);
  assert_int_equal(tab_write(&s, "", nameless, "a\0b", 3), VESTRY_OK);
  assert_string_equal(tab_read(&s, "u", one), "mine");
  tab_act a = {.node = &s, .capacity = 100};
  tab_ask(&a, "", nameless);
  assert_int_equal(a.read_len, 3);
  assert_memory_equal(a.read, "a\0b", 3);
  tab_ask(&a, "v", one);
  assert_int_equal(a.error, VESTRY_NOT_FOUND);
  world->close(0);
}

/* capability: D9, M3 */
TEST_CASE(state_over_max_bytes_is_rejected) {
  tab_node s;
  char one[TAB_TOKEN_BYTES], large[101];
  open_first(&s, (tab_bounds){.max_bytes = 100});
  tab_begin(&s, "u", one);
  memset(large, 'x', sizeof large);
  assert_int_equal(tab_write(&s, "u", one, large, 101), VESTRY_TOO_LARGE);
  assert_int_equal(tab_write(&s, "u", one, large, 100), VESTRY_OK);
  tab_act a = {.node = &s, .capacity = 99};
  tab_ask(&a, "u", one);
  assert_int_equal(a.error, VESTRY_TOO_LARGE);
  assert_int_equal(a.read_len, 100);
  assert_int_equal(a.read[0], 0); /* untouched */
  a.capacity = 100;
  tab_ask(&a, "u", one);
  assert_int_equal(a.error, VESTRY_OK);
  size_t len;
  assert_int_equal(s.get(s.ctx, NULL, NULL, NULL, 0, &len), VESTRY_INVALID);
  assert_int_equal(s.set(s.ctx, NULL, "x", 1), VESTRY_INVALID);
  world->close(0);
}

/* ------------------------------------------------------------------------------------------------ pages ----------- */

static vestry_err serve_shared(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, app, "all");
}

static void open_shown(tab_shown *w, char one[TAB_TOKEN_BYTES], char other[TAB_TOKEN_BYTES]) {
  tab_node node;
  open_first(&node, (tab_bounds){0});
  tab_show(w, &node, one, other);
}

static void close_shown(tab_shown *w) {
  tab_show_no_more(w);
  world->close(0);
}

static void check_renders(tab_shown *w, size_t one, size_t other) {
  world->settle(0);
  tab_check_renders(w, one, other);
}

/* capability: D9, M3 */
TEST_CASE(write_refreshes_only_its_tab) {
  tab_shown w;
  char one[TAB_TOKEN_BYTES], other[TAB_TOKEN_BYTES];
  open_shown(&w, one, other);
  assert_int_equal(tab_write(&w.s, "u", one, "draft", 5), VESTRY_OK);
  check_renders(&w, 1, 0);
  assert_string_equal(w.texts[0], "draft");
  assert_int_equal(tab_write(&w.s, "u", one, "draft2", 6), VESTRY_OK);
  assert_int_equal(tab_write(&w.s, "u", other, "its", 3), VESTRY_OK);
  check_renders(&w, 1, 1);
  assert_string_equal(w.texts[0], "draft2");
  assert_string_equal(w.texts[1], "its");
  assert_int_equal(tab_write(&w.s, "u", other, "", 0), VESTRY_OK);
  check_renders(&w, 0, 1);
  assert_string_equal(w.texts[1], "");
  close_shown(&w);
}

/* A page that all clients share cannot read a tab's state. */
/* capability: D9, M3 */
TEST_CASE(shared_page_cannot_read_a_tab_state) {
  tab_shown w;
  char one[TAB_TOKEN_BYTES], other[TAB_TOKEN_BYTES];
  open_shown(&w, one, other);
  assert_int_equal(tab_write(&w.s, "u", one, "secret", 6), VESTRY_OK);
  assert_int_equal(vestry_route(w.s.on->v, "GET", "/all", serve_shared, w.page), VESTRY_OK);
  const vestry_memory_call call = {.path = "/all"};
  vestry_memory_exchange *exchange = site_request(w.s.on, &call);
  assert_int_equal(vestry_memory_look(exchange).status, 404);
  vestry_memory_destroy(exchange);
  close_shown(&w);
}

/* ---------------------------------------------------------------------------------------------------- time -------- */

/* capability: D9, M3 */
TEST_CASE(unused_state_expires_after_ttl_s) {
  tab_node s;
  char read_often[TAB_TOKEN_BYTES], written_often[TAB_TOKEN_BYTES], left[TAB_TOKEN_BYTES], later[TAB_TOKEN_BYTES];
  open_first(&s, (tab_bounds){.ttl_s = 1000});
  tab_begin(&s, "u", read_often);
  tab_begin(&s, "u", written_often);
  tab_begin(&s, "u", left);
  tab_begin(&s, "u", later);
  assert_int_equal(tab_write(&s, "u", read_often, "r", 1), VESTRY_OK);
  assert_int_equal(tab_write(&s, "u", written_often, "w", 1), VESTRY_OK);
  assert_int_equal(tab_write(&s, "u", left, "l", 1), VESTRY_OK);
  for (int i = 1; i <= 3; i++) {
    world->clock(NOW_S + 400 * i);
    assert_string_equal(tab_read(&s, "u", read_often), "r");
    world->settle(0);
    assert_int_equal(tab_write(&s, "u", written_often, "w", 1), VESTRY_OK);
  }
  assert_string_equal(tab_read(&s, "u", left), ""); /* expired, whether or not its row remains */
  assert_int_equal(tab_write(&s, "u", later, "n", 1), VESTRY_OK);
  assert_int_equal(world->count(), 3); /* a write of a new state removes the expired one */
  world->close(0);
}

/* capability: D9, M3 */
TEST_CASE(full_scope_evicts_its_oldest_state) {
  enum { TABS = 6 };
  tab_node s;
  char tokens[TABS][TAB_TOKEN_BYTES], other[TAB_TOKEN_BYTES];
  open_first(&s, (tab_bounds){.per_scope_count = 3});
  tab_begin(&s, "v", other);
  assert_int_equal(tab_write(&s, "v", other, "x", 1), VESTRY_OK);
  for (int i = 0; i < TABS; i++) {
    world->clock(NOW_S + 1 + i);
    tab_begin(&s, "u", tokens[i]);
    assert_int_equal(tab_write(&s, "u", tokens[i], "x", 1), VESTRY_OK);
  }
  for (int i = 0; i < TABS; i++) assert_string_equal(tab_read(&s, "u", tokens[i]), i < 3 ? "" : "x");
  assert_string_equal(tab_read(&s, "v", other), "x");
  world->clock(NOW_S - 1000);
  tab_begin(&s, "u", tokens[0]);
  assert_int_equal(tab_write(&s, "u", tokens[0], "new", 3), VESTRY_OK); /* it stays, although it expires first */
  assert_string_equal(tab_read(&s, "u", tokens[0]), "new");
  assert_int_equal(world->count(), 4);
  world->close(0);
}

/* All clients share the scope without a name. */
TEST_CASE(nameless_scope_evicts_no_state) {
  enum { TABS = 6 };
  tab_node s;
  char tokens[TABS][TAB_TOKEN_BYTES];
  open_first(&s, (tab_bounds){.per_scope_count = 3});
  for (int i = 0; i < TABS; i++) {
    world->clock(NOW_S + 1 + i);
    tab_begin(&s, "", tokens[i]);
    assert_int_equal(tab_write(&s, "", tokens[i], "x", 1), VESTRY_OK);
  }
  for (int i = 0; i < TABS; i++) assert_string_equal(tab_read(&s, "", tokens[i]), "x");
  world->close(0);
}

/* An address without a user that writes many states removes none of another address or of a user. */
TEST_CASE(full_table_evicts_states_of_the_address_with_most) {
  enum { MOST = 8 };
  tab_node s;
  char own[TAB_TOKEN_BYTES], user[TAB_TOKEN_BYTES], other[TAB_TOKEN_BYTES];
  open_first(&s, (tab_bounds){.max_count = MOST});
  tab_begin(&s, "u", user);
  assert_int_equal(tab_write(&s, "u", user, "draft", 5), VESTRY_OK);
  s.peer = "192.0.2.1";
  tab_begin(&s, "", own);
  assert_int_equal(tab_write(&s, "", own, "mine", 4), VESTRY_OK);
  s.peer = "192.0.2.2";
  for (int i = 1; i < 5 * MOST; i++) {
    world->clock(NOW_S + i);
    tab_begin(&s, "", other);
    assert_int_equal(tab_write(&s, "", other, "x", 1), VESTRY_OK);
  }
  assert_string_equal(tab_read(&s, "", own), "mine");
  assert_string_equal(tab_read(&s, "u", user), "draft");
  assert_string_equal(tab_read(&s, "", other), "x");
  assert_int_equal(world->count(), MOST);
  world->close(0);
}

int tab_contract_run(const char *name, const tab_world *given) {
  world = given;
  return cases_run(name, NULL, NULL);
}
