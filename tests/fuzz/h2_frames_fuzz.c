/* SPDX-License-Identifier: MIT */
/* Frames that a client sends to the HTTP/2 adapter. Input: a byte of flags, then frames. With SHORT, the head of a
 * frame is its type, its flags, its stream and its length, in a byte each; otherwise all bytes are sent as they are.
 * The checks are those of h2_peer.h. */
#include "fuzz/h2_peer.h"
#include "vestry/vestry.h"

enum { HAS_TABLE = 1, SHORT = 2, HEAD_BYTES = 4, STREAM_MOST = 63 };

static vestry_err echo(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_body(reply, "text/plain", req->body.len ? req->body.data : "-",
                           req->body.len ? req->body.len : 1);
}

static vestry_err open_stream(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("a", 1));
}

static vestry_err answer_large(const vestry_request *req, vestry_reply *reply, void *app) {
  static const char bytes[100000];
  return vestry_reply_body(reply, "text/plain", bytes, sizeof bytes);
}

static void prepare(void) {
  vestry *v = peer_vestry();
  require(!vestry_route(v, "GET", "/", echo, NULL));
  require(!vestry_route(v, "POST", "/", echo, NULL));
  require(!vestry_route(v, "GET", "/s", open_stream, NULL));
  require(!vestry_route(v, "GET", "/l", answer_large, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static bool is_ready;
  peer p;
  if (!is_ready) prepare();
  is_ready = true;
  if (!size) return 0;
  peer_begin(&p, data[0] & HAS_TABLE);
  if (!(data[0] & SHORT)) {
    p.window = UINT64_MAX;
    for (size_t i = 0; i < PEER_STREAMS; i++) p.streams[i].is_requested = true;
    peer_send(&p, data + 1, size - 1);
  } else {
    for (size_t at = 1; p.session && at + HEAD_BYTES <= size;) {
      const uint8_t *head = data + at;
      const size_t rest = size - at - HEAD_BYTES, len = head[3] < rest ? head[3] : rest;
      peer_frame(&p, head[0], head[1], head[2] & STREAM_MOST, head + HEAD_BYTES, len);
      at += HEAD_BYTES + len;
    }
  }
  peer_end(&p);
  return 0;
}
