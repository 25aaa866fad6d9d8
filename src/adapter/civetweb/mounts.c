/* SPDX-License-Identifier: MIT */
/* essay: registering exactly the paths of routes with civetweb */
/* civetweb searches for a handler in three rounds: first a handler for exactly the path, then one for a path above it,
 * then the patterns in the order in which they were set. The first match gets the request. If that handler declines the
 * request, civetweb looks for a file, but not for another handler. Therefore a single handler for all paths would take
 * requests from patterns that the program sets later. Instead each route becomes a pattern of civetweb:
 *
 *   {id}       ?*    one character, then the rest of the segment; a segment is never empty, because
 *                    civetweb's paths have no "//"
 *   {path...}  **
 *   the end    $
 *
 * A mount is a route that the adapter has registered, and the callback data of its pattern. If two routes differ only
 * in their methods, the handler of either serves both. The neighbours are the other adapters of vestry in the same
 * server, which serve other instances of vestry; two of them must not have the same route. If the adapter answers all
 * paths (answers_all), one mount has a pattern for all of them, and the others have none. The follower is the table of
 * functions that the instance calls when routes are added and removed. The gate counts running requests, and admits
 * none after the adapter has stopped (adapter/web/gate.h).
 *
 * Characters that are special in civetweb's patterns become '?', which matches any one. If a path matches only because
 * of that, or because civetweb's patterns ignore case, vestry has no route for it, and civetweb serves it as a file.
 * Each pattern has a second alternative, after a '|'. It begins with '#', so it matches no path, and contains the
 * mount's address. So it never equals a pattern of the program or of another mount. Setting an equal pattern again
 * would wait until all streams of the first one have ended.
 *
 * To remove a handler, civetweb waits until no request is inside it, streams included. Therefore handlers are removed
 * only with their server. A request for a route that was removed, or refused by another follower, gets a file. */
#include <civetweb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/civetweb/adapter.h"
#include "base/log.h"
#include "http/routes/routes.h"

enum { SUFFIX_BYTES = 32 };
static const char all_paths[] = "/{all...}";

typedef struct vsi_civetweb_mount {
  struct vsi_civetweb_mount *next; /* guarded by the neighbours' lock, as is the next member */
  uint32_t count; /* 1; 2 while a duplicate route is checked, before it is refused; 0: the route was removed */

  /* Constant. */
  vsi_civetweb *adapter;
  const char *pattern; /* of the route */
  const char *uri;     /* civetweb's pattern; NULL: it has no handler */
  char method[];       /* and the texts of pattern and uri after it */
} mount;

static vsi_mutex lock = VSI_MUTEX_INITIALIZER(VSI_LOCK_CIVETWEB_NEIGHBOURS);
static vsi_civetweb *first; /* guarded by lock: all adapters of this process, the oldest first */

/* ---------------------------------------------------------------------------------------------------- patterns ---- */

typedef enum kind { LITERAL, PARAMETER, REST } kind;

/* Return the kind of the segment after a slash, and its length. */
static kind segment_of(const char *slash, size_t *ret_len) {
  const char *segment = slash + 1;
  *ret_len = strcspn(segment, "/");
  if (*segment != '{') return LITERAL;
  return *ret_len > 4 && memcmp(segment + *ret_len - 4, "...}", 4) == 0 ? REST : PARAMETER;
}

size_t vsi_civetweb_uri_of(const char *pattern, char *uri) {
  char *to = uri;
  size_t len;
  kind last = LITERAL;
  for (const char *at = pattern; *at; at += 1 + len) {
    last = segment_of(at, &len);
    *to++ = '/';
    if (last != LITERAL) {
      *to++ = last == REST ? '*' : '?';
      *to++ = '*';
      continue;
    }
    for (size_t i = 1; i <= len; i++) *to++ = strchr("?*$|", at[i]) ? '?' : at[i];
  }
  if (last != REST) *to++ = '$';
  return (size_t)(to - uri);
}

/* Return whether two patterns are equal except for the names of their parameters. */
static bool is_same(const char *a, const char *b) {
  size_t a_len, b_len;
  for (; *a && *b; a += 1 + a_len, b += 1 + b_len) {
    kind of_a = segment_of(a, &a_len), of_b = segment_of(b, &b_len);
    if (of_a != of_b) return false;
    if (of_a == LITERAL && (a_len != b_len || memcmp(a + 1, b + 1, a_len) != 0)) return false;
  }
  return *a == *b;
}

/* -------------------------------------------------------------------------------------------------- neighbours ---- */

/* Return the first adapter of a server, beginning with `from`. A stopped adapter is skipped, because its server may
 * have ended, and another server may be at the same address in memory. */
static vsi_civetweb *next_locked(const struct mg_context *server, vsi_civetweb *from) {
  for (; from; from = from->next)
    if (from->server == server && !vsi_web_gate_is_shut(&from->gate)) return from;
  return NULL;
}

static vestry_err enter(vsi_civetweb *adapter) {
  vsi_mutex_lock(&lock);
  const uint32_t limit = adapter->own_addresses.limit;
  const vsi_civetweb *oldest = next_locked(adapter->server, first);
  const bool differs = oldest && limit && limit != oldest->addresses->limit;
  if (!differs) {
    vsi_civetweb **end = &first;
    while (*end) end = &(*end)->next;
    *end = adapter;
    adapter->addresses = oldest ? oldest->addresses : &adapter->own_addresses;
  }
  vsi_mutex_unlock(&lock);
  if (!differs) return VESTRY_OK;
  vsi_log(adapter->host, VESTRY_LOG_ERROR,
          "civetweb: max_per_address applies to the server, and another instance of vestry in it has set another "
          "value; leave it unset, or set it with the first instance");
  return VESTRY_INVALID;
}

/* The lock is not held while the log function is called. Its host is still valid, because this is a thread of the
 * server, and the server ends before the instances. */
void vsi_civetweb_log_query(const struct mg_context *server) {
  vsi_mutex_lock(&lock);
  vsi_civetweb *oldest = next_locked(server, first);
  const bool is_first = oldest && !atomic_exchange(&oldest->has_logged_query, true);
  const vestry_host *host = is_first ? oldest->host : NULL;
  vsi_mutex_unlock(&lock);
  if (host)
    vsi_log(host, VESTRY_LOG_WARN,
            "civetweb: answered a QUERY request with 501, because civetweb up to 1.17 refuses the method; send POST, "
            "or use libmicrohttpd (logged once)");
}

/* A stopped adapter is returned if no other adapter has taken its routes, so that it answers their requests with
 * 503. */
vsi_civetweb *vsi_civetweb_find(vsi_civetweb *by, const char *method, const char *path) {
  vsi_civetweb *found = NULL;
  int status = 404;
  vsi_mutex_lock(&lock);
  for (vsi_civetweb *at = next_locked(by->server, first); at && status != 200; at = next_locked(by->server, at->next)) {
    if (!atomic_load_explicit(&at->is_open, memory_order_acquire)) continue; /* pairs with create */
    int of_this = vestry_route_status(at->v, method, path, NULL);
    if (of_this != 200 && (of_this == 404 || found)) continue;
    found = at;
    status = of_this;
  }
  vsi_mutex_unlock(&lock);
  if (!found && vestry_route_status(by->v, method, path, NULL) != 404) found = by;
  return found;
}

static uint32_t streams_locked(const vsi_civetweb *adapter) {
  uint32_t streams = 0;
  for (vsi_civetweb *at = next_locked(adapter->server, first); at; at = next_locked(adapter->server, at->next))
    streams += vsi_web_gate_streams(&at->gate);
  return streams;
}

uint32_t vsi_civetweb_streams(const vsi_civetweb *adapter) {
  vsi_mutex_lock(&lock);
  uint32_t streams = streams_locked(adapter);
  vsi_mutex_unlock(&lock);
  return streams;
}

bool vsi_civetweb_take_place(vsi_civetweb *adapter) {
  vsi_mutex_lock(&lock);
  bool taken = streams_locked(adapter) < adapter->gate.capacity && vsi_web_gate_take_place(&adapter->gate);
  vsi_mutex_unlock(&lock);
  if (!taken)
    vsi_web_gate_log_full(&adapter->gate, adapter->host, "civetweb",
                          "each has a thread: raise the number of threads (num_threads, --threads) or max_streams, or "
                          "use libmicrohttpd");
  return taken;
}

/* ---------------------------------------------------------------------------- changes of the instance's routes ---- */

static mount *make_mount(vsi_civetweb *adapter, const char *method, const char *pattern, bool has_handler) {
  const size_t method_size = strlen(method) + 1, pattern_size = strlen(pattern) + 1;
  const size_t uri_size = has_handler ? 2 * pattern_size + SUFFIX_BYTES : 0;
  mount *made = vsi_calloc(adapter->host, 1, sizeof *made + method_size + pattern_size + uri_size);
  if (!made) return NULL;
  memcpy(made->method, method, method_size);
  made->pattern = memcpy(made->method + method_size, pattern, pattern_size);
  made->adapter = adapter;
  made->count = 1;
  if (!has_handler) return made;
  char *uri = made->method + method_size + pattern_size;
  size_t len = vsi_civetweb_uri_of(pattern, uri);
  snprintf(uri + len, uri_size - len, "|#vestry %p", (void *)made);
  made->uri = uri;
  return made;
}

/* Return the place of a route's mount in the list of an adapter, which is NULL if there is none. */
static mount **find_locked(vsi_civetweb *adapter, const char *method, const char *pattern) {
  mount **at = &adapter->mounts;
  while (*at && (strcmp((*at)->method, method) != 0 || !is_same((*at)->pattern, pattern))) at = &(*at)->next;
  return at;
}

static bool is_taken_locked(const vsi_civetweb *adapter, const char *method, const char *pattern) {
  for (vsi_civetweb *at = next_locked(adapter->server, first); at; at = next_locked(adapter->server, at->next)) {
    const mount *of_other = at != adapter ? *find_locked(at, method, pattern) : NULL;
    if (of_other && of_other->count) return true;
  }
  return false;
}

static int serve(struct mg_connection *conn, void *data) {
  const mount *of = data;
  return of->adapter->serve(of->adapter, conn);
}

static vestry_err add(vsi_civetweb *adapter, const char *method, const char *pattern, bool has_handler) {
  mount *made = make_mount(adapter, method, pattern, has_handler);
  if (!made) return VESTRY_NO_MEMORY;
  bool is_taken = false, is_used = false;
  vsi_mutex_lock(&lock);
  mount **place = find_locked(adapter, method, pattern);
  if (!vsi_web_gate_is_shut(&adapter->gate)) {
    is_taken = (!*place || !(*place)->count) && is_taken_locked(adapter, method, pattern);
    is_used = !is_taken && !*place;
    if (*place && !is_taken) (*place)->count++;
    if (is_used) *place = made;
    if (is_used && has_handler) /* a request may come at once */
      mg_set_request_handler(adapter->server, made->uri, serve, made);
  }
  vsi_mutex_unlock(&lock);
  if (!is_used) vsi_free(adapter->host, made);
  if (!is_taken) return VESTRY_OK;
  vsi_log(adapter->host, VESTRY_LOG_ERROR,
          "civetweb: another instance of vestry in the same server already has the route %s %s; use other paths in one "
          "of them",
          method, pattern);
  return VESTRY_EXISTS;
}

/* Return whether civetweb accepts the method QUERY (RFC 10008). Its list of methods does not contain QUERY up to 1.17.
 * The list cannot be read, so a later version is assumed to contain it. If it does not, QUERY requests get 501 and a
 * log message (vestry_civetweb_http_error). */
bool vsi_civetweb_takes_query(const char *version) {
  char *end;
  const unsigned long major = strtoul(version, &end, 10), minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
  return major > 1 || (major == 1 && minor > 17);
}

static vestry_err mounted(void *ctx, const char *method, const char *pattern) {
  vsi_civetweb *adapter = ctx;
  if (strcmp(method, "QUERY") != 0 || vsi_civetweb_takes_query(mg_version()))
    return add(adapter, method, pattern, !adapter->answers_all);
  vsi_log(adapter->host, VESTRY_LOG_ERROR,
          "civetweb: refused the route QUERY %.200s, because civetweb %.16s itself answers this method with 400; mount "
          "the route for POST, or use libmicrohttpd",
          pattern, mg_version());
  return VESTRY_UNSUPPORTED;
}

static void unmounted(void *ctx, const char *method, const char *pattern) {
  vsi_civetweb *adapter = ctx;
  vsi_mutex_lock(&lock);
  mount *at = *find_locked(adapter, method, pattern);
  if (at && at->count) at->count--;
  vsi_mutex_unlock(&lock);
}

static const vsi_route_follower follower = {.mounts = mounted, .unmounted = unmounted};

/* -------------------------------------------------------------------------------------------------------- life ---- */

vestry_err vsi_civetweb_mounts_begin(vsi_civetweb *adapter) {
  vestry_err error = enter(adapter);
  if (!error) error = vsi_routes_follow(adapter->v, &follower, adapter);
  return !error && adapter->answers_all ? add(adapter, "any", all_paths, true) : error;
}

void vsi_civetweb_mounts_shut(void) {
  vsi_mutex_lock(&lock); /* wait for a route that is being mounted, before the server can end */
  vsi_mutex_unlock(&lock);
}

/* Removing a handler waits for requests on their way to it, which stay only for a moment. */
void vsi_civetweb_mounts_undo(vsi_civetweb *adapter) {
  (void)vsi_routes_follow(adapter->v, NULL, adapter);
  vsi_mutex_lock(&lock);
  mount *all = adapter->mounts;
  adapter->mounts = NULL;
  vsi_mutex_unlock(&lock);
  for (mount *at = all; at; at = at->next)
    if (at->uri) mg_set_request_handler(adapter->server, at->uri, NULL, NULL);
  VSI_LIST_FREE(adapter->host, all);
}

void vsi_civetweb_mounts_finish(vsi_civetweb *adapter) {
  (void)vsi_routes_follow(adapter->v, NULL, adapter);
  vsi_mutex_lock(&lock); /* other adapters read the mounts */
  vsi_civetweb **at = &first;
  while (*at && *at != adapter) at = &(*at)->next;
  if (*at) *at = adapter->next;
  vsi_mutex_unlock(&lock);
  VSI_LIST_FREE(adapter->host, adapter->mounts);
}
