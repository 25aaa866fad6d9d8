/* SPDX-License-Identifier: MIT */
/* The client of a Socket.IO 4 stream, over a websocket from the beginning: frames contain Engine.IO packets, which
 * contain Socket.IO packets. It supports only the default format of the server: no fragments, no compression, no binary
 * data. Each message is passed on as a data line and an empty line, like an event of a text/event-stream. */
#include <string.h>

#include "client.h"
#include "stream.h"

enum { FRAME_TEXT = 0x81, FRAME_CLOSE = 0x88, HEAD_MOST = 125 };

/* Send a packet. The frames of a client are masked, here with zeros, which change nothing. */
static bool say(bench_stream *stream, const char *packet) {
  char frame[16] = {(char)FRAME_TEXT, (char)(0x80 | strlen(packet))};
  memcpy(frame + 6, packet, strlen(packet));
  return bench_send_all(stream->fd, frame, 6 + strlen(packet));
}

/* Process a packet. Its first letters identify it: the server's greeting, which is answered by joining the namespace;
 * the confirmation; a ping; a message. */
static bool take_packet(bench_stream *stream, bench_line_fn fn, void *ctx) {
  const char *packet = stream->line + strlen("data: ");
  size_t len = stream->line_len - strlen("data: ");
  if (len >= 1 && packet[0] == '0') return say(stream, "40");
  if (len >= 1 && packet[0] == '2') return say(stream, "3");
  if (len >= 2 && memcmp(packet, "40", 2) == 0) {
    stream->at = STREAM_BODY;
    return true;
  }
  if (len < 2 || memcmp(packet, "42", 2) != 0) return false;
  fn(stream, stream->line, stream->line_len, ctx);
  fn(stream, "", 0, ctx);
  return true;
}

/* Return the length of the head, from its first bytes. */
static size_t head_bytes(const bench_stream *stream) {
  return stream->frame_len < 2 || stream->frame[1] <= HEAD_MOST ? 2 : stream->frame[1] == 126 ? 4 : 10;
}

static uint64_t payload_bytes(const bench_stream *stream) {
  uint64_t bytes = 0;
  if (stream->frame[1] <= HEAD_MOST) return stream->frame[1];
  for (size_t i = 2; i < head_bytes(stream); i++) bytes = bytes << 8 | stream->frame[i];
  return bytes;
}

bool bench_websocket_feed(bench_stream *stream, const char *data, size_t len, bench_line_fn fn, void *ctx) {
  while (len) {
    if (stream->frame_len < head_bytes(stream)) {
      stream->frame[stream->frame_len++] = (unsigned char)*data++;
      len--;
      if (stream->frame_len < head_bytes(stream)) continue;
      if (stream->frame[0] == FRAME_CLOSE) {
        stream->at = STREAM_ENDED;
        return true;
      }
      stream->frame_left = payload_bytes(stream);
      stream->line_len = 0;
      if (stream->frame[0] != FRAME_TEXT || !stream->frame_left || !bench_stream_keep(stream, "data: ", 6))
        return false;
    }
    size_t part = stream->frame_left < len ? (size_t)stream->frame_left : len;
    if (!bench_stream_keep(stream, data, part)) return false;
    data += part;
    len -= part;
    stream->frame_left -= part;
    if (stream->frame_left) continue;
    stream->frame_len = 0;
    if (!take_packet(stream, fn, ctx)) return false;
  }
  return true;
}
