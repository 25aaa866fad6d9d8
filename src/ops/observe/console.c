/* SPDX-License-Identifier: MIT */
/* The console is a page for operators. It is one document. It contains its style and script, under a nonce, and
 * requests only JSON of this site. One stream reports the state of the instance every second; the page then requests
 * the data of the current view. So a change of the view is one request, and does not open a new stream. */
#include <string.h>

#include "base/memory.h"
#include "ops/observe/inside.h"
#include "ops/observe/stream_tail.h"
#include "vestry/app/csp.h"
#include "vestry/app/watch.h"

/* console.html, console.css and console.js, terminated (scripts/embed.cmake). */
extern const char vsi_console_html[], vsi_console_css[], vsi_console_js[];

enum { PERIOD_MS = 1000 };

/* ------------------------------------------------------------------------------------------------ page ------------ */

static void fill_console(vsi_buffer *text, const char *from, const char *nonce) {
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
static vestry_err log_in_operator(const vestry_observe *observe, vestry_reply *reply) {
  vestry_err error = vsi_may_set_cookie(&observe->options, reply);
  if (!error) error = vestry_reply_header(reply, "Referrer-Policy", "no-referrer");
  return error ? error : vestry_reply_redirect(reply, 303, "console");
}

vestry_err vsi_console_page(const vestry_request *req, vestry_reply *reply, void *app) {
  static const vestry_csp csp = {.client = VESTRY_CSP_NO_CLIENT, .trusted_types = true};
  vestry_observe *observe = app;
  if (vsi_may_query_has_token(&observe->options, req)) return log_in_operator(observe, reply);
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  vestry_err error = vestry_reply_csp(reply, &csp);
  if (error) return error;
  vsi_buffer text;
  vsi_buffer_init(&text, observe->v->host);
  fill_console(&text, vsi_console_html, vestry_reply_nonce(reply));
  error = text.error ? text.error : vestry_reply_body(reply, NULL, text.data, text.len);
  vsi_buffer_finish(&text);
  return error;
}

/* ------------------------------------------------------------------------------------------- its stream ----------- */

static vestry_err send_now(vestry_observe *observe, vestry_connection *connection) {
  vestry_stats stats = {0};
  vestry_stats_get(observe->v, &stats);
  return vsi_report_send_object(connection, "now",
                                VESTRY_OBJECT("open_count", stats.open_count, "opened_count", stats.opened_count,
                                              "queued_bytes", stats.queued_bytes, "written_count", stats.written_count,
                                              "refused_count", stats.refused_count));
}

static vestry_err step_console(vestry_watcher *watcher, vestry_connection *connection, void *ctx) {
  vsi_showing *showing = ctx;
  if (vestry_watch_is_first(watcher)) vsi_showing_begin(showing, connection);
  return send_now(showing->observe, connection);
}

static void end_console(vestry_cause cause, void *ctx) {
  (void)cause;
  vsi_showing_destroy(ctx);
}

vestry_err vsi_console_events(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_observe *observe = app;
  vsi_showing *showing;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  vestry_err error = vsi_showing_create(observe, sizeof *showing, &showing);
  if (error == VESTRY_NO_MEMORY) return error;
  if (error) return vsi_show_text(reply, 503, "too many consoles are open: close one\n");
  vestry_reply_any_client(reply);
  return vestry_reply_watch(
      reply, &(vestry_watch){.step = step_console, .end = end_console, .ctx = showing, .every_ms = PERIOD_MS});
}

/* ------------------------------------------------------------------------------------------------ showings -------- */

void vsi_showings_init(vsi_showings *showings) {
  vsi_mutex_init(&showings->lock, VSI_LOCK_SHOWINGS);
  pthread_cond_init(&showings->left, NULL);
}

vestry_err vsi_showing_create(vestry_observe *observe, size_t bytes, vsi_showing **ret_showing) {
  vsi_showings *showings = &observe->showings;
  vsi_showing *showing = vsi_calloc(observe->v->host, 1, bytes);
  if (!showing) return VESTRY_NO_MEMORY;
  showing->observe = observe;
  vsi_mutex_lock(&showings->lock);
  const vestry_err error = showings->is_over                     ? VESTRY_CLOSED
                           : showings->count == VSI_SHOWINGS_MAX ? VESTRY_LIMIT
                                                                 : VESTRY_OK;
  if (!error) {
    LIST_INSERT_HEAD(&showings->list, showing, in_list);
    showings->count++;
    *ret_showing = showing;
  }
  vsi_mutex_unlock(&showings->lock);
  if (error) vsi_free(observe->v->host, showing);
  return error;
}

void vsi_showing_begin(vsi_showing *showing, vestry_connection *connection) {
  vsi_showings *showings = &showing->observe->showings;
  vsi_tail_exclude(connection);
  vestry_connection_ref(connection);
  vsi_mutex_lock(&showings->lock);
  showing->connection = connection;
  const bool is_over = showings->is_over;
  vsi_mutex_unlock(&showings->lock);
  if (is_over) vestry_connection_close(connection, VESTRY_CAUSE_SHUTDOWN);
}

void vsi_showing_destroy(vsi_showing *showing) {
  const vestry_host *host = showing->observe->v->host; /* the observer may be freed as soon as the lock is released */
  vsi_showings *showings = &showing->observe->showings;
  vsi_mutex_lock(&showings->lock);
  LIST_REMOVE(showing, in_list);
  showings->count--;
  if (showings->is_over) pthread_cond_broadcast(&showings->left);
  vsi_mutex_unlock(&showings->lock);
  vestry_connection_unref(showing->connection);
  vsi_free(host, showing);
}

/* Forbid new showings, and get a reference to each stream that has begun. */
static size_t take_showings(vsi_showings *showings, vestry_connection *all[VSI_SHOWINGS_MAX]) {
  size_t count = 0;
  vsi_showing *at;
  vsi_mutex_lock(&showings->lock);
  showings->is_over = true;
  LIST_FOREACH(at, &showings->list, in_list)
  if (at->connection) all[count++] = vestry_connection_ref(at->connection);
  vsi_mutex_unlock(&showings->lock);
  return count;
}

void vsi_showings_finish(vsi_showings *showings, vestry_runtime *runtime) {
  vestry_connection *all[VSI_SHOWINGS_MAX];
  const size_t count = take_showings(showings, all);
  for (size_t i = 0; i < count; i++) {
    vestry_connection_close(all[i], VESTRY_CAUSE_SHUTDOWN);
    vestry_connection_unref(all[i]);
  }
  const bool is_stepped = vsi_runtime_is_stepped(runtime);
  while (is_stepped && vestry_runtime_step(runtime)) continue;
  vsi_mutex_lock(&showings->lock);
  while (showings->count && !is_stepped) vsi_mutex_wait(&showings->lock, &showings->left);
  vsi_mutex_unlock(&showings->lock);
  pthread_cond_destroy(&showings->left);
  vsi_mutex_finish(&showings->lock);
}
