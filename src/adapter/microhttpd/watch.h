/* SPDX-License-Identifier: MIT */
/* The watch: one thread that sees what happens at the sockets of all streams. */
#ifndef VSI_MICROHTTPD_WATCH_H
#define VSI_MICROHTTPD_WATCH_H

#include <pthread.h>

#include "adapter/microhttpd/stream.h"
#include "base/mutex.h"

/* A stream's place in the watch. */
typedef struct vsi_microhttpd_entry {
  vsi_microhttpd_stream *stream; /* NULL: the entry is free, or its stream has not begun */
  uint32_t generation : 31;      /* of those that had this place, which one */
  uint32_t lingers : 1;          /* the stream has ended, and the last of it waits for room (linger.c) */
  union {
    int fd;             /* of a taken one: its socket; -1: it is not watched */
    uint32_t next_free; /* of a free one */
  };
} vsi_microhttpd_entry;

/* What puts a stream down that lingered: it is over, or not waited for any more. Threads the watch's or that of
 * vsi_microhttpd_watch_shut; no lock is held. */
typedef void (*vsi_microhttpd_over_fn)(vsi_microhttpd_stream *stream);

typedef struct vsi_microhttpd_watch {
  const vestry_host *host;
  vsi_microhttpd_over_fn over; /* constant */
  uint64_t begun_ns;           /* constant; the thread may run much later */
  int epoll, told;             /* -1: none */
  pthread_t thread;
  bool started;
  uint32_t capacity;
  vsi_mutex lock;                /* innermost; of the system only what does not wait is called while it is held */
  vsi_microhttpd_entry *entries; /* guarded by lock; as many as were ever in use at once, doubled */
  size_t entries_count;          /* guarded by lock */
  uint32_t first_free;           /* guarded by lock */
  uint32_t lingering_count;      /* guarded by lock */
  bool is_shut;                  /* guarded by lock: none may linger any more */
} vsi_microhttpd_watch;

/* OK | NO_MEMORY | IO (no thread, no descriptor). Takes no streams beyond capacity. */
vestry_err vsi_microhttpd_watch_init(vsi_microhttpd_watch *watch, const vestry_host *host, uint32_t capacity,
                                     vsi_microhttpd_over_fn over);
/* Ends the thread. Takes one that was only zeroed, or whose init has failed. */
void vsi_microhttpd_watch_finish(vsi_microhttpd_watch *watch);

/* Take a place: OK | NO_MEMORY | LIMIT. */
vestry_err vsi_microhttpd_watch_reserve(vsi_microhttpd_watch *watch, vsi_microhttpd_key *ret_key);
/* Say whose place it is. stream: with its connection; both are kept until it is removed or given back. */
void vsi_microhttpd_watch_name(vsi_microhttpd_watch *watch, vsi_microhttpd_key key, vsi_microhttpd_stream *stream);
/* Watch a socket: its end closes the connection. false: it cannot be watched. */
bool vsi_microhttpd_watch_add(vsi_microhttpd_watch *watch, vsi_microhttpd_key key, int fd);
/* From now on also tell the connection when there is room in it again; at once, if there is. */
void vsi_microhttpd_watch_room(vsi_microhttpd_watch *watch, vsi_microhttpd_key key);
/* From now on the stream is the watch's: it sends the rest when there is room, and then, or when nothing comes of it,
 * puts the stream down (vsi_microhttpd_over_fn). false: it is not watched, or none may linger any more. */
bool vsi_microhttpd_watch_linger(vsi_microhttpd_watch *watch, vsi_microhttpd_key key);
/* When it has returned, the watch does not touch the socket any more. Nothing, if it is not watched. */
void vsi_microhttpd_watch_remove(vsi_microhttpd_watch *watch, vsi_microhttpd_key key);
/* Give the place back. */
void vsi_microhttpd_watch_release(vsi_microhttpd_watch *watch, vsi_microhttpd_key key);

/* Close all connections that are there for a cause, put down all that linger, and let none linger from now on. No lock
 * is held over the closing. */
void vsi_microhttpd_watch_shut(vsi_microhttpd_watch *watch, vestry_cause cause);

#endif
