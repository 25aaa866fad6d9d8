/* SPDX-License-Identifier: MIT */
/* A counter, like in a small program: a live page, a button, a timer, until Ctrl-C. counter [PORT]
 * COUNTER_CIVETWEB: on civetweb. COUNTER_BROTLI: its streams are encoded. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef COUNTER_CIVETWEB
#include <vestry/civetweb.h>
#define SERVER vestry_server_civetweb
#else
#include <vestry/microhttpd.h>
#define SERVER vestry_server_microhttpd
#endif
#include <vestry/app/page.h>
#include <vestry/vestry.h>

typedef struct counter {
  vestry_pages *pages;
  _Atomic(int) count;
} counter;

static vestry_err show(vestry_render *render, vestry_html *html, void *ctx) {
  counter *c = ctx;
  vestry_render_topic(render, "count");
  vestry_html_add(html, "<!doctype html><html lang=\"en\"><title>Counter</title>");
  vestry_html_add(html, "<script type=\"module\" src=\"%-s\"></script>", VESTRY_DATASTAR_CDN_URL);
  vestry_render_head(render, html);
  vestry_html_add(html, "<body><button data-on:click=\"@post('/jump')\">Jump by ten</button>");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<output>%d</output>", atomic_load(&c->count));
  vestry_render_end(render, html);
  return VESTRY_OK;
}

static vestry_err add(counter *c, int count) {
  atomic_fetch_add(&c->count, count);
  return vestry_refresh(c->pages, "count", NULL);
}

static vestry_err jump(const vestry_request *req, vestry_reply *reply, void *ctx) {
  (void)req;
  vestry_err error = add(ctx, 10);
  return error ? error : vestry_reply_status(reply, 204);
}

static void tick(vestry_timer *timer, void *ctx) {
  (void)timer;
  add(ctx, 1);
}

static void ready(vestry_server *server, void *ctx) {
  (void)ctx;
  printf("counter: %s\n", server->url);
  fflush(stdout);
}

static vestry_err mount(vestry *v, counter *c, vestry_timer **ret_timer) {
  vestry_page *page;
  vestry_err error = vestry_pages_create(v, NULL, &c->pages);
  if (!error) error = vestry_page_create(c->pages, &(vestry_page_options){.render = show, .app = c}, &page);
  if (!error) error = vestry_route(v, "GET", "/", vestry_page_handler, page);
  if (!error) error = vestry_route(v, "POST", "/jump", jump, c);
  if (!error) error = vestry_timer_create(vestry_parts_of(v)->runtime, tick, c, ret_timer);
  return error ? error : vestry_timer_set(*ret_timer, 1000, 1000);
}

int main(int argc, char **argv) {
  counter c = {.count = 0};
  vestry_options options = {0};
#ifdef COUNTER_BROTLI
  options.profile = &vestry_profile_brotli;
#endif
  vestry *v;
  vestry_timer *timer = NULL;
  if (vestry_create(&options, &v)) return 1;
  uint16_t port = (uint16_t)atoi(argc > 1 ? argv[1] : "8080");
  vestry_err error = mount(v, &c, &timer);
  if (!error) error = vestry_server_run(v, &SERVER, &(vestry_server_options){.port = port, .on_ready = ready});
  vestry_timer_destroy(timer);
  vestry_pages_destroy(c.pages);
  vestry_destroy(v);
  if (error) fprintf(stderr, "counter: %s\n", vestry_strerror(error));
  return error ? 1 : 0;
}
