/* SPDX-License-Identifier: MIT */
#include "sqlite/tabs.h"

static vestry_err get(void *ctx, const vestry_request *req, vestry_render *render, void *buffer, size_t capacity,
                      size_t *ret_len) {
  return vestry_sqlite_tab_get(((ledger *)ctx)->connection, req, render, buffer, capacity, ret_len);
}

static vestry_err set(void *ctx, const vestry_request *req, const void *data, size_t len) {
  return vestry_sqlite_tab_set(((ledger *)ctx)->connection, req, data, len);
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
