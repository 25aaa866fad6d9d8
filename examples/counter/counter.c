/* SPDX-License-Identifier: MIT */
/* The counter: a click opens a stream, which vestry stores under a key. All later events of the session, from any tab,
 * handler or timer, are sent to this stream. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../shared/program.h"
#include "keys_json.h"
#include "page.h"
#include "session.h"
#include "vestry/app/session.h"

/* Key of the streams of each session; vestry adds the scope, which is the session. */
#define COUNTER VESTRY_KEY("counter", 1)

/* Maximum number of tabs of a session with a stream, with the policy `many`. */
enum { TABS_MAX = 64 };

/* Ticks without a stream after which a counter pauses: long enough for a reload, a restart or a short loss of the
 * network. */
enum { UNHEARD_MAX = 60 };

struct app {
  struct program program;
  vestry *v;
  const char *store, *policy_name; /* options of the command line, as the next three */
  int64_t max_count, idle_ms, heartbeat_ms;
  vestry_keep_policy policy;
  struct sessions sessions;
};

/* ---------------------------------------------------------------------------------------- handlers ---------------- */

/* Admit requests of pages and of other clients such as curl. vestry has read the signals of a page; of another client's
 * body, only the syntax is checked. */
static vestry_err from_anybody(const vestry_request *req, vestry_reply *reply) {
  vestry_reply_any_client(reply);
  if (req->is_datastar) return VESTRY_OK;
  vestry_slice body = req->body;
  json_t *signals;
  vestry_err err = vestry_signals_parse(body.data, body.len, NULL, &signals, NULL);
  if (!err) json_decref(signals);
  return err;
}

/* PUT /: keep the stream of this request open, and store it under the key. Its first event comes from an effect, which
 * is plain data. */
static vestry_err start(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  vestry_err err = from_anybody(req, reply);
  if (err) return err;
  vestry_reply_key(reply, COUNTER);
  vestry_reply_keep(reply, app->policy, TABS_MAX);
  return vestry_reply_effect(reply, VESTRY_LIST("counter/start"));
}

/* POST /jump: the reply names the same key, so its effects go to the stored streams, and this request gets 204. */
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

/* DELETE /: a dispatch reaches a key without a reply. Here and below, the counter is locked until the event is sent, so
 * that pages receive events in the order of the changes. A missing counter is not created, because it could evict the
 * counter of another session. */
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

/* Runs once per second, on a thread of vestry, without a request. */
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

/* Send to all connections of the current dispatch. */
static vestry_err patch(vestry_dispatch_context *context, const struct session *session, const char *handled) {
  char json[128];
  if (handled)
    snprintf(json, sizeof json, "{\"counter\":%" PRId64 ",\"handled\":\"%s\"}", session->value, handled);
  else
    snprintf(json, sizeof json, "{\"counter\":%" PRId64 ",\"running\":true}", session->value);
  vestry_event *event;
  vestry_err err = vestry_event_signals(NULL, VESTRY_VALUES(json), NULL, &event);
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

/* ["counter/add", number, "the request"] */
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
  struct page_state state = {.client = app->program.client.url, .client_needs_eval = app->program.client.needs_eval};
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
  return vestry_mount(app->v, "", routes, sizeof routes / sizeof *routes, app);
}

static vestry_keep_policy policy_of(const char *name) {
  static const char *const names[] = {[VESTRY_KEEP_REPLACE] = "replace",
                                      [VESTRY_KEEP_REUSE] = "reuse",
                                      [VESTRY_KEEP_REJECT] = "reject",
                                      [VESTRY_KEEP_MANY] = "many"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (names[i] && strcmp(name, names[i]) == 0) return (vestry_keep_policy)i;
  program_refuse("counter", "policy", name, "expected replace, reuse, reject or many");
}

int main(int argc, char **argv) {
  static struct app app = {.store = "lru", .policy_name = "many"};
  const vestry_program_option own[] = {
      {"store", "hash|lru", "store of the streams: unlimited, or only the most recently used [lru]",
       VESTRY_INTO(&app.store)},
      {"max", "N", "maximum number of stored streams [lru: 10000; hash: unlimited]",
       vestry_into_between(&app.max_count, 1, 1000000)},
      {"idle-ms", "N", "lru: idle time after which a stream is closed [600000]",
       vestry_into_between(&app.idle_ms, 1, 86400000)},
      {"heartbeat-ms", "N", "time without an event after which a comment is sent [15000]",
       vestry_into_between(&app.heartbeat_ms, 1, 86400000)},
      {"policy", "replace|reuse|reject|many",
       "if a session opens a second stream: it replaces the first one; it is not opened, and the\nfirst one serves "
       "both "
       "tabs; it is refused; all streams are kept [many]",
       VESTRY_INTO(&app.policy_name)},
      {0}};
  app.program.own = own;
  program_read(&app.program, argc, argv, "counter",
               "A page with counters: each session has a counter, and each of its tabs a stream with\nthe key "
               "(\"counter\", 1). GET /keys shows the stored streams");
  if (strcmp(app.store, "hash") != 0 && strcmp(app.store, "lru") != 0)
    program_refuse("counter", "store", app.store, "expected hash or lru");
  app.policy = policy_of(app.policy_name);
  program_instance(&app.program, &(vestry_options){.store = app.store,
                                                   .bounds = &(vestry_bounds){.max_count = (size_t)app.max_count},
                                                   .signals = &(vestry_signals_limits){0},
                                                   .idle_ms = (uint64_t)app.idle_ms,
                                                   .connection = &(vestry_connection_options){
                                                       .heartbeat_ms = (uint32_t)app.heartbeat_ms}});
  app.v = app.program.v;
  /* plain HTTP */
  const vestry_session_options sessions = {.cookie = "vestry_session", .insecure = true};
  vestry_err err = vestry_sessions_create(app.v, &sessions);
  if (!err) err = sessions_init(&app.sessions, app.v, tick);
  if (!err) err = vestry_registry_effect(vestry_parts_of(app.v)->registry, "counter/start", effect_start, &app);
  if (!err) err = vestry_registry_effect(vestry_parts_of(app.v)->registry, "counter/add", effect_add, &app);
  if (!err) err = mount(&app);
  if (err) fprintf(stderr, "counter: cannot start (%s)\n", vestry_err_name(err));
  if (!err) program_wait(&app.program);
  sessions_finish(&app.sessions);
  return program_finish(&app.program);
}
