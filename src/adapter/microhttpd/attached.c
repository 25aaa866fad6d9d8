/* SPDX-License-Identifier: MIT */
/* essay: requests inside a daemon of the application */
/* An adapter for a daemon of the application.
 *
 * If the daemon belongs to the application, vestry is called from the application's access handler. libmicrohttpd calls
 * that handler several times for a request, with one pointer that the first call may set. If the request is vestry's,
 * the pointer is set to it. Later calls look the pointer up among the running requests, so that vestry recognizes its
 * own, whatever pointers the application sets for its requests.
 *
 * vestry sees only the requests of a connection. Limits and timeouts are those of the daemon, until a stream begins.
 * Then its socket is handed over (stream.c) or the connection is suspended, as in a daemon of vestry; for this, the
 * daemon must allow suspending. For vestry a request is over when it was answered; libmicrohttpd reports a request that
 * breaks off before. */
#include "adapter/microhttpd/adapter.h"

#include "base/hash.h"
#include "base/log.h"

enum { DEFAULT_REQUESTS = 1024, MAX_REQUESTS = 1 << 20 };

/* ---------------------------------------------------------------------------------------- the running requests ---- */

/* Different pointers have different hashes. */
static uint64_t hash_of(const void *pointer) {
  return vsi_hash_number((uintptr_t)pointer);
}

static vestry_err init_requests(vsi_microhttpd *adapter, uint32_t most) {
  vsi_microhttpd_attached *attached = &adapter->attached;
  if (vsi_map_reserve(&attached->requests, adapter->host, most)) return VESTRY_NO_MEMORY;
  vsi_mutex_init(&attached->lock, VSI_LOCK_MICROHTTPD_REQUESTS);
  attached->requests_most = most;
  return VESTRY_OK;
}

/* Add a running request. false: there are too many. */
static bool remember(vsi_microhttpd_attached *attached, vsi_microhttpd_request *request) {
  vsi_mutex_lock(&attached->lock);
  bool fits = attached->requests.count < attached->requests_most;
  if (fits) vsi_map_add(&attached->requests, &request->in_requests, hash_of(request));
  vsi_mutex_unlock(&attached->lock);
  return fits;
}

/* Return the request of a pointer; NULL: the pointer belongs to the application. */
static vsi_microhttpd_request *request_at(vsi_microhttpd *adapter, const void *pointer) {
  vsi_microhttpd_attached *attached = &adapter->attached;
  if (!attached->requests_most) return NULL;
  vsi_mutex_lock(&attached->lock);
  vsi_map_link *found = vsi_map_first(&attached->requests, hash_of(pointer));
  vsi_mutex_unlock(&attached->lock);
  return (vsi_microhttpd_request *)found;
}

/* Free a request that was answered or broke off. */
static void forget(vsi_microhttpd_request *request, void **pointer) {
  vsi_microhttpd_attached *attached = &request->adapter->attached;
  vsi_mutex_lock(&attached->lock);
  vsi_map_remove(&attached->requests, &request->in_requests);
  vsi_mutex_unlock(&attached->lock);
  vsi_microhttpd_request_destroy(request);
  *pointer = NULL;
}

/* -------------------------------------------------------------------------------------------------- the daemon ---- */

/* Check the flags of the daemon. OK | UNSUPPORTED (logged) */
static vestry_err check(vsi_microhttpd *adapter, struct MHD_Daemon *daemon) {
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_FLAGS);
  const unsigned flags = info ? (unsigned)info->flags : 0;
  const char *why = NULL;
  /* A daemon that has no threads has cleared MHD_USE_ITC, which is a part of the flag. */
  if (!(flags & MHD_ALLOW_SUSPEND_RESUME & ~(unsigned)MHD_USE_ITC))
    why = "vestry_microhttpd_attach: the daemon must be started with MHD_ALLOW_SUSPEND_RESUME, so that streams can be "
          "suspended";
  if (flags & MHD_USE_THREAD_PER_CONNECTION)
    why = "vestry_microhttpd_attach: MHD_USE_THREAD_PER_CONNECTION does not support streams; use a pool of threads";
  atomic_store_explicit(&adapter->attached.has_threads, flags & MHD_USE_INTERNAL_POLLING_THREAD, memory_order_relaxed);
  atomic_store_explicit(&adapter->attached.fits, why ? -1 : 1, memory_order_relaxed);
  if (!why) return VESTRY_OK;
  vsi_log(adapter->host, VESTRY_LOG_ERROR, "%s", why);
  return VESTRY_UNSUPPORTED;
}

/* Check the daemon at the first request, if it was not passed to vestry_microhttpd_attach. */
static bool daemon_fits(vsi_microhttpd *adapter, struct MHD_Connection *conn) {
  int fits = atomic_load_explicit(&adapter->attached.fits, memory_order_relaxed);
  if (fits) return fits > 0;
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_DAEMON);
  return info && !check(adapter, info->daemon);
}

/* ---------------------------------------------------------------------------------------------------- requests ---- */

static enum MHD_Result proceed(vsi_microhttpd_request *request, vsi_microhttpd_turn turn, void **pointer) {
  if (turn == VSI_MICROHTTPD_ANSWERED || turn == VSI_MICROHTTPD_BREAKS) forget(request, pointer);
  return vsi_microhttpd_result_of(turn);
}

/* Begin a request whose head is complete. MHD_NO closes the connection. */
static enum MHD_Result begin(vsi_microhttpd *adapter, struct MHD_Connection *conn, const char *path, const char *method,
                             const char *version, void **pointer) {
  if (!daemon_fits(adapter, conn)) return MHD_NO;
  vsi_microhttpd_request *request = vsi_microhttpd_request_adopt(adapter, conn, path, version);
  if (!request || !remember(&adapter->attached, request)) {
    vestry_reject(adapter->v, VESTRY_REFUSAL_BUDGET);
    vsi_microhttpd_request_destroy(request);
    return MHD_NO;
  }
  *pointer = request;
  return proceed(request, vsi_microhttpd_begin(request, method, path, version), pointer);
}

int vestry_microhttpd_serve(vestry_server *server, struct MHD_Connection *conn, const char *path, const char *method,
                            const char *version, const char *upload, size_t *upload_len, void **pointer) {
  if (!server || server->adapter != &vestry_server_microhttpd) return VESTRY_MICROHTTPD_NOT_MINE;
  vsi_microhttpd *adapter = (vsi_microhttpd *)server;
  vsi_microhttpd_request *request = request_at(adapter, *pointer);
  if (!request) {
    bool is_mine = !*pointer && !*upload_len && vestry_route_status(adapter->v, method, path, NULL) != 404;
    return is_mine ? (int)begin(adapter, conn, path, method, version, pointer) : VESTRY_MICROHTTPD_NOT_MINE;
  }
  return (int)proceed(request, vsi_microhttpd_continue(request, upload, upload_len), pointer);
}

bool vestry_microhttpd_completed(vestry_server *server, void **pointer) {
  if (!server || server->adapter != &vestry_server_microhttpd) return false;
  vsi_microhttpd_request *request = request_at((vsi_microhttpd *)server, *pointer);
  if (request) forget(request, pointer);
  return request != NULL;
}

/* -------------------------------------------------------------------------------------------------------- life ---- */

vestry_err vestry_microhttpd_attach(vestry *v, struct MHD_Daemon *daemon, const vestry_microhttpd_attach_options *given,
                                    vestry_server **ret_server) {
  if (!v) return VESTRY_INVALID;
  const vestry_host *host = vestry_parts_of(v)->host;
  if (!ret_server) return vsi_mistake(host, "vestry_microhttpd_attach", "ret_server is NULL");
  vestry_microhttpd_attach_options own = given ? *given : (vestry_microhttpd_attach_options){0};
  const vsi_option_range ranges[] = {{"max_streams", own.max_streams, 1, VSI_MICROHTTPD_MAX_STREAMS},
                                     {"max_requests", own.max_requests, 1, MAX_REQUESTS},
                                     vsi_microhttpd_send_buffer_option(own.send_buffer_bytes)};
  if (vsi_option_ranges_check(host, "vestry_microhttpd_attach", ranges, sizeof ranges / sizeof *ranges))
    return VESTRY_INVALID;
  uint32_t streams = own.max_streams ? own.max_streams : VSI_MICROHTTPD_DEFAULT_STREAMS;
  const uint32_t most = vsi_microhttpd_descriptors_most();
  if (most && streams > most) {
    vsi_log(host, VESTRY_LOG_WARN,
            "vestry_microhttpd_attach: RLIMIT_NOFILE allows %u streams instead of %u, because the program keeps some "
            "descriptors; raise it (ulimit -n), or set max_streams",
            most, streams);
    streams = most;
  }
  const uint32_t requests = own.max_requests ? own.max_requests : DEFAULT_REQUESTS;
  vsi_microhttpd *adapter =
      vsi_microhttpd_lifecycle_create(v, "vestry_microhttpd_attach", streams, own.send_buffer_bytes);
  if (!adapter) return VESTRY_NO_MEMORY;
  adapter->lost_ms = vsi_microhttpd_lost_ms(v, own.lost_ms);
  vestry_err error = init_requests(adapter, requests);
  if (!error && daemon) error = check(adapter, daemon);
  if (!error)
    error = vsi_microhttpd_probe(adapter, own.is_strict,
                                 "start the daemon with MHD_OPTION_STRICT_FOR_CLIENT, 1, and set is_strict");
  const vsi_microhttpd_limits limits = {.request_ms = own.request_timeout_ms ? own.request_timeout_ms
                                                                             : VSI_MICROHTTPD_DEFAULT_REQUEST_MS};
  if (!error) error = vsi_microhttpd_lifecycle_begin(adapter, &limits);
  if (error) {
    vsi_microhttpd_lifecycle_destroy(&adapter->base);
    return error;
  }
  *ret_server = &adapter->base;
  return VESTRY_OK;
}
