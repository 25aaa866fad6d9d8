/* SPDX-License-Identifier: MIT */
/* Bytes of a client, before nghttp2 reads them. WINDOW_UPDATE frames of the connection, and of known streams, are
 * counted in data.c, which explains why. All other bytes go to nghttp2. */
#include "adapter/h2/adapter.h"

enum { HEAD_BYTES = VSI_H2_FRAME_HEAD_BYTES, UPDATE_BYTES = VSI_H2_UPDATE_BYTES };

static bool pass(vsi_h2_session *session, const uint8_t *bytes, size_t len) {
  return !len || nghttp2_session_mem_recv(session->frames, bytes, len) >= 0;
}

/* Return whether a frame is a WINDOW_UPDATE that may come now. Others are left to nghttp2, which refuses them. */
static bool is_update(const vsi_h2_input *in, const uint8_t *frame) {
  return frame[3] == NGHTTP2_WINDOW_UPDATE && vsi_h2_length_of(frame) == UPDATE_BYTES - HEAD_BYTES && in->has_begun &&
         !in->is_in_head;
}

/* Return whether nghttp2 may get a frame together with those before it. */
static bool is_plain(const vsi_h2_input *in, const uint8_t *frame) {
  return frame[3] != NGHTTP2_CONTINUATION && !is_update(in, frame);
}

/* Note the beginning of a frame that nghttp2 gets. */
static void note(vsi_h2_input *in, const uint8_t *frame) {
  const bool is_head = frame[3] == NGHTTP2_HEADERS || frame[3] == NGHTTP2_CONTINUATION;
  if (is_head) in->is_in_head = !(frame[4] & NGHTTP2_FLAG_END_HEADERS);
  in->has_begun = true;
  in->left = vsi_h2_length_of(frame);
}

/* Begin the frame whose first bytes were collected; nghttp2 has got all earlier ones. false: the session is over. */
static bool begin_frame(vsi_h2_session *session) {
  vsi_h2_input *in = &session->input;
  const size_t len = in->start_len;
  in->start_len = 0;
  if (len == UPDATE_BYTES && vsi_h2_data_update(session, in->start)) return true;
  if (in->is_in_head && !in->is_read && in->start[3] == NGHTTP2_CONTINUATION)
    nghttp2_session_terminate_session(session->frames, NGHTTP2_ENHANCE_YOUR_CALM);
  note(in, in->start);
  in->left -= (uint32_t)(len - HEAD_BYTES);
  return pass(session, in->start, len);
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

/* End a session whose client does not read the frames that nghttp2 makes for it: resets, acknowledgements, windows and
 * heads, of which there are at most a few a stream otherwise. */
static bool is_unread(vsi_h2_session *session) {
  enum { A_STREAM = 4, A_RECORD = VSI_H2_RECORD_BYTES / HEAD_BYTES };
  const size_t most = A_STREAM * (size_t)session->adapter->most_streams + A_RECORD;
  if (nghttp2_session_get_outbound_queue_size(session->frames) <= most) return false;
  nghttp2_session_terminate_session(session->frames, NGHTTP2_ENHANCE_YOUR_CALM);
  return true;
}

/* `from` to `at` is passed at the next opportunity, because most frames are plain. */
bool vsi_h2_input_take(vsi_h2_session *session, const uint8_t *bytes, size_t len) {
  vsi_h2_input *in = &session->input;
  const uint8_t *from = bytes, *at = bytes, *const end = bytes + len;
  bool goes_on = true;
  while (goes_on && at < end) {
    const size_t rest = (size_t)(end - at);
    if (in->left) {
      const size_t part = least_of(rest, in->left);
      in->left -= (uint32_t)part;
      at += part;
    } else if (!in->start_len && rest >= HEAD_BYTES && is_plain(in, at)) {
      note(in, at);
      at += HEAD_BYTES;
    } else {
      goes_on = pass(session, from, (size_t)(at - from));
      if (goes_on) at += collect(session, at, rest, &goes_on);
      from = at;
    }
  }
  return goes_on && pass(session, from, (size_t)(end - from)) && !is_unread(session);
}
