/* SPDX-License-Identifier: MIT */
/* essay: no stream outlives its session */
/* A stream that opens is entered into its record under the record's lock, unless the record has ended. An end marks the
 * record as ended under the same lock, and then closes the entered streams. So either the stream finds that the session
 * has ended, or the end finds the stream. A stream holds a reference to its record, and leaves the record when it
 * ends. */
#include "app/session/record.h"

#include <string.h>

#include "base/memory.h"
#include "connection/connection.h"

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

void vsi_session_record_note_check(record *session, uint64_t now_ns) {
  /* not 0, which means that no request may use the session yet. release pairs with vsi_session_is_current */
  atomic_store_explicit(&session->checked_ns, now_ns | 1, memory_order_release);
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

static bool has_streams(record *session) {
  vsi_spin_lock_take(&session->lock, VSI_LOCK_SESSION);
  bool has = !LIST_EMPTY(&session->streams);
  vsi_spin_lock_give(&session->lock);
  return has;
}

/* Check a session from now on, as long as it has streams. */
static void check_from_now(record *session) {
  vsi_session_checks *checks = session->checks;
  vsi_mutex_lock(&checks->checks_lock);
  if (!session->is_checked) {
    session->is_checked = true;
    vsi_session_record_ref(session);
    TAILQ_INSERT_TAIL(&checks->open, session, at_check);
    if (!checks->open_count++) (void)vestry_timer_set(checks->timer, checks->every_ms, 0);
  }
  vsi_mutex_unlock(&checks->checks_lock);
}

size_t vsi_session_checks_take(vsi_session_checks *checks, record **some, size_t most, size_t *left) {
  size_t count = 0;
  vsi_mutex_lock(&checks->checks_lock);
  for (record *first; count < most && *left && (first = TAILQ_FIRST(&checks->open)); --*left) {
    TAILQ_REMOVE(&checks->open, first, at_check);
    if (has_streams(first)) {
      TAILQ_INSERT_TAIL(&checks->open, first, at_check);
      vsi_session_record_ref(first);
      some[count++] = first;
    } else {
      first->is_checked = false;
      checks->open_count--;
      vsi_session_record_unref(first);
    }
  }
  vsi_mutex_unlock(&checks->checks_lock);
  return count;
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
    check_from_now(session); /* before the stream can end, and drop its reference */
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
