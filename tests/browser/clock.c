/* SPDX-License-Identifier: MIT */
/* A server for clock.test.js and early.test.js: a page with the server's clock, which is hours ahead of this machine's,
 * and a page whose actions are pressed before the client runs.
 *   GET /               countdowns and a running time, and none of them visible with ?hidden
 *   GET /bare           the same, and the clock is never read again
 *   POST /ends/{ms}     the live countdown ends at this time
 *   POST /ahead/{ms}    the server's clock is ahead by this time from now on
 *   GET /early          buttons and forms; POST /say/{word} and POST /say append what they got to GET /said */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "../../examples/shared/program.h"
#include "vestry/app/clock.h"
#include "vestry/app/csp.h"
#include "vestry/app/early.h"
#include "vestry/app/once.h"
#include "vestry/app/press.h"

enum { HOUR_MS = 3600000, SAID_MAX = 1000 };

struct app {
  struct program program;
  vestry_pages *pages;
  vestry_page *page;
  vestry_once *once;
  _Atomic int64_t ahead_ms, ends_ms;
  pthread_mutex_t lock;
  char said[SAID_MAX]; /* guarded by lock */
};

static int64_t now_ms(void *ctx) {
  struct app *app = ctx;
  return vestry_clock_ms(NULL) + atomic_load(&app->ahead_ms);
}

static vestry_err render(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  const bool is_hidden = strncmp(render->request->query, "hidden", 6) == 0;
  const vestry_clock clock = {
      .now_ms = now_ms, .ctx = app, .url = strcmp(render->request->path, "/bare") == 0 ? NULL : "/clock"};
  const long long ends_ms = atomic_load(&app->ends_ms);
  vestry_render_topic(render, "ends");
  program_live_begin(&app->program, render, html, "Clock");
  vestry_html_add(html, "<main ");
  vestry_html_clock(html, &clock);
  vestry_html_add(html,
                  "><p><time id=\"since\" data-elapsed=\"%lld\" data-format=\"{d} days, {h} h, {mm} min\"></time> "
                  "<time id=\"over\" data-countdown=\"1000\" data-over=\"it is over\"></time></p>",
                  (long long)now_ms(app) - 25LL * HOUR_MS - 60000);
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p id=\"live\"%-s><time id=\"left\" data-countdown=\"%lld\" data-format=\"{s} s\"></time></p>",
                  is_hidden ? " hidden" : "", ends_ms);
  vestry_render_end(render, html);
  vestry_html_add(html, "</main>");
  return program_live_end(html);
}

static vestry_err set(const vestry_request *req, vestry_reply *reply, struct app *app, _Atomic int64_t *of) {
  int64_t ms;
  vestry_err err = vestry_request_get(req, VESTRY_IN_PATH, "ms", vestry_into_between(&ms, 0, INT64_MAX));
  if (err) return err;
  atomic_store(of, ms);
  vestry_refresh(app->pages, "ends", NULL);
  return vestry_reply_status(reply, 204);
}

static vestry_err set_end(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return set(req, reply, ctx, &((struct app *)ctx)->ends_ms);
}

static vestry_err set_ahead(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return set(req, reply, ctx, &((struct app *)ctx)->ahead_ms);
}

static vestry_err early(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  char once[VESTRY_ONCE_ATTRIBUTES_BYTES];
  const vestry_backend_action_options options = {.once = true, .deduplicate = true};
  const vestry_backend_action_options form = {.content = VESTRY_CONTENT_FORM, .once = true};
  vestry_err err = vestry_once_attributes(req, once, sizeof once);
  if (!err)
    err = vestry_reply_csp(
        reply, &(vestry_csp){.client = app->program.client.url, .client_needs_eval = app->program.client.needs_eval});
  if (err) return err;
  vestry_html html;
  vestry_html_init(&html, NULL);
  vestry_html_add(&html, "<!doctype html><html lang=\"en\"><head><title>Early</title>");
  vestry_html_early(&html, vestry_reply_nonce(reply));
  vestry_html_add(&html,
                  "<script type=\"module\" src=\"%-s\"></script></head><body %-s><main "
                  "data-signals=\"{text: 'initial', count: 0, kind: 'a', colours: ''}\"><p ",
                  app->program.client.url, once);
  vestry_html_presses(&html, VESTRY_METHOD_POST, &options);
  vestry_html_add(
      &html, "><button id=\"one\" data-press=\"/say/one\">One</button>"
             "<button id=\"two\" data-press=\"/say/two\">Two</button>"
             "<button id=\"four\" data-press=\"/say/four\">Four</button> <a id=\"away\" href=\"/said\">Said</a></p>"
             "<button id=\"count\" data-on:click=\"$count++\">Count</button>"
             "<output id=\"sum\" data-text=\"$count\"></output>"
             "<input type=\"checkbox\" id=\"tick\" data-on:click=\"$count += 10\">"
             "<input id=\"bound\" data-bind:text><output id=\"text\" data-text=\"$text\"></output>"
             "<select id=\"kind\" data-on:change=\"$count += 100\"><option>a</option><option>b</option>"
             "</select><select id=\"bound-kind\" data-bind:kind><option>a</option><option>b</option></select>"
             "<output id=\"kind-is\" data-text=\"$kind\"></output>"
             "<form><p data-on:change=\"$colours += evt.target.value + ' '\"><input type=\"radio\" name=\"colour\" "
             "id=\"red\" value=\"red\"><input type=\"radio\" name=\"colour\" id=\"green\" value=\"green\"></p>"
             "<select id=\"several\" name=\"several\" multiple><option>1</option><option>2</option><option>3</option>"
             "</select></form><output id=\"colours\" data-text=\"$colours\"></output>"
             "<form id=\"form\" data-on:submit=\"");
  vestry_html_backend_action(&html, VESTRY_METHOD_POST, &form, "/say");
  vestry_html_add(&html, "\"><input name=\"word\" id=\"word\" required><button id=\"send\">Send</button></form>"
                         "<form id=\"native\" method=\"post\" action=\"/say/native\" data-early=\"native\" "
                         "data-on:submit=\"$count = -1\"><button id=\"go\">Go</button></form></main></body></html>");
  err = vestry_reply_html(reply, &html);
  vestry_html_finish(&html);
  return err;
}

static vestry_err say(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *word = vestry_request_value(req, VESTRY_IN_PATH, "word");
  if (!word) word = vestry_request_value(req, VESTRY_IN_FORM, "word");
  pthread_mutex_lock(&app->lock);
  const size_t len = strlen(app->said);
  snprintf(app->said + len, sizeof app->said - len, "%s ", word ? word : "nothing");
  pthread_mutex_unlock(&app->lock);
  return req->is_datastar ? vestry_reply_status(reply, 204) : vestry_reply_bodyf(reply, "<p id=\"said\">%s</p>", word);
}

static vestry_err said(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  pthread_mutex_lock(&app->lock);
  vestry_err err = vestry_reply_bodyf(reply, "%s", app->said);
  pthread_mutex_unlock(&app->lock);
  return err;
}

int main(int argc, char **argv) {
  static struct app app = {.lock = PTHREAD_MUTEX_INITIALIZER, .ahead_ms = 3 * HOUR_MS};
  static const vestry_mounted routes[] = {{"POST", "/ends/{ms}", set_end}, {"POST", "/ahead/{ms}", set_ahead},
                                          {"GET", "/early", early},        {"POST", "/say/{word}", say},
                                          {"POST", "/say", say},           {"GET", "/said", said}};
  static vestry_clock clock = {.now_ms = now_ms, .ctx = &app};
  atomic_store(&app.ends_ms, now_ms(&app) + HOUR_MS);
  program_start(&app.program, argc, argv, "test_browser_clock", "The server's clock", &(vestry_options){0});
  vestry *v = app.program.v;
  vestry_err err = vestry_pages_create(v, NULL, &app.pages);
  if (!err) err = vestry_once_create(v, NULL, &app.once);
  if (!err) err = vestry_guard(v, "/", vestry_once_guard, app.once);
  if (!err) err = vestry_page_create(app.pages, &(vestry_page_options){.render = render, .app = &app}, &app.page);
  if (!err) err = vestry_route(v, "GET", "/", vestry_page_handler, app.page);
  if (!err) err = vestry_route(v, "GET", "/bare", vestry_page_handler, app.page);
  if (!err) err = vestry_route(v, "GET", "/clock", vestry_clock_handler, &clock);
  if (!err) err = vestry_mount(v, "", routes, sizeof routes / sizeof *routes, &app);
  if (!err) program_wait(&app.program);
  vestry_stop(v, VESTRY_NEVER_MS);
  vestry_pages_destroy(app.pages);
  vestry_once_destroy(app.once);
  return program_finish(&app.program);
}
