/* SPDX-License-Identifier: MIT */
/* No stream outlives its session. A stream is entered into its record when it opens, under the record's lock, unless
 * the record has ended; an end marks the record as ended under the same lock, and then closes the streams that are
 * entered. So either the stream sees the end, or the end sees the stream. A stream holds a reference to its record, and
 * leaves the record when it ends. */
#include "app/session/record.h"

#include <string.h>

#include "base/memory.h"
#include "base/refs.h"
#include "connection/connection.h"

typedef vsi_session_user record;
typedef vsi_session_stream entered;

/* A stream of a session. */
struct vsi_session_stream {
  vsi_attachment attachment;         /* first */
  record *session;                   /* a reference */
  vestry_connection *connection;     /* borrowed: it is entered no longer than that lives */
  LIST_ENTRY(vsi_session_stream) in; /* guarded by the session's lock; in it while connection is not NULL */
};

record *vsi_session_record_create(const vestry_host *host, const char *hash, const char *user, int64_t created_s) {
  size_t len = strlen(user) + 1;
  record *made = vsi_calloc(host, 1, sizeof *made + len);
  if (!made) return NULL;
  made->host = host;
  VSI_REFS_INIT(&made->refs, 1);
  made->created_s = created_s;
  atomic_init(&made->saved_s, created_s);
  memcpy(made->hash, hash, strlen(hash)); /* terminated by zeros; a grave has none */
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

struct vsi_session_user *vsi_session_user_ref(struct vsi_session_user *user) {
  if (user) vsi_session_record_ref(user);
  return user;
}

void vsi_session_user_unref(struct vsi_session_user *user) {
  vsi_session_record_unref(user);
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

static void begin_stream(vsi_attachment *attachment, vestry_connection *connection) {
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
    vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
    free_entered(stream);
    return;
  }
  vsi_close_node_init(&stream->attachment.node, stream_ended);
  /* One that has ended already calls no node any more. */
  if (vsi_connection_at_close(connection, &stream->attachment.node))
    stream_ended(&stream->attachment.node, connection, VESTRY_CAUSE_NONE);
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
  vsi_attachment **at = &reply->attachments.first, *found;
  while (*at && ((*at)->begin != begin_stream || ((entered *)*at)->session != session)) at = &(*at)->next;
  found = *at;
  if (!found) return;
  *at = found->next;
  found->drop(found);
}
