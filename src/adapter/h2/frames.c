/* SPDX-License-Identifier: MIT */
/* nghttp2's sessions: their settings and limits, its callbacks, and what streams want from it. All functions are called
 * with the turn of the session.
 *
 * Limits against hostile clients. nghttp2 itself ends a session that sends more than 8 CONTINUATION frames for a head,
 * or a field above 64 KiB, resets streams faster than RESETS_A_SECOND, lets more than ACKS_MOST acknowledgements of its
 * PINGs and SETTINGS wait, or violates the protocol. Every other frame that costs work and carries nothing takes a
 * token (spend), and a fault for which its stream is reset takes TOKENS_A_FAULT: a session has TOKENS of them, and gets
 * TOKENS_A_SECOND new ones. A session without TLS is a proxy's, and has requests of many clients, so it may reset, and
 * send, OF_PROXY times as much: if it ended, it would end the streams of all of them.
 *
 * A head that is refused must be read to its end, because the table of later heads depends on it (RFC 7541, 2.3). A
 * byte of it can name a field of 4 KiB in that table. So the size of a head, as SETTINGS_MAX_HEADER_LIST_SIZE counts
 * it, may exceed the limit of heads that are served by TABLE_BYTES, and by SENT_TIMES as many bytes as were sent; a
 * Huffman code makes names and values at most 1.6 times as large. A head that nghttp2 drops, without a report of its
 * fields, may have TABLE_BYTES, and no CONTINUATION (input.c). */
#include "adapter/h2/adapter.h"

#include <sys/mman.h>

enum { SESSION_WINDOW_BYTES = 4 << 20, ACKS_MOST = 256, SETTINGS_MOST = 32, RESETS_BURST = 500, RESETS_A_SECOND = 50 };
enum { TOKENS = 2000, TOKENS_A_SECOND = 100, TOKENS_A_FAULT = 20, OF_PROXY = 4 };
enum { TABLE_BYTES = NGHTTP2_DEFAULT_HEADER_TABLE_SIZE, SENT_TIMES = 2, STREAMS_MORE = 1000 };

static vsi_h2_stream *stream_of(nghttp2_session *frames, int32_t id) {
  return nghttp2_session_get_stream_user_data(frames, id);
}

static uint32_t share_of(const vsi_h2 *adapter) {
  return adapter->tls ? 1 : OF_PROXY;
}

/* Take tokens for a frame. A client without tokens ends its session. */
static void spend(vsi_h2_session *session, uint32_t tokens) {
  const uint64_t now_ns = vsi_now_ns(session->host);
  const uint32_t share = share_of(session->adapter), most = share * TOKENS;
  const uint64_t more = (now_ns - session->tokens_ns) * share * TOKENS_A_SECOND / (1000 * VSI_NS_PER_MS);
  if (more) {
    session->tokens = more < most - session->tokens ? session->tokens + (uint32_t)more : most;
    session->tokens_ns = now_ns;
  }
  if (session->tokens < tokens) {
    nghttp2_session_terminate_session(session->frames, NGHTTP2_ENHANCE_YOUR_CALM);
    return;
  }
  session->tokens -= tokens;
}

/* ------------------------------------------------------------------------------------------------------- heads ---- */

static uint32_t streams_of(const vsi_h2_session *session) {
  return atomic_load_explicit(&session->streams_count, memory_order_relaxed); /* only this turn's thread changes it */
}

static int on_begin_headers(nghttp2_session *frames, const nghttp2_frame *frame, void *ctx) {
  vsi_h2_session *session = ctx;
  session->input.is_read = true;
  session->input.listed = 0;
  if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  const bool fits = streams_of(session) < session->adapter->most_streams;
  if (!fits) spend(session, TOKENS_A_FAULT);
  vsi_h2_stream *stream = fits ? vsi_h2_stream_create(session, frame->hd.stream_id) : NULL;
  if (stream)
    nghttp2_session_set_stream_user_data(frames, stream->id, stream);
  else /* the client may repeat it (RFC 9113, 8.7) */
    nghttp2_submit_rst_stream(frames, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
  return 0;
}

/* End a session inside a callback, which returns the result. */
static int end_flood(vsi_h2_session *session) {
  nghttp2_session_terminate_session(session->frames, NGHTTP2_ENHANCE_YOUR_CALM);
  return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *frames, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *ctx) {
  vsi_h2_session *session = ctx;
  vsi_h2_stream *stream = stream_of(frames, frame->hd.stream_id);
  (void)flags;
  session->input.listed += name_len + value_len + VSI_H2_FIELD_BYTES;
  if (session->input.listed > session->adapter->max_head_bytes + TABLE_BYTES + SENT_TIMES * frame->hd.length)
    return end_flood(session);
  if (stream && stream->is_arriving && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
    vsi_h2_request_field(stream, name, name_len, value, value_len);
  return 0;
}

/* Without this callback nghttp2 would leave an invalid field out, so that a proxy could read another request. */
static int on_invalid_header(nghttp2_session *frames, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                             const uint8_t *value, size_t value_len, uint8_t flags, void *ctx) {
  vsi_h2_session *session = ctx;
  (void)frames, (void)name, (void)name_len, (void)value, (void)value_len, (void)flags;
  if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) spend(session, TOKENS_A_FAULT); /* of a request that has begun */
  vestry_reject(session->adapter->v, VESTRY_REFUSAL_AMBIGUOUS);
  session->input.is_read = false;
  return frame->hd.length > TABLE_BYTES ? end_flood(session) : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* Called for a head that nghttp2 drops from now on. */
static int on_invalid_frame(nghttp2_session *frames, const nghttp2_frame *frame, int error, void *ctx) {
  vsi_h2_session *session = ctx;
  (void)frames, (void)error;
  if (frame->hd.type != NGHTTP2_HEADERS) return 0;
  session->input.is_read = false;
  return frame->hd.length > TABLE_BYTES ? end_flood(session) : 0;
}

/* ---------------------------------------------------------------------------------------------- control frames ---- */

static bool is_control(const nghttp2_frame_hd *frame) {
  switch (frame->type) {
  case NGHTTP2_PING:
  case NGHTTP2_SETTINGS:
  case NGHTTP2_PRIORITY:
  case NGHTTP2_PRIORITY_UPDATE:
  case NGHTTP2_RST_STREAM: return true;
  case NGHTTP2_DATA: return !frame->length && !(frame->flags & NGHTTP2_FLAG_END_STREAM);
  default: return false; /* frames of unknown types only cost their bytes */
  }
}

/* Called also for frames that nghttp2 ignores otherwise, such as PRIORITY, whose stream it does not check. */
static int on_begin_frame(nghttp2_session *frames, const nghttp2_frame_hd *frame, void *ctx) {
  vsi_h2_session *session = ctx;
  if (frame->type == NGHTTP2_HEADERS) session->input.is_read = false;
  if (is_control(frame)) spend(session, 1);
  if (frame->type == NGHTTP2_PRIORITY && !frame->stream_id)
    nghttp2_session_terminate_session(frames, NGHTTP2_PROTOCOL_ERROR);
  return 0;
}

static int on_frame(nghttp2_session *frames, const nghttp2_frame *frame, void *ctx) {
  vsi_h2_stream *stream = stream_of(frames, frame->hd.stream_id);
  if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK)) vsi_h2_data_set_window(ctx);
  const bool is_answer = frame->hd.type == NGHTTP2_PING && frame->hd.flags & NGHTTP2_FLAG_ACK;
  if (is_answer && ((vsi_h2_session *)ctx)->leaving_ns) vsi_h2_frames_left(ctx);
  if (frame->hd.type == NGHTTP2_PRIORITY_UPDATE) {
    const nghttp2_ext_priority_update *update = frame->ext.payload;
    vsi_h2_data_prioritize(ctx, update->stream_id, (const char *)update->field_value, update->field_value_len);
  }
  if (!stream || !stream->is_arriving) return 0;
  const bool has_ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
  if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
    if (vsi_h2_request_begin(stream, !has_ended)) vsi_h2_request_arrived(stream);
  } else if (has_ended && (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS)) {
    vsi_h2_request_arrived(stream);
  }
  return 0;
}

/* A client can also make the server reset its streams, by windows that are too large, or bodies of the wrong length. So
 * it has as many requests at a time as it likes, and sends no reset. */
static void spend_on_reset(vsi_h2_session *session, uint32_t code) {
  switch (code) {
  case NGHTTP2_PROTOCOL_ERROR:
  case NGHTTP2_REFUSED_STREAM:
  case NGHTTP2_FLOW_CONTROL_ERROR:
  case NGHTTP2_STREAM_CLOSED:
  case NGHTTP2_FRAME_SIZE_ERROR: spend(session, TOKENS_A_FAULT); break;
  default: break; /* not the client's fault */
  }
}

/* ------------------------------------------------------------------------------------------------------ bodies ---- */

/* The window of the connection is opened again at once, because the bytes are in memory that is counted. That of the
 * stream is opened when the bytes of a body in pieces were taken. */
static int on_data(nghttp2_session *frames, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *ctx) {
  (void)flags, (void)ctx;
  vsi_h2_stream *stream = stream_of(frames, id);
  nghttp2_session_consume_connection(frames, len);
  if (!stream || !stream->is_arriving) {
    nghttp2_session_consume_stream(frames, id, len);
    return 0;
  }
  if (stream->is_pieces) {
    vsi_h2_body_take(stream, data, len);
    return 0;
  }
  nghttp2_session_consume_stream(frames, id, len);
  if (vsi_h2_request_take(stream, data, len)) vsi_h2_request_arrived(stream);
  return 0;
}

void vsi_h2_frames_close(vsi_h2_stream *stream, vestry_cause cause) {
  vsi_h2_session *session = stream->session;
  const bool was_arriving = vsi_h2_request_settle(stream);
  vsi_h2_data_remove(stream);
  vsi_mutex_lock(&session->lock);
  stream->is_gone = true;
  const vsi_h2_left left = vsi_h2_body_break_locked(stream);
  LIST_REMOVE(stream, in_all);
  session->streams_count--;
  if (stream->lingers) session->lingering_count--;
  vsi_h2_stream_drop_locked(stream);
  vestry_connection *connection = stream->connection ? vestry_connection_ref(stream->connection) : NULL;
  vsi_h2_answer *answer = stream->is_answered ? stream->answer : NULL;
  if (answer) stream->answer = NULL;
  vsi_mutex_unlock(&session->lock);
  vsi_h2_answer_free(session, answer);
  vsi_h2_stream_uncount(stream);
  vsi_h2_body_broken(stream, left);
  if (was_arriving && !stream->is_pieces) vsi_h2_request_free(stream);
  if (connection) vestry_connection_close(connection, cause);
  vestry_connection_unref(connection);
  vsi_h2_stream_unref(stream);
}

static int on_close(nghttp2_session *frames, int32_t id, uint32_t code, void *ctx) {
  (void)code, (void)ctx;
  vsi_h2_stream *stream = stream_of(frames, id);
  if (!stream) return 0;
  vsi_h2_data_closes(stream);
  vsi_h2_frames_close(stream, VESTRY_CAUSE_HANGUP);
  return 0;
}

/* After a response whose request has not ended, the rest of the request is not wanted (RFC 9113, 8.1). */
static int on_sent(nghttp2_session *frames, const nghttp2_frame *frame, void *ctx) {
  if (frame->hd.type == NGHTTP2_RST_STREAM) spend_on_reset(ctx, frame->rst_stream.error_code);
  if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.last_stream_id == INT32_MAX) /* see vsi_h2_frames_leave */
    (void)nghttp2_submit_ping(frames, NGHTTP2_FLAG_NONE, NULL);
  if (frame->hd.type == NGHTTP2_HEADERS && frame->hd.flags & NGHTTP2_FLAG_END_STREAM &&
      nghttp2_session_get_stream_remote_close(frames, frame->hd.stream_id) == 0)
    nghttp2_submit_rst_stream(frames, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
  return 0;
}

/* ----------------------------------------------------------------------------------------------------- sending ---- */

static nghttp2_nv field_of(const char *name, const char *value) {
  return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value),
                      NGHTTP2_NV_FLAG_NONE};
}

/* Pass the head of a response to nghttp2, which copies it. */
static void submit(vsi_h2_session *session, vsi_h2_stream *stream, const vsi_h2_answer *answer) {
  const vestry_host *host = session->host;
  nghttp2_nv *fields = vsi_calloc(host, answer->count + 1, sizeof *fields);
  char status[16];
  int error = NGHTTP2_ERR_NOMEM;
  if (fields) {
    const char *at = answer->fields;
    snprintf(status, sizeof status, "%d", answer->status);
    fields[0] = field_of(":status", status);
    for (size_t i = 1; i <= answer->count; i++) {
      const char *value = at + strlen(at) + 1;
      fields[i] = field_of(at, value);
      at = value + strlen(value) + 1;
    }
    error = nghttp2_submit_headers(session->frames, answer->has_body ? NGHTTP2_FLAG_NONE : NGHTTP2_FLAG_END_STREAM,
                                   stream->id, NULL, fields, answer->count + 1, NULL);
  }
  vsi_free(host, fields);
  if (error)
    nghttp2_submit_rst_stream(session->frames, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_INTERNAL_ERROR);
  else if (answer->len)
    vsi_h2_data_put(stream);
}

static void invite(vsi_h2_stream *stream) {
  const nghttp2_nv status = field_of(":status", "100");
  (void)nghttp2_submit_headers(stream->session->frames, NGHTTP2_FLAG_NONE, stream->id, NULL, &status, 1, NULL);
}

void vsi_h2_frames_apply(vsi_h2_session *session, vsi_h2_stream *stream) {
  vsi_mutex_lock(&session->lock);
  stream->is_dirty = false;
  if (!session->frames || session->is_broken || stream->is_gone) {
    vsi_mutex_unlock(&session->lock);
    return;
  }
  const bool is_stopping = atomic_load_explicit(&session->adapter->is_stopping, memory_order_relaxed); /* only a flag */
  const bool is_due = stream->resets && (!stream->out_len || stream->is_urgent);
  const bool resets = is_due && (stream->is_urgent || is_stopping);
  if (is_due && !resets) vsi_h2_stream_linger_locked(stream);
  const bool submits = stream->is_answered && !stream->is_submitted && !resets;
  const uint32_t consumed = stream->consumed, code = stream->reset_code;
  const bool body_is_done = stream->body_is_done;
  const bool continues = stream->continues && !stream->is_answered;
  if (body_is_done) stream->body_is_done = false;
  stream->continues = false;
  vsi_h2_answer *answer = stream->answer;
  /* A reset waits for room in the socket, but memory does not: a client that reads nothing would keep it. */
  const bool drops = resets && stream->is_answered;
  if (drops) {
    stream->answer = NULL;
    stream->is_finished = true;
    vsi_h2_stream_drop_locked(stream);
  }
  stream->consumed = 0;
  stream->is_submitted |= submits;
  const bool has_events = stream->is_stream && stream->is_submitted && (stream->out_len || stream->has_ended);
  if (submits && stream->is_stream) stream->answer = NULL; /* the head is all that there is */
  vsi_mutex_unlock(&session->lock);
  if (body_is_done) {
    (void)vsi_h2_request_settle(stream);
    vsi_h2_body_free(stream);
  }
  if (continues) invite(stream);
  if (consumed) vsi_h2_body_taken(stream, consumed);
  if (drops) {
    vsi_h2_data_remove(stream);
    vsi_h2_answer_free(session, answer);
  }
  if (resets) {
    nghttp2_submit_rst_stream(session->frames, NGHTTP2_FLAG_NONE, stream->id, code);
  } else if (submits) {
    if (answer->goes_away) vsi_h2_frames_leave(session); /* first, so that the client knows when it has the response */
    submit(session, stream, answer);
    if (stream->is_stream) vsi_h2_answer_free(session, answer);
  }
  if (has_events && !resets) vsi_h2_data_put(stream);
}

/* A session ends in two steps (RFC 9113, 6.8), so that requests are served which the client sent before it knew. The
 * first GOAWAY names no stream. When the client has answered the PING after it, or too much time is over, the second
 * one names the last request that is served. */
void vsi_h2_frames_leave(vsi_h2_session *session) {
  if (session->leaving_ns) return;
  session->leaving_ns = vsi_now_ns(session->host);
  (void)nghttp2_submit_shutdown_notice(session->frames);
}

void vsi_h2_frames_left(vsi_h2_session *session) {
  const int32_t last = nghttp2_session_get_last_proc_stream_id(session->frames);
  if (session->is_leaving) return;
  session->is_leaving = true;
  (void)nghttp2_submit_goaway(session->frames, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0);
}

/* One stream too many is an error of that stream (RFC 9113, 5.1.2), but nghttp2 would end the session. So it knows a
 * higher limit than the client, and on_begin_headers refuses the stream. */
void vsi_h2_frames_limit(const vsi_h2_session *session, uint8_t *frame) {
  enum { ENTRY_BYTES = 6, NAME_BYTES = 2 };
  const uint32_t most = session->adapter->most_streams;
  if (frame[3] != NGHTTP2_SETTINGS || frame[4] & NGHTTP2_FLAG_ACK) return;
  uint8_t *at = frame + VSI_H2_FRAME_HEAD_BYTES; /* the first entry (vsi_h2_frames_begin) */
  for (size_t i = 0; i < ENTRY_BYTES - NAME_BYTES; i++) at[NAME_BYTES + i] = (uint8_t)(most >> (24 - 8 * i));
}

/* -------------------------------------------------------------------------------------------------------- life ---- */

vestry_err vsi_h2_frames_init(vsi_h2 *adapter) {
  nghttp2_session_callbacks *to;
  if (nghttp2_session_callbacks_new(&adapter->callbacks) || nghttp2_option_new(&adapter->option))
    return VESTRY_NO_MEMORY;
  to = adapter->callbacks;
  nghttp2_session_callbacks_set_on_begin_headers_callback(to, on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(to, on_header);
  nghttp2_session_callbacks_set_on_invalid_header_callback(to, on_invalid_header);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(to, on_invalid_frame);
  nghttp2_session_callbacks_set_on_begin_frame_callback(to, on_begin_frame);
  nghttp2_session_callbacks_set_on_frame_recv_callback(to, on_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(to, on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(to, on_close);
  nghttp2_session_callbacks_set_on_frame_send_callback(to, on_sent);
  nghttp2_option_set_no_auto_window_update(adapter->option, 1);
  nghttp2_option_set_no_closed_streams(adapter->option, 1);
  nghttp2_option_set_max_outbound_ack(adapter->option, ACKS_MOST);
  nghttp2_option_set_max_settings(adapter->option, SETTINGS_MOST);
  nghttp2_option_set_max_deflate_dynamic_table_size(adapter->option, 0);
  nghttp2_option_set_stream_reset_rate_limit(adapter->option, share_of(adapter) * RESETS_BURST,
                                             share_of(adapter) * RESETS_A_SECOND);
  nghttp2_option_set_builtin_recv_extension_type(adapter->option, NGHTTP2_PRIORITY_UPDATE);
  return VESTRY_OK;
}

void vsi_h2_frames_finish(vsi_h2 *adapter) {
  nghttp2_session_callbacks_del(adapter->callbacks);
  nghttp2_option_del(adapter->option);
}

/* nghttp2 allocates by malloc, not by the host: when an allocation fails, 1.52 may free an item twice.
 *
 * Its buffer for a frame has 16 KiB, and frames of events fill the first page only. If no other memory shares the
 * pages, the rest stays untouched, which malloc does not ensure: 12 KB of a session. */
static void *map_frame_buffer(vsi_h2_session *session, size_t len) {
  if (session->frame_buffer || len < VSI_H2_RECORD_BYTES) return NULL;
  void *mapped = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return NULL;
  session->frame_buffer = mapped;
  session->frame_buffer_len = len;
  return mapped;
}

static void *frames_malloc(size_t len, void *ctx) {
  void *mapped = map_frame_buffer(ctx, len);
  return mapped ? mapped : malloc(len);
}

static void frames_free(void *at, void *ctx) {
  vsi_h2_session *session = ctx;
  if (!at || at != session->frame_buffer) {
    free(at);
    return;
  }
  (void)munmap(at, session->frame_buffer_len);
  session->frame_buffer = NULL;
}

static void *frames_calloc(size_t count, size_t len, void *ctx) {
  (void)ctx;
  return calloc(count, len);
}

static void *frames_realloc(void *at, size_t len, void *ctx) {
  const vsi_h2_session *session = ctx;
  if (!at) return frames_malloc(len, ctx);
  if (at != session->frame_buffer) return realloc(at, len);
  void *moved = malloc(len);
  if (!moved) return NULL;
  memcpy(moved, at, len < session->frame_buffer_len ? len : session->frame_buffer_len);
  frames_free(at, ctx);
  return moved;
}

vestry_err vsi_h2_frames_begin(vsi_h2_session *session) {
  const vsi_h2 *adapter = session->adapter;
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, adapter->most_streams + STREAMS_MORE}, /* vsi_h2_frames_limit */
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, VSI_H2_WINDOW_BYTES},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)adapter->max_head_bytes},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
  };
  vsi_h2_data_begin(session);
  session->tokens = share_of(adapter) * TOKENS;
  session->tokens_ns = vsi_now_ns(session->host);
  nghttp2_mem memory = {session, frames_malloc, frames_free, frames_calloc, frames_realloc}; /* copied */
  if (nghttp2_session_server_new3(&session->frames, adapter->callbacks, session, adapter->option, &memory)) {
    session->frames = NULL;
    return VESTRY_NO_MEMORY;
  }
  if (nghttp2_submit_settings(session->frames, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof *settings) ||
      nghttp2_session_set_local_window_size(session->frames, NGHTTP2_FLAG_NONE, 0, SESSION_WINDOW_BYTES))
    return VESTRY_NO_MEMORY;
  return VESTRY_OK;
}
