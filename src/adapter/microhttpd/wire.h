/* SPDX-License-Identifier: MIT */
/* The wire of a stream: its bytes as chunks on a socket, plain or with TLS, without ever waiting. */
#ifndef VSI_MICROHTTPD_WIRE_H
#define VSI_MICROHTTPD_WIRE_H

#include <gnutls/gnutls.h>

#include "vestry/transport.h"

typedef struct vsi_microhttpd_wire {
  gnutls_session_t tls; /* NULL: plain */
  uint32_t chunk_len;   /* data bytes of the chunk under way, CHUNK_MAX at most (wire.c); 0: none is */
  uint32_t chunk_done;  /* how much of it is on the wire, framing included */
  int fd;
  uint16_t pending; /* TLS: how much more of it gnutls holds in a record that the socket did not take */
  int16_t error;    /* the errno of a HANGUP, as far as it is known */
  bool is_chunked;  /* otherwise the body lasts until the connection closes */
  uint8_t left;     /* of the final chunk: what the socket has not taken yet */
} vsi_microhttpd_wire;

/* Write slices, as vestry_transport_ops.write does. On WOULD_BLOCK the next call offers what was not taken again. A
 * peer that is gone is HANGUP, whatever the socket says of it. One thread at a time. */
vestry_io vsi_microhttpd_wire_write(vsi_microhttpd_wire *wire, const vestry_slice *slices, size_t count,
                                    size_t *ret_written);

/* The body is over: what is left to be sent is its final chunk, if it has one. Plain wires only, like the next. */
void vsi_microhttpd_wire_finish(vsi_microhttpd_wire *wire);
/* Send as much of the final chunk as there is room for. Returns whether all is sent, or nothing more can be. */
bool vsi_microhttpd_wire_flush(vsi_microhttpd_wire *wire);

#endif
