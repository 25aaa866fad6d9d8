/* SPDX-License-Identifier: MIT */
/* The wire of a stream: its bytes as chunks on a socket, plain or with TLS, without ever waiting. */
#ifndef VSI_MICROHTTPD_WIRE_H
#define VSI_MICROHTTPD_WIRE_H

#include <gnutls/gnutls.h>

#include "vestry/transport.h"

typedef struct vsi_microhttpd_wire {
  gnutls_session_t tls; /* NULL: plain */
  uint32_t chunk_len;   /* data bytes of the current chunk, at most CHUNK_MAX (wire.c); 0: none */
  uint32_t chunk_done;  /* number of its bytes that are sent, including framing */
  int fd;
  uint16_t pending; /* TLS: further bytes of it in a record that gnutls holds, because the socket did not take it */
  int16_t error;    /* the errno of a HANGUP, if known */
  bool is_chunked;  /* otherwise the body ends when the connection closes */
  uint8_t left;     /* bytes of the final chunk that the socket has not taken yet */
} vsi_microhttpd_wire;

/* Write slices, as vestry_transport_ops.write does. After WOULD_BLOCK the next call passes the remaining bytes again. A
 * peer that is gone is HANGUP, whatever the socket's error. One thread at a time. */
vestry_io vsi_microhttpd_wire_write(vsi_microhttpd_wire *wire, const vestry_slice *slices, size_t count,
                                    size_t *ret_written);

/* Compose slices as a chunk of at most `room` bytes, for one send on the plain socket. Returns its length; 0: not
 * possible with TLS, or while a chunk is sent in part. The other function takes the send's result, as
 * vestry_transport_ops.sent does. */
size_t vsi_microhttpd_wire_compose(vsi_microhttpd_wire *wire, const vestry_slice *slices, size_t count, void *buffer,
                                   size_t room);
vestry_io vsi_microhttpd_wire_sent(vsi_microhttpd_wire *wire, int result, size_t *ret_written);

/* End the body: only its final chunk, if it has one, remains to be sent. Plain wires only, as for the next function. */
void vsi_microhttpd_wire_finish(vsi_microhttpd_wire *wire);
/* Send as much of the final chunk as there is room for. Returns whether all is sent, or nothing more can be. */
bool vsi_microhttpd_wire_flush(vsi_microhttpd_wire *wire);

#endif
