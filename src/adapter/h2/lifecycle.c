/* SPDX-License-Identifier: MIT */
/* An adapter: its options, its start, and its end. The acceptor, the limits of connections, the gate and HTTP/1.1 are
 * those of an adapter for libmicrohttpd inside. */
#include "adapter/h2/adapter.h"

#include "base/log.h"
#include "base/thread.h"
#include "base/wait.h"

enum { DEFAULT_PER_CONNECTION = 250, MOST_PER_CONNECTION = 10000 };
enum { MAX_HEAD_BYTES = 4 << 20, LEAST_LOOK_MS = 10, LONGEST_LOOK_MS = 250, LOOKS = 8 };

/* Fill in the defaults and check the bounds that are not those of vestry_microhttpd_options. */
static vestry_err resolve(const vestry *v, vestry_h2_options *options) {
  const vestry_host *host = vestry_parts_of(v)->host;
  const vsi_option_range ranges[] = {
      {"max_per_connection", options->max_per_connection, 1, MOST_PER_CONNECTION},
      {"threads_count", options->threads_count, 1, VSI_MICROHTTPD_MAX_THREADS},
      {"max_head_bytes", options->max_head_bytes, 1, MAX_HEAD_BYTES},
  };
  if (vsi_option_ranges_check(host, "vestry_h2_create", ranges, sizeof ranges / sizeof *ranges)) return VESTRY_INVALID;
  const vsi_tls_options tls = VSI_TLS_OPTIONS(options);
  const char *conflict = vsi_tls_find_conflict(&tls);
  if (conflict) return vsi_mistake(host, "vestry_h2_create", conflict);
  if (!options->max_per_connection) options->max_per_connection = DEFAULT_PER_CONNECTION;
  if (!options->threads_count) options->threads_count = vsi_processors(2, VSI_MICROHTTPD_MAX_THREADS);
  if (!options->timeout_s) options->timeout_s = VSI_MICROHTTPD_DEFAULT_TIMEOUT_S;
  if (!options->request_timeout_ms) options->request_timeout_ms = VSI_MICROHTTPD_DEFAULT_REQUEST_MS;
  if (!options->max_head_bytes) options->max_head_bytes = VSI_MICROHTTPD_DEFAULT_HEAD_BYTES;
  return VESTRY_OK;
}

static void set_times(vsi_h2 *adapter, const vestry_h2_options *options) {
  const unsigned lost_ms = vsi_microhttpd_lost_ms(adapter->v, options->lost_ms);
  uint64_t shortest_ms = options->timeout_s * UINT64_C(1000);
  adapter->request_ns = vsi_ms_to_ns(options->request_timeout_ms);
  adapter->idle_ns = vsi_ms_to_ns(shortest_ms);
  adapter->lost_ms = lost_ms;
  adapter->lost_ns = lost_ms ? vsi_ms_to_ns(lost_ms) : UINT64_MAX;
  if (options->request_timeout_ms < shortest_ms) shortest_ms = options->request_timeout_ms;
  if (lost_ms && lost_ms < shortest_ms) shortest_ms = lost_ms;
  uint64_t look_ms = shortest_ms / LOOKS;
  if (look_ms < LEAST_LOOK_MS) look_ms = LEAST_LOOK_MS;
  if (look_ms > LONGEST_LOOK_MS) look_ms = LONGEST_LOOK_MS;
  adapter->look_ns = vsi_ms_to_ns(look_ms);
}

/* Start the part for HTTP/1.1, which accepts all connections, and the threads. */
static vestry_err begin_serving(vsi_h2 *adapter, const vestry_h2_options *options) {
  const vsi_microhttpd_feeder feeder = {"vestry_h2_create", vsi_h2_loop_take, adapter->tls, adapter};
  const vestry_microhttpd_options inner = {.address = options->address,
                                           .port = options->port,
                                           .unix_path = options->unix_path,
                                           .unix_mode = options->unix_mode,
                                           .threads_count = options->threads_count,
                                           .max_streams = options->max_streams,
                                           .max_connections = options->max_connections,
                                           .max_per_address = options->max_per_address,
                                           .timeout_s = options->timeout_s,
                                           .request_timeout_ms = options->request_timeout_ms,
                                           .lost_ms = options->lost_ms,
                                           .max_head_bytes = options->max_head_bytes};
  vestry_err error = vsi_h2_loops_make(adapter, options->threads_count);
  if (!error) error = vsi_microhttpd_create_fed(adapter->v, &inner, &feeder, &adapter->inner_server);
  if (error) return error;
  adapter->inner = (vsi_microhttpd *)adapter->inner_server;
  adapter->base.port = adapter->inner_server->port;
  /* Connections that were accepted meanwhile wait for the threads. */
  return vsi_h2_loops_start(adapter);
}

static vestry_err begin(vsi_h2 *adapter, const vestry_h2_options *options) {
  const vsi_tls_options tls = VSI_TLS_OPTIONS(options);
  vestry_err error = vsi_tls_create(adapter->host, "vestry_h2_create", &tls, &adapter->tls);
  if (!error) error = vsi_h2_frames_init(adapter); /* its limits depend on tls */
  if (!error) error = vsi_texts_copy(adapter->host, options->names, &adapter->names);
  if (!error) error = begin_serving(adapter, options);
  return error;
}

static void room(vestry_server *server, uint32_t *ret_streams, uint32_t *ret_capacity) {
  vestry_server_room(((vsi_h2 *)server)->inner_server, ret_streams, ret_capacity);
}

static vestry_err stop(vestry_server *server, uint64_t timeout_ms) {
  vsi_h2 *adapter = (vsi_h2 *)server;
  vestry_err error = vsi_server_may_wait(adapter->v, "vestry_server_stop");
  if (error) return error;
  const uint64_t until_ns = vsi_monotonic_in_ms(timeout_ms);
  vsi_web_gate_shut(&adapter->inner->gate);
  atomic_store_explicit(&adapter->is_stopping, true, memory_order_relaxed); /* only a flag */
  vsi_h2_loops_close_streams(adapter, VESTRY_CAUSE_SHUTDOWN);
  vsi_h2_loops_wake(adapter);
  (void)vestry_server_stop(adapter->inner_server, 0);
  return vsi_web_gate_wait(&adapter->inner->gate, adapter->v, until_ns);
}

static void destroy(vestry_server *server) {
  vsi_h2 *adapter = (vsi_h2 *)server;
  if (vsi_server_may_wait(adapter->v, "vestry_server_destroy")) return;
  if (adapter->inner) {
    vsi_microhttpd_acceptor_close(&adapter->inner->acceptor);
    while (stop(server, VESTRY_NEVER_MS)) continue;
  }
  vsi_h2_loops_finish(adapter);
  vestry_server_destroy(adapter->inner_server); /* which waits for the errands */
  vsi_tls_destroy(adapter->tls);
  vsi_texts_forget(adapter->host, adapter->names);
  vsi_mutex_finish(&adapter->loads_lock);
  vsi_h2_frames_finish(adapter);
  vsi_free(adapter->host, adapter);
}

vestry_err vestry_h2_create(vestry *v, const vestry_h2_options *given, vestry_server **ret_server) {
  if (!v) return VESTRY_INVALID;
  const vestry_host *host = vestry_parts_of(v)->host;
  if (!ret_server) return vsi_mistake(host, "vestry_h2_create", "ret_server is NULL");
  vestry_h2_options own = given ? *given : (vestry_h2_options){0};
  vestry_err error = resolve(v, &own);
  if (error) return error;
  vsi_h2 *adapter = vsi_calloc(host, 1, sizeof *adapter);
  if (!adapter) return VESTRY_NO_MEMORY;
  adapter->base = (vestry_server){.adapter = &vestry_server_h2};
  adapter->v = v;
  adapter->host = host;
  vsi_mutex_init(&adapter->loads_lock, VSI_LOCK_H2_LOADS);
  vsi_loads_init(&adapter->loads);
  adapter->most_streams = own.max_per_connection;
  adapter->max_head_bytes = own.max_head_bytes;
  set_times(adapter, &own);
  vsi_h2_request_init(adapter);
  error = begin(adapter, &own);
  if (error) {
    destroy(&adapter->base);
    return error;
  }
  *ret_server = &adapter->base;
  return VESTRY_OK;
}

/* Implements vestry_server_adapter.start. */
static vestry_err start(vestry *v, const vestry_server_options *options, vestry_server **ret_server) {
  return vestry_h2_create(v,
                          &(vestry_h2_options){
                              .address = options->address,
                              .port = options->port,
                              .unix_path = options->unix_path,
                              .threads_count = options->threads_count,
                              .max_streams = options->max_streams,
                              .max_per_address = options->max_per_address,
                              .max_head_bytes = options->max_head_bytes,
                              .tls_key = options->tls_key,
                              .tls_certificate = options->tls_certificate,
                          },
                          ret_server);
}

static vestry_err renew(vestry_server *server, const char *const *pairs) {
  const vsi_h2 *adapter = (const vsi_h2 *)server;
  return vsi_tls_renew(adapter->tls, adapter->host, pairs);
}

const vestry_server_adapter vestry_server_h2 = {
    .name = "h2",
    .start = start,
    .stop = stop,
    .destroy = destroy,
    .room = room,
    .renew = renew,
};
