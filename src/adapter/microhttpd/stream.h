/* SPDX-License-Identifier: MIT */
/* A stream: an answer of libmicrohttpd's whose bytes vestry writes, from the end of its head on; and the owner of its
 * socket. */
#ifndef VSI_MICROHTTPD_STREAM_H
#define VSI_MICROHTTPD_STREAM_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "adapter/microhttpd/wire.h"
#include "adapter/web/addresses.h"
#include "base/spin_lock.h"
#include "vestry/adapter.h"
#include "vestry/connection.h"

/* The owner of the socket; stream.c says which thread changes it. */
enum {
  VSI_MICROHTTPD_HEAD,    /* libmicrohttpd, the head is not out. A write takes nothing */
  VSI_MICROHTTPD_OURS,    /* vestry */
  VSI_MICROHTTPD_CLEAN,   /* libmicrohttpd, again or still: the stream has ended, and how is said when it asks */
  VSI_MICROHTTPD_ABORTED, /* the same */
  VSI_MICROHTTPD_GONE     /* no thread: it was lost before the head was out, or could not be taken over */
};

/* What names an entry of the watch, this one and no later one in its place. */
typedef uint64_t vsi_microhttpd_key;

typedef struct vsi_microhttpd vsi_microhttpd;

typedef struct vsi_microhttpd_stream {
  const vestry_host *host;
  vsi_microhttpd *adapter; /* until its place is given back */
  union {
    struct {
      struct MHD_Connection *conn;   /* until the socket is handed over, or the end */
      struct MHD_Response *response; /* ours until begin; from then on libmicrohttpd's, until it frees it */
    };
    vsi_address address; /* of one that was handed over: it is counted for this one */
  };
  vestry_connection *connection; /* from begin: a reference, until the answer is freed */
  vsi_microhttpd_key key;        /* in the watch */
  vsi_microhttpd_wire wire;      /* what is left of its final chunk is guarded by the watch once it lingers */
  uint32_t until_s, most_s;      /* of one that lingers: when it has done so for long enough, and at the latest */
  int unread_bytes;              /* of one that lingers: what its peer has not taken yet, at the last look */
  _Atomic(uint8_t) state;
  bool is_begun;   /* set before libmicrohttpd hears of the answer */
  bool asked_room; /* the watch tells of room */
  bool has_ended;  /* guarded by asking: its socket may be closed, or libmicrohttpd's */
  vsi_spin_lock asking;
} vsi_microhttpd_stream;

/* The socket may be ours now: HEAD → OURS, and the connection is told. false: it has ended meanwhile. */
bool vsi_microhttpd_stream_taken(vsi_microhttpd_stream *stream, bool is_watched);
/* The socket cannot be had: HEAD → GONE. */
void vsi_microhttpd_stream_lost(vsi_microhttpd_stream *stream, vestry_cause cause);
/* What its peer has not acknowledged yet, in bytes; of a UNIX socket, the memory of what it has not read. Below 0: that
 * is not known, or the stream has ended. Any thread, until its memory is freed; does not block. */
int64_t vsi_microhttpd_stream_unacknowledged(vsi_microhttpd_stream *stream);
/* The end of its connection: HEAD → CLEAN or ABORTED. true: the socket is ours, and is to be given up. */
bool vsi_microhttpd_stream_ended(vsi_microhttpd_stream *stream, bool clean);

#endif
