/* SPDX-License-Identifier: MIT */
/* The life of an adapter, from its creation inside a running server to its end. */
#include <civetweb.h>
#include <stdio.h>
#include <string.h>

#include "adapter/civetweb/adapter.h"
#include "adapter/civetweb/serve.h"
#include "adapter/web/policy.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/wait.h"

enum { WATCH_LEAST_MS = 10, WATCH_MOST_MS = 250, LINGER_MS = 2000, PORTS_MAX = 64 };

static void room(vestry_server *server, uint32_t *ret_dedicated, uint32_t *ret_capacity) {
  vsi_civetweb *adapter = (vsi_civetweb *)server;
  if (ret_dedicated) *ret_dedicated = vsi_web_gate_streams(&adapter->gate);
  if (ret_capacity) *ret_capacity = adapter->gate.capacity;
}

static uint64_t least(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

/* Return the interval between checks for a deadline of this length. */
static uint64_t round_ms(uint64_t due_ms) {
  uint64_t part = due_ms / 16;
  return part < WATCH_LEAST_MS ? WATCH_LEAST_MS : least(part, WATCH_MOST_MS);
}

/* Return the default of lost_ms. The worst case is a connection that breaks just after a heartbeat: then one heartbeat
 * passes until there is something to acknowledge, then lost_ms, then two rounds of the watch. */
static uint64_t default_lost_ms(const vestry *v, uint64_t watch_ms) {
  uint64_t heartbeat_ms = vestry_parts_of(v)->heartbeat_ms;
  if (heartbeat_ms == VESTRY_NEVER_MS) return VSI_WEB_LOST_WITHOUT_HEARTBEAT_MS;
  uint64_t lost_ms = heartbeat_ms / 4 > watch_ms ? heartbeat_ms - 2 * watch_ms : heartbeat_ms / 2 + 1;
  return lost_ms > VSI_WEB_LOST_LEAST_MS ? lost_ms : VSI_WEB_LOST_LEAST_MS;
}

static size_t read_ports(const struct mg_context *server, vsi_civetweb_port ports[PORTS_MAX]) {
  struct mg_server_port found[PORTS_MAX];
  int count = mg_get_server_ports(server, PORTS_MAX, found);
  for (int i = 0; i < count; i++) ports[i] = (vsi_civetweb_port){(uint16_t)found[i].port, found[i].protocol == 3};
  return count > 0 ? (size_t)count : 0;
}

static vestry_err start_watch(vsi_civetweb *adapter, const vestry_civetweb_options *options,
                              const vsi_civetweb_port *ports, size_t ports_count) {
  uint64_t watch_ms = options->watch_ms ? options->watch_ms : round_ms(vestry_parts_of(adapter->v)->heartbeat_ms);
  uint64_t lost_ms = options->lost_ms ? options->lost_ms : default_lost_ms(adapter->v, watch_ms);
  if (watch_ms == VESTRY_NEVER_MS) return VESTRY_OK;
  return vsi_civetweb_watch_create(vestry_parts_of(adapter->v)->runtime, adapter->host, &adapter->dedicated, ports,
                                   ports_count, watch_ms, lost_ms, &adapter->watch);
}

static vestry_err start_deadlines(vsi_civetweb *adapter, const vestry_civetweb_options *options) {
  uint64_t request_timeout_ms = adapter->settings.request_timeout_ms;
  uint64_t body_ms = options->body_ms ? options->body_ms : request_timeout_ms;
  uint64_t linger_ms = options->linger_ms ? options->linger_ms : least(request_timeout_ms, LINGER_MS);
  adapter->body_ns = vsi_ms_to_ns(body_ms);
  adapter->linger_ns = vsi_ms_to_ns(linger_ms);
  return vsi_civetweb_deadlines_init(&adapter->deadlines, adapter->v, round_ms(least(body_ms, linger_ms)));
}

static vestry_err enter_neighbours(vsi_civetweb *adapter, uint32_t limit) {
  vsi_civetweb_neighbour *first = NULL;
  vestry_err error = vsi_web_addresses_init(&adapter->own_addresses, adapter->host, limit);
  adapter->addresses = &adapter->own_addresses;
  adapter->neighbour.adapter = adapter;
  adapter->neighbour.v = adapter->v;
  adapter->neighbour.host = adapter->host;
  adapter->neighbour.server = adapter->server;
  adapter->neighbour.gate = &adapter->gate;
  adapter->neighbour.limit = limit;
  if (!error) error = vsi_civetweb_neighbours_enter(&adapter->neighbour, &first);
  if (first) adapter->addresses = ((const vsi_civetweb *)first->adapter)->addresses;
  return error;
}

static vestry_err start(vsi_civetweb *adapter, const vestry_civetweb_options *options) {
  vestry_err error = vsi_civetweb_dedicated_init(&adapter->dedicated, adapter->host, adapter->gate.capacity);
  if (!error) error = start_deadlines(adapter, options);
  vsi_civetweb_port ports[PORTS_MAX];
  const size_t ports_count = read_ports(adapter->server, ports);
  if (!error) error = enter_neighbours(adapter, options->max_per_address);
  if (!error) error = start_watch(adapter, options, ports, ports_count);
  if (error) return error;
  return vsi_civetweb_mounts_begin(&adapter->mounts, &adapter->neighbour, options->answers_all,
                                   vsi_civetweb_serve_mount);
}

static vestry_err stop(vestry_server *server, uint64_t timeout_ms) {
  vsi_civetweb *adapter = (vsi_civetweb *)server;
  if (vestry_is_forked(adapter->v)) return VESTRY_CLOSED;
  uint64_t until_ns = vsi_monotonic_in_ms(timeout_ms);
  vsi_web_gate_shut(&adapter->gate);
  vsi_civetweb_mounts_shut(&adapter->mounts);
  vsi_civetweb_dedicated_close_all(&adapter->dedicated, VESTRY_CAUSE_SHUTDOWN);
  return vsi_web_gate_wait(&adapter->gate, until_ns);
}

static void destroy(vestry_server *server) {
  vsi_civetweb *adapter = (vsi_civetweb *)server;
  if (vestry_is_forked(adapter->v)) return;
  vsi_civetweb_mounts_finish(&adapter->mounts);
  vsi_civetweb_neighbours_leave(&adapter->neighbour);
  vsi_civetweb_watch_destroy(adapter->watch);
  vsi_civetweb_deadlines_finish(&adapter->deadlines);
  vsi_civetweb_dedicated_finish(&adapter->dedicated, adapter->host);
  vsi_web_addresses_finish(&adapter->own_addresses);
  vsi_web_gate_finish(&adapter->gate);
  vsi_free(adapter->host, adapter);
}

/* The adapter inside a server of the application. It is not started by vestry_server_create. */
static const vestry_server_adapter inside = {
    .size = sizeof(vestry_server_adapter), .name = "civetweb", .stop = stop, .destroy = destroy, .room = room};

vestry_err vestry_civetweb_create(vestry *v, struct mg_context *context, const vestry_civetweb_options *given,
                                  vestry_server **ret_server) {
  vestry_civetweb_options own;
  if (!v || !context || !ret_server || VSI_OPTIONS_TAKE(vestry_civetweb_options, own, given)) return VESTRY_INVALID;
  const vestry_civetweb_options *options = &own;
  const vestry_host *host = vestry_parts_of(v)->host;
  vsi_civetweb_settings settings;
  vsi_civetweb_settings_read(context, &settings);
  uint32_t reserve = vsi_civetweb_reserve(options->reserve_threads, settings.threads_count);
  if (settings.threads_count <= reserve) return VESTRY_INVALID;
  char why[160];
  vestry_err error = vsi_civetweb_check_descriptors(&settings, why, sizeof why);
  if (error) {
    vsi_log(host, VESTRY_LOG_ERROR, "%s", why);
    return error;
  }
  if (!settings.nodelay)
    vsi_log(host, VESTRY_LOG_WARN, "civetweb: tcp_nodelay is not 1, so small patches may wait for 40 ms; set it");
  vsi_civetweb *adapter = vsi_calloc(host, 1, sizeof *adapter);
  if (!adapter) return VESTRY_NO_MEMORY;
  adapter->base = (vestry_server){.size = sizeof adapter->base, .adapter = &inside};
  adapter->v = v;
  adapter->host = host;
  adapter->server = context;
  adapter->settings = settings;
  adapter->answers_all = options->answers_all;
  vsi_web_gate_init(&adapter->gate, settings.threads_count - reserve);
  error = start(adapter, options);
  if (error) {
    vsi_civetweb_mounts_undo(&adapter->mounts);
    destroy(&adapter->base);
    return error;
  }
  *ret_server = &adapter->base;
  /* release: pairs with requests that came meanwhile, and got 503 */
  atomic_store_explicit(&adapter->neighbour.is_open, true, memory_order_release);
  return VESTRY_OK;
}

int vestry_civetweb_serve(vestry_server *server, struct mg_connection *conn) {
  return server->adapter == &inside ? vsi_civetweb_serve_asked((vsi_civetweb *)server, conn) : 0;
}
