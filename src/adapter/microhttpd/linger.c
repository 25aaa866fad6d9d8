/* SPDX-License-Identifier: MIT */
/* essay: an end that waits for a peer that reads slowly */
/* The runner is told that all events were taken when the kernel has them. The final chunk may find no room then: the
 * peer reads slowly. The stream is cut when the peer goes, when the adapter stops, when the peer has taken nothing for
 * five seconds, and when it has not taken all within a minute: any end waits for its peer as long
 * (connection/connection.h). The kernel tells of room only when a third of its buffer is free, and a slow peer may need
 * more than five seconds for that. So the watch looks once a second whether these few bytes have room already, and
 * whether the peer has taken anything. */
#include "adapter/microhttpd/linger.h"

#include <limits.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "base/memory.h"

enum { LINGER_S = 5, LINGER_MOST_S = 60 };

static uint32_t now_s(const vsi_microhttpd_stream *stream) {
  return (uint32_t)(vsi_now_ns(stream->host) / 1000000000);
}

/* Bytes that were sent and have not reached the peer. Of a UNIX socket: the memory of what the peer has not read. */
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
