/* SPDX-License-Identifier: MIT */
/* An adapter, and the paths that a civetweb server passes to it: exactly those of the instance's routes, so that the
 * program's own handlers get all other requests, whenever they were set. Several instances of vestry in one server have
 * an adapter each. A server does not list its handlers, so its adapters, the neighbours, register with each other. The
 * list of all adapters of this process is the only static data of this library. */
#ifndef VSI_CIVETWEB_ADAPTER_H
#define VSI_CIVETWEB_ADAPTER_H

#include "adapter/civetweb/deadline.h"
#include "adapter/civetweb/watch.h"
#include "adapter/web/addresses.h"
#include "adapter/web/gate.h"
#include "vestry/civetweb.h"

struct mg_request_info;
struct vsi_civetweb;
struct vsi_civetweb_mount;

/* The settings of a civetweb server that concern vestry. */
typedef struct vsi_civetweb_settings {
  uint32_t threads_count;
  uint32_t queue_count; /* accepted clients that wait for a thread */
  uint32_t request_timeout_ms;
  uint32_t head_bytes; /* maximum size of request line and headers */
  bool keep_alive;
  bool nodelay;
  bool query_is_decoded; /* handlers get the query decoded */
  bool path_is_raw;      /* handlers get the path as it was sent */
} vsi_civetweb_settings;

/* Serves a request: vsi_civetweb_serve_routed. */
typedef int (*vsi_civetweb_serve_fn)(struct vsi_civetweb *by, struct mg_connection *conn);

typedef struct vsi_civetweb {
  /* Constant. */
  vestry_server base; /* the public part; first member */
  vestry *v;
  const vestry_host *host;
  struct mg_context *server;
  vsi_civetweb_settings settings; /* of the server */
  uint64_t body_ns, linger_ns;    /* UINT64_MAX: no deadline */
  bool answers_all;               /* also paths without a route */
  vsi_civetweb_serve_fn serve;    /* of its handlers */

  vsi_civetweb_watch watch;
  vsi_civetweb_deadlines deadlines;
  vsi_web_addresses own_addresses; /* the requests and streams of each client address */
  vsi_web_addresses *addresses;    /* own_addresses, or those of the first adapter in this server; constant */
  vsi_web_gate gate;

  /* Guarded by the neighbours' lock. */
  struct vsi_civetweb *next;
  struct vsi_civetweb_mount *mounts;

  _Atomic(bool) is_open;          /* it serves requests: its creation is complete */
  _Atomic(bool) has_logged_query; /* a request with that method was refused and logged by this adapter */
} vsi_civetweb;

/* Serve a request on civetweb's worker. Returns the status; 0: no adapter has a route for it, or, for
 * vsi_civetweb_serve_own, this adapter has none.
 * by  the adapter whose handler got the request */
int vsi_civetweb_serve_routed(vsi_civetweb *by, struct mg_connection *conn);
int vsi_civetweb_serve_own(vsi_civetweb *adapter, struct mg_connection *conn);

/* ---- the routes: mounts.c ---------------------------------------------------------------------------------------- */

/* Register the adapter with its neighbours, and the paths of all current and future routes, or all paths at once. All
 * constants are set.
 * Returns  OK | INVALID (max_per_address differs from that of the neighbours: logged) | EXISTS (a neighbour has such a
 *          route: logged) | UNSUPPORTED (a route for QUERY: logged) | NO_MEMORY | CLOSED (the runtime) */
vestry_err vsi_civetweb_mounts_begin(vsi_civetweb *adapter);
/* Wait until no thread is inside a call of the server for its handlers. The gate must be shut, so that no further call
 * begins. */
void vsi_civetweb_mounts_shut(void);
/* Remove all mounts after a failed begin, while the server runs. */
void vsi_civetweb_mounts_undo(vsi_civetweb *adapter);
/* Free all, after the server has ended. An adapter that was not begun is accepted. */
void vsi_civetweb_mounts_finish(vsi_civetweb *adapter);

/* Return the adapter that has the route of a request: the first that has one for method and path; otherwise the first
 * that has one for the path; NULL: none. by: the adapter whose handler got the request. */
vsi_civetweb *vsi_civetweb_find(vsi_civetweb *by, const char *method, const char *path);
/* As vsi_web_gate_take_place, except that the places of all neighbours count, because they use the same workers. */
bool vsi_civetweb_take_place(vsi_civetweb *adapter);
/* Return the number of places that the adapter and its neighbours have taken. */
uint32_t vsi_civetweb_streams(const vsi_civetweb *adapter);

/* Log once for this server that civetweb refuses the method QUERY. */
void vsi_civetweb_log_query(const struct mg_context *server);
/* Return whether civetweb of this version (mg_version) accepts requests with the method QUERY. */
bool vsi_civetweb_takes_query(const char *version);

/* Write civetweb's pattern for a route's pattern, without a terminating NUL. Returns its length, which is at most twice
 * that of `pattern`. */
size_t vsi_civetweb_uri_of(const char *pattern, char *uri);

/* ---- heads: head.c ----------------------------------------------------------------------------------------------- */

/* Read the path of a request whose local_uri is not NULL. A path that a proxy or another server could read differently
 * is refused, by the rules of vestry_target_read. If the server decodes paths, the original path is not available.
 * Then a path of several segments is also refused if a byte was encoded that need not be. The path is refused, too, if
 * memory runs out.
 * ret_owned  memory of the path, to be freed with the host; NULL: none
 * Returns    the decoded path; NULL: refused, answer 400 */
const char *vsi_civetweb_path_read(const vsi_civetweb *adapter, const struct mg_request_info *info, char **ret_owned);

/* Return whether civetweb has read the head to its end. capacity: max_request_size, which bounds the request's bytes.
 * false: headers were ignored or names were changed, so the information about the body cannot be trusted. */
bool vsi_civetweb_head_is_whole(const struct mg_request_info *info, size_t capacity);

/* ---- the settings of the server: settings.c ---------------------------------------------------------------------- */

/* Read the settings of a running server. */
void vsi_civetweb_settings_read(const struct mg_context *server, vsi_civetweb_settings *ret_settings);

/* Check the number of descriptors. OK | LIMIT: the clients could use up all descriptors; why receives a line. */
vestry_err vsi_civetweb_check_descriptors(const vsi_civetweb_settings *settings, char *why, size_t capacity);
/* Return the number of threads, with a queue of the same length, for which the descriptors suffice: from least to
 * most. */
uint32_t vsi_civetweb_threads_possible(uint32_t least, uint32_t most);

/* Return the number of workers that are kept free of streams: the requested one, or the default. */
uint32_t vsi_civetweb_reserve(uint32_t asked, uint32_t threads_count);

/* Return whether a list of ports ("8080", "127.0.0.1:8080", "+8443s", "80r", separated by commas) has one with TLS. */
bool vsi_civetweb_names_tls_port(const char *ports);
/* Return whether a list of ports has a UNIX socket ("x/run/web.sock"). */
bool vsi_civetweb_names_unix_socket(const char *ports);

#endif
