/* SPDX-License-Identifier: MIT */
/* A server for sent.test.js: a page that counts, and reports how many submissions it does not show yet.
 *   GET /       the page; its renders for streams wait from POST /hold until POST /go
 *   POST /more  adds the number that its button sends
 *   POST /add   counts; so do /slow and /far, whose client tries again after an hour; /same changes nothing; /bad is
 *               rejected */
#include <pthread.h>
#include <stdio.h>

#include "../../examples/shared/program.h"
#include "vestry/app/once.h"
#include "vestry/app/press.h"

struct app {
  struct program program;
  vestry_pages *pages;
  vestry_page *page;
  vestry_once *once;
  pthread_mutex_t lock;
  pthread_cond_t gone;
  /* All members below are guarded by lock. */
  int count;
  bool is_held;
};

enum { HOUR_MS = 3600000 };

static vestry_err add_button(vestry_html *html, const char *what, bool unordered, uint32_t retry_ms) {
  vestry_html_add(html, "<button id=\"%s\" data-on:click=\"", what);
  const vestry_backend_action_options options = {.once = true,
                                                 .sent = "_saving",
                                                 .unordered = unordered,
                                                 .retry_interval_ms = retry_ms,
                                                 .retry_max_wait_ms = HOUR_MS,
                                                 .retry_max_count = 1};
  vestry_html_backend_action(html, VESTRY_METHOD_POST, &options, "/%s", what);
  return vestry_html_add(html, "\">%s</button>", what);
}

static const vestry_backend_action_options pressed = {.once = true,
                                                      .deduplicate = true,
                                                      .sent = "_saving",
                                                      .retry_interval_ms = 20,
                                                      .retry_max_wait_ms = HOUR_MS,
                                                      .retry_max_count = 1};

static vestry_err render(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  char once[VESTRY_ONCE_ATTRIBUTES_BYTES];
  vestry_err err = render->is_stream ? VESTRY_OK : vestry_once_attributes(render->request, once, sizeof once);
  if (err) return err;
  vestry_render_topic(render, "count");
  pthread_mutex_lock(&app->lock);
  while (render->is_stream && app->is_held) pthread_cond_wait(&app->gone, &app->lock);
  int count = app->count;
  pthread_mutex_unlock(&app->lock);
  program_live_begin(&app->program, render, html, "Sent");
  if (!render->is_stream) {
    vestry_html_add(html,
                    "<div %-s><output id=\"saving\" data-text=\"$_saving || 0\"></output>"
                    "<output id=\"failed\" data-text=\"$_savingFailed || ''\"></output>",
                    once);
    add_button(html, "add", false, 20);
    add_button(html, "same", false, 20);
    add_button(html, "bad", false, 20);
    add_button(html, "slow", true, 20);
    add_button(html, "far", false, HOUR_MS);
    vestry_html_add(html, "<p id=\"many\" ");
    vestry_html_presses(html, VESTRY_METHOD_POST, &pressed);
    vestry_html_add(html, "><button id=\"one\" data-press=\"/add\">1</button><a href=\"/nowhere\" "
                          "data-press=\"/add?two\"><b id=\"two\">2</b></a><button id=\"no\" aria-disabled=\"true\" "
                          "data-press=\"/add?no\">3</button><button id=\"worse\" data-press=\"/bad\">4</button>"
                          "<button id=\"five\" data-press=\"/more\" data-payload='{\"by\":5}'>5</button></p></div>");
  }
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p id=\"count\">%d</p>", count);
  vestry_render_end(render, html);
  return program_live_end(html);
}

static vestry_err add(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  pthread_mutex_lock(&app->lock);
  app->count++;
  pthread_mutex_unlock(&app->lock);
  vestry_err err = vestry_refresh(app->pages, "count", NULL);
  return err ? err : vestry_reply_status(reply, 204);
}

/* The signal `by` is only in the payload of a button. */
static vestry_err more(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  int64_t by;
  vestry_err err = vestry_signals_get(req->signals, "by", VESTRY_INTO(&by), NULL);
  if (err) return err;
  pthread_mutex_lock(&app->lock);
  app->count += (int)by;
  pthread_mutex_unlock(&app->lock);
  err = vestry_refresh(app->pages, "count", NULL);
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err same(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return vestry_reply_status(reply, 204);
}

static vestry_err bad(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return vestry_reply_status(reply, 422);
}

static vestry_err set_held(struct app *app, vestry_reply *reply, bool is_held) {
  pthread_mutex_lock(&app->lock);
  app->is_held = is_held;
  pthread_cond_broadcast(&app->gone);
  pthread_mutex_unlock(&app->lock);
  return vestry_reply_status(reply, 204);
}

static vestry_err hold(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return set_held(ctx, reply, true);
}

static vestry_err go(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return set_held(ctx, reply, false);
}

int main(int argc, char **argv) {
  static struct app app = {.lock = PTHREAD_MUTEX_INITIALIZER, .gone = PTHREAD_COND_INITIALIZER};
  program_start(&app.program, argc, argv, "test_browser_sent", "Sent and seen", &(vestry_options){0});
  vestry *v = app.program.v;
  const vestry_pages_options options = {.retry_ms = 50};
  const vestry_page_options page = {.render = render, .app = &app};
  if (vestry_once_create(v, NULL, &app.once) || vestry_pages_create(v, &options, &app.pages) ||
      vestry_page_create(app.pages, &page, &app.page))
    return 1;
  vestry_guard(v, "/", vestry_once_guard, app.once);
  vestry_route(v, "GET", "/", vestry_page_handler, app.page);
  vestry_route(v, "POST", "/add", add, &app);
  vestry_route(v, "POST", "/more", more, &app);
  vestry_route(v, "POST", "/same", same, &app);
  vestry_route(v, "POST", "/bad", bad, &app);
  vestry_route(v, "POST", "/slow", add, &app);
  vestry_route(v, "POST", "/far", add, &app);
  vestry_route(v, "POST", "/hold", hold, &app);
  vestry_route(v, "POST", "/go", go, &app);
  program_wait(&app.program);
  vestry_pages_destroy(app.pages);
  vestry_once_destroy(app.once);
  return program_finish(&app.program);
}
