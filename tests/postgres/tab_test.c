/* SPDX-License-Identifier: MIT */
/* State of tabs: (scope, tab) → bytes, in the application's database, for all nodes. */
#include "postgres/shop.h"
#include "support/site.h"
#include "vestry/postgres_tab.h"

enum { TOKEN_BYTES = 100, READ_BYTES = 300 };

/* A node, and what a tab's handler and render do. */
typedef struct node {
  site on;
  shop shop;
  vestry_postgres_tabs *tabs;
  vestry_err error;
  const char *write; /* NULL: it reads */
  size_t write_len, read_len, capacity, renders;
  char read[READ_BYTES], shown[READ_BYTES], token[TOKEN_BYTES];
} node;

static int64_t clock_s;

static int64_t now_s(void *ctx) {
  (void)ctx;
  return clock_s;
}

static vestry_err handle(const vestry_request *req, vestry_reply *reply, void *app) {
  node *n = app;
  char attributes[VESTRY_TAB_ATTRIBUTES_BYTES];
  if (!req->is_datastar) {
    assert_int_equal(vestry_tab_attributes(req, reply, attributes, sizeof attributes), VESTRY_OK);
    const char *at = strstr(attributes, "('','");
    assert_non_null(at);
    snprintf(n->token, sizeof n->token, "%.*s", (int)strcspn(at + 5, "'"), at + 5);
  }
  n->read_len = 999;
  memset(n->read, 0, sizeof n->read);
  if (n->write)
    n->error = vestry_postgres_tab_set(n->tabs, req, n->write, n->write_len);
  else
    n->error = vestry_postgres_tab_get(n->tabs, req, NULL, n->read, n->capacity, &n->read_len);
  return vestry_reply_status(reply, 204);
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  node *n = app;
  size_t len = 0;
  n->renders++;
  memset(n->shown, 0, sizeof n->shown);
  vestry_err error = vestry_postgres_tab_get(n->tabs, render->request, render, n->shown, sizeof n->shown - 1, &len);
  if (error) return error;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>%s</p>", n->shown);
  return vestry_render_end(render, html);
}

static void start(node *n, vestry_postgres_tabs_options options, const char *secret) {
  vestry_page *page;
  memset(n, 0, sizeof *n);
  options.now_s = now_s;
  site_begin_pages(&n->on, (vestry_options){.scope = site_by_cookie, .secret = secret, .secret_len = strlen(secret)},
                   NULL);
  test_host_init(&n->shop.th);
  assert_int_equal(shop_open(&n->shop, (vestry_postgres_pool_options){.connections_count = 2}), VESTRY_OK);
  assert_int_equal(vestry_postgres_tabs_create(n->on.pages, n->shop.pool, &options, &n->tabs), VESTRY_OK);
  assert_int_equal(vestry_page_create(n->on.pages, &(vestry_page_options){.render = render, .app = n}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(n->on.v, "GET", "/shown", vestry_page_handler, page), VESTRY_OK);
}

static void begin(node *n, vestry_postgres_tabs_options options) {
  clock_s = 1000000;
  shop_clear();
  start(n, options, "a secret that all nodes have: 32 bytes");
}

static void end(node *n) {
  site_close(&n->on);
  vestry_postgres_tabs_destroy(n->tabs);
  shop_end(&n->shop);
  test_host_assert_clean(&n->on.th);
}

/* token: what the tab's signal says; "": its first request. */
static void ask(node *n, const char *cookie, const char *token) {
  char body[160];
  vestry_memory_exchange *exchange;
  const vestry_header headers[] = {{"Cookie", cookie}};
  snprintf(body, sizeof body, "{\"tabId\":\"%s\"}", token);
  const vestry_memory_call call = {.method = *token ? "POST" : "GET",
                                   .datastar = *token,
                                   .headers = headers,
                                   .headers_count = 1,
                                   .body = *token ? body : NULL,
                                   .body_len = *token ? strlen(body) : 0};
  n->error = VESTRY_FAILED; /* unless the handler comes to say something else */
  assert_int_equal(vestry_memory_request(n->on.v, &call, handle, n, &exchange), VESTRY_OK);
  site_settle(&n->on);
  vestry_memory_destroy(exchange);
}

static vestry_err set(node *n, const char *cookie, const char *token, const void *data, size_t len) {
  n->write = data;
  n->write_len = len;
  ask(n, cookie, token);
  return n->error;
}

static const char *get(node *n, const char *cookie, const char *token) {
  n->write = NULL;
  n->capacity = sizeof n->read - 1;
  ask(n, cookie, token);
  assert_int_equal(n->error, VESTRY_OK);
  return n->read;
}

static void open_tab(node *n, const char *cookie, char token[TOKEN_BYTES]) {
  assert_string_equal(get(n, cookie, ""), "");
  assert_int_equal(n->read_len, 0);
  memcpy(token, n->token, TOKEN_BYTES);
}

static int64_t rows(node *n) {
  return shop_number(&n->shop, "SELECT count(*) FROM vestry_tab");
}

/* capability: M3 */
static void a_state_is_read_as_it_was_written_at_each_node(void **state) {
  (void)state;
  node n, other;
  char one[TOKEN_BYTES], two[TOKEN_BYTES];
  begin(&n, (vestry_postgres_tabs_options){0});
  start(&other, (vestry_postgres_tabs_options){0}, "a secret that all nodes have: 32 bytes");
  open_tab(&n, "u", one);
  open_tab(&n, "u", two);
  assert_int_equal(set(&n, "u", one, "draft", 5), VESTRY_OK);
  assert_string_equal(get(&other, "u", one), "draft");
  assert_int_equal(set(&other, "u", one, "a longer\0\x80 draft", 16), VESTRY_OK);
  assert_string_equal(get(&n, "u", one), "a longer");
  assert_int_equal(n.read_len, 16);
  assert_memory_equal(n.read, "a longer\0\x80 draft", 16);
  assert_string_equal(get(&n, "u", two), "");
  assert_int_equal(set(&n, "u", one, "", 0), VESTRY_OK);
  assert_string_equal(get(&other, "u", one), "");
  assert_int_equal(rows(&n), 0);
  /* Of one scope, and of ids that were made here. */
  assert_int_equal(set(&n, "v", one, "stolen", 6), VESTRY_NOT_FOUND);
  assert_int_equal(set(&n, "u", "0123", "forged", 6), VESTRY_NOT_FOUND);
  end(&other);
  end(&n);
}

static void sizes_have_bounds(void **state) {
  (void)state;
  node n;
  char one[TOKEN_BYTES], large[101];
  begin(&n, (vestry_postgres_tabs_options){.max_bytes = 100});
  open_tab(&n, "u", one);
  memset(large, 'x', sizeof large);
  assert_int_equal(set(&n, "u", one, large, 101), VESTRY_TOO_LARGE);
  assert_int_equal(set(&n, "u", one, large, 100), VESTRY_OK);
  n.write = NULL;
  n.capacity = 99;
  ask(&n, "u", one);
  assert_int_equal(n.error, VESTRY_TOO_LARGE);
  assert_int_equal(n.read_len, 100);
  assert_int_equal(n.read[0], 0); /* untouched */
  n.capacity = 100;
  ask(&n, "u", one);
  assert_int_equal(n.error, VESTRY_OK);
  size_t len;
  vestry_postgres_tabs *none;
  assert_int_equal(vestry_postgres_tab_get(n.tabs, NULL, NULL, NULL, 0, &len), VESTRY_INVALID);
  assert_int_equal(vestry_postgres_tab_set(n.tabs, NULL, "x", 1), VESTRY_INVALID);
  assert_int_equal(vestry_postgres_tabs_create(NULL, n.shop.pool, NULL, &none), VESTRY_INVALID);
  assert_int_equal(vestry_postgres_tabs_create(n.on.pages, n.shop.pool,
                                               &(vestry_postgres_tabs_options){.max_bytes = (64 << 20) + 1}, &none),
                   VESTRY_INVALID);
  end(&n);
}

/* capability: M3 */
static void a_write_refreshes_that_tab_and_no_other(void **state) {
  (void)state;
  node n;
  char one[TOKEN_BYTES], two[TOKEN_BYTES], query[300];
  begin(&n, (vestry_postgres_tabs_options){0});
  open_tab(&n, "u", one);
  open_tab(&n, "u", two);
  const vestry_header headers[] = {{"Cookie", "u"}};
  snprintf(query, sizeof query, "datastar=%%7B%%22tabId%%22%%3A%%22%s%%22%%7D", one);
  const vestry_memory_call call = {
      .path = "/shown", .query = query, .datastar = true, .headers = headers, .headers_count = 1};
  vestry_memory_exchange *shown = site_request(&n.on, &call);
  site_settle_pages(&n.on);
  n.renders = 0;
  assert_int_equal(set(&n, "u", one, "draft", 5), VESTRY_OK);
  site_settle_pages(&n.on);
  assert_string_equal(n.shown, "draft");
  assert_int_equal(n.renders, 1);
  assert_int_equal(set(&n, "u", two, "its own", 7), VESTRY_OK);
  site_settle_pages(&n.on);
  assert_int_equal(n.renders, 1);
  assert_int_equal(set(&n, "u", one, "", 0), VESTRY_OK);
  site_settle_pages(&n.on);
  assert_string_equal(n.shown, "");
  assert_int_equal(n.renders, 2);
  vestry_memory_destroy(shown);
  end(&n);
}

static void a_state_ends_some_day_unless_it_is_used(void **state) {
  (void)state;
  node n;
  char read_often[TOKEN_BYTES], written_often[TOKEN_BYTES], left[TOKEN_BYTES], later[TOKEN_BYTES];
  begin(&n, (vestry_postgres_tabs_options){.ttl_s = 1000});
  open_tab(&n, "u", read_often);
  open_tab(&n, "u", written_often);
  open_tab(&n, "u", left);
  open_tab(&n, "u", later);
  assert_int_equal(set(&n, "u", read_often, "r", 1), VESTRY_OK);
  assert_int_equal(set(&n, "u", written_often, "w", 1), VESTRY_OK);
  assert_int_equal(set(&n, "u", left, "l", 1), VESTRY_OK);
  for (int i = 0; i < 3; i++) {
    clock_s += 400;
    assert_string_equal(get(&n, "u", read_often), "r");
    assert_int_equal(set(&n, "u", written_often, "w", 1), VESTRY_OK);
  }
  assert_string_equal(get(&n, "u", left), ""); /* over, if it is there yet */
  assert_int_equal(set(&n, "u", later, "n", 1), VESTRY_OK);
  assert_int_equal(rows(&n), 3); /* what comes new removes what is over */
  end(&n);
}

static void a_scope_has_so_many(void **state) {
  (void)state;
  node n;
  char tokens[6][TOKEN_BYTES], others[TOKEN_BYTES];
  begin(&n, (vestry_postgres_tabs_options){.per_scope_count = 3});
  open_tab(&n, "v", others);
  assert_int_equal(set(&n, "v", others, "x", 1), VESTRY_OK);
  for (int i = 0; i < 6; i++) {
    clock_s++;
    open_tab(&n, "u", tokens[i]);
    assert_int_equal(set(&n, "u", tokens[i], "x", 1), VESTRY_OK);
  }
  for (int i = 0; i < 6; i++) assert_string_equal(get(&n, "u", tokens[i]), i < 3 ? "" : "x");
  assert_string_equal(get(&n, "v", others), "x");
  end(&n);
}

static void all_scopes_have_so_many(void **state) {
  (void)state;
  node n;
  char token[TOKEN_BYTES];
  begin(&n, (vestry_postgres_tabs_options){.max_count = 5});
  open_tab(&n, "u", token);
  shop_do(&n.shop, "INSERT INTO vestry_tab SELECT '\\x01', decode(lpad(to_hex(i), 32, '0'), 'hex'), 'a', 2000000 + i"
                   " FROM generate_series(1, 20) i");
  assert_int_equal(set(&n, "u", token, "x", 1), VESTRY_OK); /* a node counts with its first one */
  assert_int_equal(rows(&n), 5);
  assert_int_equal(shop_number(&n.shop, "SELECT min(expires) FROM vestry_tab WHERE scope = '\\x01'"), 2000017);
  end(&n);
}

static vestry_err inside(const vestry_request *req, vestry_reply *reply, void *app) {
  node *n = app;
  vestry_postgres_loan *loan;
  char buffer[8];
  size_t len;
  assert_int_equal(vestry_postgres_begin(n->shop.pool, VESTRY_POSTGRES_RENDER, &loan), VESTRY_OK);
  n->error = vestry_postgres_tab_get(n->tabs, req, NULL, buffer, sizeof buffer, &len);
  assert_int_equal(vestry_postgres_tab_set(n->tabs, req, "x", 1), VESTRY_INVALID);
  assert_int_equal(vestry_postgres_end(loan, VESTRY_OK), VESTRY_OK);
  return vestry_reply_status(reply, 204);
}

static void an_older_snapshot_is_refused(void **state) {
  (void)state;
  node n;
  vestry_memory_exchange *exchange;
  begin(&n, (vestry_postgres_tabs_options){0});
  assert_int_equal(vestry_memory_request(n.on.v, &(vestry_memory_call){.method = "GET"}, inside, &n, &exchange),
                   VESTRY_OK);
  vestry_memory_destroy(exchange);
  assert_int_equal(n.error, VESTRY_INVALID);
  assert_non_null(strstr(n.shop.th.last_log, "this thread has a transaction"));
  end(&n);
}

static void want_of_memory_is_an_error(void **state) {
  (void)state;
  node n;
  char one[TOKEN_BYTES];
  begin(&n, (vestry_postgres_tabs_options){0});
  open_tab(&n, "u", one);
  assert_int_equal(set(&n, "u", one, "x", 1), VESTRY_OK);
  test_host_fail_in(&n.shop.th, 0);
  assert_int_equal(set(&n, "u", one, "y", 1), VESTRY_NO_MEMORY);
  assert_true(test_host_has_failed(&n.shop.th));
  test_host_fail_in(&n.shop.th, 0);
  n.write = NULL;
  ask(&n, "u", one);
  assert_int_equal(n.error, VESTRY_NO_MEMORY);
  assert_true(test_host_has_failed(&n.shop.th));
  test_host_fail_no_more(&n.shop.th);
  assert_string_equal(get(&n, "u", one), "x");
  end(&n);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_state_is_read_as_it_was_written_at_each_node),
      cmocka_unit_test(sizes_have_bounds),
      cmocka_unit_test(a_write_refreshes_that_tab_and_no_other),
      cmocka_unit_test(a_state_ends_some_day_unless_it_is_used),
      cmocka_unit_test(a_scope_has_so_many),
      cmocka_unit_test(all_scopes_have_so_many),
      cmocka_unit_test(an_older_snapshot_is_refused),
      cmocka_unit_test(want_of_memory_is_an_error),
  };
  return cmocka_run_group_tests(tests, shop_open_server, shop_close_server);
}
