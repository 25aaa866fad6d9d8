/* SPDX-License-Identifier: MIT */
/* Creating, stopping and destroying an adapter, in an order that is safe for libmicrohttpd's threads and for
 * streams. */
#include "adapter/microhttpd/lifecycle.h"

#include "adapter/microhttpd/daemon.h"
#include "adapter/microhttpd/handover.h"
#include "adapter/microhttpd/streamed_body.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "base/wait.h"

vsi_microhttpd *vsi_microhttpd_lifecycle_create(vestry *v, uint32_t streams_count, size_t send_buffer_bytes) {
  const vestry_host *host = vestry_parts_of(v)->host;
  vsi_microhttpd *adapter = vsi_calloc(host, 1, sizeof *adapter);
  if (!adapter) return NULL;
  adapter->base = (vestry_server){.size = sizeof adapter->base, .adapter = &vestry_server_microhttpd};
  adapter->v = v;
  adapter->host = host;
  adapter->send_buffer_bytes = (int)send_buffer_bytes;
  adapter->max_head_bytes = SIZE_MAX;
  vsi_web_gate_init(&adapter->gate, streams_count);
  vsi_microhttpd_writer_pool_init(&adapter->writer_pool);
  return adapter;
}

vestry_err vsi_microhttpd_lifecycle_begin(vsi_microhttpd *adapter, const vsi_microhttpd_limits *limits) {
  adapter->sockets.sendings = vsi_microhttpd_sendings_create(adapter->v);
  if (!adapter->sockets.sendings) return VESTRY_NO_MEMORY;
  vestry_err error =
      vsi_microhttpd_watch_init(&adapter->watch, adapter->host, adapter->gate.capacity, vsi_microhttpd_handover_over);
  if (!error) error = vsi_microhttpd_handover_init(adapter);
  return error ? error : vsi_microhttpd_sockets_begin(&adapter->sockets, adapter->v, limits);
}

static void room(vestry_server *server, uint32_t *ret_streams, uint32_t *ret_capacity) {
  vsi_microhttpd *adapter = (vsi_microhttpd *)server;
  if (ret_streams) *ret_streams = vsi_web_gate_streams(&adapter->gate);
  if (ret_capacity) *ret_capacity = adapter->gate.capacity;
}

static vestry_err stop(vestry_server *server, uint64_t timeout_ms) {
  vsi_microhttpd *adapter = (vsi_microhttpd *)server;
  if (vestry_is_forked(adapter->v)) return VESTRY_CLOSED;
  uint64_t until_ns = vsi_monotonic_in_ms(timeout_ms);
  vsi_web_gate_shut(&adapter->gate);
  vsi_microhttpd_watch_shut(&adapter->watch, VESTRY_CAUSE_SHUTDOWN);
  return vsi_web_gate_wait(&adapter->gate, until_ns);
}

void vsi_microhttpd_lifecycle_destroy(vestry_server *server) {
  vsi_microhttpd *adapter = (vsi_microhttpd *)server;
  if (vestry_is_forked(adapter->v)) return;
  struct MHD_Daemon *daemon = atomic_load_explicit(&adapter->daemon, memory_order_relaxed);
  vsi_microhttpd_acceptor_close(&adapter->acceptor);
  /* An attached adapter may still have streams; their daemon belongs to the application. */
  if (daemon || adapter->sockets.host)
    while (stop(server, VESTRY_NEVER_MS)) continue;
  if (daemon) {
    vsi_microhttpd_sockets_shut(&adapter->sockets);
    MHD_stop_daemon(daemon); /* it aborts the process if a connection is suspended */
  }
  for (vsi_map_link *left; (left = vsi_microhttpd_slots_pop(&adapter->attached.slots)) != NULL;)
    vsi_microhttpd_request_destroy((vsi_microhttpd_request *)left);
  vsi_microhttpd_slots_finish(&adapter->attached.slots);
  vsi_microhttpd_writer_pool_finish(&adapter->writer_pool);
  vsi_microhttpd_sockets_finish(&adapter->sockets);
  vsi_microhttpd_sendings_unref(adapter->sockets.sendings);
  vsi_microhttpd_watch_finish(&adapter->watch);
  vsi_microhttpd_handover_finish(adapter);
  vsi_web_gate_finish(&adapter->gate);
  vsi_free(adapter->host, adapter);
}

vestry_err vestry_microhttpd_create(vestry *v, const vestry_microhttpd_options *given, vestry_server **ret_server) {
  vestry_microhttpd_options own;
  if (!v || !ret_server) return VESTRY_INVALID;
  const vestry_host *host = vestry_parts_of(v)->host;
  if (VSI_OPTIONS_TAKE(vestry_microhttpd_options, own, given) || vsi_microhttpd_settings_resolve(v, &own)) {
    vsi_log(host, VESTRY_LOG_ERROR,
            "vestry_microhttpd_create: an option is out of range, or excludes another option; see vestry/microhttpd.h");
    return VESTRY_INVALID;
  }
  vestry_err error = vsi_microhttpd_settings_fit(host, &own);
  if (error) return error;
  vsi_microhttpd *adapter = vsi_microhttpd_lifecycle_create(v, own.max_streams, own.send_buffer_bytes);
  if (!adapter) return VESTRY_NO_MEMORY;
  adapter->is_tls = own.tls_key != NULL;
  adapter->max_head_bytes = own.max_head_bytes;
  adapter->lost_ms = (unsigned)own.lost_ms;
  const vsi_microhttpd_limits limits = {.request_ms = own.request_timeout_ms,
                                        .idle_ms = own.timeout_s * UINT64_C(1000),
                                        .memory_bytes = own.memory_bytes,
                                        .head_bytes = own.max_head_bytes,
                                        .per_address = own.max_per_address};
  error = vsi_microhttpd_lifecycle_begin(adapter, &limits);
  if (!error) error = vsi_microhttpd_daemon_start(adapter, &own);
  if (error) {
    vsi_microhttpd_lifecycle_destroy(&adapter->base);
    return error;
  }
  *ret_server = &adapter->base;
  return VESTRY_OK;
}

/* Implements vestry_server_adapter.start. */
static vestry_err start(vestry *v, const vestry_server_options *options, vestry_server **ret_server) {
  return vestry_microhttpd_create(v,
                                  &(vestry_microhttpd_options){
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

const vestry_server_adapter vestry_server_microhttpd = {
    .size = sizeof(vestry_server_adapter),
    .name = "microhttpd",
    .start = start,
    .stop = stop,
    .destroy = vsi_microhttpd_lifecycle_destroy,
    .room = room,
};
