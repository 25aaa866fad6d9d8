/* SPDX-License-Identifier: MIT */
#include "guard/tab_acts.h"

static vestry_err handle(const vestry_request *req, vestry_reply *reply, void *app) {
  tab_act *a = app;
  char attributes[VESTRY_TAB_ATTRIBUTES_BYTES];
  if (!req->is_datastar) {
    assert_int_equal(vestry_tab_attributes(req, reply, attributes, sizeof attributes), VESTRY_OK);
    const char *at = strstr(attributes, "take() || '");
    assert_non_null(at);
    snprintf(a->token, sizeof a->token, "%.*s", (int)strcspn(at + 11, "'"), at + 11);
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
                                   .peer = a->node->peer,
                                   .headers = headers,
                                   .headers_count = 1,
                                   .body = *token ? body : NULL,
                                   .body_len = *token ? strlen(body) : 0};
  a->error = VESTRY_NO_MEMORY; /* unless the handler runs and sets it */
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

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  tab_shown *w = app;
  size_t len = 0, at = vestry_request_value(render->request, VESTRY_IN_QUERY, "other") != NULL;
  w->renders[at]++;
  memset(w->texts[at], 0, sizeof w->texts[at]);
  vestry_err error = w->s.get(w->s.ctx, render->request, render, w->texts[at], sizeof w->texts[at] - 1, &len);
  if (error) return error;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>%s</p>", w->texts[at]);
  return vestry_render_end(render, html);
}

static void open_stream(tab_shown *w, size_t at, const char *cookie, const char *token) {
  char query[300];
  const vestry_header headers[] = {{"Cookie", cookie}};
  snprintf(query, sizeof query, "%sdatastar=%%7B%%22tabId%%22%%3A%%22%s%%22%%7D", at ? "other=1&" : "", token);
  const vestry_memory_call call = {
      .path = "/shown", .query = query, .datastar = true, .headers = headers, .headers_count = 1};
  w->tabs[at] = site_request(w->s.on, &call);
  site_settle_pages(w->s.on);
}

void tab_show(tab_shown *w, const tab_node *s, char one[TAB_TOKEN_BYTES], char other[TAB_TOKEN_BYTES]) {
  memset(w, 0, sizeof *w);
  w->s = *s;
  const vestry_page_options options = {.render = render, .app = w};
  assert_int_equal(vestry_page_create(s->on->pages, &options, &w->page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on->v, "GET", "/shown", vestry_page_handler, w->page), VESTRY_OK);
  tab_begin(&w->s, "u", one);
  tab_begin(&w->s, "u", other);
  open_stream(w, 0, "u", one);
  open_stream(w, 1, "u", other);
  w->renders[0] = w->renders[1] = 0;
}

void tab_show_no_more(tab_shown *w) {
  for (size_t i = 0; i < 2; i++) vestry_memory_destroy(w->tabs[i]);
}

void tab_check_renders(tab_shown *w, size_t one, size_t other) {
  assert_int_equal(w->renders[0], one);
  assert_int_equal(w->renders[1], other);
  w->renders[0] = w->renders[1] = 0;
}
