/* SPDX-License-Identifier: MIT */
/* Bytes of a client, before nghttp2 reads them, in their order:
 *
 *   bytes ──┬─ WINDOW_UPDATE of a known stream, or of the connection ──> counted in data.c, which explains why
 *           ├─ a head in several frames ──> held until it is complete, then nghttp2
 *           └─ all others ──> nghttp2
 *
 * nghttp2 cannot skip a head: it ends the session of a head that has a field above 64 KiB, or more than 8 CONTINUATION
 * frames, because the decoder of later heads needs the table that each head changes. A browser whose page puts too many
 * signals into the URL of a GET would lose all its streams at once, and again when it repeats the request. But the
 * table has size 0 (frames.c), so later heads depend on no former one. Then a head in several frames is held until it
 * is complete, and a head above HELD_BYTES is dropped: in its place nghttp2 gets a small one, whose request is refused
 * with 431 (vsi_h2_request_begin). In the place of trailers, it resets the stream. Before the client has confirmed the
 * size of the table, all heads go to nghttp2 as they are.
 *
 * The first head after that must begin with the new size (RFC 9113, 4.3.1). HAProxy, which never uses the table, leaves
 * it out, and nghttp2 then ends the session. So nghttp2 gets it from here, in a separate HEADERS frame, and the
 * client's frame becomes a CONTINUATION. */
#include "adapter/h2/adapter.h"

enum { HEAD_BYTES = VSI_H2_FRAME_HEAD_BYTES, UPDATE_BYTES = VSI_H2_UPDATE_BYTES, FRAMES_MOST = 128 };
enum { HELD_BYTES = 64 << 10, LEAST_BYTES = 2 * (VSI_H2_RECORD_BYTES + HEAD_BYTES) };

/* ------------------------------------------------------------------------------------------------- a held head ---- */

static void forget(vsi_h2_session *session) {
  vsi_h2_input *in = &session->input;
  vsi_free(session->host, in->held);
  vsi_h2_request_bytes_give(session, in->held_capacity);
  in->held = NULL;
  in->held_len = in->held_capacity = 0;
}

/* Refuse the head, whose frames are dropped from now on. */
static void drop(vsi_h2_session *session, int status) {
  session->input.refused = status;
  forget(session);
}

static bool make_room(vsi_h2_session *session, size_t wanted) {
  vsi_h2_input *in = &session->input;
  size_t grown = in->held_capacity ? in->held_capacity : LEAST_BYTES;
  while (grown < wanted) grown *= 2;
  if (grown == in->held_capacity) return true;
  if (!vsi_h2_request_bytes_take(session, grown - in->held_capacity)) return false;
  char *made = vsi_realloc(session->host, in->held, grown);
  if (!made) {
    vsi_h2_request_bytes_give(session, grown - in->held_capacity);
    return false;
  }
  in->held = made;
  in->held_capacity = grown;
  return true;
}

static void hold(vsi_h2_session *session, const uint8_t *bytes, size_t len) {
  vsi_h2_input *in = &session->input;
  if (in->refused) return;
  if (in->held_len + len > HELD_BYTES) {
    drop(session, 431);
  } else if (!make_room(session, in->held_len + len)) {
    drop(session, 503);
  } else {
    memcpy(in->held + in->held_len, bytes, len);
    in->held_len += len;
  }
}

static bool pass(vsi_h2_session *session, const uint8_t *bytes, size_t len) {
  return !len || nghttp2_session_mem_recv(session->frames, bytes, len) >= 0;
}

/* Pass a small head in the place of one that was dropped. */
static bool pass_small(vsi_h2_session *session) {
  const vsi_h2_input *in = &session->input;
  /* The size of the table; GET, https, / and * of the static table, the last one as a literal. */
  static const uint8_t fields[] = {0x20, 0x82, 0x87, 0x84, 0x01, 0x01, '*'};
  uint8_t head[HEAD_BYTES];
  vsi_h2_frame_put(head, sizeof fields, NGHTTP2_HEADERS,
                   (in->flags & NGHTTP2_FLAG_END_STREAM) | NGHTTP2_FLAG_END_HEADERS, in->id);
  return pass(session, head, sizeof head) && pass(session, fields, sizeof fields);
}

/* Pass the size of the table, if this is the first head after its change, and turn its frame into the next one. A frame
 * with padding or a priority stays as it is. */
static bool pass_size(vsi_h2_session *session, uint8_t *frame) {
  static const uint8_t size = 0x20;
  const uint8_t flags = frame[4];
  uint8_t first[HEAD_BYTES];
  const bool is_due = !session->input.is_sized && !(flags & (NGHTTP2_FLAG_PADDED | NGHTTP2_FLAG_PRIORITY));
  session->input.is_sized = true;
  if (!is_due) return true;
  vsi_h2_frame_put(first, sizeof size, NGHTTP2_HEADERS, flags & NGHTTP2_FLAG_END_STREAM, vsi_h2_id_of(frame));
  vsi_h2_frame_put(frame, vsi_h2_length_of(frame), NGHTTP2_CONTINUATION, flags & NGHTTP2_FLAG_END_HEADERS,
                   vsi_h2_id_of(frame));
  return pass(session, first, sizeof first) && pass(session, &size, sizeof size);
}

/* Pass what is held, or the small head. */
static bool release(vsi_h2_session *session) {
  vsi_h2_input *in = &session->input;
  uint8_t *held = (uint8_t *)in->held;
  const bool goes_on =
      in->refused ? pass_small(session) : pass_size(session, held) && pass(session, held, in->held_len);
  in->is_held = in->is_last = false;
  in->refused = 0;
  forget(session);
  return goes_on;
}

/* ---------------------------------------------------------------------------------------------------- a frame ---- */

/* Return whether a frame is a WINDOW_UPDATE that may come now. Others are left to nghttp2, which refuses them. */
static bool is_update(const vsi_h2_input *in, const uint8_t *frame) {
  return frame[3] == NGHTTP2_WINDOW_UPDATE && vsi_h2_length_of(frame) == UPDATE_BYTES - HEAD_BYTES && in->has_begun &&
         !in->is_in_head && !in->is_held;
}

/* Return whether nghttp2 gets a frame whatever it has read before. */
static bool is_plain(const vsi_h2_input *in, const uint8_t *frame) {
  if (in->is_held) return false;
  return frame[3] == NGHTTP2_HEADERS ? in->is_sized && frame[4] & NGHTTP2_FLAG_END_HEADERS : !is_update(in, frame);
}

/* Note the beginning of a frame that nghttp2 gets. */
static void note(vsi_h2_input *in, const uint8_t *frame) {
  const bool is_head = frame[3] == NGHTTP2_HEADERS || frame[3] == NGHTTP2_CONTINUATION;
  if (is_head) in->is_in_head = !(frame[4] & NGHTTP2_FLAG_END_HEADERS);
  in->has_begun = true;
  in->left = vsi_h2_length_of(frame);
}

static bool has_no_table(const vsi_h2_session *session) {
  return nghttp2_session_get_local_settings(session->frames, NGHTTP2_SETTINGS_HEADER_TABLE_SIZE) == 0;
}

/* Begin to hold a head in several frames. */
static void begin_head(vsi_h2_session *session, const uint8_t *frame) {
  vsi_h2_input *in = &session->input;
  in->is_held = in->has_begun = true;
  in->frames = 1;
  in->id = vsi_h2_id_of(frame);
  in->flags = frame[4];
  in->begun_ns = vsi_now_ns(session->host);
}

/* Return whether a frame continues the held head. */
static bool continues(vsi_h2_input *in, const uint8_t *frame) {
  in->is_last = frame[4] & NGHTTP2_FLAG_END_HEADERS;
  return frame[3] == NGHTTP2_CONTINUATION && vsi_h2_length_of(frame) <= VSI_H2_RECORD_BYTES &&
         vsi_h2_id_of(frame) == in->id && ++in->frames <= FRAMES_MOST;
}

/* A held head is not continued by the next frame, or by too many. */
static bool give_up(vsi_h2_session *session) {
  vsi_h2_input *in = &session->input;
  const bool is_flood = in->frames > FRAMES_MOST;
  in->is_in_head = true;
  if (!in->refused && !is_flood) return release(session); /* and nghttp2 ends the session */
  nghttp2_session_terminate_session(session->frames, is_flood ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
  in->is_held = in->is_last = false;
  in->refused = 0;
  forget(session);
  return true;
}

/* Begin the frame whose first bytes were collected; nghttp2 has got all earlier ones. false: the session is over. */
static bool begin_frame(vsi_h2_session *session) {
  vsi_h2_input *in = &session->input;
  uint8_t *frame = in->start;
  const size_t len = in->start_len;
  const bool was_held = in->is_held, is_head = !was_held && frame[3] == NGHTTP2_HEADERS && has_no_table(session);
  in->start_len = 0;
  if (len == UPDATE_BYTES && vsi_h2_data_update(session, frame)) return true;
  if (was_held && !continues(in, frame) && !give_up(session)) return false;
  if (is_head && !(frame[4] & NGHTTP2_FLAG_END_HEADERS)) begin_head(session, frame);
  if (in->is_held) {
    hold(session, frame, HEAD_BYTES);
    in->left = vsi_h2_length_of(frame);
    return true;
  }
  if (is_head && !pass_size(session, frame)) return false;
  note(in, frame);
  in->left -= (uint32_t)(len - HEAD_BYTES);
  return pass(session, frame, len);
}

/* Return the number of bytes that are needed to begin a frame. */
static size_t wanted_of(const vsi_h2_input *in) {
  return in->start_len >= HEAD_BYTES && is_update(in, in->start) ? UPDATE_BYTES : HEAD_BYTES;
}

static size_t least_of(size_t a, size_t b) {
  return a < b ? a : b;
}

/* Collect the first bytes of a frame, which may arrive in parts, and begin it. Returns the number of bytes that were
 * taken. ret_goes_on: false: the session is over */
static size_t collect(vsi_h2_session *session, const uint8_t *bytes, size_t len, bool *ret_goes_on) {
  vsi_h2_input *in = &session->input;
  size_t at = 0;
  for (size_t part; (part = least_of(wanted_of(in) - in->start_len, len - at)) != 0; at += part) {
    memcpy(in->start + in->start_len, bytes + at, part);
    in->start_len += (uint8_t)part;
  }
  if (in->start_len == wanted_of(in)) *ret_goes_on = begin_frame(session);
  return at;
}

/* `from` to `at` is passed at the next opportunity, because most frames are plain. While a head is held, nothing waits
 * for this. */
bool vsi_h2_input_take(vsi_h2_session *session, const uint8_t *bytes, size_t len) {
  vsi_h2_input *in = &session->input;
  const uint8_t *from = bytes, *at = bytes, *const end = bytes + len;
  bool goes_on = true;
  while (goes_on && at < end) {
    const size_t rest = (size_t)(end - at);
    if (in->left) {
      const size_t part = least_of(rest, in->left);
      in->left -= (uint32_t)part;
      if (in->is_held) hold(session, at, part);
      at += part;
      if (in->is_held) from = at;
    } else if (!in->start_len && rest >= HEAD_BYTES && is_plain(in, at)) {
      note(in, at);
      at += HEAD_BYTES;
    } else {
      goes_on = pass(session, from, (size_t)(at - from));
      if (goes_on) at += collect(session, at, rest, &goes_on);
      from = at;
    }
    if (goes_on && in->is_last && !in->left && !in->start_len) goes_on = release(session);
  }
  return goes_on && pass(session, from, (size_t)(end - from));
}

bool vsi_h2_input_shed(vsi_h2_session *session) {
  const bool is_held = session->input.is_held && !session->input.refused;
  if (is_held) drop(session, 503);
  return is_held;
}

void vsi_h2_input_finish(vsi_h2_session *session) {
  forget(session);
}
