/* SPDX-License-Identifier: MIT */
/* Heads in several frames, before nghttp2 reads them; all bytes go to it through data.c.
 *
 * nghttp2 cannot skip a head: it ends the session of a head that has a field above 64 KiB, or more than 8 CONTINUATION
 * frames, because the decoder of later heads needs the table that each head changes. A browser whose page puts too many
 * signals into the URL of a GET would lose all its streams at once, and again when it repeats the request. But with TLS
 * the table has size 0 (frames.c), so later heads depend on no former one. Then a head in several frames is held until
 * it is complete, and a head above HELD_BYTES is dropped: in its place nghttp2 gets a small one, whose request is
 * refused with 431 (vsi_h2_request_begin). In the place of trailers, it resets the stream.
 *
 * Without TLS (the peer is a proxy, which bounds heads itself), and before the client has confirmed the size of the
 * table, all bytes go to nghttp2 as they are. */
#include "adapter/h2/adapter.h"

enum { HELD_BYTES = 64 << 10, LEAST_BYTES = 2 * (VSI_H2_RECORD_BYTES + VSI_H2_FRAME_HEAD_BYTES), FRAMES_MOST = 128 };

/* ------------------------------------------------------------------------------------------------- a held head ---- */

static void forget(vsi_h2_session *session) {
  vsi_h2_heads *heads = &session->heads;
  vsi_free(session->host, heads->bytes);
  vsi_h2_request_bytes_give(session, heads->capacity);
  heads->bytes = NULL;
  heads->len = heads->capacity = 0;
}

/* Refuse the head, whose frames are dropped from now on. */
static void drop(vsi_h2_session *session, int status) {
  session->heads.refused = status;
  forget(session);
}

static bool make_room(vsi_h2_session *session, size_t wanted) {
  vsi_h2_heads *heads = &session->heads;
  size_t grown = heads->capacity ? heads->capacity : LEAST_BYTES;
  while (grown < wanted) grown *= 2;
  if (grown == heads->capacity) return true;
  if (!vsi_h2_request_bytes_take(session, grown - heads->capacity)) return false;
  char *made = vsi_realloc(session->host, heads->bytes, grown);
  if (!made) {
    vsi_h2_request_bytes_give(session, grown - heads->capacity);
    return false;
  }
  heads->bytes = made;
  heads->capacity = grown;
  return true;
}

static void hold(vsi_h2_session *session, const uint8_t *bytes, size_t len) {
  vsi_h2_heads *heads = &session->heads;
  if (heads->refused) return;
  if (heads->len + len > HELD_BYTES) {
    drop(session, 431);
  } else if (!make_room(session, heads->len + len)) {
    drop(session, 503);
  } else {
    memcpy(heads->bytes + heads->len, bytes, len);
    heads->len += len;
  }
}

static bool pass(vsi_h2_session *session, const uint8_t *bytes, size_t len) {
  return !len || vsi_h2_data_receive(session, bytes, len);
}

/* Pass a small head in the place of one that was dropped. */
static bool pass_small(vsi_h2_session *session) {
  const vsi_h2_heads *heads = &session->heads;
  /* The size of the table; GET, https, / and * of the static table, the last one as a literal. */
  static const uint8_t fields[] = {0x20, 0x82, 0x87, 0x84, 0x01, 0x01, '*'};
  const uint8_t flags = (heads->flags & NGHTTP2_FLAG_END_STREAM) | NGHTTP2_FLAG_END_HEADERS;
  uint8_t head[VSI_H2_FRAME_HEAD_BYTES];
  vsi_h2_frame_put(head, sizeof fields, NGHTTP2_HEADERS, flags, heads->id);
  return pass(session, head, sizeof head) && pass(session, fields, sizeof fields);
}

/* Pass what is held, or the small head. */
static bool release(vsi_h2_session *session) {
  vsi_h2_heads *heads = &session->heads;
  const bool goes_on = heads->refused ? pass_small(session) : pass(session, (const uint8_t *)heads->bytes, heads->len);
  heads->is_held = heads->is_last = false;
  heads->refused = 0;
  forget(session);
  return goes_on;
}

/* ---------------------------------------------------------------------------------------------------- a frame ---- */

static bool has_no_table(const vsi_h2_session *session) {
  return nghttp2_session_get_local_settings(session->frames, NGHTTP2_SETTINGS_HEADER_TABLE_SIZE) == 0;
}

static bool is_split_head(const uint8_t *frame) {
  return frame[3] == NGHTTP2_HEADERS && !(frame[4] & NGHTTP2_FLAG_END_HEADERS);
}

/* Look at a frame's own head. Returns whether the frame belongs to a held head. */
static bool is_to_hold(vsi_h2_session *session, const uint8_t *frame) {
  vsi_h2_heads *heads = &session->heads;
  heads->left = vsi_h2_length_of(frame);
  if (heads->left > VSI_H2_RECORD_BYTES) return false;
  if (heads->is_held) {
    heads->is_last = frame[4] & NGHTTP2_FLAG_END_HEADERS;
    return frame[3] == NGHTTP2_CONTINUATION && vsi_h2_id_of(frame) == heads->id && ++heads->frames <= FRAMES_MOST;
  }
  if (!is_split_head(frame) || !has_no_table(session)) return false;
  heads->is_held = true;
  heads->frames = 1;
  heads->id = vsi_h2_id_of(frame);
  heads->flags = frame[4];
  heads->begun_ns = vsi_now_ns(session->host);
  return true;
}

/* A held head is not continued by the next frame, or by too many. */
static bool give_up(vsi_h2_session *session) {
  vsi_h2_heads *heads = &session->heads;
  const bool is_flood = heads->frames > FRAMES_MOST;
  if (!heads->refused && !is_flood) return release(session); /* and nghttp2 ends the session */
  nghttp2_session_terminate_session(session->frames, is_flood ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR);
  heads->is_held = heads->is_last = false;
  heads->refused = 0;
  forget(session);
  return true;
}

/* Begin a frame. ret_is_held: nghttp2 gets it later, or never. */
static bool begin_frame(vsi_h2_session *session, const uint8_t *frame, bool *ret_is_held) {
  const bool was_held = session->heads.is_held;
  *ret_is_held = is_to_hold(session, frame);
  if (*ret_is_held) hold(session, frame, VSI_H2_FRAME_HEAD_BYTES);
  return !was_held || *ret_is_held || give_up(session);
}

/* Take bytes of a frame's own head that arrives in several reads. */
static bool take_frame_head(vsi_h2_session *session, const uint8_t *bytes, size_t len) {
  vsi_h2_heads *heads = &session->heads;
  bool is_held;
  memcpy(heads->frame + heads->frame_len, bytes, len);
  heads->frame_len += (uint8_t)len;
  if (heads->frame_len < VSI_H2_FRAME_HEAD_BYTES) return true;
  heads->frame_len = 0;
  return begin_frame(session, heads->frame, &is_held) &&
         (is_held || pass(session, heads->frame, VSI_H2_FRAME_HEAD_BYTES));
}

static size_t least_of(size_t a, size_t b) {
  return a < b ? a : b;
}

/* `from` to `at` is passed at the next opportunity, because most reads have no head in several frames. While a head is
 * held, nothing waits for this. */
bool vsi_h2_heads_take(vsi_h2_session *session, const uint8_t *bytes, size_t len) {
  vsi_h2_heads *heads = &session->heads;
  const uint8_t *from = bytes, *at = bytes, *end = bytes + len;
  bool goes_on = true;
  while (goes_on && at < end) {
    const size_t rest = (size_t)(end - at);
    bool is_held = heads->is_held;
    size_t part;
    if (heads->preface < NGHTTP2_CLIENT_MAGIC_LEN) {
      part = least_of(rest, NGHTTP2_CLIENT_MAGIC_LEN - heads->preface);
      heads->preface += (uint32_t)part;
    } else if (heads->left) {
      part = least_of(rest, heads->left);
      heads->left -= (uint32_t)part;
      if (is_held) hold(session, at, part);
    } else if (heads->frame_len || rest < VSI_H2_FRAME_HEAD_BYTES) {
      part = least_of(rest, VSI_H2_FRAME_HEAD_BYTES - heads->frame_len);
      goes_on = pass(session, from, (size_t)(at - from)) && take_frame_head(session, at, part);
      is_held = true; /* these bytes are kept, or passed already */
      from = at;
    } else {
      part = VSI_H2_FRAME_HEAD_BYTES;
      if (is_split_head(at)) { /* the confirmation of the table's size may be before it */
        goes_on = pass(session, from, (size_t)(at - from));
        from = at;
      }
      goes_on = goes_on && begin_frame(session, at, &is_held);
    }
    at += part;
    if (is_held) from = at;
    if (goes_on && heads->is_held && heads->is_last && !heads->left && !heads->frame_len) goes_on = release(session);
  }
  return goes_on && pass(session, from, (size_t)(end - from));
}

bool vsi_h2_heads_shed(vsi_h2_session *session) {
  const bool is_held = session->heads.is_held && !session->heads.refused;
  if (is_held) drop(session, 503);
  return is_held;
}

void vsi_h2_heads_finish(vsi_h2_session *session) {
  forget(session);
}
