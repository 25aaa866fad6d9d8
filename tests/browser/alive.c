/* SPDX-License-Identifier: MIT */
/* A server for alive.test.js: a page with streams that belong to no live page, under a strict policy. Heartbeats are
 * short.
 *   GET /            two streams, each of which shows its number: /stream/a and /stream/b; and a bound field
 *   GET /bare        the same with data-init alone
 *   POST /say        the body is the number shown from now on
 *   POST /end        ends streams /stream/b cleanly
 *   POST /forbid     streams get 403 from now on, and the page shows this; POST /permit: no more
 *   GET /seen        as JSON: streams opened and open, those that expired, answers
 * LEASE_MS in the environment: of the streams. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../examples/shared/program.h"
#include "vestry/app/stream.h"

enum { HEARTBEAT_MS = 800 };

#define STREAMS(which) VESTRY_KEY("streams", which)

struct app {
  struct program program;
  pthread_mutex_t lock;
  int number; /* guarded by lock, like the rest */
  bool is_forbidden;
};

static int number_of(struct app *app) {
  pthread_mutex_lock(&app->lock);
  int number = app->number;
  pthread_mutex_unlock(&app->lock);
  return number;
}

static bool is_forbidden(struct app *app) {
  pthread_mutex_lock(&app->lock);
  bool is = app->is_forbidden;
  pthread_mutex_unlock(&app->lock);
  return is;
}

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const vestry_backend_action_options quick = {.retry_interval_ms = 100};
  vestry_html html;
  program_page_begin(&app->program, reply, &html, "Alive");
  vestry_html_add(&html,
                  "<main id=\"main\" data-signals=\"{a: '', b: ''}\"><output id=\"a\" data-text=\"$a\"></output>"
                  "<output id=\"b\" data-text=\"$b\"></output><b id=\"may\">%s</b>"
                  "<label>Note <textarea id=\"note\" data-bind:note></textarea></label></main>",
                  is_forbidden(app) ? "no" : "yes");
  if (strcmp(req->path, "/bare") == 0) {
    vestry_html_add(&html, "<i data-init=\"@get('/stream/a', {retry: 'error', retryMaxCount: Infinity})\"></i>");
  } else {
    vestry_html_stream(&html, req, NULL, &quick, "/stream/%s", "a");
    vestry_html_stream(&html, req, "<b> & 'gone'", &quick, "/stream/%s", "b");
  }
  return program_page_end(reply, &html);
}

static vestry_err stream(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *which = vestry_request_value(req, VESTRY_IN_PATH, "which");
  if (is_forbidden(app)) return vestry_reply_status(reply, 403);
  vestry_reply_key(reply, STREAMS(which));
  vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
  return *which == 'a' ? vestry_reply_patch_signals(reply, VESTRY_OBJECT("a", number_of(app)))
                       : vestry_reply_patch_signals(reply, VESTRY_OBJECT("b", number_of(app)));
}

static vestry_err say(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  int number = (int)strtol(req->body.data, NULL, 10);
  pthread_mutex_lock(&app->lock);
  app->number = number;
  pthread_mutex_unlock(&app->lock);
  vestry_dispatch(app->program.v, NO_SCOPE, STREAMS("a"),
                  VESTRY_LIST(VESTRY_LIST("patch-signals", VESTRY_OBJECT("a", number))));
  vestry_dispatch(app->program.v, NO_SCOPE, STREAMS("b"),
                  VESTRY_LIST(VESTRY_LIST("patch-signals", VESTRY_OBJECT("b", number))));
  return vestry_reply_status(reply, 204);
}

static vestry_err end(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  vestry_dispatch(app->program.v, NO_SCOPE, STREAMS("b"), VESTRY_LIST(VESTRY_LIST("close-sse")));
  return vestry_reply_status(reply, 204);
}

static vestry_err set_forbidden(struct app *app, vestry_reply *reply, bool is) {
  pthread_mutex_lock(&app->lock);
  app->is_forbidden = is;
  pthread_mutex_unlock(&app->lock);
  return vestry_reply_status(reply, 204);
}

static vestry_err forbid(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return set_forbidden(ctx, reply, true);
}

static vestry_err permit(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return set_forbidden(ctx, reply, false);
}

static vestry_err seen(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  vestry_stats stats = {0};
  vestry_lease_stats leases = {0};
  vestry_stats_get(app->program.v, &stats);
  vestry_lease_stats_get(app->program.v, &leases);
  return vestry_reply_bodyf(
      reply, "{\"opened\": %lu, \"open\": %lu, \"leases\": %lu, \"expired\": %lu, \"answers\": %lu, \"unknown\": %lu}",
      (unsigned long)stats.opened_count, (unsigned long)(stats.opened_count - stats.closed_count),
      (unsigned long)leases.live_count, (unsigned long)stats.closed_by_cause[VESTRY_CAUSE_LEASE_EXPIRED],
      (unsigned long)leases.renewals_count, (unsigned long)leases.unknown_count);
}

int main(int argc, char **argv) {
  static struct app app = {.lock = PTHREAD_MUTEX_INITIALIZER};
  const vestry_connection_options connection = {.heartbeat_ms = HEARTBEAT_MS};
  const char *lease_ms = getenv("LEASE_MS");
  program_start(&app.program, argc, argv, "test_browser_alive", "Streams that look after themselves",
                &(vestry_options){.connection = &connection});
  vestry *v = app.program.v;
  if (vestry_leases_create(v, lease_ms ? strtoul(lease_ms, NULL, 10) : 0)) return 1;
  vestry_route(v, "GET", "/", page, &app);
  vestry_route(v, "GET", "/bare", page, &app);
  vestry_route(v, "GET", "/stream/{which}", stream, &app);
  vestry_route(v, "POST", "/say", say, &app);
  vestry_route(v, "POST", "/end", end, &app);
  vestry_route(v, "POST", "/forbid", forbid, &app);
  vestry_route(v, "POST", "/permit", permit, &app);
  vestry_route(v, "GET", "/seen", seen, &app);
  program_wait(&app.program);
  return program_finish(&app.program);
}
