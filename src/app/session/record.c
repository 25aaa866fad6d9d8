/* SPDX-License-Identifier: MIT */
/* essay: no stream outlives its session */
/* A stream that opens is entered into its record under the record's lock, unless the record has ended. An end marks the
 * record as ended under the same lock, and then closes the entered streams. So either the stream finds that the session
 * has ended, or the end finds the stream. A stream holds a reference to its record, and leaves the record when it
 * ends. */
#include "app/session/record.h"

#include <string.h>

#include "base/array.h"
#include "base/memory.h"
#include "connection/connection.h"
#include "runtime/runtime.h"

typedef vsi_session_user record;
typedef vsi_session_stream entered;

/* A stream of a session. */
struct vsi_session_stream {
  vsi_attachment attachment;         /* first */
  record *session;                   /* a reference */
  vestry_connection *connection;     /* borrowed: the entry is removed before the connection is freed */
  LIST_ENTRY(vsi_session_stream) in; /* guarded by the session's lock; linked while connection is not NULL */
};

record *vsi_session_record_create(const vestry_host *host, const char *hash, const char *user, int64_t created_s) {
  size_t len = strlen(user) + 1;
  record *made = vsi_calloc(host, 1, sizeof *made + len);
  if (!made) return NULL;
  made->host = host;
  VSI_REFS_INIT(&made->refs, 1);
  made->created_s = created_s;
  atomic_init(&made->saved_s, created_s);
  memcpy(made->hash, hash, strlen(hash)); /* the record is zeroed, so it is terminated */
  memcpy(made->user, user, len);
  return made;
}

void vsi_session_record_ref(void *value) {
  VSI_REFS_TAKE(&((record *)value)->refs);
}

void vsi_session_record_unref(void *value) {
  record *held = value;
  if (held && VSI_REFS_DROP(&held->refs)) vsi_free(held->host, held);
}

vestry_handle vsi_session_record_end(record *ends, vestry_cause cause) {
  vsi_spin_lock_take(&ends->lock, VSI_LOCK_SESSION);
  ends->has_ended = true;
  vestry_handle of_user = ends->of_user;
  for (;;) {
    entered *first = LIST_FIRST(&ends->streams);
    if (!first) break;
    LIST_REMOVE(first, in);
    vestry_connection *connection = vestry_connection_ref(first->connection);
    first->connection = NULL;
    vsi_spin_lock_give(&ends->lock);
    vestry_connection_close(connection, cause);
    vestry_connection_unref(connection);
    vsi_spin_lock_take(&ends->lock, VSI_LOCK_SESSION);
  }
  vsi_spin_lock_give(&ends->lock);
  return of_user;
}

bool vsi_session_record_has_ended(record *session) {
  vsi_spin_lock_take(&session->lock, VSI_LOCK_SESSION);
  bool has_ended = session->has_ended;
  vsi_spin_lock_give(&session->lock);
  return has_ended;
}

/* -------------------------------------------------------------------------------------------------- streams ------- */

static void free_entered(entered *stream) {
  const vestry_host *host = stream->session->host;
  vsi_session_record_unref(stream->session);
  vsi_free(host, stream);
}

static void drop_stream(vsi_attachment *attachment) {
  free_entered((entered *)attachment);
}

static void stream_ended(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  entered *stream = (entered *)(void *)node;
  record *session = stream->session;
  (void)connection, (void)cause;
  vsi_spin_lock_take(&session->lock, VSI_LOCK_SESSION);
  if (stream->connection) LIST_REMOVE(stream, in);
  vsi_spin_lock_give(&session->lock);
  free_entered(stream);
}

static vestry_err begin_stream(vsi_attachment *attachment, vestry_connection *connection) {
  entered *stream = (entered *)attachment;
  record *session = stream->session;
  vsi_spin_lock_take(&session->lock, VSI_LOCK_SESSION);
  bool has_ended = session->has_ended;
  if (!has_ended) {
    stream->connection = connection;
    LIST_INSERT_HEAD(&session->streams, stream, in);
  }
  vsi_spin_lock_give(&session->lock);
  if (has_ended) {
    vestry_connection_close(connection, VESTRY_CAUSE_CLOSED); /* no failure */
    free_entered(stream);
  } else {
    vsi_connection_call_at_close(connection, &stream->attachment.node, stream_ended);
  }
  return VESTRY_OK;
}

vestry_err vsi_session_record_enter(record *session, vestry_reply *reply) {
  entered *stream = vsi_calloc(session->host, 1, sizeof *stream);
  if (!stream) return VESTRY_NO_MEMORY;
  stream->attachment.begin = begin_stream;
  stream->attachment.drop = drop_stream;
  stream->session = session;
  vsi_session_record_ref(session);
  vsi_attachments_add(&reply->attachments, &stream->attachment);
  return VESTRY_OK;
}

void vsi_session_record_detach(const record *session, vestry_reply *reply) {
  vsi_attachments *list = &reply->attachments;
  vsi_attachment *before = NULL, *at = list->first;
  for (; at && (at->begin != begin_stream || ((entered *)at)->session != session); at = at->next) before = at;
  if (!at) return;
  *(before ? &before->next : &list->first) = at->next;
  if (list->last == at) list->last = before;
  at->drop(at);
}

/* ---- lifetimes --------------------------------------------------------------------------------------------------- */

enum { ENDS_AT_ONCE = 256 };

static void put_at(vsi_session_lifetimes *lifetimes, size_t at, vsi_session_user *user) {
  lifetimes->heap[at] = user;
  user->place = at + 1;
}

/* Put a user into the heap: move up or down from the free place `at`, until the order is right. */
static void file(vsi_session_lifetimes *lifetimes, size_t at, vsi_session_user *user) {
  vsi_session_user **heap = lifetimes->heap;
  for (; at && heap[(at - 1) / 2]->ends_ns > user->ends_ns; at = (at - 1) / 2)
    put_at(lifetimes, at, heap[(at - 1) / 2]);
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= lifetimes->count) break;
    if (child + 1 < lifetimes->count && heap[child + 1]->ends_ns < heap[child]->ends_ns) child++;
    if (heap[child]->ends_ns >= user->ends_ns) break;
    put_at(lifetimes, at, heap[child]);
    at = child;
  }
  put_at(lifetimes, at, user);
}

static void remove_locked(vsi_session_lifetimes *lifetimes, vsi_session_user *user) {
  size_t at = user->place - 1;
  vsi_session_user *last = lifetimes->heap[--lifetimes->count];
  user->place = 0;
  if (last != user) file(lifetimes, at, last);
}

/* Set the timer to the first end. A timer that fires too early finds nothing due, and is set again. */
static void expect_locked(vsi_session_lifetimes *lifetimes) {
  if (lifetimes->count) (void)vsi_timer_set_at(lifetimes->timer, lifetimes->heap[0]->ends_ns);
}

static vsi_session_user *take_due(vsi_session_lifetimes *lifetimes, uint64_t now) {
  vsi_session_user *due = NULL;
  vsi_mutex_lock(&lifetimes->ends_lock);
  if (lifetimes->count && lifetimes->heap[0]->ends_ns <= now) {
    due = lifetimes->heap[0];
    vsi_session_record_ref(due); /* it exists: before the table drops its reference, it removes the session from here,
                                    under this lock */
    remove_locked(lifetimes, due);
  }
  vsi_mutex_unlock(&lifetimes->ends_lock);
  return due;
}

static void fire(vestry_timer *timer, void *ctx) {
  vsi_session_lifetimes *lifetimes = ctx;
  uint64_t now = vsi_now_ns(lifetimes->host);
  (void)timer;
  for (int i = 0; i < ENDS_AT_ONCE; i++) {
    vsi_session_user *due = take_due(lifetimes, now);
    if (!due) break;
    lifetimes->end(due);
    vsi_session_record_unref(due);
  }
  vsi_mutex_lock(&lifetimes->ends_lock);
  expect_locked(lifetimes);
  vsi_mutex_unlock(&lifetimes->ends_lock);
}

vestry_err vsi_session_lifetimes_init(vsi_session_lifetimes *lifetimes, const vestry_host *host,
                                      vestry_runtime *runtime, void (*end)(vsi_session_user *user)) {
  lifetimes->host = host;
  lifetimes->end = end;
  vestry_err error = vestry_timer_create(runtime, fire, lifetimes, &lifetimes->timer);
  if (!error) vsi_mutex_init(&lifetimes->ends_lock, VSI_LOCK_SESSION_LIFETIMES);
  return error;
}

void vsi_session_lifetimes_finish(vsi_session_lifetimes *lifetimes) {
  if (!lifetimes->timer) return;
  vestry_timer_destroy(lifetimes->timer);
  vsi_mutex_finish(&lifetimes->ends_lock);
  vsi_free(lifetimes->host, lifetimes->heap);
}

vestry_err vsi_session_lifetimes_add(vsi_session_lifetimes *lifetimes, vsi_session_user *user, uint64_t ends_ns) {
  vsi_mutex_lock(&lifetimes->ends_lock);
  vestry_err error = VSI_ARRAY_RESERVE(lifetimes->host, lifetimes->heap, lifetimes->count, lifetimes->room, 1);
  if (!error) {
    user->ends_ns = ends_ns;
    file(lifetimes, lifetimes->count++, user);
    if (user->place == 1) expect_locked(lifetimes);
  }
  vsi_mutex_unlock(&lifetimes->ends_lock);
  return error;
}

void vsi_session_lifetimes_remove(vsi_session_lifetimes *lifetimes, vsi_session_user *user) {
  vsi_mutex_lock(&lifetimes->ends_lock);
  if (user->place) remove_locked(lifetimes, user);
  vsi_mutex_unlock(&lifetimes->ends_lock);
}
