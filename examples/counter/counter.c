/* SPDX-License-Identifier: MIT */
/* The counter: a click opens a stream, vestry keeps it under a key, and everything that happens later in the session,
 * in any tab, handler or timer, goes down that stream. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../shared/options.h"
#include "keys_json.h"
#include "options.h"
#include "page.h"
#include "session.h"
#include "vestry/app/session.h"

/* Each session keeps its streams under this key; the scope, which is the session, is added by vestry. */
#define COUNTER VESTRY_KEY("counter", 1)

/* Tabs of one session that can have a stream at once, with the policy many. */
enum { TABS_MAX = 64 };

/* A counter that nobody has watched for this many ticks pauses: long enough for a reload, a restart or a tunnel. */
enum { UNHEARD_MAX = 60 };

struct app {
  struct options options;
  vestry *v;
  struct sessions sessions;
};

/* ------------------------------------------------------------------------------------ what happens ---------------- */

/* What changes the counter may come from a page, or from curl. A page's signals have been read by vestry; of anybody
 * else who sends some, only their form is looked at. */
static vestry_err from_anybody(const vestry_request *req, vestry_reply *reply) {
  vestry_reply_any_client(reply);
  if (req->is_datastar) return VESTRY_OK;
  vestry_slice body = req->body;
  json_t *signals;
  vestry_err err = vestry_signals_parse(body.data, body.len, NULL, &signals, NULL);
  if (!err) json_decref(signals);
  return err;
}

/* PUT /: this request's stream is to stay open, kept under the key. What it starts with is an effect: plain data. */
static vestry_err start(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  vestry_err err = from_anybody(req, reply);
  if (err) return err;
  vestry_reply_key(reply, COUNTER);
  vestry_reply_keep(reply, app->options.policy, TABS_MAX);
  return vestry_reply_effect(reply, VESTRY_LIST("counter/start"));
}

/* POST /jump: the same key, so it is the stored streams that are told, and this request is answered 204. */
static vestry_err jump(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  vestry_err err = from_anybody(req, reply);
  if (err) return err;
  uint64_t handled;
  const vestry_host *host = vestry_parts_of(app->v)->host;
  err = host->random(host->ctx, &handled, sizeof handled);
  if (err != VESTRY_OK) return err;
  char name[17];
  snprintf(name, sizeof name, "%016" PRIx64, handled);
  vestry_reply_key(reply, COUNTER);
  return vestry_reply_effect(reply, VESTRY_LIST("counter/add", 10, name));
}

/* DELETE /: no reply is needed to reach a key. Here, as everywhere below, the counter is locked until what is sent has
 * been sent, so that pages hear things in the order in which they happened. Where there is no counter none is made: it
 * would take the place of a stranger's. */
static vestry_err stop(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  vestry_scope id = req->scope;
  struct session *session = session_find(&app->sessions, id);
  if (session) {
    session_stop_locked(session);
    session->value = 0;
  }
  vestry_dispatch(app->v, id, COUNTER,
                  VESTRY_LIST(VESTRY_LIST("patch-signals", VESTRY_OBJECT("counter", 0, "running", VESTRY_FALSE)),
                              VESTRY_LIST("close-sse")));
  if (session) session_leave(session);
  return vestry_reply_status(reply, 204);
}

/* Once a second, on a thread of vestry's, with no request in sight. */
static void tick(vestry_timer *timer, void *ctx) {
  struct session *session = ctx;
  (void)timer;
  pthread_mutex_lock(&session->lock);
  if (session->running) {
    session->value++;
    vestry_err err =
        vestry_dispatch(session->sessions->v, session_scope(session), COUNTER,
                        VESTRY_LIST("patch-signals", VESTRY_OBJECT("counter", session->value, "running", VESTRY_TRUE)));
    session->unheard = err == VESTRY_NOT_FOUND ? session->unheard + 1 : 0;
    if (session->unheard >= UNHEARD_MAX) session_stop_locked(session);
  }
  pthread_mutex_unlock(&session->lock);
  session_used(session);
}

/* ------------------------------------------------------------------------------------ effects --------------------- */

/* To every connection that the effects under way are for. */
static vestry_err patch(vestry_dispatch_context *context, const struct session *session, const char *handled) {
  char json[128];
  int len = handled
                ? snprintf(json, sizeof json, "{\"counter\":%" PRId64 ",\"handled\":\"%s\"}", session->value, handled)
                : snprintf(json, sizeof json, "{\"counter\":%" PRId64 ",\"running\":true}", session->value);
  vestry_event *event;
  vestry_err err = vestry_event_signals_text(NULL, json, (size_t)len, NULL, &event);
  if (err != VESTRY_OK) return err;
  err = vestry_context_send(context, event);
  vestry_event_unref(event);
  return err;
}

/* ["counter/start"] */
static vestry_err effect_start(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  struct app *app = ctx;
  (void)args;
  struct session *session;
  vestry_err err = session_enter(&app->sessions, vestry_context_info(context)->scope, &session);
  if (err != VESTRY_OK) return err;
  session_start_locked(session);
  err = patch(context, session, NULL);
  session_leave(session);
  return err;
}

/* ["counter/add", how many, "by what request"] */
static vestry_err effect_add(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  struct app *app = ctx;
  struct session *session;
  vestry_err err = session_enter(&app->sessions, vestry_context_info(context)->scope, &session);
  if (err != VESTRY_OK) return err;
  session->value += json_integer_value(json_array_get(args, 0));
  err = patch(context, session, json_string_value(json_array_get(args, 1)));
  session_leave(session);
  return err;
}

/* ------------------------------------------------------------------------------------ pages ----------------------- */

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  struct page_state state = {.client = app->options.server.client_url,
                             .client_needs_eval = app->options.server.client_needs_eval};
  session_look(&app->sessions, req->scope, &state.counter, &state.running);
  return page_reply(&state, reply);
}

static vestry_err keys(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  (void)req;
  return keys_json_reply(app->v, reply);
}

static vestry_err mount(struct app *app) {
  static const vestry_mounted routes[] = {
      {"GET", "/", page}, {"PUT", "/", start}, {"DELETE", "/", stop}, {"POST", "/jump", jump}, {"GET", "/keys", keys}};
  vestry_err err = options_files(&app->options.server, app->v, NULL, 0);
  return err ? err : vestry_mount(app->v, "", routes, sizeof routes / sizeof *routes, app);
}

int main(int argc, char **argv) {
  struct app app = {0};
  int status = counter_options_parse(argc, argv, &app.options);
  if (status >= 0) return status;

  vestry_err err = vestry_create(
      &(vestry_options){.host = app.options.server.host,
                        .store = app.options.store,
                        .bounds = &(vestry_bounds){.max_count = app.options.max_count},
                        .idle_ms = app.options.idle_ms,
                        .connection = &(vestry_connection_options){.heartbeat_ms = app.options.heartbeat_ms}},
      &app.v);
  /* plain HTTP */
  const vestry_session_options sessions = {.cookie = "vestry_session", .insecure = true};
  if (!err) err = vestry_sessions_create(app.v, &sessions);
  if (!err) err = sessions_init(&app.sessions, app.v, tick);
  if (!err) err = vestry_registry_effect(vestry_parts_of(app.v)->registry, "counter/start", effect_start, &app);
  if (!err) err = vestry_registry_effect(vestry_parts_of(app.v)->registry, "counter/add", effect_add, &app);
  if (!err) err = mount(&app);
  bool served = !err && !options_serve(&app.options.server, app.v);
  if (err) fprintf(stderr, "counter: it does not start (%s)\n", vestry_err_name(err));
  sessions_finish(&app.sessions);
  vestry_destroy(app.v);
  options_finish(&app.options.server);
  return served ? 0 : 1;
}
