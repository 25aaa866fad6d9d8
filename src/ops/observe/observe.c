/* SPDX-License-Identifier: MIT */
#include "ops/observe/inside.h"

#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "http/routes/routes.h"
#include "ops/observe/text.h"
#include "vestry/routes.h"

vestry_err vestry_observe_create(vestry *v, const vestry_observe_options *given, vestry_observe **ret_observe) {
  if (!v) return VESTRY_INVALID;
  if (!ret_observe) return vsi_mistake(v->host, "vestry_observe_create", "ret_observe is NULL");
  vestry_observe_options options = given ? *given : (vestry_observe_options){0};
  if (options.token && !vsi_may_token_is_valid(options.token))
    return vsi_mistake(v->host, "vestry_observe_create",
                       "options.token does not consist of 16 to 128 letters, digits and \"-._~\"");
  vestry_observe *observe = vsi_calloc(v->host, 1, sizeof *observe);
  if (!observe) return VESTRY_NO_MEMORY;
  observe->v = v;
  observe->options = options;
  if (options.token) observe->options.token = strcpy(observe->token, options.token);
  vestry_err error = vsi_probe_create(v, &observe->probe);
  if (!error) error = vsi_closes_use(v, VSI_CLOSES_COUNT, &observe->closes);
  if (error) {
    vsi_probe_destroy(observe->probe);
    vsi_free(v->host, observe);
    return error;
  }
  vsi_showings_init(&observe->showings);
  vsi_group_observe(v->group, true);
  vsi_pool_observe(&v->runtime->pool, true);
  *ret_observe = observe;
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------- metrics -------- */

static vestry_err make_metrics(vestry_observe *observe, vestry_metrics_format format, vsi_metrics *metrics) {
  const vestry_observe_options *options = &observe->options;
  vsi_metrics_begin(metrics, observe->v->host, format, &observe->was_full);
  vsi_metrics_put_all(&metrics->to, observe->v, options->pages, options->cluster);
  metrics->is_own = false;
  vestry_err error = metrics->text.error;
  if (!error && options->more) error = options->more(&metrics->to, options->more_ctx);
  return error ? error : vsi_metrics_end(metrics);
}

vestry_err vestry_observe_metrics(vestry_observe *observe, vestry_metrics_format format, char *text, size_t room,
                                  size_t *ret_len) {
  if (!observe) return VESTRY_INVALID;
  if ((room && !text) || (format != VESTRY_METRICS_OPEN && format != VESTRY_METRICS_TEXT))
    return vsi_mistake(observe->v->host, "vestry_observe_metrics",
                       "the text is NULL, or format is none of vestry_metrics_format");
  vsi_metrics metrics;
  vestry_err error = make_metrics(observe, format, &metrics);
  const size_t len = metrics.text.len;
  if (room) *text = '\0';
  if (!error && ret_len) *ret_len = len;
  if (!error && len >= room) error = VESTRY_TOO_LARGE;
  if (!error) memcpy(text, metrics.text.data, len + 1);
  vsi_buffer_finish(&metrics.text);
  return error;
}

/* GET {prefix}/metrics, in the format of the Accept header. */
static vestry_err show_metrics(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_observe *observe = app;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  const char *accept = vestry_request_header(req, "Accept");
  const bool is_open = accept && strstr(accept, "application/openmetrics-text");
  vsi_metrics metrics;
  vestry_err error = make_metrics(observe, is_open ? VESTRY_METRICS_OPEN : VESTRY_METRICS_TEXT, &metrics);
  if (!error) error = vestry_reply_header(reply, "Cache-Control", "no-store");
  if (!error) error = vestry_reply_header(reply, "Vary", "Accept");
  if (!error)
    error = vestry_reply_body(reply,
                              is_open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                      : "text/plain; version=0.0.4; charset=utf-8",
                              metrics.text.data, metrics.text.len);
  vsi_buffer_finish(&metrics.text);
  return error;
}

/* ---------------------------------------------------------------------------------------------- live, ready ------- */

/* GET {prefix}/live: 200. A response of any kind shows that the process is alive. */
static vestry_err show_live(const vestry_request *req, vestry_reply *reply, void *app) {
  const vestry_observe *observe = app;
  return vsi_may_see(&observe->options, req) ? vsi_show_text(reply, 200, "live\n") : vestry_reply_status(reply, 403);
}

/* GET {prefix}/ready: 200, or 503 with the reason. */
static vestry_err show_ready(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_observe *observe = app;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  const char *why = vsi_probe_check(observe->probe);
  return vsi_show_text(reply, why ? 503 : 200, why ? why : "ready\n");
}

/* ------------------------------------------------------------------------------------------------- routes --------- */

static const vestry_mounted rows[] = {{"GET", "/metrics", show_metrics},
                                      {"GET", "/live", show_live},
                                      {"GET", "/ready", show_ready},
                                      {"GET", "/streams/{id}/tail", vsi_observe_tail},
                                      {"GET", "/streams", vsi_list_streams},
                                      {"GET", "/streams/{id}", vsi_list_stream},
                                      {"GET", "/channels", vsi_list_channels},
                                      {"GET", "/closed", vsi_list_closed},
                                      {"GET", "/store", vsi_list_store},
                                      {"GET", "/pages", vsi_list_pages},
                                      {"GET", "/cluster", vsi_list_cluster},
                                      {"GET", "/console", vsi_console_page},
                                      {"GET", "/console/events", vsi_console_events}};

vestry_err vestry_observe_mount(vestry_observe *observe, const char *prefix) {
  if (!observe) return VESTRY_INVALID;
  if (!prefix) return vsi_mistake(observe->v->host, "vestry_observe_mount", "the prefix is NULL");
  return vestry_mount(observe->v, prefix, rows, sizeof rows / sizeof *rows, observe);
}

void vestry_observe_destroy(vestry_observe *observe) {
  if (!observe) return;
  vsi_routes_end(observe->v, observe);
  vsi_group_observe(observe->v->group, false);
  vsi_pool_observe(&observe->v->runtime->pool, false);
  vsi_showings_finish(&observe->showings, observe->v->runtime);
  vsi_probe_destroy(observe->probe);
  vsi_free(observe->v->host, observe);
}
