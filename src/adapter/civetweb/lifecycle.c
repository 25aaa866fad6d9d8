/* SPDX-License-Identifier: MIT */
/* The life of an adapter, from its creation inside a running server to its end. */
#include <civetweb.h>

#include "adapter/civetweb/adapter.h"
#include "adapter/web/policy.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/wait.h"

enum { WATCH_LEAST_MS = 10, WATCH_MOST_MS = 250, LINGER_MS = 2000 };

static void room(vestry_server *server, uint32_t *ret_streams, uint32_t *ret_capacity) {
  vsi_web_gate_room(&((vsi_civetweb *)server)->gate, ret_streams, ret_capacity);
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
static uint64_t default_lost_ms(uint64_t heartbeat_ms, uint64_t watch_ms) {
  if (heartbeat_ms == VESTRY_NEVER_MS) return VSI_WEB_LOST_WITHOUT_HEARTBEAT_MS;
  uint64_t lost_ms = heartbeat_ms / 4 > watch_ms ? heartbeat_ms - 2 * watch_ms : heartbeat_ms / 2 + 1;
  return lost_ms > VSI_WEB_LOST_LEAST_MS ? lost_ms : VSI_WEB_LOST_LEAST_MS;
}

static vestry_err start(vsi_civetweb *adapter, const vestry_civetweb_options *options) {
  const uint64_t heartbeat_ms = vestry_parts_of(adapter->v)->heartbeat_ms;
  const uint64_t request_timeout_ms = adapter->settings.request_timeout_ms;
  const uint64_t watch_ms = options->watch_ms ? options->watch_ms : round_ms(heartbeat_ms);
  const uint64_t lost_ms = options->lost_ms ? options->lost_ms : default_lost_ms(heartbeat_ms, watch_ms);
  const uint64_t body_ms = options->body_ms ? options->body_ms : request_timeout_ms;
  const uint64_t linger_ms = options->linger_ms ? options->linger_ms : least(request_timeout_ms, LINGER_MS);
  adapter->body_ns = vsi_ms_to_ns(body_ms);
  adapter->linger_ns = vsi_ms_to_ns(linger_ms);
  vestry_err error = vsi_web_addresses_init(&adapter->own_addresses, adapter->host, options->max_per_address);
  if (!error) error = vsi_civetweb_watch_init(&adapter->watch, adapter->v, watch_ms, lost_ms);
  if (!error) error = vsi_civetweb_deadlines_init(&adapter->deadlines, adapter->v, round_ms(least(body_ms, linger_ms)));
  return error ? error : vsi_civetweb_mounts_begin(adapter);
}

static vestry_err stop(vestry_server *server, uint64_t timeout_ms) {
  vsi_civetweb *adapter = (vsi_civetweb *)server;
  vestry_err error = vsi_server_may_wait(adapter->v, "vestry_server_stop");
  if (error) return error;
  uint64_t until_ns = vsi_monotonic_in_ms(timeout_ms);
  vsi_web_gate_shut(&adapter->gate);
  vsi_civetweb_mounts_shut();
  vsi_civetweb_watch_close_all(&adapter->watch, VESTRY_CAUSE_SHUTDOWN);
  return vsi_web_gate_wait(&adapter->gate, adapter->v, until_ns);
}

static void destroy(vestry_server *server) {
  vsi_civetweb *adapter = (vsi_civetweb *)server;
  if (vsi_server_may_wait(adapter->v, "vestry_server_destroy")) return;
  vsi_civetweb_mounts_finish(adapter);
  vsi_civetweb_watch_finish(&adapter->watch);
  vsi_civetweb_deadlines_finish(&adapter->deadlines);
  vsi_web_addresses_finish(&adapter->own_addresses);
  vsi_web_gate_finish(&adapter->gate);
  vsi_free(adapter->host, adapter);
}

/* The adapter inside a server of the application. It is not started by vestry_server_create. */
static const vestry_server_adapter inside = {.name = "civetweb", .stop = stop, .destroy = destroy, .room = room};

vestry_err vestry_civetweb_create(vestry *v, struct mg_context *context, const vestry_civetweb_options *given,
                                  vestry_server **ret_server) {
  if (!v) return VESTRY_INVALID;
  const vestry_host *host = vestry_parts_of(v)->host;
  if (!context || !ret_server) return vsi_mistake(host, "vestry_civetweb_create", "the context or ret_server is NULL");
  vestry_civetweb_options own = given ? *given : (vestry_civetweb_options){0};
  const vestry_civetweb_options *options = &own;
  vsi_civetweb_settings settings;
  vsi_civetweb_settings_read(context, &settings);
  uint32_t reserve = vsi_civetweb_reserve(options->reserve_threads, settings.threads_count);
  if (settings.threads_count <= reserve) {
    vsi_log(host, VESTRY_LOG_ERROR,
            "vestry_civetweb_create: num_threads is %u, and %u threads are reserved for requests, so none is left for "
            "streams; raise num_threads, or lower reserve_threads",
            settings.threads_count, reserve);
    return VESTRY_INVALID;
  }
  char why[160];
  vestry_err error = vsi_civetweb_check_descriptors(&settings, why, sizeof why);
  if (error) {
    vsi_log(host, VESTRY_LOG_ERROR, "vestry_civetweb_create: %s", why);
    return error;
  }
  if (!settings.nodelay)
    vsi_log(host, VESTRY_LOG_WARN, "civetweb: tcp_nodelay is not 1, so small patches may wait for 40 ms; set it");
  vsi_civetweb *adapter = vsi_calloc(host, 1, sizeof *adapter);
  if (!adapter) return VESTRY_NO_MEMORY;
  adapter->base = (vestry_server){.adapter = &inside};
  adapter->v = v;
  adapter->host = host;
  adapter->server = context;
  adapter->settings = settings;
  adapter->answers_all = options->answers_all;
  adapter->serve = vsi_civetweb_serve_routed;
  vsi_web_gate_init(&adapter->gate, settings.threads_count - reserve);
  error = start(adapter, options);
  if (error) {
    vsi_civetweb_mounts_undo(adapter);
    destroy(&adapter->base);
    return error;
  }
  *ret_server = &adapter->base;
  /* release: pairs with requests that came meanwhile, and got 503 */
  atomic_store_explicit(&adapter->is_open, true, memory_order_release);
  return VESTRY_OK;
}

int vestry_civetweb_serve(vestry_server *server, struct mg_connection *conn) {
  return server && server->adapter == &inside ? vsi_civetweb_serve_own((vsi_civetweb *)server, conn) : 0;
}
