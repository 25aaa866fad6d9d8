/* SPDX-License-Identifier: MIT */
/* Enforces deadlines of requests, and limits of the memory that requests and responses hold together (deadline.h):
 * finds the requests and responses that are overdue, finds their sockets, and shuts these. */
#include "adapter/civetweb/deadline.h"

#include <sys/socket.h>

#include "base/memory.h"

/* Shut the socket of an overdue request for reading, or that of an overdue response for reading and writing. */
static bool shut_one(void *ctx, int fd, const vsi_civetweb_peer *peer) {
  vsi_civetweb_deadlines *deadlines = ctx;
  bool is_found = false, is_left = false;
  for (vsi_civetweb_deadline *at = LIST_FIRST(&deadlines->list); at; at = LIST_NEXT(at, in)) {
    if (at->is_overdue && !is_found && vsi_civetweb_peer_equal(at->peer, peer)) {
      shutdown(fd, at->is_response ? SHUT_RDWR : SHUT_RD);
      at->is_overdue = false;
      is_found = true;
    }
    is_left |= at->is_overdue;
  }
  return is_left;
}

static size_t held_by(vsi_civetweb_deadline *deadline) {
  return atomic_load_explicit(&deadline->held_bytes, memory_order_relaxed);
}

static vsi_civetweb_deadline *find_largest_locked(vsi_civetweb_deadlines *deadlines, bool of_responses) {
  vsi_civetweb_deadline *largest = NULL;
  for (vsi_civetweb_deadline *at = LIST_FIRST(&deadlines->list); at; at = LIST_NEXT(at, in)) /* the oldest comes last */
    if (at->is_response == of_responses && !at->has_passed && !at->going && held_by(at) &&
        held_by(at) >= (largest ? held_by(largest) : 0))
      largest = at;
  return largest;
}

/* Return whether requests, or responses, hold too many bytes, not counting those that are being cut. */
static bool holds_too_much(const vsi_civetweb_deadlines *deadlines, bool of_responses) {
  vestry *v = deadlines->v;
  const uint64_t excess = of_responses ? vestry_response_bytes_excess(v) : vestry_request_bytes_excess(v);
  return excess > atomic_load_explicit(&deadlines->going[of_responses], memory_order_relaxed);
}

/* Cut the requests, or responses, that hold most, until the cut ones hold as much as the excess. */
static void relieve_locked(vsi_civetweb_deadlines *deadlines, bool of_responses) {
  for (vsi_civetweb_deadline *at;
       holds_too_much(deadlines, of_responses) && (at = find_largest_locked(deadlines, of_responses));) {
    at->going = held_by(at);
    atomic_fetch_add_explicit(&deadlines->going[of_responses], at->going, memory_order_relaxed);
    if (of_responses)
      vestry_response_cut(deadlines->v);
    else
      vestry_reject(deadlines->v, VESTRY_REFUSAL_BUDGET);
  }
}

/* The search for the sockets runs only if a client is overdue, and ends when all are found. The lock keeps the workers
 * from leaving, so that a found descriptor cannot be reused meanwhile. */
static void rouse(vsi_civetweb_deadlines *deadlines) {
  uint64_t now_ns = vsi_now_ns(deadlines->host);
  bool is_any = false;
  vsi_mutex_lock(&deadlines->lock);
  relieve_locked(deadlines, false);
  relieve_locked(deadlines, true);
  for (vsi_civetweb_deadline *at = LIST_FIRST(&deadlines->list); at; at = LIST_NEXT(at, in)) {
    /* Only once, because a socket that is not found was reset, so that its worker gets an error. */
    at->is_overdue = !at->has_passed && (at->going || at->due_ns <= now_ns);
    at->has_passed |= at->is_overdue;
    is_any |= at->is_overdue;
  }
  if (is_any) (void)vsi_civetweb_sockets_see(shut_one, deadlines);
  vsi_mutex_unlock(&deadlines->lock);
}

static void look(vestry_timer *timer, void *ctx) {
  (void)timer;
  rouse(ctx);
}

vestry_err vsi_civetweb_deadlines_init(vsi_civetweb_deadlines *deadlines, vestry *v, uint64_t period_ms) {
  deadlines->v = v;
  deadlines->host = vestry_parts_of(v)->host;
  vestry_err error = vestry_timer_create(vestry_parts_of(v)->runtime, look, deadlines, &deadlines->timer);
  if (error) return error;
  vsi_mutex_init(&deadlines->lock, VSI_LOCK_CIVETWEB_DEADLINES);
  return vestry_timer_set(deadlines->timer, period_ms, period_ms);
}

void vsi_civetweb_deadline_holds(vsi_civetweb_deadlines *deadlines, vsi_civetweb_deadline *deadline, size_t bytes) {
  atomic_store_explicit(&deadline->held_bytes, bytes, memory_order_relaxed);
  if (holds_too_much(deadlines, false)) rouse(deadlines);
}

void vsi_civetweb_deadlines_finish(vsi_civetweb_deadlines *deadlines) {
  if (!deadlines->timer) return;
  vestry_timer_destroy(deadlines->timer);
  vsi_mutex_finish(&deadlines->lock);
  deadlines->timer = NULL;
}

void vsi_civetweb_deadline_set(vsi_civetweb_deadlines *deadlines, vsi_civetweb_deadline *deadline,
                               const vsi_civetweb_peer *peer, uint64_t due_ns, size_t response_bytes) {
  *deadline =
      (vsi_civetweb_deadline){.peer = peer, .due_ns = due_ns, .is_response = response_bytes > 0, .is_set = true};
  atomic_init(&deadline->held_bytes, response_bytes);
  vsi_mutex_lock(&deadlines->lock);
  LIST_INSERT_HEAD(&deadlines->list, deadline, in);
  vsi_mutex_unlock(&deadlines->lock);
}

void vsi_civetweb_deadlines_relieve(vsi_civetweb_deadlines *deadlines) {
  if (holds_too_much(deadlines, true)) rouse(deadlines);
}

void vsi_civetweb_deadline_clear(vsi_civetweb_deadlines *deadlines, vsi_civetweb_deadline *deadline) {
  if (!deadline->is_set) return;
  vsi_mutex_lock(&deadlines->lock);
  LIST_REMOVE(deadline, in);
  atomic_fetch_sub_explicit(&deadlines->going[deadline->is_response], deadline->going, memory_order_relaxed);
  vsi_mutex_unlock(&deadlines->lock);
  deadline->is_set = false;
}
