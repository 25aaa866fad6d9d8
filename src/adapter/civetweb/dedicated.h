/* SPDX-License-Identifier: MIT */
/* The streams of an adapter, each on a dedicated thread, found by their peers. */
#ifndef VSI_CIVETWEB_DEDICATED_H
#define VSI_CIVETWEB_DEDICATED_H

#include <stdatomic.h>

#include "adapter/civetweb/peer.h"
#include "base/map.h"
#include "base/mutex.h"
#include "vestry/connection.h"

/* Part of a stream. Guarded by dedicated->lock after it was added. */
typedef struct vsi_civetweb_entry {
  vsi_map_link in;               /* first member: among the entries of one peer, the youngest comes first */
  vestry_connection *connection; /* valid through the dedicated thread's reference */
  vsi_civetweb_peer peer;
  bool has_peer; /* false: not watched */
  uint64_t seen; /* the last round in which its socket existed, or in which it was added */
  uint64_t cookie;
  bool has_cookie;
  uint64_t unacked_since_ns;
  vestry_cause verdict; /* of that round */
  bool is_closed;       /* it was closed from here, which happens only once */
  /* Unacknowledged bytes of its socket in the last round; below 0: unknown, or the stream has ended. Read without the
   * lock: relaxed, only a number. */
  _Atomic(int64_t) unacked_bytes;
} vsi_civetweb_entry;

typedef struct vsi_civetweb_dedicated {
  vsi_mutex lock; /* innermost */
  vsi_map map;    /* guarded by lock; by peer; has room for all */
  uint64_t seed;  /* of its hashes */
  uint64_t round; /* guarded by lock */
} vsi_civetweb_dedicated;

/* capacity: maximum number of streams. OK | NO_MEMORY | IO (no randomness) */
vestry_err vsi_civetweb_dedicated_init(vsi_civetweb_dedicated *dedicated, const vestry_host *host, size_t capacity);
/* Must be empty. A struct that was only zeroed is accepted. */
void vsi_civetweb_dedicated_finish(vsi_civetweb_dedicated *dedicated, const vestry_host *host);

/* Add the entry of a stream, and remove it. entry: connection, peer and has_peer are set. The dedicated thread holds a
 * reference to its connection until it has removed the entry. */
void vsi_civetweb_dedicated_add(vsi_civetweb_dedicated *dedicated, vsi_civetweb_entry *entry);
void vsi_civetweb_dedicated_remove(vsi_civetweb_dedicated *dedicated, vsi_civetweb_entry *entry);

/* Close all streams with a cause. No lock is held meanwhile. */
void vsi_civetweb_dedicated_close_all(vsi_civetweb_dedicated *dedicated, vestry_cause cause);

/* A round of the watch: call begin, then see for each existing socket, then close. One round at a time.
 * begin   false: there are no streams, so there is no round
 * see     note a socket for the stream that has its cookie, or for the youngest stream of its peer that has no cookie
 * unseen  return the number of streams since begin for which no socket was seen
 * close   close each unseen stream with HANGUP, and each stream with a verdict with that cause */
bool vsi_civetweb_dedicated_begin(vsi_civetweb_dedicated *dedicated);
void vsi_civetweb_dedicated_see(vsi_civetweb_dedicated *dedicated, const vsi_civetweb_socket *socket, uint64_t now_ns,
                                uint64_t lost_ns);
size_t vsi_civetweb_dedicated_unseen(vsi_civetweb_dedicated *dedicated);
void vsi_civetweb_dedicated_close(vsi_civetweb_dedicated *dedicated);

#endif
