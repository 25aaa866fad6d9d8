/* SPDX-License-Identifier: MIT */
/* essay: a stream that is observed and never waits for its observer */
/* A tail connects two threads: the runner of the stream, which reports each event that it has settled, and the taker.
 * Both use the lock of all tails, which is held for a few instructions: a reference to the event changes hands, and no
 * byte is copied.
 *
 * - Cheap without a tail: a stream has a byte that shows whether it has a tail (VSI_TAILED_…), and the runner does no
 *   more if there is none. The byte changes under the lock; the runner reads it without the lock. So an event at the
 *   very beginning or end of a tail may be omitted, or find no tail in the list.
 * - Bounded: if too many events, or too many bytes, are waiting, a new event is counted and not kept. The events
 *   themselves are shared by all streams that receive them.
 * - End: the list holds a reference to a tail until the tail is ended. The stream's close list holds a reference until
 *   it has called the node or the node is cancelled. A runner that wakes the taker holds a reference meanwhile. The
 *   last holder frees the tail. So while a wake runs, the tail exists, and so does the stream that is woken. */
#include "ops/observe/stream_tail.h"

#include <string.h>

#include "base/memory.h"
#include "base/mutex.h"
#include "connection/runner.h"

struct vsi_tail {
  vsi_close_node at_close; /* first member; it holds a reference */
  vsi_refs refs;
  vestry_connection *connection; /* a reference */
  /* Guarded by the lock of tails, like all members below. */
  void (*rouse)(vestry_connection *to); /* NULL: not yet */
  vestry_connection *to;                /* a reference */
  vsi_tail_event events[VSI_TAIL_EVENTS_MAX];
  size_t first, count, bytes;
  uint64_t left_out_count;
  vestry_cause cause;
};

static vsi_mutex lock = VSI_MUTEX_INITIALIZER(VSI_LOCK_TAILS); /* no function is called while it is held */
static vsi_tail *list[VSI_TAILS_MAX];                          /* guarded by lock; references; NULL: free */

static void unref_tail(vsi_tail *tail) {
  if (!VSI_REFS_DROP(&tail->refs)) return;
  const vestry_host *host = vsi_connection_host(tail->connection);
  for (; tail->count; tail->count--, tail->first = (tail->first + 1) % VSI_TAIL_EVENTS_MAX)
    vestry_event_unref(tail->events[tail->first].event);
  vestry_connection_unref(tail->to);
  vestry_connection_unref(tail->connection);
  vsi_free(host, tail);
}

/* ------------------------------------------------------------------------------------------------ the list ------ */

/* Return the index of a stream's tail, searching from an index on; connection NULL: a free index. VSI_TAILS_MAX:
 * none. */
static size_t find_tail_locked(const vestry_connection *connection, size_t from) {
  while (from < VSI_TAILS_MAX && (list[from] ? list[from]->connection : NULL) != connection) from++;
  return from;
}

static void set_tailed(vestry_connection *connection, uint8_t tailed) {
  atomic_store_explicit(&connection->tailed, tailed, memory_order_relaxed);
}
static uint8_t tailed(const vestry_connection *connection) {
  return atomic_load_explicit(&connection->tailed, memory_order_relaxed);
}

/* ---------------------------------------------------------------------------------------------- the runner ------ */

static void rouse_taker(vsi_tail *tail, void (*fn)(vestry_connection *to)) {
  if (fn) fn(tail->to); /* constant after it was set */
}

static void keep_locked(vsi_tail *tail, vestry_event *event, bool was_written) {
  const size_t len = vestry_event_bytes(event).len;
  if (tail->count == VSI_TAIL_EVENTS_MAX || len > VSI_TAIL_BYTES_MAX - tail->bytes) {
    tail->left_out_count++;
    return;
  }
  tail->events[(tail->first + tail->count++) % VSI_TAIL_EVENTS_MAX] =
      (vsi_tail_event){.event = vestry_event_ref(event), .was_written = was_written};
  tail->bytes += len;
}

/* Keep a settled event in the stream's tails. */
static void report_to_tails(vestry_connection *connection, vestry_event *event, bool was_written) {
  for (size_t at = 0;; at++) {
    void (*fn)(vestry_connection * to) = NULL;
    vsi_tail *tail = NULL;
    vsi_mutex_lock(&lock);
    at = find_tail_locked(connection, at);
    if (at < VSI_TAILS_MAX) {
      tail = list[at];
      VSI_REFS_TAKE(&tail->refs);
      if (!tail->count) fn = tail->rouse;
      keep_locked(tail, event, was_written);
    }
    vsi_mutex_unlock(&lock);
    if (!tail) return;
    rouse_taker(tail, fn);
    unref_tail(tail);
  }
}

/* ----------------------------------------------------------------------------------------------- the taker ------ */

static vestry_err enter_tail(vsi_tail *tail) {
  vsi_connection_report_to(report_to_tails);
  vsi_mutex_lock(&lock);
  const size_t at = find_tail_locked(NULL, 0);
  vestry_err error = at < VSI_TAILS_MAX ? VESTRY_OK : VESTRY_LIMIT;
  if (tailed(tail->connection) == VSI_TAILED_NEVER) error = VESTRY_INVALID;
  if (!error) {
    list[at] = tail;
    set_tailed(tail->connection, VSI_TAILED_NOW);
  }
  vsi_mutex_unlock(&lock);
  return error;
}

static void leave_tail(vsi_tail *tail) {
  vsi_mutex_lock(&lock);
  size_t at = 0;
  while (list[at] != tail) at++;
  list[at] = NULL;
  if (find_tail_locked(tail->connection, 0) == VSI_TAILS_MAX && tailed(tail->connection) == VSI_TAILED_NOW)
    set_tailed(tail->connection, VSI_TAILED_NOT);
  vsi_mutex_unlock(&lock);
}

void vsi_tail_exclude(vestry_connection *connection) {
  vsi_mutex_lock(&lock);
  set_tailed(connection, VSI_TAILED_NEVER);
  vsi_mutex_unlock(&lock);
}

bool vsi_tail_is_excluded(const vestry_connection *connection) {
  return tailed(connection) == VSI_TAILED_NEVER;
}

static void end_of_watched(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  (void)connection;
  vsi_tail *tail = (vsi_tail *)node;
  vsi_mutex_lock(&lock);
  tail->cause = cause;
  void (*fn)(vestry_connection * to) = tail->rouse;
  vsi_mutex_unlock(&lock);
  rouse_taker(tail, fn);
  unref_tail(tail);
}

vestry_err vsi_tail_begin(vestry_connection *connection, vsi_tail **ret_tail) {
  vsi_tail *tail = vsi_calloc(vsi_connection_host(connection), 1, sizeof *tail);
  if (!tail) return VESTRY_NO_MEMORY;
  VSI_REFS_INIT(&tail->refs, 2); /* for the list, and for the close list */
  vsi_close_node_init(&tail->at_close, end_of_watched);
  tail->connection = vestry_connection_ref(connection);
  vestry_err error = enter_tail(tail);
  if (error) {
    unref_tail(tail);
  } else if ((error = vsi_connection_at_close(connection, &tail->at_close)) != VESTRY_OK) {
    leave_tail(tail);
    unref_tail(tail);
  }
  if (error)
    unref_tail(tail);
  else
    *ret_tail = tail;
  return error;
}

void vsi_tail_end(vsi_tail *tail) {
  if (!tail) return;
  leave_tail(tail);
  if (vsi_connection_cancel_at_close(tail->connection, &tail->at_close)) unref_tail(tail);
  unref_tail(tail);
}

void vsi_tail_rouse(vsi_tail *tail, void (*fn)(vestry_connection *to), vestry_connection *to) {
  vestry_connection_ref(to);
  vsi_mutex_lock(&lock);
  tail->to = to;
  tail->rouse = fn;
  vsi_mutex_unlock(&lock);
}

bool vsi_tail_take(vsi_tail *tail, vsi_tail_event *ret_event) {
  vsi_mutex_lock(&lock);
  *ret_event = (vsi_tail_event){.event = NULL};
  if (tail->count) {
    *ret_event = tail->events[tail->first];
    tail->first = (tail->first + 1) % VSI_TAIL_EVENTS_MAX;
    tail->count--;
    tail->bytes -= vestry_event_bytes(ret_event->event).len;
  }
  ret_event->left_out_count = tail->left_out_count;
  ret_event->cause = tail->cause;
  tail->left_out_count = 0;
  vsi_mutex_unlock(&lock);
  return ret_event->event;
}
