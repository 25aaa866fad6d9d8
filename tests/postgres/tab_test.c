/* SPDX-License-Identifier: MIT */
/* Tab states: (scope, tab) → bytes, in the application's database, for all nodes. */
#include "data/sql/sql.h"
#include "guard/tab_contract.h"
#include "postgres/shop.h"
#include "support/patience.h"
#include "vestry/data/sql.h"

/* Two nodes that share a database. */
typedef struct node {
  site on;
  shop shop;
  vestry_sql_tabs *tabs;
  vestry_postgres *database; /* NULL: its pages follow no commits */
  const char *meanwhile;     /* SQL of another client, after the first read of the first tab's next render */
  vestry_err error;
} node;

static node nodes[2];
static int64_t clock_s;

static int64_t now_ms(void *ctx) {
  return clock_s * 1000;
}

static void set_clock(int64_t to_s) {
  clock_s = to_s;
}

static vestry_err get(void *ctx, const vestry_request *req, vestry_render *render, void *buffer, size_t capacity,
                      size_t *ret_len) {
  return vestry_sql_tab_get(((node *)ctx)->tabs, req, render, buffer, capacity, ret_len);
}

static vestry_err set(void *ctx, const vestry_request *req, const void *data, size_t len) {
  return vestry_sql_tab_set(((node *)ctx)->tabs, req, data, len);
}

static void open_node(size_t at, const tab_bounds *bounds, tab_node *ret_node) {
  static const char secret[] = "a secret that all nodes have: 32 bytes";
  node *n = &nodes[at];
  const vestry_sql_tabs_options options = {.ttl_s = bounds->ttl_s,
                                           .per_scope_count = bounds->per_scope_count,
                                           .max_count = bounds->max_count,
                                           .max_bytes = bounds->max_bytes};
  memset(n, 0, sizeof *n);
  site_begin_with(&n->on, (vestry_options){.scope = site_by_cookie}, (site_has){.secret = secret});
  site_add_pages(&n->on, NULL);
  test_host_init(&n->shop.th);
  assert_int_equal(shop_open(&n->shop, (vestry_postgres_pool_options){.connections_count = 2}), VESTRY_OK);
  n->shop.pool->now_ms = now_ms;
  assert_int_equal(vestry_sql_tabs_create(n->on.pages, n->shop.pool, &options, &n->tabs), VESTRY_OK);
  *ret_node = (tab_node){.on = &n->on, .ctx = n, .get = get, .set = set};
}

static void close_node(size_t at) {
  node *n = &nodes[at];
  vestry_postgres_detach(n->database);
  site_close(&n->on);
  vestry_postgres_destroy(n->database);
  vestry_sql_tabs_destroy(n->tabs);
  shop_end(&n->shop);
  test_host_assert_clean(&n->on.th);
}

static void settle(size_t at) {
  site_settle_pages(&nodes[at].on);
}

static int64_t count(void) {
  return shop_number(&nodes[0].shop, "SELECT count(*) FROM vestry_tab");
}

static const tab_world world = {.nodes_count = 2,
                                .clear = shop_clear,
                                .open = open_node,
                                .close = close_node,
                                .settle = settle,
                                .count = count,
                                .clock = set_clock};

/* Open the first node, over an empty database. */
static node *begin(tab_bounds bounds, tab_node *ret_node) {
  shop_clear();
  set_clock(1000000);
  open_node(0, &bounds, ret_node);
  return &nodes[0];
}

TEST_CASE(invalid_options_are_rejected) {
  tab_node on;
  vestry_sql_tabs *none;
  node *n = begin((tab_bounds){0}, &on);
  assert_int_equal(vestry_sql_tabs_create(NULL, n->shop.pool, NULL, &none), VESTRY_INVALID);
  assert_int_equal(
      vestry_sql_tabs_create(n->on.pages, n->shop.pool, &(vestry_sql_tabs_options){.max_bytes = (64 << 20) + 1}, &none),
      VESTRY_INVALID);
  close_node(0);
}

TEST_CASE(states_of_all_scopes_are_bounded) {
  tab_node on;
  char token[TAB_TOKEN_BYTES];
  node *n = begin((tab_bounds){.max_count = 5}, &on);
  tab_begin(&on, "u", token);
  shop_do(&n->shop, "INSERT INTO vestry_tab SELECT '\\x01', decode(lpad(to_hex(i), 32, '0'), 'hex'), 'a', 2000000 + i"
                    " FROM generate_series(1, 20) i");
  assert_int_equal(tab_write(&on, "u", token, "x", 1), VESTRY_OK); /* a node counts at its first write */
  assert_int_equal(count(), 5);
  assert_int_equal(shop_number(&n->shop, "SELECT min(expires) FROM vestry_tab WHERE scope = '\\x01'"), 2000017);
  close_node(0);
}

/* Anonymous states are evicted first, even if they expire later. */
TEST_CASE(anonymous_states_are_evicted_first) {
  tab_node on;
  char token[TAB_TOKEN_BYTES];
  node *n = begin((tab_bounds){.max_count = 5}, &on);
  tab_begin(&on, "u", token);
  shop_do(&n->shop, "INSERT INTO vestry_tab SELECT '\\x01', decode(lpad(to_hex(i), 32, '0'), 'hex'), 'a', 2000000 + i"
                    " FROM generate_series(1, 20) i");
  shop_do(&n->shop, "UPDATE vestry_tab SET person = 0 WHERE expires > 2000004");
  assert_int_equal(tab_write(&on, "u", token, "x", 1), VESTRY_OK);
  assert_int_equal(count(), 5);
  assert_int_equal(shop_number(&n->shop, "SELECT max(expires) FROM vestry_tab WHERE scope = '\\x01'"), 2000004);
  close_node(0);
}

TEST_CASE(table_of_an_earlier_version_gets_the_column_of_persons) {
  tab_node on;
  char token[TAB_TOKEN_BYTES];
  node *n = begin((tab_bounds){0}, &on);
  tab_begin(&on, "u", token);
  assert_int_equal(tab_write(&on, "u", token, "kept", 4), VESTRY_OK);
  shop_do(&n->shop, "ALTER TABLE vestry_tab DROP COLUMN person");
  shop_do(&n->shop, "DELETE FROM vestry_schema WHERE part = 'tab_person'");
  close_node(0);
  open_node(0, &(tab_bounds){0}, &on);
  assert_int_equal(shop_number(&n->shop, "SELECT count(*) FROM vestry_tab WHERE person IS NULL"), 1);
  assert_string_equal(tab_read(&on, "u", token), "kept");
  assert_int_equal(tab_write(&on, "u", token, "new", 3), VESTRY_OK);
  close_node(0);
}

static vestry_err inside(const vestry_request *req, vestry_reply *reply, void *app) {
  node *n = app;
  vestry_sql_transaction *transaction;
  char buffer[8];
  size_t len;
  assert_int_equal(vestry_sql_begin(n->shop.pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  n->error = vestry_sql_tab_get(n->tabs, req, NULL, buffer, sizeof buffer, &len);
  assert_int_equal(vestry_sql_tab_set(n->tabs, req, "x", 1), VESTRY_INVALID);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  return vestry_reply_status(reply, 204);
}

TEST_CASE(state_access_within_a_read_transaction_is_invalid) {
  tab_node on;
  vestry_memory_exchange *exchange;
  node *n = begin((tab_bounds){0}, &on);
  assert_int_equal(vestry_memory_request(n->on.v, &(vestry_memory_call){.method = "GET"}, inside, n, &exchange),
                   VESTRY_OK);
  vestry_memory_destroy(exchange);
  assert_int_equal(n->error, VESTRY_INVALID);
  assert_non_null(strstr(n->shop.th.last_log, "this thread has a transaction"));
  close_node(0);
}

/* The render has a snapshot before it reads the state. */
static vestry_err read_and_get(void *ctx, const vestry_request *req, vestry_render *render, void *buffer,
                               size_t capacity, size_t *ret_len) {
  node *n = ctx;
  if (render) assert_int_equal(vestry_sql_read(n->shop.pool, "SELECT v FROM t", NULL, NULL, NULL), VESTRY_OK);
  const bool is_first = render && !vestry_request_value(render->request, VESTRY_IN_QUERY, "other");
  if (is_first && n->meanwhile) postgres_server_run(shop_server(), n->meanwhile);
  if (is_first) n->meanwhile = NULL;
  return vestry_sql_tab_get(n->tabs, req, render, buffer, capacity, ret_len);
}

/* A commit made within a render may be followed after it, hence the loop. */
static void follow(node *n, const tab_shown *shown) {
  size_t before;
  do {
    before = shown->renders[0];
    assert_int_equal(vestry_postgres_settle(n->database, PATIENCE_S * 1000, NULL), VESTRY_OK);
    site_settle_pages(&n->on);
  } while (shown->renders[0] != before);
}

/* capability: M3 */
TEST_CASE(state_read_after_other_data_is_followed) {
  static const vestry_postgres_level levels[] = {VESTRY_POSTGRES_READS, VESTRY_POSTGRES_TABLES};
  enum { TTL_S = 1000 };
  for (size_t i = 0; i < 2; i++) {
    tab_node on;
    tab_shown shown;
    char one[TAB_TOKEN_BYTES], other[TAB_TOKEN_BYTES];
    node *n = begin((tab_bounds){.ttl_s = TTL_S}, &on);
    shop_do(&n->shop, "CREATE TABLE t(v int)");
    shop_do(&n->shop, "INSERT INTO t VALUES(1)");
    const vestry_postgres_options options = {.level = levels[i]};
    assert_int_equal(vestry_postgres_create(n->on.pages, n->shop.pool, &options, &n->database), VESTRY_OK);
    on.get = read_and_get;
    tab_show(&shown, &on, one, other);
    assert_int_equal(tab_write(&on, "u", one, "x", 1), VESTRY_OK);
    follow(n, &shown);
    assert_string_equal(shown.texts[0], "x");
    /* A write after the snapshot, at a node that does not notify this one. */
    n->meanwhile = "UPDATE vestry_tab SET data = 'z'";
    assert_int_equal(tab_write(&on, "u", one, "y", 1), VESTRY_OK);
    follow(n, &shown);
    assert_null(n->meanwhile);
    assert_string_equal(shown.texts[0], "z");
    /* The read extends the life of the state. */
    set_clock(clock_s + TTL_S / 2);
    shop_do(&n->shop, "UPDATE t SET v = 2");
    follow(n, &shown);
    assert_string_equal(shown.texts[0], "z");
    assert_int_equal(shop_number(&n->shop, "SELECT expires FROM vestry_tab"), clock_s + TTL_S);
    assert_int_equal(n->shop.th.log_lines, 0);
    tab_show_no_more(&shown);
    site_settle(&n->on);
    close_node(0);
  }
}

TEST_CASE(allocation_failure_is_returned) {
  tab_node on;
  char one[TAB_TOKEN_BYTES];
  node *n = begin((tab_bounds){0}, &on);
  tab_begin(&on, "u", one);
  assert_int_equal(tab_write(&on, "u", one, "x", 1), VESTRY_OK);
  test_host_fail_in(&n->shop.th, 0);
  assert_int_equal(tab_write(&on, "u", one, "y", 1), VESTRY_NO_MEMORY);
  assert_true(test_host_has_failed(&n->shop.th));
  test_host_fail_in(&n->shop.th, 0);
  tab_act reads = {.node = &on, .capacity = 100};
  tab_ask(&reads, "u", one);
  assert_int_equal(reads.error, VESTRY_NO_MEMORY);
  assert_true(test_host_has_failed(&n->shop.th));
  test_host_fail_no_more(&n->shop.th);
  assert_string_equal(tab_read(&on, "u", one), "x");
  close_node(0);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  shop_open_server(NULL);
  const int failed = tab_contract_run("postgres_tab_contract", &world) + cases_run("postgres/tab", NULL, NULL);
  shop_close_server(NULL);
  return failed;
}
