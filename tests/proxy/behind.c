/* SPDX-License-Identifier: MIT */
/* A server for the tests of proxies.
 *   GET /           a page that keeps a stream open and shows the last event; ?always: it reconnects after every end
 *   GET /stream     the stream; brotli and gzip are offered
 *   GET /live       a live page, whose tab is present as long as its stream is open
 *   POST /say       {"n": …}: send it to all streams
 *   POST /flood     send 64 KiB to all streams
 *   POST /end       end all streams, cleanly
 *   GET /seen       as JSON: streams that are open, were opened, and have ended, by cause; the clients of the
 * requests
 *   with SESSIONS=1 in the environment:
 *   POST /login     ?user=…
 *   GET /who, /token, /tab, /nonce, /cookie   pages that depend on the user
 *   GET /public     a public page; /files/public.html the same, from a table, with a max-age
 *   with UPLOADS=FOLDER in the environment:
 *   POST /up        uploads to this folder, which can be resumed
 * HEARTBEAT_MS, LEASE_MS in the environment: of the streams. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../../examples/shared/program.h"
#include "vestry/app/csrf.h"
#include "vestry/app/once.h"
#include "vestry/app/presence.h"
#include "vestry/app/session.h"
#include "vestry/app/stream.h"
#include "vestry/app/tab.h"
#include "vestry/app/upload.h"

#define PAGES VESTRY_KEY("pages")
#define PLACE VESTRY_KEY("live")

enum { SEEN_MAX = 1000, FLOOD_BYTES = 64 << 10 };

struct app {
  struct program program;
  pthread_mutex_t lock;
  vestry_page *live;
  vestry_presence *presence;
  json_t *seen; /* guarded by lock: of each request for a stream {"query", "peer", "forwarded"} */
};

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const char *query = req->query;
  return program_page(ctx, reply, "Behind a proxy",
                      "<main data-signals=\"{n: 0}\" "
                      "data-init=\"@get('/stream', {retry: '%s', retryMaxCount: Infinity})\">"
                      "<output id=\"n\" data-text=\"$n\"></output>"
                      "<button id=\"more\" data-on:click=\"$n = $n + 1; @post('/say')\">More</button></main>",
                      query && strcmp(query, "always") == 0 ? "always" : "error");
}

static vestry_err show_live(vestry_render *render, vestry_html *html, void *ctx) {
  const struct app *app = ctx;
  program_live_begin(&app->program, render, html, "Live");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<output id=\"n\">live</output>");
  vestry_render_end(render, html);
  return program_live_end(html);
}

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  vestry_err err = vestry_reply_present(reply, app->presence, PLACE, "somebody");
  return err ? err : vestry_page_serve(req, reply, app->live, NULL);
}

static vestry_err stream(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  const char *forwarded = vestry_request_header(req, "X-Forwarded-For");
  pthread_mutex_lock(&app->lock);
  if (json_array_size(app->seen) < SEEN_MAX)
    json_array_append_new(
        app->seen, json_pack("{s:s,s:s}", "peer", vestry_request_peer(req), "forwarded", forwarded ? forwarded : ""));
  pthread_mutex_unlock(&app->lock);
  vestry_reply_key(reply, PAGES);
  vestry_reply_patch_signals(
      reply, VESTRY_OBJECT("there", VESTRY_TRUE)); /* over HTTP/2, nginx holds the head back until a byte follows */
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, PAGES_MAX);
}

static vestry_err say(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  int64_t n;
  vestry_err err = vestry_signals_get(req->signals, "n", vestry_into_between(&n, 0, INT32_MAX), NULL);
  if (!err) err = vestry_dispatch(app->program.v, NO_SCOPE, PAGES, VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", n)));
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err flood(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  char *filler = calloc(1, FLOOD_BYTES + 1);
  if (!filler) return VESTRY_NO_MEMORY;
  memset(filler, 'x', FLOOD_BYTES);
  vestry_err err =
      vestry_dispatch(app->program.v, NO_SCOPE, PAGES, VESTRY_LIST("patch-signals", VESTRY_OBJECT("filler", filler)));
  free(filler);
  bool is_over = err == VESTRY_FULL || err == VESTRY_NOT_FOUND; /* its queue is full, for which it was closed already */
  return err && !is_over ? err : vestry_reply_status(reply, 204);
}

static vestry_err finish(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  vestry_err err = vestry_dispatch(app->program.v, NO_SCOPE, PAGES, VESTRY_LIST("close-sse"));
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err seen(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct app *app = ctx;
  vestry_stats stats = {0};
  vestry_stats_get(app->program.v, &stats);
  vestry_lease_stats leases = {0};
  vestry_lease_stats_get(app->program.v, &leases);
  pthread_mutex_lock(&app->lock);
  json_t *all = json_pack(
      "{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:O}", "heartbeats", (json_int_t)stats.heartbeats_count, "unknown",
      (json_int_t)leases.unknown_count, "open", (json_int_t)stats.open_count, "opened", (json_int_t)stats.opened_count,
      "full", (json_int_t)stats.closed_by_cause[VESTRY_CAUSE_FULL], "hangup",
      (json_int_t)stats.closed_by_cause[VESTRY_CAUSE_HANGUP], "closed", (json_int_t)stats.closed_count, "expired",
      (json_int_t)stats.closed_by_cause[VESTRY_CAUSE_LEASE_EXPIRED], "answers", (json_int_t)leases.renewals_count,
      "present", (json_int_t)vestry_presence_count(app->presence, PLACE), "seen", app->seen);
  char *text = all ? json_dumps(all, 0) : NULL;
  pthread_mutex_unlock(&app->lock);
  vestry_err err = text ? vestry_reply_body(reply, "application/json", text, strlen(text)) : VESTRY_NO_MEMORY;
  free(text);
  json_decref(all);
  return err;
}

/* ---- pages for caches -------------------------------------------------------------------------------------------- */

static _Atomic(int) made; /* pages */

static vestry_err login(const vestry_request *req, vestry_reply *reply, void *ctx) {
  vestry_err err = vestry_session_login(req, reply, vestry_request_value(req, VESTRY_IN_QUERY, "user"));
  return err ? err : vestry_reply_status(reply, 204);
}

static vestry_err who(const vestry_request *req, vestry_reply *reply, void *ctx) {
  const char *user = vestry_session_user(req);
  return vestry_reply_bodyf(reply, "<p>%s %d", user ? user : "nobody", ++made);
}

static vestry_err token(const vestry_request *req, vestry_reply *reply, void *ctx) {
  char text[VESTRY_CSRF_TOKEN_BYTES];
  vestry_err err = vestry_csrf_token(ctx, req, reply, text);
  return err ? err : vestry_reply_bodyf(reply, "<p>%s", text);
}

static vestry_err tab(const vestry_request *req, vestry_reply *reply, void *ctx) {
  char id[VESTRY_TAB_ID_BYTES];
  vestry_err err = vestry_tab_id(req, id);
  return err ? err : vestry_reply_bodyf(reply, "<p>%s", id);
}

static vestry_err nonce(const vestry_request *req, vestry_reply *reply, void *ctx) {
  char text[VESTRY_ONCE_NONCE_BYTES];
  vestry_err err = vestry_once_nonce(req, text);
  return err ? err : vestry_reply_bodyf(reply, "<p>%s", text);
}

static vestry_err cookie(const vestry_request *req, vestry_reply *reply, void *ctx) {
  char text[64] = "none";
  (void)vestry_request_cookie(req, "whose", text, sizeof text);
  return vestry_reply_bodyf(reply, "<p>%s %d", text, ++made);
}

static vestry_err public_page(const vestry_request *req, vestry_reply *reply, void *ctx) {
  vestry_reply_header(reply, "Cache-Control", "public, max-age=3600");
  return vestry_reply_bodyf(reply, "<p>%d", ++made);
}

static void mount_people(struct app *app, vestry_csrf **ret_csrf, vestry_files **ret_files) {
  static const vestry_file table[] = {{.path = "public.html", .bytes = "<p>all", .len = 6}};
  vestry *v = app->program.v;
  vestry_csrf_create(v, NULL, ret_csrf);
  vestry_files_create(&(vestry_files_options){.embedded = table, .embedded_count = 1, .max_age_s = 3600}, ret_files);
  vestry_route(v, "POST", "/login", login, NULL);
  vestry_route(v, "GET", "/who", who, NULL);
  vestry_route(v, "GET", "/token", token, *ret_csrf);
  vestry_route(v, "GET", "/tab", tab, NULL);
  vestry_route(v, "GET", "/nonce", nonce, NULL);
  vestry_route(v, "GET", "/cookie", cookie, NULL);
  vestry_route(v, "GET", "/public", public_page, NULL);
  vestry_route(v, "GET", "/files/{path...}", vestry_files_handler, *ret_files);
}

int main(int argc, char **argv) {
  static struct app app = {.lock = PTHREAD_MUTEX_INITIALIZER};
  static const vestry_profile offered[] = {{.ops = &vestry_profile_brotli}, {.ops = &vestry_profile_gzip}};
  const char *heartbeat_ms = getenv("HEARTBEAT_MS");
  const char *lease_ms = getenv("LEASE_MS");
  vestry_options options = {.profiles = offered, .profiles_count = 2};
  const vestry_connection_options connection = {.heartbeat_ms = heartbeat_ms ? strtoul(heartbeat_ms, NULL, 10) : 0};
  options.connection = &connection;
  const bool has_people = getenv("SESSIONS") != NULL;
  const vestry_session_options sessions = {.insecure = true};
  vestry_csrf *csrf = NULL;
  vestry_files *files = NULL;
  vestry_upload_folder *folder = NULL;
  vestry_uploads *uploads = NULL;
  app.seen = json_array();
  program_start(&app.program, argc, argv, "test_proxy_behind", "A server behind a proxy", &options);
  vestry_pages *pages = NULL;
  if (vestry_leases_create(app.program.v, lease_ms ? strtoul(lease_ms, NULL, 10) : 0) ||
      (has_people && vestry_sessions_create(app.program.v, &sessions)) ||
      vestry_pages_create(app.program.v, NULL, &pages) ||
      vestry_page_create(pages, &(vestry_page_options){.render = show_live, .app = &app}, &app.live) ||
      vestry_presence_create(app.program.v, &(vestry_presence_options){.grace_ms = 1}, &app.presence))
    return 1;
  vestry_route(app.program.v, "GET", "/live", live, &app);
  vestry_route(app.program.v, "GET", "/", page, &app.program);
  vestry_route(app.program.v, "GET", "/stream", stream, &app);
  vestry_route(app.program.v, "POST", "/say", say, &app);
  vestry_route(app.program.v, "POST", "/flood", flood, &app);
  vestry_route(app.program.v, "POST", "/end", finish, &app);
  vestry_route(app.program.v, "GET", "/seen", seen, &app);
  if (has_people) mount_people(&app, &csrf, &files);
  if (getenv("UPLOADS") &&
      (vestry_upload_folder_open(app.program.v, &(vestry_upload_folder_options){.path = getenv("UPLOADS")}, &folder) ||
       vestry_uploads_create(app.program.v, &(vestry_uploads_options){.pattern = "/up", .folder = folder}, &uploads)))
    return 1;
  program_wait(&app.program);
  vestry_uploads_destroy(uploads);
  vestry_upload_folder_close(folder);
  vestry_csrf_destroy(csrf);
  vestry_files_destroy(files);
  (void)vestry_stop(app.program.v, VESTRY_NEVER_MS);
  vestry_presence_destroy(app.presence);
  vestry_pages_destroy(pages);
  int status = program_finish(&app.program);
  json_decref(app.seen);
  return status;
}
