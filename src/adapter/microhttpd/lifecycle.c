/* SPDX-License-Identifier: MIT */
/* An adapter: its options, its start, and its stop, in an order that is safe for libmicrohttpd's threads and for
 * streams. The numbers of connections and streams are adapted to the descriptors that the process may have. */
#include "adapter/microhttpd/adapter.h"

#include <limits.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "adapter/web/policy.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/wait.h"

enum {
  LEAST_MORE_CONNECTIONS = 64,
  MEMORY_A_HEAD = 4, /* the head, a copy of its cookies, records of headers and cookies, and the head of the response */
  LEAST_MEMORY_BYTES = 1024,
  MAX_MEMORY_BYTES = 16 << 20,
  DEFAULT_UNIX_MODE = 0660,
  MAX_UNIX_MODE = 0777
};

/* Return TCP_USER_TIMEOUT. The worst case is a connection that breaks just after a heartbeat: then one heartbeat passes
 * until there is something to acknowledge, then lost_ms. */
unsigned vsi_microhttpd_lost_ms(const vestry *v, uint64_t lost_ms) {
  if (lost_ms == VESTRY_NEVER_MS) return 0;
  if (!lost_ms) {
    lost_ms = vestry_parts_of(v)->heartbeat_ms;
    if (lost_ms == VESTRY_NEVER_MS) lost_ms = VSI_WEB_LOST_WITHOUT_HEARTBEAT_MS;
    if (lost_ms < VSI_WEB_LOST_LEAST_MS) lost_ms = VSI_WEB_LOST_LEAST_MS;
  }
  return lost_ms < INT_MAX ? (unsigned)lost_ms : INT_MAX; /* the kernel's limit */
}

/* Return whether a path fits into the address of a UNIX socket: neither empty nor too long. */
static bool path_fits(const char *path) {
  return *path && strlen(path) < sizeof((struct sockaddr_un *)0)->sun_path;
}

/* Return the fault in options that exclude or require each other; NULL: none. */
static const char *find_conflict(const vestry_microhttpd_options *options) {
  const vsi_tls_options tls = VSI_TLS_OPTIONS(options);
  const char *conflict = vsi_tls_find_conflict(&tls);
  if (conflict) return conflict;
  if (!options->unix_path) return options->unix_mode ? "unix_mode is set without unix_path" : NULL;
  if (options->address || options->port) return "unix_path excludes address and port";
  if (!path_fits(options->unix_path)) return "unix_path must have from 1 to 107 bytes, as the address of a UNIX socket";
  return options->unix_mode > MAX_UNIX_MODE ? "unix_mode must be 0 (the default), or at most 0777" : NULL;
}

/* Fill in the defaults and check the bounds: OK | INVALID (logged). Afterwards lost_ms is TCP_USER_TIMEOUT; 0: the
 * system's. */
static vestry_err resolve(const vestry *v, const char *function, vestry_microhttpd_options *options, bool is_fed) {
  const vestry_host *host = vestry_parts_of(v)->host;
  if (!options->max_streams) options->max_streams = VSI_MICROHTTPD_DEFAULT_STREAMS;
  if (!options->threads_count) options->threads_count = vsi_processors(2, VSI_MICROHTTPD_MAX_THREADS);
  const uint32_t streams = options->max_streams, more = streams / 4;
  /* Each thread has a share of the connections, and needs at least one. */
  const uint64_t threads = options->threads_count,
                 least = is_fed || streams < threads ? threads : (uint64_t)streams + 1;
  if (!options->max_connections) {
    options->max_connections = streams + (more > LEAST_MORE_CONNECTIONS ? more : LEAST_MORE_CONNECTIONS);
    if (options->max_connections < threads && threads <= VSI_MICROHTTPD_MAX_THREADS)
      options->max_connections = (uint32_t)threads;
  }
  const size_t memory = options->memory_bytes;
  const vsi_option_range ranges[] = {
      {"max_streams", streams, 1, VSI_MICROHTTPD_MAX_STREAMS},
      {"threads_count", threads, 1, VSI_MICROHTTPD_MAX_THREADS},
      {"max_connections", options->max_connections, least, VSI_MICROHTTPD_MAX_CONNECTIONS},
      {"memory_bytes", memory, LEAST_MEMORY_BYTES, MAX_MEMORY_BYTES},
      {"max_head_bytes", options->max_head_bytes, memory ? 1 : LEAST_MEMORY_BYTES / MEMORY_A_HEAD,
       (memory ? memory : MAX_MEMORY_BYTES) / MEMORY_A_HEAD},
      vsi_microhttpd_send_buffer_option(options->send_buffer_bytes),
  };
  if (vsi_option_ranges_check(host, function, ranges, sizeof ranges / sizeof *ranges)) return VESTRY_INVALID;
  const char *conflict = find_conflict(options);
  if (conflict) return vsi_mistake(host, function, conflict);
  if (!options->timeout_s) options->timeout_s = VSI_MICROHTTPD_DEFAULT_TIMEOUT_S;
  if (!options->request_timeout_ms) options->request_timeout_ms = VSI_MICROHTTPD_DEFAULT_REQUEST_MS;
  if (!options->max_head_bytes)
    options->max_head_bytes =
        options->memory_bytes ? options->memory_bytes / MEMORY_A_HEAD : VSI_MICROHTTPD_DEFAULT_HEAD_BYTES;
  if (!options->memory_bytes) options->memory_bytes = MEMORY_A_HEAD * options->max_head_bytes;
  options->lost_ms = vsi_microhttpd_lost_ms(v, options->lost_ms);
  if (!options->unix_mode) options->unix_mode = DEFAULT_UNIX_MODE;
  if (!options->address) options->address = "0.0.0.0";
  return VESTRY_OK;
}

/* Reduce connections and streams to the number of available descriptors; a reduction is logged. OK | IO (there are
 * hardly any) */
static vestry_err fit(const vestry_host *host, const char *function, vestry_microhttpd_options *options, bool is_fed) {
  uint32_t all, reserve;
  if (!vsi_microhttpd_descriptors(options->threads_count, &all, &reserve)) return VESTRY_OK;
  if (all < reserve + options->threads_count + 1) {
    vsi_log(host, VESTRY_LOG_ERROR, "%s: RLIMIT_NOFILE is %u, but %u threads need %u descriptors; raise it (ulimit -n)",
            function, all, options->threads_count, reserve + options->threads_count + 1);
    return VESTRY_IO;
  }
  unsigned most = all - reserve;
  if (options->max_connections <= most) return VESTRY_OK;
  uint32_t streams = most - (most + 4) / 5;
  if (is_fed || streams > options->max_streams) streams = options->max_streams;
  vsi_log(
      host, VESTRY_LOG_WARN,
      "libmicrohttpd: RLIMIT_NOFILE is %u, so at most %u connections and %u streams are accepted instead of %u and %u",
      all, most, streams, options->max_connections, options->max_streams);
  options->max_connections = most;
  options->max_streams = streams;
  return VESTRY_OK;
}

/* -------------------------------------------------------------------------------------------------- the daemon ---- */

/* Return TCP_USER_TIMEOUT for connections that are not streams yet. The kernel counts how long a peer acknowledges
 * nothing, and also how long a peer that acknowledges keeps its window closed. A client may pause for timeout_s, so the
 * value is at least that. */
static unsigned silent_ms(const vestry_microhttpd_options *options) {
  const uint64_t unread_ms = options->timeout_s * UINT64_C(1000);
  if (!options->lost_ms || options->lost_ms >= unread_ms) return (unsigned)options->lost_ms;
  return unread_ms < INT_MAX ? (unsigned)unread_ms : INT_MAX;
}

/* Start libmicrohttpd and open the acceptor; requests are served from then on. OK | INVALID (the address) | UNSUPPORTED
 * | NO_MEMORY | IO */
static vestry_err listen_and_start(vsi_microhttpd *adapter, const vestry_microhttpd_options *options) {
  if (MHD_is_feature_supported(MHD_FEATURE_EPOLL) != MHD_YES ||
      (adapter->tls && (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES ||
                        MHD_is_feature_supported(MHD_FEATURE_HTTPS_CERT_CALLBACK) != MHD_YES))) {
    vsi_log(adapter->host, VESTRY_LOG_ERROR,
            "%s: this libmicrohttpd was built without epoll, TLS or a callback for certificates; use another build",
            adapter->function);
    return VESTRY_UNSUPPORTED;
  }
  vestry_err error = vsi_microhttpd_probe(adapter, true, "use a proxy that refuses them, or version 0.9.75 or 1.0");
  if (error) return error;
  error = vsi_microhttpd_acceptor_make(&adapter->acceptor, adapter->v, adapter->function, options, adapter->tls != NULL,
                                       silent_ms(options));
  if (error) return error;
  adapter->base.port = vsi_microhttpd_acceptor_port(&adapter->acceptor);
  error = vsi_microhttpd_daemon_start(adapter, options);
  if (error) return error;
  struct MHD_Daemon *daemon = atomic_load_explicit(&adapter->daemon, memory_order_relaxed);
  return vsi_microhttpd_acceptor_open(&adapter->acceptor, daemon, options->max_connections, &adapter->sockets);
}

/* -------------------------------------------------------------------------------------------------------- life ---- */

vsi_microhttpd *vsi_microhttpd_lifecycle_create(vestry *v, const char *function, uint32_t streams_count,
                                                size_t send_buffer_bytes) {
  const vestry_host *host = vestry_parts_of(v)->host;
  vsi_microhttpd *adapter = vsi_calloc(host, 1, sizeof *adapter);
  if (!adapter) return NULL;
  adapter->base = (vestry_server){.adapter = &vestry_server_microhttpd};
  adapter->v = v;
  adapter->host = host;
  adapter->function = function;
  adapter->send_buffer_bytes = (int)send_buffer_bytes;
  adapter->max_head_bytes = SIZE_MAX;
  adapter->placeholder = -1;
  atomic_init(&adapter->attached.has_threads, true);
  vsi_web_gate_init(&adapter->gate, streams_count);
  vsi_microhttpd_writer_pool_init(&adapter->writer_pool);
  return adapter;
}

vestry_err vsi_microhttpd_lifecycle_begin(vsi_microhttpd *adapter, const vsi_microhttpd_limits *limits) {
  adapter->sendings = vsi_microhttpd_sendings_create(adapter->v);
  adapter->nothing = MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
  if (!adapter->sendings || !adapter->nothing) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_microhttpd_watch_init(&adapter->watch, adapter->v, adapter->function, adapter->gate.capacity,
                                               vsi_microhttpd_stream_over);
  if (error) return error;
  if (!adapter->is_tls) adapter->placeholder = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (!adapter->is_tls && adapter->placeholder < 0) {
    vsi_log(adapter->host, VESTRY_LOG_ERROR, "%s: no descriptor is left; raise the limit of descriptors (ulimit -n)",
            adapter->function);
    return VESTRY_IO;
  }
  return vsi_microhttpd_sockets_begin(&adapter->sockets, adapter->v, limits);
}

static void room(vestry_server *server, uint32_t *ret_streams, uint32_t *ret_capacity) {
  vsi_web_gate_room(&((vsi_microhttpd *)server)->gate, ret_streams, ret_capacity);
}

static vestry_err stop(vestry_server *server, uint64_t timeout_ms) {
  vsi_microhttpd *adapter = (vsi_microhttpd *)server;
  vestry_err error = vsi_server_may_wait(adapter->v, "vestry_server_stop");
  if (error) return error;
  uint64_t until_ns = vsi_monotonic_in_ms(timeout_ms);
  vsi_web_gate_shut(&adapter->gate);
  vsi_microhttpd_watch_shut(&adapter->watch, VESTRY_CAUSE_SHUTDOWN);
  return vsi_web_gate_wait(&adapter->gate, adapter->v, until_ns);
}

/* Remove one of the running requests. NULL: there are none. */
static vsi_map_link *pop_request(vsi_microhttpd_attached *attached) {
  vsi_mutex_lock(&attached->lock);
  vsi_map_link *found = vsi_map_after(&attached->requests, NULL);
  if (found) vsi_map_remove(&attached->requests, found);
  vsi_mutex_unlock(&attached->lock);
  return found;
}

static void end_attached(vsi_microhttpd_attached *attached, const vestry_host *host) {
  for (vsi_map_link *left; (left = pop_request(attached)) != NULL;)
    vsi_microhttpd_request_destroy((vsi_microhttpd_request *)left);
  vsi_mutex_finish(&attached->lock);
  vsi_map_finish(&attached->requests, host);
}

void vsi_microhttpd_lifecycle_destroy(vestry_server *server) {
  vsi_microhttpd *adapter = (vsi_microhttpd *)server;
  if (vsi_server_may_wait(adapter->v, "vestry_server_destroy")) return;
  struct MHD_Daemon *daemon = atomic_load_explicit(&adapter->daemon, memory_order_relaxed);
  const bool is_fed = adapter->acceptor.feeder.take != NULL;
  vsi_microhttpd_acceptor_close(&adapter->acceptor);
  /* An attached adapter may still have streams; their daemon belongs to the application. */
  if (daemon || adapter->sockets.host)
    while (stop(server, VESTRY_NEVER_MS)) continue;
  if (daemon) {
    vsi_microhttpd_sockets_shut(&adapter->sockets);
    MHD_stop_daemon(daemon); /* it aborts the process if a connection is suspended */
  }
  if (vsi_microhttpd_is_attached(adapter)) end_attached(&adapter->attached, adapter->host);
  vsi_microhttpd_writer_pool_finish(&adapter->writer_pool);
  vsi_microhttpd_sockets_finish(&adapter->sockets);
  vsi_microhttpd_sendings_unref(adapter->sendings);
  if (adapter->nothing) MHD_destroy_response(adapter->nothing); /* connections that send it hold references */
  vsi_microhttpd_watch_finish(&adapter->watch);
  if (adapter->placeholder >= 0) close(adapter->placeholder);
  vsi_web_gate_finish(&adapter->gate);
  if (!is_fed) vsi_tls_destroy(adapter->tls);
  vsi_free(adapter->host, adapter);
}

static vestry_err create(vestry *v, const vestry_microhttpd_options *given, const vsi_microhttpd_feeder *feeder,
                         vestry_server **ret_server) {
  const char *function = feeder ? feeder->function : "vestry_microhttpd_create";
  if (!v) return VESTRY_INVALID;
  const vestry_host *host = vestry_parts_of(v)->host;
  if (!ret_server) return vsi_mistake(host, function, "ret_server is NULL");
  vestry_microhttpd_options own = given ? *given : (vestry_microhttpd_options){0};
  vestry_err error = resolve(v, function, &own, feeder != NULL);
  if (!error) error = fit(host, function, &own, feeder != NULL);
  if (error) return error;
  const vsi_tls_options tls = VSI_TLS_OPTIONS(&own);
  vsi_microhttpd *adapter = vsi_microhttpd_lifecycle_create(v, function, own.max_streams, own.send_buffer_bytes);
  if (!adapter) return VESTRY_NO_MEMORY;
  if (feeder)
    adapter->acceptor.feeder = *feeder, adapter->tls = feeder->tls;
  else
    error = vsi_tls_create(host, function, &tls, &adapter->tls);
  adapter->is_tls = adapter->tls != NULL;
  adapter->max_head_bytes = own.max_head_bytes;
  adapter->lost_ms = (unsigned)own.lost_ms;
  const vsi_microhttpd_limits limits = {.request_ms = own.request_timeout_ms,
                                        .idle_ms = own.timeout_s * UINT64_C(1000),
                                        .memory_bytes = own.memory_bytes,
                                        .head_bytes = own.max_head_bytes,
                                        .per_address = own.max_per_address};
  if (!error) error = vsi_microhttpd_lifecycle_begin(adapter, &limits);
  if (!error) error = listen_and_start(adapter, &own);
  if (error) {
    vsi_microhttpd_lifecycle_destroy(&adapter->base);
    return error;
  }
  *ret_server = &adapter->base;
  return VESTRY_OK;
}

vestry_err vestry_microhttpd_create(vestry *v, const vestry_microhttpd_options *options, vestry_server **ret_server) {
  return create(v, options, NULL, ret_server);
}

vestry_err vsi_microhttpd_create_fed(vestry *v, const vestry_microhttpd_options *options,
                                     const vsi_microhttpd_feeder *feeder, vestry_server **ret_server) {
  return create(v, options, feeder, ret_server);
}

static vestry_err renew(vestry_server *server, const char *const *pairs) {
  const vsi_microhttpd *adapter = (const vsi_microhttpd *)server;
  return vsi_tls_renew(adapter->tls, adapter->host, pairs);
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
    .name = "microhttpd",
    .start = start,
    .stop = stop,
    .destroy = vsi_microhttpd_lifecycle_destroy,
    .room = room,
    .renew = renew,
};
