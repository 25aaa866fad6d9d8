/* SPDX-License-Identifier: MIT */
#include "civetweb/server.h"

#include <stdlib.h>

#include "support/test.h"
#include "web/network.h"

enum { ROOM = 8, RESERVE = 4, QUEUE = 512, PATIENCE_MS = PATIENCE_S * 1000 };

typedef struct starting {
  civetweb_server *made;
  uint16_t port;
  const server_settings *settings;
} starting;

/* civetweb's init_context: clients can connect, and wait. */
static void add_vestry(const struct mg_context *context) {
  starting *start = mg_get_user_data(context);
  const server_settings *settings = start->settings;
  struct mg_server_port port;
  assert_int_equal(mg_get_server_ports(context, 1, &port), 1);
  start->port = (uint16_t)port.port;
  if (settings->before_mount) settings->before_mount(start->port);
  const vestry_civetweb_options options = {.reserve_threads = settings->reserve == UINT32_MAX ? 0
                                                              : settings->reserve             ? settings->reserve
                                                                                              : RESERVE,
                                           .watch_ms = settings->watch_ms,
                                           .lost_ms = settings->lost_ms,
                                           .max_per_address = settings->max_per_address,
                                           .answers_all = settings->raw_paths};
  assert_int_equal(
      vestry_civetweb_create(start->made->v, (struct mg_context *)(uintptr_t)context, &options, &start->made->web),
      VESTRY_OK);
}

static civetweb_server *launch(vestry *v, const server_settings *settings, uint16_t *ret_port) {
  char threads[16], queue[16], timeout[16];
  civetweb_server *made = calloc(1, sizeof *made);
  assert_non_null(made);
  made->v = v;
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
  starting start = {.made = made, .settings = settings};
  made->context = mg_start(&callbacks, &start, list);
  assert_non_null(made->context);
  *ret_port = start.port;
  return made;
}

void server_start(vsi_server *s, const server_settings *settings) {
  static const server_settings defaults = {0};
  if (!settings) settings = &defaults;
  vsi_adapter = civetweb_contract;
  vsi_patience_s = PATIENCE_S;
  vsi_server_begin(s, &settings->options);
  if (!settings->bare) vsi_server_mount(s);
  s->running = launch(s->v, settings, &s->port);
}

static vestry_err start_with(vestry *v, const vestry_contract_settings *settings, bool raw_paths, void **ret_server,
                             uint16_t *ret_port) {
  char ports[64];
  /* A server is stopped through the loopback interface, if it listens there. */
  if (network_address) snprintf(ports, sizeof ports, "%s:0,127.0.0.1:0", network_address);
  *ret_server = launch(v,
                       &(server_settings){.threads = settings->max_streams ? settings->max_streams + RESERVE : 0,
                                          .timeout_ms = (unsigned)settings->stalled_ms,
                                          .keep_alive = settings->keeps_connections,
                                          .raw_paths = raw_paths,
                                          .watch_ms = settings->watch_ms,
                                          .lost_ms = settings->lost_ms,
                                          .ports = network_address ? ports : NULL},
                       ret_port);
  return VESTRY_OK;
}

static vestry_err start(vestry *v, const vestry_contract_settings *settings, void **ret_server, uint16_t *ret_port) {
  return start_with(v, settings, false, ret_server, ret_port);
}

static vestry_err start_raw(vestry *v, const vestry_contract_settings *settings, void **ret_server,
                            uint16_t *ret_port) {
  return start_with(v, settings, true, ret_server, ret_port);
}

static vestry_err stop(void *server, uint64_t timeout_ms) {
  return vestry_server_stop(((civetweb_server *)server)->web, timeout_ms);
}

static void room(void *server, uint32_t *ret_streams, uint32_t *ret_capacity) {
  vestry_server_room(((civetweb_server *)server)->web, ret_streams, ret_capacity);
}

static void destroy(void *server) {
  civetweb_server *of = server;
  if (of->context && !vestry_is_forked(of->v)) (void)vestry_server_stop(of->web, 0); /* aborts its streams */
  /* In a child, the server is the parent's: mg_stop would wait for its threads. */
  if (!vestry_is_forked(of->v)) vestry_civetweb_stop_server(of->context);
  vestry_server_destroy(of->web);
  free(of);
}

static const vestry_contract_exception exceptions[] = {
    {"uploads/stalled_readers_of_responses_hold_no_writer", "each answer holds a worker until the client has read it"},
    {NULL, NULL},
};

const vestry_contract_adapter civetweb_contract = {
    .name = "civetweb",
    .start = start,
    .stop = stop,
    .destroy = destroy,
    .room = room,
    .exceptions = exceptions,
    .patience_s = PATIENCE_S,
    .stop_ms = 1500, /* without the wake-up connections a stop takes more than two seconds */
    .has_own_paths = true,
    .decodes_paths = true,
    .takes_feeds = true,
};

const vestry_contract_adapter civetweb_raw_contract = {
    .name = "civetweb that leaves paths as they were sent",
    .start = start_raw,
    .stop = stop,
    .destroy = destroy,
    .room = room,
    .exceptions = exceptions,
    .patience_s = PATIENCE_S,
    .stop_ms = 1500,
    .has_own_paths = true,
    .takes_feeds = true,
};
