/* SPDX-License-Identifier: MIT */
/* The console is a page for operators. It is one document. It contains its style and script, under a nonce, and
 * requests only JSON of this site. One stream reports the state of the instance every second; the page then requests
 * the data of the current view. So a change of the view is one request, and does not open a new stream. */
#include "ops/observe/handlers.h"

#include <string.h>

#include "base/memory.h"
#include "ops/observe/inside.h"
#include "ops/observe/json.h"
#include "vestry/app/csp.h"
#include "vestry/app/watch.h"

/* console.html, console.css and console.js, terminated (scripts/embed.cmake). */
extern const char vsi_console_html[], vsi_console_css[], vsi_console_js[];

enum { BEAT_MS = 1000 };

/* ------------------------------------------------------------------------------------------------ page ------------ */

static void fill(vsi_buffer *text, const char *from, const char *nonce) {
  static const char *const names[] = {"@NONCE@", "@STYLE@", "@SCRIPT@"};
  const char *const values[] = {nonce, vsi_console_css, vsi_console_js};
  for (const char *at; (at = strchr(from, '@')) != NULL;) {
    size_t i = 0;
    while (i < 3 && strncmp(at, names[i], strlen(names[i])) != 0) i++;
    vsi_buffer_append(text, from, (size_t)(at - from));
    from = at + (i < 3 ? strlen(names[i]) : 1);
    vsi_buffer_append_str(text, i < 3 ? values[i] : "@");
  }
  vsi_buffer_append_str(text, from);
}

/* Log in with the token in the address: store it in a cookie, and redirect to the console without it. */
static vestry_err log_in(const vestry_observe *observe, vestry_reply *reply) {
  char path[512] = "/";
  if (observe->prefix_len && observe->prefix_len < sizeof path)
    snprintf(path, sizeof path, "%.*s", (int)observe->prefix_len, observe->path);
  const vestry_cookie cookie = {.name = VSI_MAY_COOKIE,
                                .value = observe->token,
                                .path = path,
                                .same_site = VESTRY_SAME_SITE_STRICT,
                                .insecure = true};
  vestry_err error = vestry_reply_cookie(reply, &cookie);
  if (!error) error = vestry_reply_header(reply, "Referrer-Policy", "no-referrer");
  return error ? error : vestry_reply_redirect(reply, 303, "console");
}

vestry_err vsi_console_page(const vestry_request *req, vestry_reply *reply, void *app) {
  static const vestry_csp csp = {.client = VESTRY_CSP_NO_CLIENT, .trusted_types = true};
  vestry_observe *observe = app;
  if (vsi_may_query_has_token(&observe->options, req)) return log_in(observe, reply);
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  vestry_err error = vestry_reply_csp(reply, &csp);
  if (error) return error;
  vsi_buffer text;
  vsi_buffer_init(&text, observe->v->host);
  fill(&text, vsi_console_html, vestry_reply_nonce(reply));
  error = text.error ? text.error : vestry_reply_body(reply, NULL, text.data, text.len);
  vsi_buffer_finish(&text);
  return error;
}

/* ---------------------------------------------------------------------------------------------- stream ------------ */

typedef struct console {
  vsi_showing showing;
  vestry_observe *observe;
} console;

static vestry_err send_now(vestry_observe *observe, vestry_connection *connection) {
  vestry_stats stats = {0};
  vsi_json_writer json;
  vestry_stats_get(observe->v, &stats);
  vsi_json_begin(&json, observe->v->host);
  vsi_json_open(&json, NULL, '{');
  vsi_json_count(&json, "open_count", stats.open_count);
  vsi_json_count(&json, "opened_count", stats.opened_count);
  vsi_json_count(&json, "queued_bytes", stats.queued_bytes);
  vsi_json_count(&json, "written_count", stats.written_count);
  vsi_json_count(&json, "refused_count", stats.refused_count);
  vsi_json_close(&json, '}');
  vestry_err error = json.text.error;
  if (!error) error = vestry_connection_event(connection, "now", json.text.data, json.text.len, NULL);
  vsi_json_finish(&json);
  return error;
}

static vestry_err step(vestry_watcher *watcher, vestry_connection *connection, void *ctx) {
  console *self = ctx;
  if (vestry_watch_is_first(watcher)) vsi_showings_begin(&self->observe->showings, &self->showing, connection);
  return send_now(self->observe, connection);
}

static void end(vestry_cause cause, void *ctx) {
  console *self = ctx;
  vestry_observe *observe = self->observe;
  const vestry_host *host = observe->v->host; /* the observer may be freed as soon as the showing has left */
  (void)cause;
  vsi_showings_leave(&observe->showings, &self->showing);
  vsi_free(host, self);
}

vestry_err vsi_console_events(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_observe *observe = app;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  console *self = vsi_calloc(observe->v->host, 1, sizeof *self);
  if (!self) return VESTRY_NO_MEMORY;
  self->observe = observe;
  if (vsi_showings_enter(&observe->showings, &self->showing)) {
    vsi_free(observe->v->host, self);
    return vsi_show_text(reply, 503, "too many consoles are open: close one\n");
  }
  vestry_reply_any_client(reply);
  return vestry_reply_watch(reply, &(vestry_watch){.step = step, .end = end, .ctx = self, .every_ms = BEAT_MS});
}
