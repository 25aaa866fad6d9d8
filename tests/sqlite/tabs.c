/* SPDX-License-Identifier: MIT */
#include "sqlite/tabs.h"

static vestry_err handle(const vestry_request *req, vestry_reply *reply, void *app) {
  tabs_act *a = app;
  char attributes[VESTRY_TAB_ATTRIBUTES_BYTES];
  if (!req->is_datastar) {
    assert_int_equal(vestry_tab_attributes(req, reply, attributes, sizeof attributes), VESTRY_OK);
    const char *at = strstr(attributes, "('','");
    assert_non_null(at);
    snprintf(a->token, sizeof a->token, "%.*s", (int)strcspn(at + 5, "'"), at + 5);
  }
  if (a->write) {
    a->error = vestry_sqlite_tab_set(a->s->connection, req, a->write, a->write_len);
  } else {
    a->read_len = 0;
    memset(a->read, 0, sizeof a->read);
    a->error = vestry_sqlite_tab_get(a->s->connection, req, NULL, a->read, a->capacity, &a->read_len);
  }
  return vestry_reply_status(reply, 204);
}

void tabs_ask(tabs_act *a, const char *cookie, const char *token) {
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
  a->error = VESTRY_NO_MEMORY; /* unless the handler comes to say something else */
  if (vestry_memory_request(a->s->on.v, &call, handle, a, &exchange)) return;
  site_settle(&a->s->on);
  vestry_memory_destroy(exchange);
}

vestry_err tabs_set(ledger *s, const char *cookie, const char *token, const void *data, size_t len) {
  tabs_act a = {.s = s, .write = data, .write_len = len};
  tabs_ask(&a, cookie, token);
  return a.error;
}

const char *tabs_get(ledger *s, const char *cookie, const char *token) {
  static tabs_act a;
  a = (tabs_act){.s = s, .capacity = sizeof a.read - 1};
  tabs_ask(&a, cookie, token);
  assert_int_equal(a.error, VESTRY_OK);
  return a.read;
}

void tabs_begin(ledger *s, const char *cookie, char token[TABS_TOKEN_BYTES]) {
  tabs_act a = {.s = s, .capacity = 1};
  tabs_ask(&a, cookie, "");
  assert_int_equal(a.error, VESTRY_OK);
  assert_int_equal(a.read_len, 0);
  memcpy(token, a.token, TABS_TOKEN_BYTES);
}
