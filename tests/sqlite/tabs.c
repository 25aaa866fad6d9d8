/* SPDX-License-Identifier: MIT */
#include "sqlite/tabs.h"

void tabs_open(ledger *s, const vestry_sql_tabs_options *options) {
  const vestry_sqlite_pool_options file = {
      .host = &s->on.th.host, .path = s->path, .connections_count = 1, .busy_ms = 1};
  assert_int_equal(vestry_sqlite_pool_create(&file, &s->pool), VESTRY_OK);
  assert_int_equal(vestry_sqlite_pool_follow(s->pool, s->database), VESTRY_OK);
  assert_int_equal(vestry_sql_tabs_create(s->on.pages, s->pool, options, &s->states), VESTRY_OK);
}

void tabs_run(ledger *s, const char *sql) {
  vestry_sql_transaction *transaction;
  assert_int_equal(vestry_sql_begin(s->pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  ledger_run(vestry_sqlite_handle(transaction), sql);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
}

static vestry_err get(void *ctx, const vestry_request *req, vestry_render *render, void *buffer, size_t capacity,
                      size_t *ret_len) {
  return vestry_sql_tab_get(((ledger *)ctx)->states, req, render, buffer, capacity, ret_len);
}

static vestry_err set(void *ctx, const vestry_request *req, const void *data, size_t len) {
  return vestry_sql_tab_set(((ledger *)ctx)->states, req, data, len);
}

tab_node tabs_node(ledger *s) {
  return (tab_node){.on = &s->on, .ctx = s, .get = get, .set = set};
}

vestry_err tabs_set(ledger *s, const char *cookie, const char *token, const void *data, size_t len) {
  const tab_node node = tabs_node(s);
  return tab_write(&node, cookie, token, data, len);
}

const char *tabs_get(ledger *s, const char *cookie, const char *token) {
  const tab_node node = tabs_node(s);
  return tab_read(&node, cookie, token);
}

void tabs_begin(ledger *s, const char *cookie, char token[TAB_TOKEN_BYTES]) {
  const tab_node node = tabs_node(s);
  tab_begin(&node, cookie, token);
}
