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
 * A mount is the callback data of one such pattern. A claim is a route that the adapter has registered: its method and
 * its path. The neighbours are the other adapters of vestry in the same server, which serve other instances of vestry;
 * two of them must not claim the same route (neighbours.h). If the adapter takes all paths (takes_all), it has one
 * mount for all of them. The follower is the table of functions that the instance calls when routes are added and
 * removed. The gate counts running requests, and admits none after the adapter has stopped (adapter/web/gate.h).
 *
 * Characters that are special in civetweb's patterns become '?', which matches any one. If a path matches only because
 * of that, or because civetweb's patterns ignore case, vestry has no route for it, and civetweb serves it as a file.
 * Each pattern has a second alternative, after a '|'. It begins with '#', so it matches no path, and contains the
 * mount's address. So it never equals a pattern of the program or of another adapter. Setting an equal pattern again
 * would wait until all streams of the first one have ended.
 *
 * To remove a handler, civetweb waits until no request is inside it, streams included. Therefore a timer, the sweeper,
 * removes handlers later, and only those without requests. A request first counts itself in and then checks whether the
 * mount is being removed; the sweeper first marks the mount and then checks whether a request is inside. Both are
 * sequentially consistent, so at least one of them sees the other. */
#include "adapter/civetweb/mounts.h"

#include <civetweb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "base/memory.h"

enum { SWEEP_MS = 100, SUFFIX_BYTES = 32 };
static const char all_paths[] = "/{all...}";

/* ---------------------------------------------------------------------------------------------------- patterns ---- */

/* Return the segment after a slash, its length, whether it is a parameter, and whether that parameter is the rest. */
static const char *segment_of(const char *slash, size_t *ret_len, bool *ret_parameter, bool *ret_rest) {
  const char *segment = slash + 1;
  *ret_len = strcspn(segment, "/");
  *ret_parameter = *segment == '{';
  *ret_rest = *ret_parameter && *ret_len > 4 && memcmp(segment + *ret_len - 4, "...}", 4) == 0;
  return segment;
}

size_t vsi_civetweb_uri_of(const char *pattern, char *uri) {
  char *to = uri;
  size_t len;
  bool is_parameter, is_rest = false;
  for (const char *at = pattern; *at; at += 1 + len) {
    const char *segment = segment_of(at, &len, &is_parameter, &is_rest);
    *to++ = '/';
    if (is_parameter) {
      *to++ = is_rest ? '*' : '?';
      *to++ = '*';
      continue;
    }
    for (size_t i = 0; i < len; i++) *to++ = strchr("?*$|", segment[i]) ? '?' : segment[i];
  }
  if (!is_rest) *to++ = '$';
  return (size_t)(to - uri);
}

/* Write a pattern without the names of its parameters. Returns the length. `to` must have room for as many bytes as the
 * pattern has. */
static size_t name_of(const char *pattern, char *to) {
  const char *begin = to;
  size_t len;
  bool is_parameter, is_rest;
  for (const char *at = pattern; *at; at += 1 + len) {
    const char *segment = segment_of(at, &len, &is_parameter, &is_rest);
    *to++ = '/';
    if (!is_parameter) {
      memcpy(to, segment, len);
      to += len;
      continue;
    }
    *to++ = '{';
    if (is_rest) *to++ = '*';
    *to++ = '}';
  }
  return (size_t)(to - begin);
}

/* ---- claims ------------------------------------------------------------------------------------------------------ */

static vsi_civetweb_claim **find_claim(vsi_civetweb_claim **at, const char *name) {
  while (*at && strcmp((*at)->name, name) != 0) at = &(*at)->next;
  return at;
}

static bool has_claim(const vsi_civetweb_neighbour *neighbour, const void *name) {
  vsi_civetweb_claim *claims = neighbour->claims;
  return *find_claim(&claims, name) != NULL;
}

static vsi_civetweb_claim *make_claim(const vestry_host *host, const char *method, const char *pattern) {
  size_t method_len = strlen(method);
  vsi_civetweb_claim *made = vsi_calloc(host, 1, sizeof *made + method_len + 1 + strlen(pattern) + 1);
  if (!made) return NULL;
  memcpy(made->name, method, method_len);
  made->name[method_len] = ' ';
  name_of(pattern, made->name + method_len + 1);
  made->count = 1;
  return made;
}

/* ------------------------------------------------------------------------------------------------------ mounts ---- */

static vsi_civetweb_mount *make_mount(const vsi_civetweb_mounts *of, const char *pattern) {
  size_t capacity = 2 * strlen(pattern) + 2 + SUFFIX_BYTES;
  vsi_civetweb_mount *made = vsi_calloc(of->self->host, 1, sizeof *made + capacity);
  if (!made) return NULL;
  size_t len = vsi_civetweb_uri_of(pattern, made->uri);
  snprintf(made->uri + len, capacity - len, "|#vestry %p", (void *)made);
  made->adapter = of->self->adapter;
  return made;
}

/* Return whether two patterns are equal except for the second alternative. */
static bool is_same(const vsi_civetweb_mount *mount, const vsi_civetweb_mount *other) {
  size_t len = (size_t)(strrchr(mount->uri, '|') - mount->uri) + 1;
  return strncmp(mount->uri, other->uri, len) == 0;
}

/* Add a mount, or return the equal one that is there already. */
static vsi_civetweb_mount *mount_locked(vsi_civetweb_mounts *of, vsi_civetweb_mount *made) {
  vsi_civetweb_mount *at = of->first;
  while (at && !is_same(made, at)) at = at->next;
  if (!at) {
    made->next = of->first;
    of->first = at = made;
    mg_set_request_handler(of->self->server, made->uri, of->serve, made); /* a request may come at once */
  }
  at->claims_count++;
  return at;
}

/* Return whether civetweb accepts the method QUERY (RFC 10008). Its list of methods does not contain QUERY up to 1.17.
 * The list cannot be read, so a later version is assumed to contain it. If it does not, QUERY requests get 501 and a
 * log message (error.c). */
bool vsi_civetweb_takes_query(const char *version) {
  char *end;
  const unsigned long major = strtoul(version, &end, 10), minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
  return major > 1 || (major == 1 && minor > 17);
}

/* ---------------------------------------------------------------------------- changes of the instance's routes ---- */

static void log_taken(const vestry_host *host, const char *method, const char *pattern) {
  vsi_log(host, VESTRY_LOG_ERROR,
          "civetweb: another instance of vestry in the same server already has the route %s %s; use other paths in one "
          "of them",
          method, pattern);
}

static vestry_err claim(vsi_civetweb_mounts *of, const char *method, const char *pattern, bool has_mount) {
  const vestry_host *host = of->self->host;
  vsi_civetweb_claim *made = make_claim(host, method, pattern);
  vsi_civetweb_mount *mount = has_mount ? make_mount(of, pattern) : NULL;
  vestry_err error = !made || (has_mount && !mount) ? VESTRY_NO_MEMORY : VESTRY_OK;
  const vsi_civetweb_claim *used = NULL;
  vsi_civetweb_neighbours_lock();
  vsi_civetweb_claim **place = error ? NULL : find_claim(&of->self->claims, made->name);
  if (place && !vsi_web_gate_is_shut(of->self->gate)) {
    if (*place) {
      (*place)->count++;
    } else if (vsi_civetweb_neighbours_any(of->self, has_claim, made->name)) {
      error = VESTRY_EXISTS;
    } else {
      if (has_mount) made->mount = mount_locked(of, mount);
      *place = made;
      used = made;
    }
  }
  bool mount_used = used && used->mount == mount;
  vsi_civetweb_neighbours_unlock();
  if (error == VESTRY_EXISTS) log_taken(host, method, pattern);
  if (!mount_used) vsi_free(host, mount);
  if (!used) vsi_free(host, made);
  return error;
}

static vestry_err refuse_query(const vestry_host *host, const char *pattern) {
  vsi_log(host, VESTRY_LOG_ERROR,
          "civetweb: refused the route QUERY %.200s, because civetweb %.16s itself answers this method with 400; mount "
          "the route for POST, or use libmicrohttpd",
          pattern, mg_version());
  return VESTRY_UNSUPPORTED;
}

static vestry_err mounted(void *ctx, const char *method, const char *pattern) {
  vsi_civetweb_mounts *of = ctx;
  if (strcmp(method, "QUERY") == 0 && !vsi_civetweb_takes_query(mg_version()))
    return refuse_query(of->self->host, pattern);
  return claim(of, method, pattern, !of->takes_all);
}

/* Return whether a claim is that of a route, by comparing its name piece by piece without an allocation. */
static bool is_claim_of(const vsi_civetweb_claim *claimed, const char *method, const char *pattern) {
  size_t method_len = strlen(method);
  if (strncmp(claimed->name, method, method_len) != 0 || claimed->name[method_len] != ' ') return false;
  const char *at = claimed->name + method_len + 1;
  size_t len;
  bool is_parameter, is_rest;
  for (; *pattern; pattern += 1 + len) {
    const char *segment = segment_of(pattern, &len, &is_parameter, &is_rest);
    const char *other = is_rest ? "{*}" : is_parameter ? "{}" : segment;
    size_t other_len = is_parameter ? strlen(other) : len;
    if (*at != '/' || strncmp(at + 1, other, other_len) != 0) return false;
    at += 1 + other_len;
  }
  return !*at;
}

static void unmounted(void *ctx, const char *method, const char *pattern) {
  vsi_civetweb_mounts *of = ctx;
  bool has_idle = false;
  vsi_civetweb_neighbours_lock();
  vsi_civetweb_claim **at = &of->self->claims, *gone = NULL;
  while (*at && !is_claim_of(*at, method, pattern)) at = &(*at)->next;
  if (*at && --(*at)->count == 0) {
    gone = *at;
    *at = gone->next;
    has_idle = gone->mount && --gone->mount->claims_count == 0;
  }
  vsi_civetweb_neighbours_unlock();
  vsi_free(of->self->host, gone);
  if (has_idle) vestry_timer_set(of->sweeper, SWEEP_MS, 0);
}

static const vestry_route_follower follower = {
    .size = sizeof(vestry_route_follower), .mounts = mounted, .unmounted = unmounted};

/* --------------------------------------------------------------------------- mounts that no route has any more ---- */

/* Mark a mount as going if no request is inside; a later request then leaves at once. Returns whether it is marked. */
static bool goes(vsi_civetweb_mount *mount) {
  atomic_store(&mount->is_going, true);
  if (!atomic_load(&mount->running)) return true;
  atomic_store(&mount->is_going, false);
  return false;
}

/* Remove the mounts that no route has from the list. *ret_left: whether some stay because of their requests. */
static vsi_civetweb_mount *take_idle(vsi_civetweb_mounts *of, bool *ret_left) {
  vsi_civetweb_mount *idle = NULL;
  *ret_left = false;
  vsi_civetweb_neighbours_lock();
  bool is_shut = vsi_web_gate_is_shut(of->self->gate);
  for (vsi_civetweb_mount **at = &of->first, *mount; !is_shut && (mount = *at);) {
    if (mount->claims_count || !goes(mount)) {
      *ret_left |= !mount->claims_count;
      at = &mount->next;
      continue;
    }
    *at = mount->next;
    mount->next = idle;
    idle = mount;
  }
  vsi_civetweb_neighbours_unlock();
  return idle;
}

/* Remove the handlers and free the mounts. This waits for requests on their way to such a handler, which stay only for
 * a moment. */
static void free_idle(const vsi_civetweb_mounts *of, vsi_civetweb_mount *idle) {
  for (vsi_civetweb_mount *next; idle; idle = next) {
    next = idle->next;
    mg_set_request_handler(of->self->server, idle->uri, NULL, NULL);
    vsi_free(of->self->host, idle);
  }
}

/* Sweep once; again later, if an unused mount still has requests. */
static void sweep(vestry_timer *timer, void *ctx) {
  vsi_civetweb_mounts *of = ctx;
  bool is_left;
  vsi_mutex_lock(&of->sweeping);
  free_idle(of, take_idle(of, &is_left));
  vsi_mutex_unlock(&of->sweeping);
  if (is_left) vestry_timer_set(timer, SWEEP_MS, 0);
}

/* -------------------------------------------------------------------------------------------------------- life ---- */

vestry_err vsi_civetweb_mounts_begin(vsi_civetweb_mounts *of, vsi_civetweb_neighbour *self, bool takes_all,
                                     vsi_civetweb_serve_fn serve) {
  of->self = self;
  of->serve = serve;
  of->takes_all = takes_all;
  vestry_err error = vestry_timer_create(vestry_parts_of(self->v)->runtime, sweep, of, &of->sweeper);
  if (error) return error;
  vsi_mutex_init(&of->sweeping, VSI_LOCK_CIVETWEB_SWEEPING);
  error = vestry_routes_follow(self->v, &follower, of);
  return !error && takes_all ? claim(of, "any", all_paths, true) : error;
}

void vsi_civetweb_mounts_shut(vsi_civetweb_mounts *of) {
  if (!of->sweeper) return;
  vsi_civetweb_neighbours_lock(); /* wait for a route that is being mounted, before the server can end */
  vsi_civetweb_neighbours_unlock();
  vsi_mutex_lock(&of->sweeping);
  vsi_mutex_unlock(&of->sweeping);
}

void vsi_civetweb_mounts_undo(vsi_civetweb_mounts *of) {
  if (!of->sweeper) return;
  (void)vestry_routes_follow(of->self->v, NULL, of);
  vsi_mutex_lock(&of->sweeping);
  vsi_civetweb_neighbours_lock();
  vsi_civetweb_mount *all = of->first;
  of->first = NULL;
  vsi_civetweb_neighbours_unlock();
  free_idle(of, all);
  vsi_mutex_unlock(&of->sweeping);
}

void vsi_civetweb_mounts_finish(vsi_civetweb_mounts *of) {
  if (!of->sweeper) return;
  (void)vestry_routes_follow(of->self->v, NULL, of);
  vestry_timer_destroy(of->sweeper);
  vsi_mutex_finish(&of->sweeping);
  vsi_civetweb_neighbours_lock(); /* other adapters read the claims */
  vsi_civetweb_mount *mounts = of->first;
  vsi_civetweb_claim *claims = of->self->claims;
  of->self->claims = NULL;
  vsi_civetweb_neighbours_unlock();
  VSI_LIST_FREE(of->self->host, mounts);
  VSI_LIST_FREE(of->self->host, claims);
  *of = (vsi_civetweb_mounts){.sweeper = NULL};
}
