/* SPDX-License-Identifier: MIT */
#include "vestry/observe.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "base/options.h"
#include "http/address.h"
#include "instance/instance.h"
#include "observe/text.h"
#include "vestry/routes.h"

struct vestry_observe {
  vestry *v;
  vestry_observe_options options;
  char *path; /* the prefix where it is mounted, and room for a row's pattern after it; NULL: nowhere */
  size_t prefix_len;
};

vestry_err vestry_observe_create(vestry *v, const vestry_observe_options *given, vestry_observe **ret_observe) {
  vestry_observe_options options;
  if (!v || !ret_observe || VSI_OPTIONS_TAKE(options, given)) return VESTRY_INVALID;
  vestry_observe *observe = vsi_calloc(v->host, 1, sizeof *observe);
  if (!observe) return VESTRY_NO_MEMORY;
  observe->v = v;
  observe->options = options;
  *ret_observe = observe;
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------- which requests may see it ------ */

static bool is_loopback(const char *text, size_t len) {
  char address[64];
  struct in6_addr in6;
  if (len >= sizeof address) return false;
  memcpy(address, text, len);
  address[len] = '\0';
  const vsi_address is = vsi_address_parse(address);
  if (is.family == AF_INET) return is.prefix >> 24 == 127;
  return inet_pton(AF_INET6, address, &in6) == 1 && IN6_IS_ADDR_LOOPBACK(&in6);
}

/* A page of another site can have a name of its own lead here; its browser says that name (DNS rebinding). */
static bool names_this_machine(const char *host) {
  if (!host) return false;
  const char *end = strrchr(host, ':');
  if (*host == '[') {
    end = strchr(host, ']');
    return end && is_loopback(host + 1, (size_t)(end - host - 1));
  }
  const size_t len = end ? (size_t)(end - host) : strlen(host);
  return (len == sizeof "localhost" - 1 && strncasecmp(host, "localhost", len) == 0) || is_loopback(host, len);
}

static bool is_from_here(const vestry_request *req) {
  static const char *const passed_on[] = {"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"};
  for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
    if (vestry_request_header(req, passed_on[i])) return false;
  const char *peer = vestry_request_peer(req);
  return is_loopback(peer, strlen(peer)) && names_this_machine(vestry_request_header(req, "Host"));
}

static bool may_see(const vestry_observe *observe, const vestry_request *req) {
  const vestry_observe_options *options = &observe->options;
  return options->may ? options->may(req, options->may_ctx) : is_from_here(req);
}

/* ------------------------------------------------------------------------------------------------- metrics ------ */

static vestry_err make(vestry_observe *observe, vestry_metrics_format format, vestry_metrics *metrics) {
  const vestry_observe_options *options = &observe->options;
  vsi_metrics_begin(metrics, observe->v->host, format);
  vsi_metrics_put_all(metrics, observe->v, options->pages, options->cluster);
  metrics->is_own = false;
  vestry_err error = metrics->text.error;
  if (!error && options->more) error = options->more(metrics, options->more_ctx);
  return error ? error : vsi_metrics_end(metrics);
}

vestry_err vestry_observe_metrics(vestry_observe *observe, vestry_metrics_format format, char *text, size_t room,
                                  size_t *ret_len) {
  if (!observe || (room && !text) || (format != VESTRY_METRICS_OPEN && format != VESTRY_METRICS_TEXT))
    return VESTRY_INVALID;
  vestry_metrics metrics;
  vestry_err error = make(observe, format, &metrics);
  const size_t len = metrics.text.len;
  if (room) *text = '\0';
  if (!error && ret_len) *ret_len = len;
  if (!error && len >= room) error = VESTRY_TOO_LARGE;
  if (!error) memcpy(text, metrics.text.data, len + 1);
  vsi_metrics_finish(&metrics);
  return error;
}

/* GET {prefix}/metrics, in the format that the scraper asks for. */
static vestry_err show_metrics(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_observe *observe = app;
  if (!may_see(observe, req)) return vestry_reply_status(reply, 403);
  const char *accept = vestry_request_header(req, "Accept");
  const bool is_open = accept && strstr(accept, "application/openmetrics-text");
  vestry_metrics metrics;
  vestry_err error = make(observe, is_open ? VESTRY_METRICS_OPEN : VESTRY_METRICS_TEXT, &metrics);
  if (!error) error = vestry_reply_header(reply, "Cache-Control", "no-store");
  if (!error) error = vestry_reply_header(reply, "Vary", "Accept");
  if (!error)
    error = vestry_reply_body(reply,
                              is_open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                      : "text/plain; version=0.0.4; charset=utf-8",
                              metrics.text.data, metrics.text.len);
  vsi_metrics_finish(&metrics);
  return error;
}

/* ------------------------------------------------------------------------------------------------- mounted ------ */

static const vestry_mounted rows[] = {{"GET", "/metrics", show_metrics}};
enum { ROWS_COUNT = sizeof rows / sizeof *rows, PATTERN_BYTES = 32 };

vestry_err vestry_observe_mount(vestry_observe *observe, const char *prefix) {
  if (!observe || !prefix) return VESTRY_INVALID;
  if (observe->path) return VESTRY_EXISTS;
  const size_t len = strlen(prefix);
  char *path = vsi_alloc(observe->v->host, len + PATTERN_BYTES);
  if (!path) return VESTRY_NO_MEMORY;
  memcpy(path, prefix, len + 1);
  vestry_err error = vestry_mount(observe->v, prefix, rows, ROWS_COUNT, observe);
  if (error) {
    vsi_free(observe->v->host, path);
    return error;
  }
  observe->path = path;
  observe->prefix_len = len;
  return VESTRY_OK;
}

/* Row by row, in memory that is there: vestry_unmount could find none. */
static void unmount(vestry_observe *observe) {
  for (size_t i = 0; i < ROWS_COUNT; i++) {
    strcpy(observe->path + observe->prefix_len, rows[i].pattern);
    (void)vestry_unroute(observe->v, rows[i].method, observe->path);
  }
  vsi_free(observe->v->host, observe->path);
}

void vestry_observe_destroy(vestry_observe *observe) {
  if (!observe) return;
  if (observe->path) unmount(observe);
  vsi_free(observe->v->host, observe);
}
