/* SPDX-License-Identifier: MIT */
/* A server for tests of streams: conflate.test.js, drain.test.js, gone.test.js. Its one page keeps a stream open and
 * shows the received events.
 *   GET /?stream=conflating&tab=NAME  the page; the events of its stream name their states, or else none does
 *   POST /burst  sends events of all kinds, with and without a state, faster than any page reads them
 *   POST /drain  {"window_ms": …}: drains all streams
 *   GET /seen    as JSON: counters, and the tab and time (milliseconds since 1970) of each request for a stream */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../examples/shared/program.h"

#define PAGES  VESTRY_KEY("pages")
#define STATES VESTRY_KEY("states")

enum { EVENTS = 400, LARGE = 40000, SEEN_MAX = 256, RETRY_AFTER_S = 1 };

struct app {
  struct program program;
  pthread_mutex_t lock;
  json_t *seen; /* guarded by lock: [tab, when] of each request for a stream, also of a rejected one */
  int round;    /* of bursts; guarded by lock */
  char filler[LARGE + 1];
};

static json_int_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Return a value in the query that consists of letters and digits, otherwise "". */
static void query_value(const vestry_request *req, const char *name, char value[32]) {
  const char *query = req->query, *at = query ? strstr(query, name) : NULL;
  size_t len = at ? strspn(at + strlen(name), "abcdefghijklmnopqrstuvwxyz0123456789") : 0;
  snprintf(value, 32, "%.*s", (int)(len < 31 ? len : 31), at ? at + strlen(name) : "");
}

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  char where[32], tab[32];
  query_value(req, "stream=", where);
  query_value(req, "tab=", tab);
  return program_page(
      ctx, reply, "Streams",
      "<main data-signals=\"{server: 0, n: 0, done: 0, part: {}}\" "
      "data-init=\"@get('/%s?tab=%s', {retry: 'error', retryMaxCount: Infinity})\">"
      "<output id=\"server\" data-text=\"$server\"></output>"
      "<output id=\"done\" data-text=\"$done\"></output><output id=\"n\" data-text=\"$n\"></output>"
      "<button id=\"report\" data-on:click=\"@post('/report')\">Report</button>"
      "<p id=\"log\"></p><p id=\"status\"></p><div id=\"number\"><b>0</b></div><ul id=\"list\"></ul></main>",
      *where ? where : "stream", tab);
}

static vestry_err stream(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  char tab[32];
  query_value(req, "tab=", tab);
  pthread_mutex_lock(&app->lock);
  if (json_array_size(app->seen) < SEEN_MAX) json_array_append_new(app->seen, json_pack("[s,I]", tab, now_ms()));
  pthread_mutex_unlock(&app->lock);
  vestry_reply_key(reply, strcmp(req->path, "/conflating") == 0 ? STATES : PAGES);
  vestry_reply_keep(reply, VESTRY_KEEP_MANY, PAGES_MAX);
  /* Room for a whole burst, so that a full queue closes no stream. */
  vestry_connection_options options = {.max_queued_count = 4 * EVENTS, .max_queued_bytes = (size_t)4 * EVENTS * LARGE};
  vestry_reply_stream(reply, &(vestry_stream_options){.connection = &options});
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("server", (int)getpid()));
}

/* Make one event of each kind, in turn. With states, a later one supersedes the number, the status and the signal n. */
static vestry_err make(struct app *app, int i, bool has_states, vestry_event **ret_event) {
  const vestry_elements_options number = {.state = has_states ? "number" : NULL};
  const vestry_elements_options inner = {
      .selector = "#status", .mode = VESTRY_PATCH_INNER, .state = has_states ? "status" : NULL};
  const vestry_signals_options n = {.state = has_states ? "n" : NULL};
  static const vestry_elements_options append = {.selector = "#list", .mode = VESTRY_PATCH_APPEND};
  static const char script[] = "document.getElementById('log').append("
                               "document.querySelector('#number b').textContent + ' ' +"
                               "document.getElementById('status').textContent + '; ')";
  char key[8], gone[8];
  if (i % 100 == 50) return vestry_event_effect(NULL, VESTRY_LIST("execute-script", script), ret_event);
  switch (i % 5) {
  case 2: return vestry_event_elementsf(NULL, &inner, ret_event, "<b>%d</b> of %d", i, EVENTS);
  case 3:
    if (i % 2) return vestry_event_signals(NULL, VESTRY_OBJECT("n", i), &n, ret_event);
    snprintf(key, sizeof key, "k%d", i % 7);
    snprintf(gone, sizeof gone, "k%d", i % 3);
    return vestry_event_signals(NULL, VESTRY_OBJECT("part", VESTRY_OBJECT(gone, vestry_value_null(), key, i)), NULL,
                                ret_event);
  case 4:
    if (i % 20 == 4) return vestry_event_elementsf(NULL, &append, ret_event, "<li>%d</li>", i);
    break;
  default: break;
  }
  return vestry_event_elementsf(NULL, &number, ret_event,
                                "<div id=\"number\" title=\"%d\"><b>%d</b>\n<i hidden>%s</i></div>", i, i, app->filler);
}

/* ["burst", with states or not]: send a burst to all pages of a key. */
static vestry_err effect_burst(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  struct app *app = ctx;
  const bool has_states = json_is_true(json_array_get(args, 1));
  vestry_err err = VESTRY_OK;
  for (int i = 0; !err && i <= EVENTS; i++) {
    vestry_event *event = NULL;
    err = i < EVENTS ? make(app, i, has_states, &event)
                     : vestry_event_signals(NULL, VESTRY_OBJECT("done", app->round), NULL, &event);
    if (!err) err = vestry_context_send(context, event);
    vestry_event_unref(event);
  }
  return err;
}

static vestry_err burst(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  pthread_mutex_lock(&app->lock);
  app->round++;
  vestry_err err = vestry_dispatch(app->program.v, NO_SCOPE, PAGES, VESTRY_LIST("burst", false));
  if (!err) err = vestry_dispatch(app->program.v, NO_SCOPE, STATES, VESTRY_LIST("burst", true));
  pthread_mutex_unlock(&app->lock);
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err drain(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  int64_t window_ms;
  vestry_err err =
      vestry_signals_get(req->signals, "window_ms", vestry_into_between(&window_ms, 0, VESTRY_DRAIN_MAX_MS), NULL);
  if (!err) err = vestry_drain(app->program.v, (uint64_t)window_ms);
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err report(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return vestry_reply_status(reply, 204);
}

static vestry_err seen(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  vestry_stats stats = {0};
  vestry_stats_get(app->program.v, &stats);
  pthread_mutex_lock(&app->lock);
  json_t *all =
      json_pack("{s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:O}", "server", (int)getpid(), "open",
                (json_int_t)stats.open_count, "accepted", (json_int_t)stats.accepted_count, "written",
                (json_int_t)stats.written_count, "conflated", (json_int_t)stats.conflated_count, "discarded",
                (json_int_t)stats.discarded_count, "left", (json_int_t)(stats.drain_has_begun ? stats.open_count : 0),
                "drained", (json_int_t)stats.closed_by_cause[VESTRY_CAUSE_DRAIN], "hangups",
                (json_int_t)stats.closed_by_cause[VESTRY_CAUSE_HANGUP], "seen", app->seen);
  char *text = all ? json_dumps(all, 0) : NULL;
  pthread_mutex_unlock(&app->lock);
  vestry_err err = text ? vestry_reply_body(reply, "application/json", text, strlen(text)) : VESTRY_NO_MEMORY;
  free(text);
  json_decref(all);
  return err;
}

int main(int argc, char **argv) {
  static struct app app = {.lock = PTHREAD_MUTEX_INITIALIZER};
  memset(app.filler, 'x', LARGE);
  app.seen = json_array();
  app.program.runs_scripts = true;
  program_start(&app.program, argc, argv, "test_browser_streams", "Streams that are watched",
                &(vestry_options){.bounds = &(vestry_bounds){.retry_after_s = RETRY_AFTER_S}});
  vestry_registry_effect(vestry_parts_of(app.program.v)->registry, "burst", effect_burst, &app);
  vestry_route(app.program.v, "GET", "/", page, &app.program);
  vestry_route(app.program.v, "GET", "/stream", stream, &app);
  vestry_route(app.program.v, "GET", "/conflating", stream, &app);
  vestry_route(app.program.v, "POST", "/burst", burst, &app);
  vestry_route(app.program.v, "POST", "/drain", drain, &app);
  vestry_route(app.program.v, "POST", "/report", report, NULL);
  vestry_route(app.program.v, "GET", "/seen", seen, &app);
  program_wait(&app.program);
  int status = program_finish(&app.program);
  json_decref(app.seen);
  return status;
}
