/* SPDX-License-Identifier: MIT */
#include "civetweb/server.h"

#include "support/test.h"

enum { ROOM = 8, RESERVE = 4, QUEUE = 512, PATIENCE_MS = PATIENCE_S * 1000 };

typedef struct starting {
  server *s;
  const server_settings *settings;
} starting;

/* civetweb's init_context: clients can connect, and wait. */
static void add_vestry(const struct mg_context *context) {
  const starting *start = mg_get_user_data(context);
  server *s = start->s;
  const server_settings *settings = start->settings;
  struct mg_server_port port;
  assert_int_equal(mg_get_server_ports(context, 1, &port), 1);
  s->port = (uint16_t)port.port;
  if (settings->before_mount) settings->before_mount(s);
  const vestry_civetweb_options options = {.reserve_threads = settings->reserve == UINT32_MAX ? 0
                                                              : settings->reserve             ? settings->reserve
                                                                                              : RESERVE,
                                           .watch_ms = settings->watch_ms,
                                           .lost_ms = settings->lost_ms,
                                           .max_per_address = settings->max_per_address,
                                           .answers_all = settings->raw_paths};
  vestry_server *adapter = NULL;
  assert_int_equal(vestry_civetweb_create(s->v, (struct mg_context *)(uintptr_t)context, &options, &adapter),
                   VESTRY_OK);
  s->adapter = adapter;
}

void server_start(server *s, const server_settings *settings) {
  static const server_settings defaults = {0};
  if (!settings) settings = &defaults;
  server_begin(s, &civetweb_seam, &settings->options);
  if (!settings->bare) server_mount(s);
  char threads[16], queue[16], timeout[16];
  snprintf(queue, sizeof queue, "%u", settings->queue ? settings->queue : QUEUE);
  snprintf(threads, sizeof threads, "%u", settings->threads ? settings->threads : ROOM + RESERVE);
  snprintf(timeout, sizeof timeout, "%u", settings->timeout_ms ? settings->timeout_ms : PATIENCE_MS);
  const char *list[] = {"listening_ports",
                        settings->ports ? settings->ports : "127.0.0.1:0",
                        "num_threads",
                        threads,
                        "request_timeout_ms",
                        timeout,
                        "enable_keep_alive",
                        settings->keep_alive ? "yes" : "no",
                        "tcp_nodelay",
                        "1",
                        "connection_queue",
                        queue,
                        "listen_backlog",
                        "4096",
                        "decode_url",
                        settings->raw_paths ? "no" : "yes",
                        NULL};
  char why[128] = "";
  assert_int_equal(vestry_civetweb_check(list, why, sizeof why), VESTRY_OK);
  const struct mg_callbacks callbacks = {.init_context = add_vestry, .http_error = vestry_civetweb_http_error};
  s->context = mg_start(&callbacks, &(starting){s, settings}, list);
  assert_non_null(s->context);
}

static void start_with(server *s, const web_settings *settings, bool raw_paths) {
  static const web_settings defaults = {.room = 0};
  if (!settings) settings = &defaults;
  char ports[64];
  /* A server is stopped through the loopback interface, if it listens there. */
  if (settings->address) snprintf(ports, sizeof ports, "%s:0,127.0.0.1:0", settings->address);
  server_start(s, &(server_settings){.threads = settings->room ? settings->room + RESERVE : 0,
                                     .timeout_ms = (unsigned)settings->stalled_ms,
                                     .keep_alive = settings->keep_alive,
                                     .raw_paths = raw_paths,
                                     .watch_ms = settings->watch_ms,
                                     .lost_ms = settings->lost_ms,
                                     .ports = settings->address ? ports : NULL,
                                     .options = settings->options});
}

static void start(server *s, const web_settings *settings) {
  start_with(s, settings, false);
}

static void start_raw(server *s, const web_settings *settings) {
  start_with(s, settings, true);
}

static vestry_err stop(server *s, uint64_t timeout_ms) {
  return vestry_server_stop(s->adapter, timeout_ms);
}

static void room(server *s, uint32_t *ret_streams, uint32_t *ret_capacity) {
  vestry_server_room(s->adapter, ret_streams, ret_capacity);
}

static void destroy(server *s) {
  vestry_civetweb_stop_server(s->context);
  vestry_server_destroy(s->adapter);
}

const server_seam civetweb_seam = {
    .name = "civetweb",
    .start = start,
    .stop = stop,
    .room = room,
    .destroy = destroy,
    .has_own_paths = true,
    .takes_feeds = true,
    .decodes_paths = true,
    .stops_s = 1.5, /* without the wake-up connections a stop takes more than two seconds */
};

const server_seam civetweb_raw_seam = {
    .name = "civetweb that leaves paths as they were sent",
    .start = start_raw,
    .stop = stop,
    .room = room,
    .destroy = destroy,
    .has_own_paths = true,
    .takes_feeds = true,
    .stops_s = 1.5,
};
