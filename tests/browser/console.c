/* SPDX-License-Identifier: MIT */
/* A server for console.test.js: a console, and streams for it to show.
 *   POST /open?count=N&name=   opens N more streams, with the keys user-0, user-1 …, or of this name
 *   POST /hostile?key=         opens one more, with this key
 *   POST /say?key=&text=       sends an event to the streams with the key
 *   POST /close?key=           ends them with cause STALLED
 *   POST /join?count=N         opens two more streams with gzip, in the channels room-0, room-1 …
 *   POST /join?key=            the last stream joins a channel with this key, which keeps its last two events
 *   POST /publish?key=         sends a long event to that channel */
#include <stdlib.h>
#include <string.h>

#include "../../examples/shared/program.h"
#include "vestry/app/history.h"
#include "vestry/channel.h"
#include "vestry/ops/observe.h"
#include "vestry/testing/memory.h"

enum { STREAMS_MAX = 12000, ENTRIES_MAX = 10050 };

struct app {
  struct program program;
  vestry_memory_exchange *streams[STREAMS_MAX];
  size_t count;
};

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY(vestry_request_value(req, VESTRY_IN_QUERY, "key")));
  vestry_reply_patch_signals(reply, VESTRY_OBJECT("x", 1));
  return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
}

/* query: key=…, encoded as in an address. */
static vestry_err open_one(struct app *app, const char *query) {
  if (app->count == STREAMS_MAX) return VESTRY_LIMIT;
  const vestry_header gzip = {"Accept-Encoding", "gzip"};
  const vestry_memory_call call = {
      .path = "/live", .query = query, .datastar = true, .headers = &gzip, .headers_count = 1};
  vestry_err err = vestry_memory_request(app->program.v, &call, NULL, NULL, &app->streams[app->count]);
  if (!err) app->count++;
  return err;
}

static vestry_err open_many(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  int64_t count = 0;
  const char *name = vestry_request_value(req, VESTRY_IN_QUERY, "name");
  vestry_err err = vestry_request_get(req, VESTRY_IN_QUERY, "count", vestry_into_between(&count, 1, STREAMS_MAX));
  for (int64_t i = 0; i < count && !err; i++) {
    char query[64];
    snprintf(query, sizeof query, "key=%.20s-%lld", name ? name : "user", (long long)i);
    err = open_one(app, query);
  }
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err hostile(const vestry_request *req, vestry_reply *reply, void *ctx) {
  vestry_err err = open_one(ctx, req->query);
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err say_one(vestry_connection *connection, const char *text) {
  return vestry_connection_effects(connection, VESTRY_LIST("send-event", "news", text));
}

static vestry_err find(const struct app *app, const vestry_request *req, vestry_connection **ret_connection) {
  const char *key = vestry_request_value(req, VESTRY_IN_QUERY, "key");
  size_t count = 1;
  return vestry_store_get(vestry_parts_of(app->program.v)->store, NO_SCOPE, VESTRY_KEY(key), (void **)ret_connection,
                          &count);
}

static vestry_err say(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_connection *connection = NULL;
  vestry_err err = find(app, req, &connection);
  if (!err) err = say_one(connection, vestry_request_value(req, VESTRY_IN_QUERY, "text"));
  vestry_connection_unref(connection);
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err close_one(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_connection *connection = NULL;
  vestry_err err = find(app, req, &connection);
  if (!err) vestry_connection_close(connection, VESTRY_CAUSE_STALLED);
  vestry_connection_unref(connection);
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_connection *last_of(const struct app *app, size_t from_end) {
  return vestry_memory_look(app->streams[app->count - from_end]).connection;
}

static vestry_err join_many(struct app *app, int64_t count) {
  vestry_err err = open_one(app, "key=member-1");
  if (!err) err = open_one(app, "key=member-2");
  for (int64_t i = 0; i < 2 * count && !err; i++) {
    char key[32];
    snprintf(key, sizeof key, "room-%lld", (long long)i / 2);
    err = vestry_join(app->program.v, NO_SCOPE, VESTRY_KEY(key), last_of(app, 1 + (size_t)(i % 2)));
  }
  return err;
}

static vestry_err join(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *key = vestry_request_value(req, VESTRY_IN_QUERY, "key");
  int64_t count = 0;
  vestry_err err = VESTRY_OK;
  if (key) {
    const vestry_history_options kept = {.max_count = 2};
    err = vestry_join(app->program.v, NO_SCOPE, VESTRY_KEY(key), last_of(app, 1));
    if (!err) err = vestry_history_begin(app->program.v, NO_SCOPE, VESTRY_KEY(key), &kept);
  } else {
    err = vestry_request_get(req, VESTRY_IN_QUERY, "count", vestry_into_between(&count, 1, STREAMS_MAX));
    if (!err) err = join_many(app, count);
  }
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err publish(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const struct app *app = ctx;
  const char *key = vestry_request_value(req, VESTRY_IN_QUERY, "key");
  char html[4097] = "";
  memset(html, 'x', sizeof html - 1);
  memcpy(html, "<p id=\"a\">", 10);
  memcpy(html + sizeof html - 5, "</p>", 4);
  vestry_err err =
      vestry_broadcast_effect(app->program.v, NO_SCOPE, VESTRY_KEY(key), VESTRY_LIST("patch-elements", html));
  return err ? err : vestry_reply_status(reply, 204);
}

int main(int argc, char **argv) {
  static struct app app;
  static const vestry_profile gzip = {.ops = &vestry_profile_gzip};
  const vestry_options options = {
      .profiles = &gzip, .profiles_count = 1, .bounds = &(vestry_bounds){.max_count = ENTRIES_MAX}};
  vestry_observe *observe = NULL;
  program_start(&app.program, argc, argv, "test_browser_console", "A console", &options);
  vestry *v = app.program.v;
  if (vestry_observe_create(v, &(vestry_observe_options){.trusts_loopback = true}, &observe) ||
      vestry_observe_mount(observe, "/observe"))
    return 1;
  vestry_route(v, "GET", "/live", live, &app);
  vestry_route(v, "POST", "/open", open_many, &app);
  vestry_route(v, "POST", "/hostile", hostile, &app);
  vestry_route(v, "POST", "/say", say, &app);
  vestry_route(v, "POST", "/close", close_one, &app);
  vestry_route(v, "POST", "/join", join, &app);
  vestry_route(v, "POST", "/publish", publish, &app);
  program_wait(&app.program);
  vestry_observe_destroy(observe);
  while (app.count) vestry_memory_destroy(app.streams[--app.count]);
  return program_finish(&app.program);
}
