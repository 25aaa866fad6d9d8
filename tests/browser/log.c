/* SPDX-License-Identifier: MIT */
/* A server for log.test.js: a log whose lines are appended one by one, by a channel with a history.
 *   GET /                      the page; GET /log is its stream
 *   POST /write?lines=N        appends N lines
 *   POST /cut?lines=N          aborts the stream, and then appends N lines
 *   GET /seen                  as JSON: the number of streams by kind of resume */
#include <pthread.h>
#include <stdio.h>

#include "../../examples/shared/program.h"
#include "vestry/app/history.h"

#define LOG VESTRY_KEY("log")

struct app {
  struct program program;
  pthread_mutex_t lock; /* around the state and its events */
  int64_t lines;
  vestry_connection *last; /* the last one to connect; a reference */
};

static void add_line(vestry_html *html, int64_t line) {
  vestry_html_add(html, "<i id=\"line%lld\">%lld</i> ", (long long)line, (long long)line);
}

/* Send the state: all lines. */
static vestry_err show(vestry_connection *connection, const vestry_resumed *resumed, void *ctx) {
  struct app *app = ctx;
  vestry_html html;
  vestry_slice text;
  bool is_wanted = resumed->answer == VESTRY_RESUME_FRESH || resumed->answer == VESTRY_RESUME_GAP;
  vestry_html_init(&html, NULL);
  pthread_mutex_lock(&app->lock);
  vestry_connection_unref(app->last);
  app->last = vestry_connection_ref(connection);
  vestry_html_add(&html, "<main id=\"log\">");
  for (int64_t line = 1; line <= app->lines; line++) add_line(&html, line);
  vestry_html_add(&html, "</main>");
  vestry_err err = vestry_html_result(&html, &text);
  if (!err && is_wanted) err = vestry_connection_patch_elements(connection, text.data, text.len, NULL);
  pthread_mutex_unlock(&app->lock);
  vestry_html_finish(&html);
  return err;
}

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
  return vestry_reply_resume(reply, req->scope, LOG, show, app);
}

static vestry_err write_line(struct app *app) {
  vestry_html html;
  vestry_html_init(&html, NULL);
  pthread_mutex_lock(&app->lock);
  add_line(&html, ++app->lines);
  vestry_err err = vestry_broadcast_effect(
      app->program.v, NO_SCOPE, LOG,
      VESTRY_LIST("patch-elements", &html, VESTRY_OBJECT("selector", "#log", "mode", "append")));
  pthread_mutex_unlock(&app->lock);
  vestry_html_finish(&html);
  return err;
}

static vestry_err write_lines(const vestry_request *req, vestry_reply *reply, void *app) {
  int64_t lines;
  vestry_err err = vestry_request_get(req, VESTRY_IN_QUERY, "lines", vestry_into_between(&lines, 0, 1000));
  while (!err && lines-- > 0) err = write_line(app);
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err cut(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  pthread_mutex_lock(&app->lock);
  if (app->last) vestry_connection_close(app->last, VESTRY_CAUSE_SIZE); /* aborted, so the browser reconnects */
  pthread_mutex_unlock(&app->lock);
  return write_lines(req, reply, app);
}

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return program_page(ctx, reply, "A log",
                      "<main id=\"log\"></main><span data-init=\"@get('/log', {openWhenHidden: true, retry: 'error', "
                      "retryInterval: 100, retryScaler: 1, retryMaxCount: 1000})\"></span>");
}

static vestry_err seen(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  vestry_history_stats stats = {0};
  vestry_err err = vestry_history_stats_get(app->program.v, NO_SCOPE, LOG, &stats);
  json_t *all = json_pack("{s:I,s:I,s:I,s:I,s:I}", "fresh", (json_int_t)stats.fresh_count, "current",
                          (json_int_t)stats.current_count, "replayed", (json_int_t)stats.replayed_count, "gap",
                          (json_int_t)stats.gap_count, "events", (json_int_t)stats.replayed_events_count);
  if (!err) err = all ? vestry_reply_json(reply, all) : VESTRY_NO_MEMORY;
  json_decref(all);
  return err;
}

int main(int argc, char **argv) {
  static struct app app;
  pthread_mutex_init(&app.lock, NULL);
  program_start(&app.program, argc, argv, "test_browser_log", "A log", &(vestry_options){0});
  vestry *v = app.program.v;
  if (vestry_history_begin(v, NO_SCOPE, LOG, &(vestry_history_options){.max_age_ms = VESTRY_NEVER_MS})) return 1;
  vestry_route(v, "GET", "/", page, &app.program);
  vestry_route(v, "GET", "/log", live, &app);
  vestry_route(v, "POST", "/write", write_lines, &app);
  vestry_route(v, "POST", "/cut", cut, &app);
  vestry_route(v, "GET", "/seen", seen, &app);
  program_wait(&app.program);
  vestry_connection_unref(app.last);
  return program_finish(&app.program);
}
