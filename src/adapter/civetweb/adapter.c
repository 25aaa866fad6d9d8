#include "adapter/civetweb/adapter.h"

#include <civetweb.h>
#include <stdio.h>
#include <string.h>

#include "adapter/web/host.h"
#include "adapter/web/policy.h"

enum { WATCH_LEAST_MS = 10, WATCH_MOST_MS = 250, PORTS_MAX = 64 };

void vestry_civetweb_room(vestry_civetweb *adapter, uint32_t *ret_parked, uint32_t *ret_capacity) {
  if (ret_parked) *ret_parked = vsi_web_gate_streams(&adapter->gate);
  if (ret_capacity) *ret_capacity = adapter->gate.capacity;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static uint64_t default_watch_ms(const vestry *v) {
  uint64_t part = vestry_heartbeat_ms(v) / 16;
  return part < WATCH_LEAST_MS ? WATCH_LEAST_MS : part > WATCH_MOST_MS ? WATCH_MOST_MS : part;
}

/* The worst case is a cut just after a heartbeat: one heartbeat until there is something to acknowledge, then lost_ms,
 * then two rounds of the watch. */
static uint64_t default_lost_ms(const vestry *v, uint64_t watch_ms) {
  uint64_t heartbeat_ms = vestry_heartbeat_ms(v);
  if (heartbeat_ms == VESTRY_NEVER_MS) return VSI_WEB_LOST_WITHOUT_HEARTBEAT_MS;
  return heartbeat_ms / 4 > watch_ms ? heartbeat_ms - 2 * watch_ms : heartbeat_ms / 2 + 1;
}

static vestry_err start_watch(vestry_civetweb *adapter, const vestry_civetweb_options *options) {
  uint64_t watch_ms = options->watch_ms ? options->watch_ms : default_watch_ms(adapter->v);
  uint64_t lost_ms = options->lost_ms ? options->lost_ms : default_lost_ms(adapter->v, watch_ms);
  if (watch_ms == VESTRY_NEVER_MS) return VESTRY_OK;
  struct mg_server_port found[PORTS_MAX];
  vsi_civetweb_port ports[PORTS_MAX];
  int count = mg_get_server_ports(adapter->server, PORTS_MAX, found);
  for (int i = 0; i < count; i++) ports[i] = (vsi_civetweb_port){(uint16_t)found[i].port, found[i].protocol == 3};
  return vsi_civetweb_watch_create(vestry_runtime_of(adapter->v), adapter->host, &adapter->parked, ports,
                                   count > 0 ? (size_t)count : 0, watch_ms, lost_ms, &adapter->watch);
}

vestry_err vestry_civetweb_create(vestry *v, struct mg_context *server, const vestry_civetweb_options *options,
                                  vestry_civetweb **ret_adapter) {
  static const vestry_civetweb_options defaults = {0};
  if (!options) options = &defaults;
  if (!v || !server || !ret_adapter || (options->size && options->size < sizeof *options)) return VESTRY_INVALID;
  const vestry_host *host = vestry_host_of(v);
  vsi_civetweb_settings settings;
  vsi_civetweb_settings_read(server, &settings);
  uint32_t reserve = vsi_civetweb_reserve(options->reserve_threads, settings.threads_count);
  if (settings.threads_count <= reserve) return VESTRY_INVALID;
  if (!settings.nodelay)
    vsi_web_log(host, VESTRY_LOG_WARN, "civetweb: tcp_nodelay is not 1, so small patches may wait for 40 ms");
  vestry_civetweb *adapter = vsi_web_alloc(host, 1, sizeof *adapter);
  if (!adapter) return VESTRY_NO_MEMORY;
  adapter->v = v;
  adapter->host = host;
  adapter->server = server;
  adapter->request_timeout_ns = vsi_web_ms_to_ns(settings.request_timeout_ms);
  adapter->keep_alive = settings.keep_alive;
  vsi_web_gate_init(&adapter->gate, settings.threads_count - reserve);
  vestry_err error = vsi_civetweb_parked_init(&adapter->parked, host, adapter->gate.capacity);
  if (!error) error = start_watch(adapter, options);
  if (error) {
    vestry_civetweb_destroy(adapter);
    return error;
  }
  *ret_adapter = adapter;
  return VESTRY_OK;
}

vestry_err vestry_civetweb_handle(vestry_civetweb *adapter, const char *method, const char *path,
                                  vestry_handler_fn handler, void *app) {
  if (vsi_web_gate_is_shut(&adapter->gate)) return VESTRY_CLOSED;
  if (path && strpbrk(path, "*?$|")) return VESTRY_INVALID; /* civetweb would read a pattern into them */
  /* "$" ends a pattern of civetweb's: without it the path would also take the requests below it, from handlers that the
   * application has mounted there. The server copies the pattern. */
  size_t len = path ? strlen(path) : 0;
  char *pattern = vsi_web_alloc(adapter->host, 1, len + 2);
  if (!pattern) return VESTRY_NO_MEMORY;
  if (len) memcpy(pattern, path, len);
  pattern[len] = '$';
  vsi_web_route *route = NULL;
  bool is_new = false;
  vestry_err error =
      vsi_web_routes_add(&adapter->routes, adapter, adapter->host, method, path, handler, app, &route, &is_new);
  if (!error && is_new) mg_set_request_handler(adapter->server, pattern, vsi_civetweb_serve, route);
  vsi_web_free(adapter->host, pattern);
  return error;
}

vestry_err vestry_civetweb_stop(vestry_civetweb *adapter, uint64_t timeout_ms) {
  struct timespec until = vsi_web_after_ms(timeout_ms);
  vsi_web_gate_shut(&adapter->gate);
  vsi_civetweb_parked_close_all(&adapter->parked, VESTRY_CAUSE_SHUTDOWN);
  return vsi_web_gate_wait(&adapter->gate, &until);
}

void vestry_civetweb_destroy(vestry_civetweb *adapter) {
  if (!adapter) return;
  vsi_civetweb_watch_destroy(adapter->watch);
  vsi_civetweb_parked_finish(&adapter->parked, adapter->host);
  vsi_web_routes_finish(&adapter->routes, adapter->host);
  vsi_web_gate_finish(&adapter->gate);
  vsi_web_free(adapter->host, adapter);
}
