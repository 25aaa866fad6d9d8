/* SPDX-License-Identifier: MIT */
/* essay: a stream's end that waits for a slow peer */
/* The end of a stream whose peer reads slowly: the stream lingers until its final chunk is sent.
 *
 * The runner treats all events as written when the kernel has them. Then there may be no room for the final chunk,
 * because the peer reads slowly. The stream is cut when
 * - the peer is gone,
 * - the adapter stops,
 * - the peer has taken no bytes for five seconds, or
 * - the peer has not taken all bytes within a minute. Every end of a stream waits that long for its peer
 *   (connection/runner.c). The kernel reports room only when a third of its buffer is free, and a slow peer may need
 *   more than five seconds for that. Therefore the watch checks once a second whether the few bytes fit already, and
 *   whether the peer has taken any. */
#include "adapter/microhttpd/linger.h"

#include <limits.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "base/memory.h"

enum { LINGER_S = 5, LINGER_MOST_S = 60 };

static uint32_t now_s(const vsi_microhttpd_stream *stream) {
  return (uint32_t)(vsi_now_ns(stream->host) / 1000000000);
}

/* Return the number of bytes that were sent and have not reached the peer. For a UNIX socket it is the memory of the
 * bytes that the peer has not read. */
static int unread_bytes(const vsi_microhttpd_stream *stream) {
  int bytes = 0;
  return ioctl(stream->wire.fd, SIOCOUTQ, &bytes) == 0 ? bytes : INT_MAX;
}

void vsi_microhttpd_linger_begin(vsi_microhttpd_stream *stream) {
  stream->until_s = now_s(stream) + LINGER_S;
  stream->most_s = now_s(stream) + LINGER_MOST_S;
  stream->unread_bytes = unread_bytes(stream);
}

bool vsi_microhttpd_linger_is_over(vsi_microhttpd_stream *stream) {
  if (vsi_microhttpd_wire_flush(&stream->wire)) return true;
  uint32_t now = now_s(stream);
  int unread = unread_bytes(stream);
  if (unread < stream->unread_bytes) {
    stream->unread_bytes = unread;
    stream->until_s = now + LINGER_S < stream->most_s ? now + LINGER_S : stream->most_s;
  }
  return now >= stream->until_s;
}
