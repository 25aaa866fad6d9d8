/* SPDX-License-Identifier: MIT */
#include "page/rooms.h"

room *rooms_at(suite *s, const char *name) {
  return &s->rooms[name[0] - '0'];
}

static vestry_err make(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  const char *name = vestry_request_value(render->request, VESTRY_IN_QUERY, "room");
  char topic[32];
  s->calls++;
  if (!name) return VESTRY_NOT_FOUND;
  room *shown = rooms_at(s, name);
  snprintf(topic, sizeof topic, "room/%s", name);
  if (!s->late_topic) vestry_render_topic(render, topic);
  if (s->status) vestry_reply_status(render->reply, s->status);
  if (s->error) return s->error;
  if (s->versioned && vestry_render_is_current(render, shown->version)) return VESTRY_OK;
  vestry_html_add(html, "<!doctype html><title>%s</title>", name);
  vestry_render_head(render, html);
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>%s</p>", shown->text);
  if (s->refreshes) assert_int_equal(vestry_refresh(s->on.pages, s->refreshes, NULL), VESTRY_OK);
  if (s->refreshes) snprintf(shown->text, sizeof shown->text, "changed inside");
  s->refreshes = NULL;
  if (s->late_topic) vestry_render_topic(render, topic);
  return vestry_render_end(render, html);
}

static vestry_err may(const vestry_request *req, void *app) {
  const suite *s = app;
  return s->denied ? VESTRY_NOT_FOUND : s->unsure;
}

static vestry_err serve_shared(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, ((suite *)app)->page, "all");
}

void rooms_begin(suite *s, const vestry_pages_options *options) {
  memset(s, 0, sizeof *s);
  site_begin_pages(&s->on, (vestry_options){.scope = site_by_cookie}, options);
  const vestry_page_options page = {.render = make, .allow = may, .app = s};
  assert_int_equal(vestry_page_create(s->on.pages, &page, &s->page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/room", vestry_page_handler, s->page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/shared", serve_shared, s), VESTRY_OK);
}

void rooms_put(suite *s, size_t at, const char *text) {
  snprintf(s->rooms[at].text, sizeof s->rooms[at].text, "%s", text);
  s->rooms[at].version++;
}

void rooms_get(suite *s, const char *path, const char *query, const char *cookie, const char *had, bool datastar,
               vestry_memory_exchange **ret) {
  vestry_header headers[2];
  size_t count = 0;
  if (cookie) headers[count++] = (vestry_header){"Cookie", cookie};
  if (had) headers[count++] = (vestry_header){"Last-Event-ID", had};
  const vestry_memory_call call = {
      .path = path, .query = query, .headers = headers, .headers_count = count, .datastar = datastar};
  *ret = site_request(&s->on, &call);
}

void rooms_between(const char *in, const char *from, const char *to, char *out, size_t out_room) {
  const char *at = strstr(in, from);
  assert_non_null(at);
  at += strlen(from);
  const char *end = strstr(at, to);
  assert_non_null(end);
  assert_true((size_t)(end - at) < out_room);
  memcpy(out, at, (size_t)(end - at));
  out[end - at] = '\0';
}

void rooms_open(suite *s, tab *t, const char *path, const char *query, const char *cookie) {
  vestry_memory_exchange *document;
  rooms_get(s, path, query, cookie, NULL, false, &document);
  assert_int_equal(vestry_memory_look(document).status, 200);
  rooms_between(vestry_memory_look(document).received.data, "el.had = '", "'", t->tag, sizeof t->tag);
  vestry_memory_destroy(document);
  rooms_get(s, path, query, cookie, t->tag, true, &t->stream);
}

void rooms_close(tab *t) {
  vestry_memory_destroy(t->stream);
}

const char *rooms_since(tab *t) {
  static const char *const signs[] = {
      "event: datastar-patch-signals\ndata: signals {\"_vestry\":{\"offline\":false,\"failing\":false}}\n\n",
      "event: datastar-patch-signals\ndata: signals {\"_vestry\":{\"failing\":false,\"offline\":false}}\n\n",
      "event: datastar-patch-signals\ndata: signals {}\n\n"};
  const char *text = vestry_memory_since(t->stream).data;
  for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
    if (strncmp(text, signs[i], strlen(signs[i])) == 0) text += strlen(signs[i]);
  if (strncmp(text, "retry: ", 7) == 0) text = strstr(text, "\n\n") + 2;
  return text;
}
