/* SPDX-License-Identifier: MIT */
/* Bodies in pieces, which writers of the application take.
 *
 * A writer may block, because it waits for a disk. Therefore it runs on a thread of the writer pool
 * (microhttpd/writer_pool.c), and the bytes that arrive meanwhile wait in the request, at most as many as the window of
 * the stream allows. The client may send as many again as the writer has taken, so a writer that is slow stops its own
 * stream alone. The window grows with the bytes that the writer takes, because a client far away waits a round trip for
 * each window.
 *
 * An errand runs as long as there is something to do, and a body has at most one (is_running). If other errands wait,
 * it gives its thread up after each write, and sessions take turns, however many bodies each of them sends. It ends the
 * request when the body is complete, no longer wanted, or broken off, and marks it as done; the thread with the turn
 * frees it then, or the errand itself if nghttp2 has closed the stream. */
#include "adapter/h2/adapter.h"

static vsi_h2_stream *stream_of(vsi_microhttpd_errand *errand) {
  return ((vsi_h2_request *)(void *)((char *)errand - offsetof(vsi_h2_request, errand)))->stream;
}

/* Note that the errand runs from now on. Returns whether the caller queues it. */
static bool claim_locked(vsi_h2_request *request) {
  if (request->is_running || request->is_done) return false;
  request->is_running = true;
  return true;
}

/* Queue the errand. false: no thread can be started. */
static bool queue(vsi_h2_stream *stream) {
  VSI_REFS_TAKE(&stream->refs);
  return vsi_microhttpd_writer_pool_give(&stream->session->adapter->inner->writer_pool, &stream->request->errand,
                                         &stream->session->last_turn);
}

/* Give the thread up if other errands wait. Returns whether the errand, which still runs, is queued again. */
static bool yields(vsi_h2_stream *stream) {
  if (!vsi_microhttpd_writer_pool_is_wanted(&stream->session->adapter->inner->writer_pool)) return false;
  const bool is_queued = queue(stream);
  if (!is_queued) vsi_h2_stream_unref(stream); /* this is the loop's thread, because no other could be started */
  return is_queued;
}

/* Queue the errand, unless it runs. If no thread can be started, the loop's thread, which is this one, runs it after
 * its turn. */
static void schedule(vsi_h2_stream *stream, bool is_claimed) {
  if (is_claimed && !queue(stream)) STAILQ_INSERT_TAIL(&stream->session->ready, stream, in_ready);
}

/* The work that an errand finds. */
typedef struct found {
  char *bytes; /* owned */
  size_t len;
  bool is_gone, is_late, has_ended;
} found;

/* Take what there is to do. false: nothing, and the errand is over. */
static bool take(vsi_h2_stream *stream, found *ret_found) {
  vsi_h2_request *request = stream->request;
  vsi_mutex_lock(&stream->session->lock);
  *ret_found = (found){request->body, request->body_len, stream->is_gone, request->is_late, request->is_ended};
  request->body = NULL;
  request->body_len = request->waiting_capacity = 0;
  const bool has_work = ret_found->len || ret_found->is_gone || ret_found->is_late || ret_found->has_ended;
  if (!has_work) request->is_running = false;
  vsi_mutex_unlock(&stream->session->lock);
  return has_work;
}

/* Write bytes; the client may send as many again. */
static void write_bytes(vsi_h2_stream *stream, const char *bytes, size_t len) {
  vsi_h2_session *session = stream->session;
  vestry_receiving *receiving = stream->request->receiving;
  for (size_t at = 0, room; at < len;) {
    char *to = vestry_receive_room(receiving, &room);
    if (!to) break;
    const size_t part = len - at < room ? len - at : room;
    memcpy(to, bytes + at, part);
    vestry_receive_put(receiving, part);
    at += part;
    if (part == room) vestry_receive_write(receiving);
  }
  vsi_mutex_lock(&session->lock);
  stream->consumed += (uint32_t)len;
  vsi_h2_session_mark_locked(stream);
  vsi_mutex_unlock(&session->lock);
  session->ops->pump(session);
}

/* The request is over. */
static void finish(vsi_h2_stream *stream) {
  vsi_h2_session *session = stream->session;
  vsi_h2_request *request = stream->request;
  vsi_mutex_lock(&session->lock);
  const bool is_gone = stream->is_gone;
  request->is_running = false;
  request->is_done = true;
  stream->body_is_done = !is_gone;
  if (!is_gone) vsi_h2_session_mark_locked(stream);
  vsi_mutex_unlock(&session->lock);
  if (is_gone)
    vsi_h2_body_free(stream);
  else
    session->ops->pump(session);
}

/* Give a body up. status: of the response; 0: none is possible. */
static void abandon(vsi_h2_stream *stream, vestry_err why, int status) {
  (void)vestry_receive_end(stream->request->receiving, why, NULL);
  if (status) (void)vsi_h2_refuse(stream, status);
  finish(stream);
}

static void answer(vsi_h2_stream *stream) {
  vestry_connection *connection = NULL;
  vestry_receive_close(stream->request->receiving);
  (void)vestry_receive_end(stream->request->receiving, VESTRY_OK, &connection);
  vsi_h2_request_served(stream, connection);
  finish(stream);
}

/* Do what there is to do. Returns whether the request is over. */
static bool go_on(vsi_h2_stream *stream, const found *at) {
  if (at->is_gone) {
    abandon(stream, VESTRY_IO, 0);
    return true;
  }
  if (at->is_late) {
    abandon(stream, VESTRY_TIMEOUT, 408);
    return true;
  }
  if (at->len) write_bytes(stream, at->bytes, at->len);
  if (!at->has_ended && vestry_receive_wants(stream->request->receiving)) return false;
  answer(stream);
  return true;
}

static void invite(vsi_h2_stream *stream) {
  vsi_h2_stream_invite(stream);
  stream->session->ops->pump(stream->session);
}

static void run(vsi_microhttpd_errand *errand) {
  vsi_h2_stream *stream = stream_of(errand);
  vsi_h2_request *request = stream->request;
  const vestry_host *host = stream->session->host;
  vsi_web_gate *gate = &stream->session->adapter->inner->gate;
  const bool is_inside = vsi_web_gate_enter(gate);
  if (!is_inside) {
    abandon(stream, VESTRY_IO, 503);
  } else {
    if (!request->is_begun) vestry_receive_open(request->receiving);
    bool is_over = !vestry_receive_wants(request->receiving);
    if (is_over)
      answer(stream);
    else if (!request->is_begun && vsi_h2_request_expects(stream))
      invite(stream);
    if (!is_over) request->is_begun = true;
    for (found at; !is_over && take(stream, &at);) {
      is_over = go_on(stream, &at);
      vsi_free(host, at.bytes);
      if (!is_over && yields(stream)) break;
    }
  }
  vsi_h2_stream_unref(stream);
  if (is_inside) vsi_web_gate_leave(gate);
}

/* Widen the window of a body, if memory is to spare: a client far away can send one window a round trip. */
static void widen(vsi_h2_stream *stream) {
  enum { TIMES = 4 };
  vsi_h2_session *session = stream->session;
  vsi_h2_request *request = stream->request;
  const size_t wide = request->window * TIMES < VSI_H2_WIDE_BYTES ? request->window * TIMES : VSI_H2_WIDE_BYTES;
  request->taken = 0;
  if (wide == request->window || !vsi_h2_request_bytes_take_spare(session, wide - request->window)) return;
  request->window = wide;
  (void)nghttp2_session_set_local_window_size(session->frames, NGHTTP2_FLAG_NONE, stream->id, (int32_t)wide);
}

void vsi_h2_body_taken(vsi_h2_stream *stream, size_t len) {
  vsi_h2_request *request = stream->request;
  nghttp2_session_consume_stream(stream->session->frames, stream->id, len);
  if (!request || !stream->is_arriving) return;
  request->taken += len;
  if (request->taken >= request->window) widen(stream);
}

vestry_err vsi_h2_body_begin(vsi_h2_stream *stream) {
  const vsi_h2 *adapter = stream->session->adapter;
  vsi_h2_request *request = stream->request;
  if (!vsi_h2_request_bytes_take(stream->session, VSI_H2_WINDOW_BYTES)) return VESTRY_LIMIT;
  const vestry_err error = vestry_receive_begin(adapter->v, adapter->ops, stream, &request->receiving);
  if (error) {
    vsi_h2_request_bytes_give(stream->session, VSI_H2_WINDOW_BYTES);
    return error;
  }
  request->stream = stream;
  request->errand.run = run;
  stream->is_pieces = true;
  request->window = VSI_H2_WINDOW_BYTES;
  if (request->body_length < 0 || request->body_length > VSI_H2_WINDOW_BYTES) widen(stream);
  schedule(stream, claim_locked(request)); /* no other thread knows the request yet */
  return VESTRY_OK;
}

void vsi_h2_body_take(vsi_h2_stream *stream, const uint8_t *data, size_t len) {
  vsi_h2_session *session = stream->session;
  vsi_h2_request *request = stream->request;
  vsi_mutex_lock(&session->lock);
  const size_t wanted = request->body_len + len;
  bool is_dropped = request->is_done, fits = wanted <= request->waiting_capacity;
  if (!is_dropped && !fits) {
    char *grown = vsi_realloc(session->host, request->body, wanted);
    if (grown) request->body = grown, request->waiting_capacity = wanted;
    is_dropped = !grown;
    if (!grown) request->is_late = true; /* without memory, the body is given up */
  }
  if (is_dropped) {
    stream->consumed += (uint32_t)len;
    vsi_h2_session_mark_locked(stream);
  } else {
    memcpy(request->body + request->body_len, data, len);
    request->body_len = wanted;
  }
  const bool is_claimed = claim_locked(request);
  vsi_mutex_unlock(&session->lock);
  request->passed += len;
  if (request->passed >= VESTRY_RECEIVE_BYTES) {
    request->passed = 0;
    request->begun_ns = vsi_now_ns(session->host); /* the deadline begins anew */
  }
  schedule(stream, is_claimed);
}

void vsi_h2_body_wake(vsi_h2_stream *stream, vsi_h2_body_event event) {
  vsi_h2_request *request = stream->request;
  vsi_mutex_lock(&stream->session->lock);
  request->is_ended |= event == VSI_H2_BODY_ENDED;
  request->is_late |= event == VSI_H2_BODY_LATE;
  const bool is_claimed = claim_locked(request);
  vsi_mutex_unlock(&stream->session->lock);
  schedule(stream, is_claimed);
}

/* A running errand sees that the stream is closed, and frees the request, perhaps at once. */
vsi_h2_left vsi_h2_body_break_locked(vsi_h2_stream *stream) {
  if (!stream->is_pieces || !stream->request || stream->request->is_running) return VSI_H2_LEFT_NOTHING;
  return claim_locked(stream->request) ? VSI_H2_LEFT_ERRAND : VSI_H2_LEFT_REQUEST;
}

/* If no thread can be started, the body is abandoned here; an abandoned body writes nothing to the session. */
void vsi_h2_body_broken(vsi_h2_stream *stream, vsi_h2_left left) {
  if (left == VSI_H2_LEFT_REQUEST)
    vsi_h2_body_free(stream);
  else if (left == VSI_H2_LEFT_ERRAND && !queue(stream))
    run(&stream->request->errand);
}

void vsi_h2_body_run(vsi_h2_stream *stream) {
  VSI_REFS_TAKE(&stream->refs); /* the errand drops one, and the list of ready streams another */
  run(&stream->request->errand);
}

void vsi_h2_body_free(vsi_h2_stream *stream) {
  vsi_h2_request_bytes_give(stream->session, stream->request->window);
  vsi_h2_request_free(stream);
}
