/* SPDX-License-Identifier: MIT */
/* The list of all civetweb adapters of this process, by which the adapters of one server find each other
 * (neighbours.h). */
#include "adapter/civetweb/neighbours.h"

#include "base/log.h"
#include "base/mutex.h"

typedef vsi_civetweb_neighbour neighbour;

static vsi_mutex lock = VSI_MUTEX_INITIALIZER(VSI_LOCK_CIVETWEB_NEIGHBOURS);
static neighbour *first; /* guarded by lock: all adapters of this process, the oldest first */

void vsi_civetweb_neighbours_lock(void) {
  vsi_mutex_lock(&lock);
}

void vsi_civetweb_neighbours_unlock(void) {
  vsi_mutex_unlock(&lock);
}

/* Return the next adapter of the same server. A stopped one is skipped, because its server may have ended, and another
 * server may be at its address. */
static neighbour *next_of(const neighbour *one, neighbour *from) {
  for (; from; from = from->next)
    if (from->server == one->server && !vsi_web_gate_is_shut(from->gate)) return from;
  return NULL;
}

static void share(neighbour *one) {
  atomic_store_explicit(&one->is_shared, true, memory_order_relaxed);
}

vestry_err vsi_civetweb_neighbours_enter(neighbour *one, neighbour **ret_first) {
  vestry_err error = VESTRY_OK;
  vsi_mutex_lock(&lock);
  neighbour *other = next_of(one, first);
  if (other && one->limit && one->limit != other->limit) error = VESTRY_INVALID;
  if (!error) {
    neighbour **end = &first;
    for (; *end; end = &(*end)->next) {
      if ((*end)->server != one->server) continue;
      share(*end);
      share(one);
    }
    *end = one;
    one->has_entered = true;
    if (other) one->limit = other->limit;
    *ret_first = other;
  }
  vsi_mutex_unlock(&lock);
  if (error)
    vsi_log(one->host, VESTRY_LOG_ERROR,
            "civetweb: max_per_address applies to the server, and another instance of vestry in it has set another "
            "value; leave it unset, or set it with the first instance");
  return error;
}

void vsi_civetweb_neighbours_leave(neighbour *one) {
  if (!one->has_entered) return;
  vsi_mutex_lock(&lock);
  neighbour **at = &first;
  while (*at != one) at = &(*at)->next;
  *at = one->next;
  one->has_entered = false;
  vsi_mutex_unlock(&lock);
}

bool vsi_civetweb_neighbours_any(const neighbour *one, vsi_civetweb_neighbour_fn is_so, const void *ctx) {
  for (neighbour *at = next_of(one, first); at; at = next_of(one, at->next))
    if (at != one && is_so(at, ctx)) return true;
  return false;
}

/* The lock is not held while a log is called. The log's host is still valid: this is a thread of the server, which ends
 * before the instances. */
void vsi_civetweb_neighbours_log_query(const struct mg_context *server) {
  for (;;) {
    const vestry_host *host = NULL;
    vsi_mutex_lock(&lock);
    for (neighbour *at = first; at && !host; at = at->next)
      if (at->server == server && !vsi_web_gate_is_shut(at->gate) && !atomic_exchange(&at->has_logged_query, true))
        host = at->host;
    vsi_mutex_unlock(&lock);
    if (!host) return;
    vsi_log(host, VESTRY_LOG_WARN,
            "civetweb: answered a QUERY request with 501, because civetweb up to 1.17 refuses the method; send POST, "
            "or use libmicrohttpd (logged once)");
  }
}

/* ---------------------------------------------------------------------------------------------------- requests ---- */

static bool is_alone(const neighbour *one) {
  return !atomic_load_explicit(&one->is_shared, memory_order_relaxed);
}

/* A stopped adapter is returned if no other adapter has taken its routes, so that it answers their requests with
 * 503. */
neighbour *vsi_civetweb_neighbours_find(neighbour *one, const char *method, const char *path) {
  if (is_alone(one)) return vestry_route_status(one->v, method, path) != 404 ? one : NULL;
  neighbour *found = NULL;
  int status = 404;
  vsi_mutex_lock(&lock);
  for (neighbour *at = next_of(one, first); at && status != 200; at = next_of(one, at->next)) {
    if (!atomic_load_explicit(&at->is_open, memory_order_acquire)) continue; /* pairs with create */
    int of_this = vestry_route_status(at->v, method, path);
    if (of_this != 200 && (of_this == 404 || found)) continue;
    found = at;
    status = of_this;
  }
  vsi_mutex_unlock(&lock);
  if (!found && vestry_route_status(one->v, method, path) != 404) found = one;
  return found;
}

static uint32_t streams_locked(const neighbour *one) {
  uint32_t streams = 0;
  for (neighbour *at = next_of(one, first); at; at = next_of(one, at->next)) streams += vsi_web_gate_streams(at->gate);
  return streams;
}

uint32_t vsi_civetweb_neighbours_streams(const neighbour *one) {
  if (is_alone(one)) return vsi_web_gate_streams(one->gate);
  vsi_mutex_lock(&lock);
  uint32_t streams = streams_locked(one);
  vsi_mutex_unlock(&lock);
  return streams;
}

bool vsi_civetweb_neighbours_take_place(neighbour *one) {
  if (is_alone(one)) return vsi_web_gate_take_place(one->gate);
  vsi_mutex_lock(&lock);
  bool taken = streams_locked(one) < one->gate->capacity && vsi_web_gate_take_place(one->gate);
  vsi_mutex_unlock(&lock);
  return taken;
}
