/* SPDX-License-Identifier: MIT */
#include "page/tabs.h"

#include <stdlib.h>

static vestry_err list(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  char topic[16];
  snprintf(topic, sizeof topic, "list/%s", render->share);
  vestry_render_topic(render, topic);
  if (render->is_stream) s->parts++;
  if (s->part_error) return s->part_error;
  return vestry_html_add(html, "<li>%d</li>", s->lists[atoi(render->share)]);
}

vestry_err tabs_render(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  vestry_render_topic(render, "all");
  if (render->is_stream) {
    s->calls++;
    if (s->inside) s->inside(s, render);
    if (s->error) return s->error;
  }
  if (s->version && vestry_render_is_current(render, s->version)) return VESTRY_OK;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<h1>%d</h1>", s->heading);
  for (int i = 0; s->heading >= LONG && i < 20; i++) vestry_html_add(html, "<p>long long long</p>");
  if (!render->share) {
    char share[8];
    snprintf(share, sizeof share, "%d", s->which);
    vestry_render_part(render, html, &(vestry_page_part){.id = "list", .share = share, .render = list, .app = s});
  }
  return vestry_render_end(render, html);
}

static vestry_err may(const vestry_request *req, void *app) {
  return ((suite *)app)->denied ? VESTRY_NOT_FOUND : VESTRY_OK;
}

static vestry_err serve_shared(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *cookie = vestry_request_header(req, "Cookie");
  if (cookie && strcmp(cookie, "slow") == 0) {
    const vestry_connection_options drops = {.full = VESTRY_FULL_DROP, .max_queued_count = 4};
    vestry_reply_stream(reply, &(vestry_stream_options){.connection = &drops});
  }
  if (cookie && strcmp(cookie, "small") == 0)
    vestry_reply_stream(reply,
                        &(vestry_stream_options){.connection = &(vestry_connection_options){.max_queued_bytes = 220}});
  return vestry_page_serve(req, reply, app, "s");
}

vestry_err tabs_begin(suite *s) {
  memset(s, 0, sizeof *s);
  site_begin_pages(&s->on, (vestry_options){0}, NULL);
  const vestry_page_options options = {.render = tabs_render, .allow = may, .app = s};
  vestry_page *page;
  assert_int_equal(vestry_page_create(s->on.pages, &options, &page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/private", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "POST", "/private", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/shared", serve_shared, page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/any/{path...}", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/{path...}", vestry_page_handler, page), VESTRY_OK);
  s->heading = 100;
  s->lists[1] = 1;
  s->lists[2] = 2;
  s->which = 1;
  return VESTRY_OK;
}

vestry_err tabs_get(suite *s, const tab *t, bool datastar, vestry_memory_exchange **ret) {
  vestry_header headers[2];
  size_t count = 0;
  if (t->cookie) headers[count++] = (vestry_header){"Cookie", t->cookie};
  if (datastar && *t->id) headers[count++] = (vestry_header){"Last-Event-ID", t->id};
  const vestry_memory_call call = {.path = t->path, .headers = headers, .headers_count = count, .datastar = datastar};
  *ret = NULL;
  return vestry_memory_request(s->on.v, &call, NULL, NULL, ret);
}

static void copy_to(char *to, size_t room, const char *from, const char *end) {
  assert_non_null(end);
  assert_true((size_t)(end - from) < room);
  memcpy(to, from, (size_t)(end - from));
  to[end - from] = '\0';
}

void tabs_take(tab *t, const char *text) {
  for (const char *at = text; (at = strstr(at, "<h1>")) != NULL; at++) t->heading = atoi(at + 4);
  for (const char *at = text; (at = strstr(at, "<li>")) != NULL; at++) t->item = atoi(at + 4);
  for (const char *at = text; (at = strstr(at, "\nid:")) != NULL; at++) {
    const char *id = at + strlen("\nid:");
    copy_to(t->id, sizeof t->id, id + (*id == ' '), strchr(id, '\n'));
  }
}

const char *tabs_read(tab *t) {
  const char *text = vestry_memory_since(t->stream).data;
  tabs_take(t, text);
  return text;
}

bool tabs_load(suite *s, tab *t) {
  vestry_memory_exchange *document;
  if (tabs_get(s, t, false, &document) || !document) return false;
  const char *text = vestry_memory_look(document).received.data;
  const char *tag = text ? strstr(text, "el.had = '") : NULL;
  if (vestry_memory_look(document).status == 200 && tag) {
    const char *heading = strstr(text, "<h1>"), *item = strstr(text, "<li>");
    t->heading = atoi(heading + 4);
    if (item) t->item = atoi(item + 4);
    tag += strlen("el.had = '");
    copy_to(t->id, sizeof t->id, tag, strstr(tag, "'"));
  }
  vestry_memory_destroy(document);
  return tag != NULL;
}

void tabs_stream(suite *s, tab *t) {
  if (tabs_get(s, t, true, &t->stream)) t->stream = NULL;
}

void tabs_open(suite *s, tab *t, const char *path, const char *cookie) {
  *t = (tab){.path = path, .cookie = cookie};
  assert_true(tabs_load(s, t));
  tabs_stream(s, t);
  assert_non_null(t->stream);
}

void tabs_break_off(tab *t) {
  if (t->stream) tabs_read(t);
  vestry_memory_destroy(t->stream);
  t->stream = NULL;
}

void tabs_refresh(suite *s, const char *topic) {
  assert_int_equal(vestry_refresh(s->on.pages, topic, NULL), VESTRY_OK);
}

void tabs_check(suite *s, tab *t) {
  assert_non_null(t->stream);
  tabs_read(t);
  assert_int_equal(t->heading, s->heading);
  if (strcmp(t->path, "/private") == 0) assert_int_equal(t->item, s->lists[s->which]);
}

void tabs_leave(suite *s, tab *t) {
  tabs_break_off(t);
  site_settle(&s->on);
}

void tabs_begin_one(suite *s, tab *t) {
  tabs_begin(s);
  tabs_open(s, t, "/private", NULL);
  site_settle_pages(&s->on);
}

void tabs_end_one(suite *s, tab *t) {
  tabs_leave(s, t);
  site_end(&s->on);
}
