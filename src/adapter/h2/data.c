/* SPDX-License-Identifier: MIT */
/* essay: the order of a connection's DATA frames, and the share of its window that one stream may take */
/* DATA frames of the server: which stream sends next, how much, and the windows of the client.
 *
 * nghttp2 reads everything, and writes all other frames. This file writes the DATA frames, for three reasons. An event
 * of 100 bytes then costs no allocation, no look-up and no queue inside nghttp2. The order of streams is vestry's. And
 * a stream that is not read gets only a share of the connection's window. So nghttp2 does not know these frames, and
 * must not see the WINDOW_UPDATE frames that acknowledge them, because its own windows would exceed 2^31 − 1 some day
 * (input.c).
 *
 * The last frame of a stream has END_STREAM. nghttp2 then closes the stream by a RST_STREAM, which is sent only if the
 * client has not ended its request (RFC 9113, 8.1: the rest of the request is not wanted). Otherwise its bytes are
 * dropped (vsi_h2_data_has_said).
 *
 * Order. A stream with bytes stands in one of 16 lines: 2u for a response of the urgency u of RFC 9218 (0 is the most
 * urgent), 2u + 1 for a stream of events. A POST is at least as urgent as the default, 3, and begins before the others
 * of its line; events are at most as urgent as the default. So a client decides about the order on its own connection,
 * but its streams do not go before its POSTs and documents. Streams of events send a frame each in turn, as responses
 * do whose client requests it ("i"); others send one after the other. The first line that is not empty sends, but after
 * URGENT_BYTES the others get LESS_URGENT_BYTES in turn. Otherwise a long download would stop all events of its
 * connection.
 *
 * Share. `unread` of a stream counts the bytes that its client has not acknowledged. A client acknowledges bytes when
 * its page has read them, mostly when a half of the stream's window was read, and the same for the connection. So up to
 * a half, a stream that is read looks like one that is not. Let S be the window of a stream, C that of its connection,
 * c the rest of C, and U the unread bytes of the stream. A stream may send if afterwards
 *
 *     U ≤ 9/16 S, if S ≥ C / 8, and
 *     U ≤ 3 c² / C, unless c ≥ C / 32 and 9/16 S ≤ C / 4
 *
 * - Browsers have several times S in C: 6 and 15 MB in Chromium. An unread stream gets 9/16 S there, at most a quarter
 *   of C, so three leave a quarter. Two leave C / 2, enough for a client that acknowledges as much at a time.
 * - If S is not less than C, an unread stream gets 57 % of C, because U = 3 (C − U)² / C at U = 0.566 C; three leave
 *   C / 6, since the second gets 19 % and the third 8 %.
 * - n unread streams leave about C / (32 + 3n), because each further one gets 3 c² / C of the rest.
 * - A client that reads all its streams is never stopped, if it acknowledges each half of a window. At most C / 2 is
 *   then unread, so c ≥ C / 2, and 3 c² / C ≥ 3 C / 4. U counts at most as what the connection has unread, because a
 *   stream may have a larger window than its connection.
 *
 * A client can make a connection's window smaller than 65,535 bytes, the size at its beginning, only by never
 * acknowledging a part of it. So if the window was not raised, C is c and the unread bytes of open streams: bytes that
 * were acknowledged on a stream, but not on the connection, do not count. And if all open streams wait for their
 * client, the one with fewest unread bytes exceeds its share, because the client may acknowledge late.
 *
 * All functions are called with the turn of the session. */
#include "adapter/h2/adapter.h"

enum { HEAD_BYTES = VSI_H2_FRAME_HEAD_BYTES, WRITABLE_AT_ONCE = 64 };
enum { FRAME_MOST = VSI_H2_RECORD_BYTES - HEAD_BYTES, URGENT_BYTES = 64 << 10, LESS_URGENT_BYTES = 16 << 10 };

/* ------------------------------------------------------------------------------------------------------- lines ---- */

static unsigned line_of(const vsi_h2_stream *stream) {
  enum { DEFAULT = NGHTTP2_EXTPRI_DEFAULT_URGENCY };
  const unsigned urgency = stream->urgency;
  if (stream->is_stream) return 2 * (urgency > DEFAULT ? urgency : DEFAULT) + 1;
  return 2 * (stream->is_action && urgency > DEFAULT ? DEFAULT : urgency);
}

static void leave(vsi_h2_stream *stream) {
  vsi_h2_session *session = stream->session;
  if (stream->place == VSI_H2_IN_LINE) {
    struct vsi_h2_line *line = &session->lines[stream->line];
    TAILQ_REMOVE(line, stream, in_line);
    if (TAILQ_EMPTY(line)) session->lines_used &= ~(1u << stream->line);
  } else if (stream->place == VSI_H2_WAITS_SHARE) {
    TAILQ_REMOVE(&session->sharing, stream, in_line);
  }
  stream->place = VSI_H2_AWAY;
}

/* Stand in line: the response to a POST at the beginning, others at the end. */
static void enter(vsi_h2_stream *stream) {
  vsi_h2_session *session = stream->session;
  const bool is_first = stream->is_action && !stream->is_stream && !stream->answer->at;
  leave(stream);
  stream->line = line_of(stream) & (VSI_H2_LINES - 1);
  stream->place = VSI_H2_IN_LINE;
  struct vsi_h2_line *line = &session->lines[stream->line];
  if (is_first)
    TAILQ_INSERT_HEAD(line, stream, in_line);
  else
    TAILQ_INSERT_TAIL(line, stream, in_line);
  session->lines_used |= 1u << stream->line;
}

/* Let a stream wait until its window, or its share of the connection's window, grows. */
static void stand_aside(vsi_h2_stream *stream) {
  leave(stream);
  stream->place = stream->window > 0 ? VSI_H2_WAITS_SHARE : VSI_H2_WAITS_WINDOW;
  if (stream->window > 0) TAILQ_INSERT_TAIL(&stream->session->sharing, stream, in_line);
}

void vsi_h2_data_put(vsi_h2_stream *stream) {
  if (stream->place == VSI_H2_AWAY && !stream->is_finished) enter(stream);
}

void vsi_h2_data_remove(vsi_h2_stream *stream) {
  leave(stream);
  stream->session->streams_unread -= stream->unread;
  stream->unread = 0;
}

/* Read a priority, a dictionary of which two members are known (RFC 9218, 4): "u=1, i". Invalid members are ignored. */
static vsi_h2_priority read_priority(const char *text, size_t len) {
  const char *const end = text + len;
  vsi_h2_priority priority = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY};
  for (const char *at = text, *comma; at < end; at = comma + 1) {
    comma = memchr(at, ',', (size_t)(end - at));
    if (!comma) comma = end;
    while (at < comma && (*at == ' ' || *at == '\t')) at++;
    const char *stop = at;
    while (stop < comma && *stop != ' ' && *stop != '\t' && *stop != ';') stop++;
    const size_t size = (size_t)(stop - at);
    if (size == 3 && memcmp(at, "u=", 2) == 0 && at[2] >= '0' && at[2] <= '7')
      priority.urgency = (uint8_t)(at[2] - '0');
    if (size == 1 && *at == 'i') priority.is_incremental = true;
    if (size == 4 && memcmp(at, "i=?", 3) == 0) priority.is_incremental = at[3] == '1';
  }
  return priority;
}

static void set_priority(vsi_h2_stream *stream, vsi_h2_priority priority) {
  stream->urgency = priority.urgency & 7;
  stream->is_incremental = priority.is_incremental;
  if (stream->place == VSI_H2_IN_LINE && stream->line != line_of(stream)) enter(stream);
}

void vsi_h2_data_prioritize(vsi_h2_session *session, int32_t id, const char *text, size_t len) {
  vsi_h2_stream *stream = nghttp2_session_get_stream_user_data(session->frames, id);
  const vsi_h2_priority priority = read_priority(text, len);
  if (stream) {
    set_priority(stream, priority);
  } else {
    session->early_id = id;
    session->early = priority;
  }
}

void vsi_h2_data_settle_priority(vsi_h2_stream *stream, const char *text) {
  const vsi_h2_session *session = stream->session;
  set_priority(stream, session->early_id == stream->id ? session->early
                                                       : read_priority(text ? text : "", text ? strlen(text) : 0));
}

/* Choose a line, and the number of bytes that it may send now. Some line is not empty. */
static unsigned choose(vsi_h2_session *session, size_t *ret_most) {
  const unsigned used = session->lines_used, others = used & (used - 1), first = (unsigned)__builtin_ctz(used);
  *ret_most = SIZE_MAX;
  if (!others) session->urgent_bytes = 0;
  if (!others) return first;
  *ret_most = session->urgent_bytes < URGENT_BYTES ? URGENT_BYTES - session->urgent_bytes : LESS_URGENT_BYTES;
  if (session->urgent_bytes < URGENT_BYTES) return first;
  const unsigned behind = others & ~((2u << session->favoured) - 1);
  return (unsigned)__builtin_ctz(behind ? behind : others);
}

/* Note how many bytes the chosen line has sent. */
static void note_choice(vsi_h2_session *session, unsigned line, size_t bytes) {
  if (session->urgent_bytes < URGENT_BYTES) {
    session->urgent_bytes += (uint32_t)bytes;
  } else if (bytes) {
    session->favoured = (uint8_t)line;
    session->urgent_bytes = 0;
  }
}

/* ----------------------------------------------------------------------------------------------------- windows ---- */

/* Return whether the client has not raised the connection's window. */
static bool has_first_window(const vsi_h2_session *session) {
  return session->window + (int64_t)session->unread <= NGHTTP2_INITIAL_CONNECTION_WINDOW_SIZE;
}

/* Return whether a stream may have `len` more bytes unread. */
static bool is_within_share(const vsi_h2_stream *stream, uint64_t len) {
  const vsi_h2_session *session = stream->session;
  const bool is_less = has_first_window(session) && session->streams_unread < session->unread;
  const uint64_t counted = is_less ? session->streams_unread : session->unread;
  const uint64_t rest = (uint64_t)session->window - len, all = (uint64_t)session->window + counted;
  const uint64_t size = (uint64_t)stream->window + stream->unread, most = size / 16 * 9;
  const uint64_t unread = stream->unread < session->unread ? stream->unread : session->unread;
  const bool is_large = size >= all / 8;
  if (is_large && stream->unread + len > most) return false;
  if ((!is_large || most <= all / 4) && rest >= all / 32) return true;
  return (unread + len) * all <= 3 * rest * rest;
}

/* Return the number of bytes, at most `left`, that a stream may send in a frame. */
static size_t most_of(const vsi_h2_stream *stream, uint64_t left) {
  const vsi_h2_session *session = stream->session;
  uint64_t len = left < FRAME_MOST ? left : FRAME_MOST;
  if (stream->window <= 0) return 0;
  if (len > (uint64_t)stream->window) len = (uint64_t)stream->window;
  if (len > (uint64_t)session->window) len = (uint64_t)session->window;
  while (len && !session->waives_share && !is_within_share(stream, len)) len /= 2;
  return (size_t)len;
}

/* Count sent bytes. */
static void count_sent(vsi_h2_stream *stream, size_t len) {
  vsi_h2_session *session = stream->session;
  const uint64_t sent = atomic_load_explicit(&session->sent, memory_order_relaxed); /* changed with the turn only */
  atomic_store_explicit(&session->sent, sent + len, memory_order_relaxed);
  stream->window -= (int32_t)len;
  stream->unread += (uint32_t)len;
  session->streams_unread += (uint32_t)len;
  session->window -= (int32_t)len;
  session->unread += (uint32_t)len;
}

/* Grow a window by bytes that the client has acknowledged. false: it would exceed 2^31 − 1. */
static bool grow(int32_t *window, uint32_t *unread, int32_t bytes) {
  if (*window > INT32_MAX - bytes) return false;
  *window += bytes;
  *unread -= *unread < (uint32_t)bytes ? *unread : (uint32_t)bytes;
  return true;
}

bool vsi_h2_data_update(vsi_h2_session *session, const uint8_t *frame) {
  const int32_t id = vsi_h2_id_of(frame), bytes = (int32_t)(vsi_h2_number_at(frame + HEAD_BYTES) & INT32_MAX);
  if (!bytes) return false;
  if (!id) {
    session->share_grows = true;
    if (!grow(&session->window, &session->unread, bytes))
      nghttp2_session_terminate_session(session->frames, NGHTTP2_FLOW_CONTROL_ERROR);
    return true;
  }
  vsi_h2_stream *stream = nghttp2_session_get_stream_user_data(session->frames, id);
  if (!stream) return false;
  const uint32_t unread = stream->unread;
  const bool has_grown = grow(&stream->window, &stream->unread, bytes);
  session->streams_unread -= unread - stream->unread;
  if (!has_grown)
    nghttp2_submit_rst_stream(session->frames, NGHTTP2_FLAG_NONE, id, NGHTTP2_FLOW_CONTROL_ERROR);
  else if (stream->place == VSI_H2_WAITS_SHARE || (stream->place == VSI_H2_WAITS_WINDOW && stream->window > 0))
    enter(stream);
  return true;
}

void vsi_h2_data_set_window(vsi_h2_session *session) {
  const uint32_t size = nghttp2_session_get_remote_settings(session->frames, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE);
  const int64_t more = (int64_t)size - session->first_window;
  session->first_window = (int32_t)size;
  if (!more) return;
  /* Only a thread with the turn changes the list. */
  for (vsi_h2_stream *at = LIST_FIRST(&session->streams); at; at = LIST_NEXT(at, in_all)) {
    if (at->window + more > INT32_MAX) {
      nghttp2_session_terminate_session(session->frames, NGHTTP2_FLOW_CONTROL_ERROR);
      return;
    }
    at->window = (int32_t)(at->window + more);
    if (at->place == VSI_H2_WAITS_WINDOW && at->window > 0) enter(at);
  }
}

/* ----------------------------------------------------------------------------------------------------- writing ---- */

static void write_head(uint8_t *to, const vsi_h2_stream *stream, size_t len, bool ends) {
  vsi_h2_frame_put(to, len, NGHTTP2_DATA, ends ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE, stream->id);
}

/* Nothing follows on a stream. */
static void finish(vsi_h2_stream *stream, uint32_t code) {
  leave(stream);
  stream->is_finished = true;
  stream->session->has_control = true;
  nghttp2_submit_rst_stream(stream->session->frames, NGHTTP2_FLAG_NONE, stream->id, code);
}

/* nghttp2 closes a stream before it returns the frame that does so. */
void vsi_h2_data_closes(const vsi_h2_stream *stream) {
  vsi_h2_session *session = stream->session;
  const bool is_complete = nghttp2_session_get_stream_remote_close(session->frames, stream->id) == 1;
  session->said_id = stream->is_finished && is_complete ? stream->id : 0;
}

bool vsi_h2_data_has_said(const vsi_h2_session *session, const uint8_t *frame) {
  return frame[3] == NGHTTP2_RST_STREAM && vsi_h2_number_at(frame + HEAD_BYTES) == NGHTTP2_NO_ERROR &&
         vsi_h2_id_of(frame) == session->said_id;
}

/* Take the first bytes of a stream of events, whose frame has them now. Returns its connection, with a reference, if
 * that waits for room. */
static vestry_connection *take_bytes_locked(vsi_h2_stream *stream, size_t len) {
  stream->out_at = (uint16_t)(stream->out_at + len);
  vsi_h2_stream_wait_locked(stream, false); /* it moves */
  if (stream->out_at < stream->out_len) {
    vsi_h2_stream_wait_locked(stream, true);
    return NULL;
  }
  vsi_h2_stream_drop_locked(stream);
  if (stream->resets && !stream->lingers) vsi_h2_session_mark_locked(stream);
  if (!stream->waits || !stream->connection) return NULL;
  stream->waits = false;
  return vestry_connection_ref(stream->connection);
}

/* Write frames of a line of streams of events. */
static size_t write_events(vsi_h2_session *session, unsigned line, uint8_t *to, size_t capacity, size_t most_bytes) {
  vestry_connection *writable[WRITABLE_AT_ONCE];
  size_t used = 0, count = 0;
  vsi_mutex_lock(&session->lock);
  for (vsi_h2_stream *at; (at = TAILQ_FIRST(&session->lines[line])) != NULL && used < most_bytes;) {
    const uint32_t left = at->out_len - at->out_at;
    const size_t len = left ? most_of(at, left) : 0;
    const bool ends = at->has_ended && len == left;
    if (left && !len) {
      stand_aside(at);
      continue;
    }
    if (HEAD_BYTES + len > capacity - used || count == WRITABLE_AT_ONCE) break;
    if (len || ends) {
      write_head(to + used, at, len, ends);
      if (len) memcpy(to + used + HEAD_BYTES, at->out + at->out_at, len);
      used += HEAD_BYTES + len;
      count_sent(at, len);
    }
    if (len && (writable[count] = take_bytes_locked(at, len)) != NULL) count++;
    if (ends)
      finish(at, NGHTTP2_NO_ERROR);
    else if (len == left)
      leave(at);
    else
      enter(at);
  }
  vsi_mutex_unlock(&session->lock);
  for (size_t i = 0; i < count; i++) {
    vestry_connection_writable(writable[i]);
    vestry_connection_unref(writable[i]);
  }
  return used;
}

/* Return whether an event of this length can be written as one frame now. */
static bool can_compose_locked(const vsi_h2_stream *stream, size_t len) {
  const vsi_h2_session *session = stream->session;
  return !session->lines_used && STAILQ_EMPTY(&session->dirty) && !session->is_dead && !stream->is_gone &&
         stream->is_submitted && !stream->out_len && !stream->has_ended && !stream->resets &&
         stream->place == VSI_H2_AWAY && len && most_of(stream, len) == len;
}

size_t vsi_h2_data_compose(vsi_h2_stream *stream, const vestry_slice *slices, size_t count, uint8_t *to,
                           size_t capacity) {
  vsi_h2_session *session = stream->session;
  size_t len = 0;
  for (size_t i = 0; i < count; i++) len += slices[i].len;
  if (HEAD_BYTES + len > capacity) return 0;
  vsi_mutex_lock(&session->lock);
  const bool can = can_compose_locked(stream, len);
  vsi_mutex_unlock(&session->lock);
  if (!can) return 0;
  write_head(to, stream, len, false);
  to += HEAD_BYTES;
  for (size_t i = 0; i < count; to += slices[i++].len) memcpy(to, slices[i].data, slices[i].len);
  count_sent(stream, len);
  return HEAD_BYTES + len;
}

/* Write frames of a line of responses. */
static size_t write_answers(vsi_h2_session *session, unsigned line, uint8_t *to, size_t capacity, size_t most_bytes) {
  size_t used = 0;
  for (vsi_h2_stream *at; (at = TAILQ_FIRST(&session->lines[line])) != NULL && used < most_bytes;) {
    const size_t most = most_of(at, at->answer->len - at->answer->at);
    if (!most) {
      stand_aside(at);
      continue;
    }
    if (HEAD_BYTES + most > capacity - used) break;
    const ssize_t len = vsi_h2_answer_read(at->answer, to + used + HEAD_BYTES, most);
    if (len < 0) {
      finish(at, NGHTTP2_INTERNAL_ERROR);
      continue;
    }
    const bool ends = at->answer->at == at->answer->len;
    write_head(to + used, at, (size_t)len, ends);
    used += HEAD_BYTES + (size_t)len;
    count_sent(at, (size_t)len);
    vsi_mutex_lock(&session->lock);
    vsi_h2_stream_wait_locked(at, false);
    vsi_h2_stream_wait_locked(at, !ends);
    vsi_mutex_unlock(&session->lock);
    if (ends)
      finish(at, NGHTTP2_NO_ERROR);
    else if (at->is_incremental)
      enter(at);
  }
  return used;
}

/* Let a stream exceed its share, if all wait for their client, whose window was never raised: the one that has fewest
 * unread bytes, because it may be read. Only a thread with the turn changes the list. */
static bool waive_share(vsi_h2_session *session) {
  vsi_h2_stream *least = TAILQ_FIRST(&session->sharing);
  if (session->lines_used || TAILQ_EMPTY(&session->sharing) || session->window <= 0 || !has_first_window(session))
    return false;
  for (const vsi_h2_stream *at = LIST_FIRST(&session->streams); at; at = LIST_NEXT(at, in_all))
    if (at->place != VSI_H2_WAITS_SHARE && at->place != VSI_H2_WAITS_WINDOW) return false;
  for (vsi_h2_stream *at = least; at; at = TAILQ_NEXT(at, in_line))
    if (at->unread < least->unread) least = at;
  enter(least);
  return true;
}

size_t vsi_h2_data_write(vsi_h2_session *session, void *to, size_t capacity) {
  size_t used = 0;
  if (session->share_grows)
    for (vsi_h2_stream *at; (at = TAILQ_FIRST(&session->sharing)) != NULL;) enter(at);
  session->share_grows = false;
  while (session->lines_used || (session->waives_share = waive_share(session))) {
    size_t most;
    const unsigned line = choose(session, &most);
    uint8_t *at = (uint8_t *)to + used;
    const size_t bytes = line % 2 ? write_events(session, line, at, capacity - used, most)
                                  : write_answers(session, line, at, capacity - used, most);
    note_choice(session, line, bytes);
    used += bytes;
    session->waives_share = false;
    if (!bytes && !TAILQ_EMPTY(&session->lines[line])) break; /* its frame does not fit */
  }
  return used;
}

void vsi_h2_data_begin(vsi_h2_session *session) {
  for (unsigned i = 0; i < VSI_H2_LINES; i++) TAILQ_INIT(&session->lines[i]);
  TAILQ_INIT(&session->sharing);
  session->window = session->first_window = NGHTTP2_INITIAL_WINDOW_SIZE;
  session->input.left = NGHTTP2_CLIENT_MAGIC_LEN;
}
