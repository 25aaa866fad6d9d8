/* SPDX-License-Identifier: MIT */
/* Streams of HTTP/2, and the transport of a stream of events.
 *
 * A write copies its bytes into the stream and marks it (session.c). nghttp2 takes them when the windows of the stream
 * and of the connection, and the socket, have room. Until all of them are taken, the next write gets WOULD_BLOCK, so a
 * stream that its client does not read holds one write, of at most WRITE_BYTES, and its queue waits. If the streams
 * of a session hold more than AMPLE_BYTES together, a write has at most SHORT_BYTES, which bounds the memory of a
 * session whose client reads nothing.
 *
 * A clean end is the end of the stream's data, any other end a reset, so that the browser comes back. The reset comes
 * some hundred milliseconds after the last bytes, unless the client is gone or does not read. */
#include "adapter/h2/adapter.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/ascii.h"
#include "http/body.h"

enum { WRITE_BYTES = 16384, SHORT_BYTES = 2048, AMPLE_BYTES = 64 << 10 };
/* Of a stream that is not one of events, here and in nghttp2, with a response below a kilobyte, which is not counted
 * otherwise. The limit of connections does not bound them, because each has many streams. */
enum { STREAM_BYTES = 2048 };

/* ------------------------------------------------------------------------------------------ memory of requests ---- */

/* File a session by the bytes of its requests, unless these are few. */
static void file_locked(vsi_h2_session *session, size_t held) {
  const bool may_be_cut =
      held >= VSI_H2_LEAST_CUT_BYTES && !atomic_load_explicit(&session->is_cut, memory_order_relaxed);
  vsi_loads_file(&session->adapter->loads, &session->load, &session->place, may_be_cut ? vsi_load_rank(held) : 0);
}

/* Note the bytes that it holds now. Most requests change them so little that this takes no lock. */
static void note(vsi_h2_session *session, size_t before, size_t now) {
  if (before < VSI_H2_LEAST_CUT_BYTES && now < VSI_H2_LEAST_CUT_BYTES) return;
  if (now >= VSI_H2_LEAST_CUT_BYTES && vsi_load_rank_of(&session->place) == vsi_load_rank(now)) return;
  vsi_mutex_lock(&session->adapter->loads_lock);
  file_locked(session, atomic_load_explicit(&session->held_bytes, memory_order_relaxed)); /* only a sum */
  vsi_mutex_unlock(&session->adapter->loads_lock);
}

/* The largest are cut, so that new requests get room: a thread with the turn of a session ends its incomplete requests
 * (session.c). A thread cuts no more than was too much when it came, and not what others add meanwhile. */
static void relieve(vsi_h2 *adapter) {
  const uint64_t most = vestry_request_bytes_excess(adapter->v);
  if (!most) return;
  vsi_mutex_lock(&adapter->loads_lock);
  uint64_t cut_bytes = 0;
  for (vsi_load *at; cut_bytes < most && vestry_request_bytes_excess(adapter->v) > adapter->going &&
                     (at = vsi_loads_largest(&adapter->loads)) != NULL;) {
    vsi_h2_session *largest = VSI_LOAD_OWNER(at, vsi_h2_session, load);
    atomic_store_explicit(&largest->is_cut, true, memory_order_relaxed);
    largest->going = atomic_load_explicit(&largest->held_bytes, memory_order_relaxed);
    adapter->going += largest->going;
    cut_bytes += largest->going;
    file_locked(largest, 0);
    VSI_REFS_TAKE(&largest->refs);
    vsi_mutex_unlock(&adapter->loads_lock);
    vsi_mutex_lock(&largest->lock);
    largest->sheds = true;
    vsi_mutex_unlock(&largest->lock);
    largest->ops->pump(largest);
    vsi_h2_session_unref(largest);
    vsi_mutex_lock(&adapter->loads_lock);
  }
  vsi_mutex_unlock(&adapter->loads_lock);
}

static void add_held(vsi_h2_session *session, size_t bytes) {
  const size_t before = atomic_fetch_add_explicit(&session->held_bytes, bytes, memory_order_relaxed);
  note(session, before, before + bytes);
}

bool vsi_h2_request_bytes_take_spare(vsi_h2_session *session, size_t bytes) {
  enum { PART = 4 };
  const bool is_taken = vsi_request_bytes_take_within(session->adapter->v, bytes, PART);
  if (is_taken) add_held(session, bytes);
  return is_taken;
}

bool vsi_h2_request_bytes_take(vsi_h2_session *session, size_t bytes) {
  vsi_h2 *adapter = session->adapter;
  const bool is_taken = vestry_request_bytes_take(adapter->v, bytes);
  if (is_taken) {
    add_held(session, bytes);
  } else {
    vestry_reject(adapter->v, VESTRY_REFUSAL_BUDGET);
  }
  relieve(adapter);
  return is_taken;
}

void vsi_h2_request_bytes_give(vsi_h2_session *session, size_t bytes) {
  if (!bytes) return;
  const size_t before = atomic_fetch_sub_explicit(&session->held_bytes, bytes, memory_order_relaxed);
  vestry_request_bytes_give(session->adapter->v, bytes);
  note(session, before, before - bytes);
}

void vsi_h2_request_bytes_settle(vsi_h2_session *session, bool goes_on) {
  vsi_h2 *adapter = session->adapter;
  vsi_mutex_lock(&adapter->loads_lock);
  atomic_store_explicit(&session->is_cut, !goes_on, memory_order_relaxed);
  adapter->going -= session->going;
  session->going = 0;
  file_locked(session, 0);
  vsi_mutex_unlock(&adapter->loads_lock);
}

/* -------------------------------------------------------------------------------------------------------- life ---- */

vsi_h2_stream *vsi_h2_stream_create(vsi_h2_session *session, int32_t id) {
  if (!vsi_h2_request_bytes_take(session, STREAM_BYTES)) return NULL;
  vsi_h2_stream *stream = vsi_calloc(session->host, 1, sizeof *stream);
  if (stream) stream->request = vsi_calloc(session->host, 1, sizeof *stream->request);
  if (!stream || !stream->request) {
    vsi_free(session->host, stream);
    vsi_h2_request_bytes_give(session, STREAM_BYTES);
    return NULL;
  }
  stream->is_counted = true;
  stream->request->begun_ns = session->since_ns = vsi_now_ns(session->host);
  stream->urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY;
  VSI_REFS_INIT(&stream->refs, 1);
  VSI_REFS_TAKE(&session->refs);
  stream->session = session;
  stream->id = id;
  stream->window = session->first_window;
  stream->is_arriving = true;
  session->arriving_count++;
  vsi_mutex_lock(&session->lock);
  LIST_INSERT_HEAD(&session->streams, stream, in_all);
  session->streams_count++;
  vsi_mutex_unlock(&session->lock);
  return stream;
}

void vsi_h2_stream_uncount(vsi_h2_stream *stream) {
  vsi_mutex_lock(&stream->session->lock);
  const bool is_counted = stream->is_counted;
  stream->is_counted = false;
  vsi_mutex_unlock(&stream->session->lock);
  if (is_counted) vsi_h2_request_bytes_give(stream->session, STREAM_BYTES);
}

void vsi_h2_request_forget_body(vsi_h2_session *session, vsi_h2_request *request) {
  vsi_free(session->host, request->body);
  vsi_h2_request_bytes_give(session, request->body_capacity);
  request->body = NULL;
  request->body_len = request->body_capacity = request->body_read = 0;
}

void vsi_h2_request_free(vsi_h2_stream *stream) {
  vsi_h2_session *session = stream->session;
  vsi_h2_request *request = stream->request;
  if (!request) return;
  vsi_h2_request_forget_body(session, request);
  vsi_free(session->host, request->head);
  vsi_h2_request_bytes_give(session, request->head_capacity);
  vsi_free(session->host, request->path);
  vsi_free(session->host, request);
  stream->request = NULL;
}

bool vsi_h2_request_settle(vsi_h2_stream *stream) {
  if (!stream->is_arriving) return false;
  stream->is_arriving = false;
  stream->session->arriving_count--;
  return true;
}

bool vsi_h2_request_expects(vsi_h2_stream *stream) {
  const char *expect = stream->session->adapter->ops->header(stream, "expect");
  return expect && vsi_strcasecmp(expect, "100-continue") == 0;
}

void vsi_h2_session_unref(vsi_h2_session *session) {
  if (!VSI_REFS_DROP(&session->refs)) return;
  vsi_semaphore_finish(&session->turn);
  vsi_mutex_finish(&session->lock);
  vsi_free(session->host, session);
}

void vsi_h2_stream_unref(vsi_h2_stream *stream) {
  if (!VSI_REFS_DROP(&stream->refs)) return;
  vsi_h2_session *session = stream->session;
  vsi_h2_answer_free(session, stream->answer);
  vsi_free(session->host, stream->out);
  vsi_free(session->host, stream);
  vsi_h2_session_unref(session);
}

/* Free the unsent bytes. */
void vsi_h2_stream_drop_locked(vsi_h2_stream *stream) {
  stream->session->out_bytes -= stream->out_len;
  vsi_free(stream->session->host, stream->out);
  stream->out = NULL;
  stream->out_len = stream->out_at = 0;
  vsi_h2_stream_wait_locked(stream, false);
}

void vsi_h2_stream_reset_locked(vsi_h2_stream *stream, uint32_t code) {
  stream->resets = stream->is_urgent = true;
  stream->reset_code = (uint8_t)code;
  vsi_h2_session_mark_locked(stream);
}

void vsi_h2_stream_invite(vsi_h2_stream *stream) {
  vsi_mutex_lock(&stream->session->lock);
  stream->continues = true;
  vsi_h2_session_mark_locked(stream);
  vsi_mutex_unlock(&stream->session->lock);
}

/* --------------------------------------------------------------------------------------------------- transport ---- */

static vestry_io transport_open(void *transport) {
  vsi_h2_stream *stream = transport;
  vsi_h2_session *session = stream->session;
  vsi_mutex_lock(&session->lock);
  const bool is_gone = stream->is_gone;
  stream->is_answered = !is_gone;
  if (!is_gone) vsi_h2_session_mark_locked(stream);
  vsi_mutex_unlock(&session->lock);
  if (is_gone) return VESTRY_IO_HANGUP;
  session->ops->pump(session);
  return VESTRY_IO_OK;
}

static size_t sum_of(const vestry_slice *slices, size_t count) {
  size_t sum = 0;
  for (size_t i = 0; i < count; i++) sum += slices[i].len;
  return sum;
}

/* Copy the first bytes of slices into a stream that holds none. OK | ERROR (no memory) */
static vestry_io hold_locked(vsi_h2_stream *stream, const vestry_slice *slices, size_t len) {
  char *to = vsi_alloc(stream->session->host, len);
  if (!to) return VESTRY_IO_ERROR;
  stream->out = to;
  stream->out_len = (uint16_t)len; /* at most WRITE_BYTES, or VSI_SEND_ROOM */
  for (size_t left = len; left; slices++) {
    const size_t part = slices->len < left ? slices->len : left;
    memcpy(to, slices->data, part);
    to += part;
    left -= part;
  }
  stream->session->out_bytes += len;
  vsi_h2_stream_wait_locked(stream, true);
  vsi_h2_session_mark_locked(stream);
  return VESTRY_IO_OK;
}

static vestry_io write_locked(vsi_h2_stream *stream, const vestry_slice *slices, size_t count, size_t *ret_written) {
  const size_t wanted = sum_of(slices, count);
  const size_t most = stream->session->out_bytes < AMPLE_BYTES ? WRITE_BYTES : SHORT_BYTES;
  const size_t len = wanted < most ? wanted : most;
  if (stream->is_gone) return VESTRY_IO_HANGUP;
  *ret_written = 0;
  if (stream->out_len) {
    stream->waits = true;
    return VESTRY_IO_WOULD_BLOCK;
  }
  const vestry_io io = hold_locked(stream, slices, len);
  if (io) return io;
  *ret_written = len;
  stream->waits = len < wanted;
  return stream->waits ? VESTRY_IO_WOULD_BLOCK : VESTRY_IO_OK;
}

static vestry_io transport_write(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  vsi_h2_stream *stream = transport;
  vsi_h2_session *session = stream->session;
  vsi_mutex_lock(&session->lock);
  const vestry_io io = write_locked(stream, slices, count, ret_written);
  vsi_mutex_unlock(&session->lock);
  session->ops->pump(session);
  return io;
}

/* If the session has few streams, the runtime sends a record. Otherwise the bytes are left with the stream, not in the
 * runtime's buffer, and the descriptor below 0 means that the runtime sends nothing itself. The streams of a session
 * that are in one batch are sent by the first `sent`. */
static size_t transport_compose(void *transport, const vestry_slice *slices, size_t count, void *buffer, size_t room,
                                int *ret_descriptor) {
  vsi_h2_stream *stream = transport;
  vsi_h2_session *session = stream->session;
  const size_t len = sum_of(slices, count);
  if (len > room) return 0;
  const size_t composed = session->ops->compose(stream, slices, count, buffer, room);
  if (composed) {
    *ret_descriptor = session->fd;
    return composed;
  }
  vsi_mutex_lock(&session->lock);
  const bool fits = !stream->is_gone && !stream->out_len && hold_locked(stream, slices, len) == VESTRY_IO_OK;
  vsi_mutex_unlock(&session->lock);
  *ret_descriptor = -1;
  return fits ? len : 0;
}

static vestry_io transport_sent(void *transport, int result, size_t *ret_written) {
  const vsi_h2_stream *stream = transport;
  (void)ret_written; /* all: the session keeps what the socket did not take */
  stream->session->ops->sent(stream->session, result);
  return VESTRY_IO_OK;
}

/* Return whether the bytes that are left are sent before the stream is reset: its client reads. */
static bool is_worth_waiting(vestry_cause cause) {
  switch (cause) {
  case VESTRY_CAUSE_HANGUP:
  case VESTRY_CAUSE_LOST:
  case VESTRY_CAUSE_STALLED:
  case VESTRY_CAUSE_ERROR: return false;
  default: return true;
  }
}

/* The place is given last: a thread that waits at the gate may free the adapter. */
static void transport_end(void *transport, bool clean, vestry_cause cause) {
  vsi_h2_stream *stream = transport;
  vsi_h2_session *session = stream->session;
  vsi_web_gate *gate = &session->adapter->inner->gate;
  vsi_mutex_lock(&session->lock);
  vestry_connection *connection = stream->connection;
  vsi_h2_answer *unsent = stream->is_answered ? NULL : stream->answer;
  if (unsent) stream->answer = NULL;
  stream->connection = NULL;
  stream->is_over = true;
  if (stream->is_answered) {
    stream->has_ended = clean;
    stream->resets = !clean;
    stream->is_urgent = !is_worth_waiting(cause);
    stream->reset_code = NGHTTP2_CANCEL;
    vsi_h2_session_mark_locked(stream);
  } else if (stream->is_begun) {
    vsi_h2_stream_reset_locked(stream, NGHTTP2_CANCEL); /* it ended before it was opened */
  } else {
    stream->is_stream = false; /* the request gets a response instead, or stream_begin resets it */
  }
  vsi_mutex_unlock(&session->lock);
  vsi_h2_answer_free(session, unsent);
  session->ops->pump(session);
  vestry_connection_unref(connection);
  vsi_web_gate_give_place(gate);
}

/* ------------------------------------------------------------------------------------------------- for display ---- */

/* Enter the turn, which protects nghttp2 and the socket. false: the session has ended. */
static bool enter(vsi_h2_session *session) {
  if (vsi_h2_session_is_held(session)) return session->frames;
  vsi_semaphore_enter(&session->turn);
  if (session->frames) return true;
  vsi_semaphore_leave(&session->turn);
  return false;
}

/* A sender may have marked its stream during the turn. */
static void leave(vsi_h2_session *session) {
  if (vsi_h2_session_is_held(session)) return;
  vsi_semaphore_leave(&session->turn);
  session->ops->pump(session);
}

/* Of the whole connection: the kernel does not know its streams. A session is marked as dead before its socket is
 * closed. */
static int64_t transport_unacknowledged(void *transport) {
  const vsi_h2_stream *stream = transport;
  vsi_h2_session *session = stream->session;
  int bytes = -1;
  vsi_mutex_lock(&session->lock);
  if (!stream->is_gone && !stream->is_over && !session->is_dead && ioctl(session->fd, SIOCOUTQ, &bytes)) bytes = -1;
  vsi_mutex_unlock(&session->lock);
  return bytes;
}

static vestry_wait wait_of(const vsi_h2_stream *stream) {
  switch ((vsi_h2_place)stream->place) {
  case VSI_H2_WAITS_WINDOW: return VESTRY_WAIT_STREAM_WINDOW;
  case VSI_H2_WAITS_SHARE: return VESTRY_WAIT_CONNECTION_WINDOW;
  case VSI_H2_AWAY: return VESTRY_WAIT_NONE;
  case VSI_H2_IN_LINE: break;
  }
  return stream->session->is_blocked ? VESTRY_WAIT_SOCKET : VESTRY_WAIT_NONE;
}

static bool transport_shared(void *transport, vestry_shared_connection *ret_shared) {
  const vsi_h2_stream *stream = transport;
  vsi_h2_session *session = stream->session;
  vestry_shared_connection found = {0};
  if (!enter(session)) return false;
  found.stream_window_bytes = stream->window > 0 ? stream->window : 0;
  found.connection_window_bytes = session->window;
  vsi_mutex_lock(&session->lock);
  found.id = session->first_id;
  found.streams_count = session->streams_count;
  found.unsent_bytes = stream->out_len - stream->out_at;
  vsi_mutex_unlock(&session->lock);
  found.waits_for = found.unsent_bytes ? wait_of(stream) : VESTRY_WAIT_NONE;
  leave(session);
  if (!found.id) return false; /* the stream begins only now */
  if (ret_shared) *ret_shared = found;
  return true;
}

static void transport_release(void *transport) {
  vsi_h2_stream_unref(transport);
}

static const vestry_transport_ops transport_ops = {
    .open = transport_open,
    .write = transport_write,
    .end = transport_end,
    .release = transport_release,
    .wake = NULL, /* writes never block: the pool runs the connection */
    .name = "h2",
    .unacknowledged = transport_unacknowledged,
    .compose = transport_compose,
    .sent = transport_sent,
    .shared = transport_shared,
};

/* ---------------------------------------------------------------------------------------- on the loop's thread ---- */

vestry_err vsi_h2_stream_open(void *server_request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                              void **ret_transport) {
  vsi_h2_stream *stream = server_request;
  vsi_h2_session *session = stream->session;
  vsi_web_gate *gate = &session->adapter->inner->gate;
  if (stream->request->is_head) return VESTRY_UNSUPPORTED;
  if (!vsi_web_gate_take_place(gate)) {
    vsi_web_gate_log_full(gate, session->adapter->host, "h2", "raise max_streams");
    return VESTRY_LIMIT;
  }
  vsi_h2_answer *answer = vsi_h2_answer_create(stream, head, false);
  if (!answer) {
    vsi_web_gate_give_place(gate);
    return VESTRY_NO_MEMORY;
  }
  answer->has_body = true;
  VSI_REFS_TAKE(&stream->refs);
  vsi_mutex_lock(&session->lock);
  stream->answer = answer;
  stream->is_stream = true;
  vsi_mutex_unlock(&session->lock);
  vsi_h2_stream_uncount(stream); /* its place counts now */
  *ret_ops = &transport_ops;
  *ret_transport = stream;
  return VESTRY_OK;
}

/* Note that vestry_serve has opened a stream. connection: a reference, which is taken. */
static void stream_begin(vsi_h2_stream *stream, vestry_connection *connection) {
  vsi_h2_session *session = stream->session;
  vsi_web_gate *gate = &session->adapter->inner->gate;
  vsi_mutex_lock(&session->lock);
  const bool is_gone = stream->is_gone, is_over = stream->is_over;
  const bool has_room = stream->waits && !stream->out_len;
  if (has_room) stream->waits = false;
  if (!is_over) stream->connection = vestry_connection_ref(connection);
  if (!session->first_id) session->first_id = vestry_connection_look(connection).id;
  if (is_over && !stream->is_answered) vsi_h2_stream_reset_locked(stream, NGHTTP2_CANCEL);
  stream->is_begun = true;
  vsi_mutex_unlock(&session->lock);
  if (is_over) session->ops->pump(session);
  if (is_gone) vestry_connection_close(connection, VESTRY_CAUSE_HANGUP);
  /* If a stop did not find the stream, it has shut the gate before. */
  if (vsi_web_gate_is_shut(gate)) vestry_connection_close(connection, VESTRY_CAUSE_SHUTDOWN);
  if (has_room) vestry_connection_writable(connection);
  vestry_connection_unref(connection);
}

void vsi_h2_request_served(vsi_h2_stream *stream, vestry_connection *connection) {
  if (connection) {
    stream_begin(stream, connection);
    return;
  }
  vsi_h2_session *session = stream->session;
  vsi_mutex_lock(&session->lock);
  const bool is_answered = stream->is_answered;
  if (!is_answered) vsi_h2_stream_reset_locked(stream, NGHTTP2_INTERNAL_ERROR);
  vsi_mutex_unlock(&session->lock);
  if (!is_answered) session->ops->pump(session);
}
