/* SPDX-License-Identifier: MIT */
/* The streams of an adapter, each on a dedicated thread, and the watch, which finds the streams whose peers are
 * gone. */
#ifndef VSI_CIVETWEB_WATCH_H
#define VSI_CIVETWEB_WATCH_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "adapter/civetweb/peer.h"
#include "base/mutex.h"
#include "vestry/adapter.h"

/* Part of a stream. Guarded by watch->lock after it was added. */
typedef struct vsi_civetweb_entry {
  LIST_ENTRY(vsi_civetweb_entry) in;
  vestry_connection *connection; /* valid through the dedicated thread's reference */
  vsi_civetweb_peer peer;
  bool has_peer; /* false: not watched */
  bool is_new;   /* its socket was not searched yet */
  int fd;        /* -1: it has no connected socket */
  uint64_t unacked_since_ns;
  vestry_cause verdict; /* of the last round */
  bool is_closed;       /* it was closed from here, which happens only once */
  /* Unacknowledged bytes of its socket in the last round; below 0: unknown, or the stream has ended. Read without the
   * lock: relaxed, only a number. */
  _Atomic(int64_t) unacked_bytes;
} vsi_civetweb_entry;

typedef struct vsi_civetweb_watch {
  const vestry_host *host; /* NULL: not initialized */
  vestry_timer *timer;     /* NULL: none */
  uint64_t lost_ns;
  vsi_mutex lock;
  LIST_HEAD(, vsi_civetweb_entry) streams; /* guarded by lock; the youngest first, so new ones precede all others */
} vsi_civetweb_watch;

/* Watch the streams every watch_ms; VESTRY_NEVER_MS: never. OK | NO_MEMORY | CLOSED (the runtime) */
vestry_err vsi_civetweb_watch_init(vsi_civetweb_watch *watch, vestry *v, uint64_t watch_ms, uint64_t lost_ms);
/* Stop the watch, and wait for a running round. There must be no streams. A struct that was only zeroed is accepted. */
void vsi_civetweb_watch_finish(vsi_civetweb_watch *watch);

/* Add the entry of a stream, and remove it. entry: connection, peer and has_peer are set. The dedicated thread holds a
 * reference to its connection, and its socket stays open, until it has removed the entry. */
void vsi_civetweb_watch_add(vsi_civetweb_watch *watch, vsi_civetweb_entry *entry);
void vsi_civetweb_watch_remove(vsi_civetweb_watch *watch, vsi_civetweb_entry *entry);

/* Close all streams with a cause. No lock is held meanwhile. */
void vsi_civetweb_watch_close_all(vsi_civetweb_watch *watch, vestry_cause cause);
/* Do one round: close the streams whose peers are gone. Called by the timer. */
void vsi_civetweb_watch_look(vsi_civetweb_watch *watch);

#endif
