/* SPDX-License-Identifier: MIT */
/* A stream: an answer of libmicrohttpd whose bytes vestry writes after the head; and the owner of its socket. */
#ifndef VSI_MICROHTTPD_STREAM_H
#define VSI_MICROHTTPD_STREAM_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "adapter/microhttpd/wire.h"
#include "adapter/web/addresses.h"
#include "base/spin_lock.h"
#include "vestry/adapter.h"
#include "vestry/connection.h"

/* The owner of the socket; stream.c describes the transitions. */
enum {
  VSI_MICROHTTPD_HEAD,    /* libmicrohttpd; the head is not sent yet. Writes take no bytes */
  VSI_MICROHTTPD_OURS,    /* vestry */
  VSI_MICROHTTPD_CLEAN,   /* libmicrohttpd, again or still: the stream ended cleanly; the next callback reports it */
  VSI_MICROHTTPD_ABORTED, /* likewise, but the end is an abort */
  VSI_MICROHTTPD_GONE     /* no thread: it was lost before the head was sent, or could not be taken over */
};

/* Identifies an entry of the watch, and no later entry in the same place. */
typedef uint64_t vsi_microhttpd_key;

typedef struct vsi_microhttpd vsi_microhttpd;

typedef struct vsi_microhttpd_stream {
  const vestry_host *host;
  vsi_microhttpd *adapter; /* until its place is released */
  union {
    struct {
      struct MHD_Connection *conn;   /* until the socket is handed over, or the end */
      struct MHD_Response *response; /* owned until begin; then libmicrohttpd's, until it frees it */
    };
    vsi_address address; /* after the handover: the address for which it is counted */
  };
  vestry_connection *connection; /* from begin: a reference, until the answer is freed */
  vsi_microhttpd_key key;        /* in the watch */
  vsi_microhttpd_wire wire;      /* while it lingers, the watch guards the rest of its final chunk */
  uint32_t until_s, most_s;      /* while it lingers: end of the current wait, and the latest end */
  int unread_bytes;              /* while it lingers: bytes that its peer had not taken at the last check */
  _Atomic(uint8_t) state;
  bool is_begun;   /* set before libmicrohttpd gets the answer */
  bool asked_room; /* the watch reports room */
  bool has_ended;  /* guarded by `asking`: its socket may be closed, or belong to libmicrohttpd */
  vsi_spin_lock asking;
} vsi_microhttpd_stream;

/* Take the socket: HEAD → OURS, and notify the connection. false: the stream has ended meanwhile. */
bool vsi_microhttpd_stream_taken(vsi_microhttpd_stream *stream, bool is_watched);
/* Note that the socket cannot be taken: HEAD → GONE. */
void vsi_microhttpd_stream_lost(vsi_microhttpd_stream *stream, vestry_cause cause);
/* Return the number of bytes that its peer has not acknowledged; for a UNIX socket, the memory of unread bytes. Below
 * 0: unknown, or the stream has ended. Any thread, until its memory is freed; does not block. */
int64_t vsi_microhttpd_stream_unacknowledged(vsi_microhttpd_stream *stream);
/* Note the end of its connection: HEAD → CLEAN or ABORTED. true: the socket is OURS, and the caller must give it up. */
bool vsi_microhttpd_stream_ended(vsi_microhttpd_stream *stream, bool clean);

#endif
