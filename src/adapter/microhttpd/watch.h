/* SPDX-License-Identifier: MIT */
/* A stream, which owns its socket; and the watch: one thread that monitors the sockets of all streams. */
#ifndef VSI_MICROHTTPD_WATCH_H
#define VSI_MICROHTTPD_WATCH_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "adapter/microhttpd/wire.h"
#include "adapter/web/addresses.h"
#include "base/mutex.h"
#include "base/spin_lock.h"
#include "vestry/adapter.h"
#include "vestry/connection.h"

/* The owner of a stream's socket; stream.c describes the transitions. */
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

/* The members that each write uses come first, in at most two cache lines (fetch_transport in connection/runner.c). */
typedef struct vsi_microhttpd_stream {
  vsi_microhttpd_wire wire; /* while it lingers, the watch guards the rest of its final chunk */
  _Atomic(uint8_t) state;
  bool is_begun;   /* set before libmicrohttpd gets the response */
  bool asked_room; /* the watch reports room */
  bool has_ended;  /* guarded by `asking`: its socket may be closed, or belong to libmicrohttpd */
  vsi_spin_lock asking;
  const vestry_host *host;
  vsi_microhttpd *adapter; /* until its place is released */
  union {
    struct {
      struct MHD_Connection *conn;   /* until the socket is handed over, or the end */
      struct MHD_Response *response; /* owned until begin; then libmicrohttpd's, until it frees it */
    };
    vsi_address address; /* after the handover: the address for which it is counted */
  };
  vestry_connection *connection; /* from begin: a reference, until the response is freed */
  vsi_microhttpd_key key;        /* in the watch */
  uint32_t until_s, most_s;      /* while it lingers: end of the current wait, and the latest end */
  int unread_bytes;              /* while it lingers: bytes that its peer had not taken at the last check */
} vsi_microhttpd_stream;

/* The place of a stream in the watch. */
typedef struct vsi_microhttpd_entry {
  vsi_microhttpd_stream *stream; /* NULL: the entry is free, or its stream has not begun */
  uint32_t generation : 31;      /* counts the uses of this place, modulo 2^31 */
  uint32_t lingers : 1;          /* the stream has ended, and its last bytes wait for room */
  union {
    int fd;             /* of a taken entry: its socket; -1: not watched */
    uint32_t next_free; /* of a free entry */
  };
} vsi_microhttpd_entry;

/* Frees a stream that lingered, because it is over or no longer waited for. Threads the watch's, its timer's, or
 * that of vsi_microhttpd_watch_shut; no lock is held. */
typedef void (*vsi_microhttpd_over_fn)(vsi_microhttpd_stream *stream);

typedef struct vsi_microhttpd_watch {
  const vestry_host *host;
  vsi_microhttpd_over_fn over; /* constant */
  int epoll, end;              /* -1: none; end: an eventfd that ends the thread */
  vestry_timer *timer;         /* of lingering streams; NULL: none */
  pthread_t thread;
  bool started;
  uint32_t capacity;
  vsi_mutex lock;                /* innermost; only system calls that do not wait are made while it is held */
  vsi_microhttpd_entry *entries; /* guarded by lock; grows by doubling, never shrinks */
  size_t entries_count;          /* guarded by lock */
  uint32_t first_free;           /* guarded by lock */
  uint32_t lingering_count;      /* guarded by lock */
  bool is_shut;                  /* guarded by lock: no stream may begin to linger */
} vsi_microhttpd_watch;

/* Start the watch, for at most `capacity` streams. function: named in the log. OK | NO_MEMORY | IO (no thread, no
 * descriptor) | CLOSED (the runtime) */
vestry_err vsi_microhttpd_watch_init(vsi_microhttpd_watch *watch, vestry *v, const char *function, uint32_t capacity,
                                     vsi_microhttpd_over_fn over);
/* End the thread. A struct that was only zeroed, or whose init has failed, is accepted. */
void vsi_microhttpd_watch_finish(vsi_microhttpd_watch *watch);

/* Take a place: OK | NO_MEMORY | LIMIT. */
vestry_err vsi_microhttpd_watch_reserve(vsi_microhttpd_watch *watch, vsi_microhttpd_key *ret_key);
/* Set the stream of a place. stream: with its connection; both must live until the place is removed or released. */
void vsi_microhttpd_watch_name(vsi_microhttpd_watch *watch, vsi_microhttpd_key key, vsi_microhttpd_stream *stream);
/* Watch a socket: its end closes the connection. false: it cannot be watched. */
bool vsi_microhttpd_watch_add(vsi_microhttpd_watch *watch, vsi_microhttpd_key key, int fd);
/* From now on, also notify the connection when its socket has room again. If it has room already, this happens at
 * once. */
void vsi_microhttpd_watch_room(vsi_microhttpd_watch *watch, vsi_microhttpd_key key);
/* Pass the stream to the watch, which sends the rest of its final chunk when there is room. Then, or if that fails, it
 * calls vsi_microhttpd_over_fn. false: the stream is not watched, or none may linger any more. */
bool vsi_microhttpd_watch_linger(vsi_microhttpd_watch *watch, vsi_microhttpd_stream *stream);
/* Stop watching a socket; the watch does not use it after this returns. Does nothing if it is not watched. */
void vsi_microhttpd_watch_remove(vsi_microhttpd_watch *watch, vsi_microhttpd_key key);
/* Release the place. */
void vsi_microhttpd_watch_release(vsi_microhttpd_watch *watch, vsi_microhttpd_key key);

/* Close all connections with a cause, free all lingering streams, and let no stream linger from now on. No lock is held
 * while they are closed. */
void vsi_microhttpd_watch_shut(vsi_microhttpd_watch *watch, vestry_cause cause);

/* Return the cause with which a socket's peer is gone. error: the errno with which the socket ended, 0: its end was
 * read.
 * HANGUP; LOST, the peer was silent for TCP_USER_TIMEOUT; STALLED, it took no bytes for that time */
VESTRY_API vestry_cause vsi_microhttpd_verdict(int fd, int error);

#endif
