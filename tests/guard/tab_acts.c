/* SPDX-License-Identifier: MIT */
#include "guard/tab_acts.h"

static vestry_err handle(const vestry_request *req, vestry_reply *reply, void *app) {
  tab_act *a = app;
  char attributes[VESTRY_TAB_ATTRIBUTES_BYTES];
  if (!req->is_datastar) {
    assert_int_equal(vestry_tab_attributes(req, reply, attributes, sizeof attributes), VESTRY_OK);
    const char *at = strstr(attributes, "('','");
    assert_non_null(at);
    snprintf(a->token, sizeof a->token, "%.*s", (int)strcspn(at + 5, "'"), at + 5);
  }
  if (a->write) {
    a->error = a->node->set(a->node->ctx, req, a->write, a->write_len);
  } else {
    a->read_len = 0;
    memset(a->read, 0, sizeof a->read);
    a->error = a->node->get(a->node->ctx, req, NULL, a->read, a->capacity, &a->read_len);
  }
  return vestry_reply_status(reply, 204);
}

void tab_ask(tab_act *a, const char *cookie, const char *token) {
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
  if (vestry_memory_request(a->node->on->v, &call, handle, a, &exchange)) return;
  site_settle(a->node->on);
  vestry_memory_destroy(exchange);
}

vestry_err tab_write(const tab_node *s, const char *cookie, const char *token, const void *data, size_t len) {
  tab_act a = {.node = s, .write = data, .write_len = len};
  tab_ask(&a, cookie, token);
  return a.error;
}

const char *tab_read(const tab_node *s, const char *cookie, const char *token) {
  static tab_act a;
  a = (tab_act){.node = s, .capacity = sizeof a.read - 1};
  tab_ask(&a, cookie, token);
  assert_int_equal(a.error, VESTRY_OK);
  return a.read;
}

void tab_begin(const tab_node *s, const char *cookie, char token[TAB_TOKEN_BYTES]) {
  tab_act a = {.node = s, .capacity = 1};
  tab_ask(&a, cookie, "");
  assert_int_equal(a.error, VESTRY_OK);
  assert_int_equal(a.read_len, 0);
  memcpy(token, a.token, TAB_TOKEN_BYTES);
}
