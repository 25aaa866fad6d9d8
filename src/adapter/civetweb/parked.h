/* SPDX-License-Identifier: MIT */
/* The parked streams of an adapter, found by their peers. */
#ifndef VSI_CIVETWEB_PARKED_H
#define VSI_CIVETWEB_PARKED_H

#include <stdatomic.h>

#include "adapter/civetweb/peer.h"
#include "base/map.h"
#include "base/mutex.h"
#include "vestry/connection.h"

/* One stream's entry; part of the stream. All guarded by parked->lock once it was added. */
typedef struct vsi_civetweb_entry {
  vsi_map_link in;               /* first: among those of its peer the youngest comes first */
  vestry_connection *connection; /* the parked thread's reference keeps it */
  vsi_civetweb_peer peer;
  bool has_peer; /* false: not watched */
  uint64_t seen; /* the last round in which its socket was there, or in which it was added */
  uint64_t cookie;
  bool has_cookie;
  uint64_t unacked_since_ns;
  vestry_cause verdict; /* of that round */
  bool told;            /* it was closed from here: once is enough */
  /* Of its socket, at the last look at it; below 0: not known, or it is not parked. Without the lock: relaxed, a mere
   * number. */
  _Atomic(int64_t) unacked_bytes;
} vsi_civetweb_entry;

typedef struct vsi_civetweb_parked {
  vsi_mutex lock; /* innermost */
  vsi_map map;    /* guarded by lock; by the peer; it has room for all */
  uint64_t seed;  /* of its hashes */
  uint64_t round; /* guarded by lock */
} vsi_civetweb_parked;

/* capacity: streams at most. OK | NO_MEMORY | IO (no randomness) */
vestry_err vsi_civetweb_parked_init(vsi_civetweb_parked *parked, const vestry_host *host, size_t capacity);
/* Empty. Takes one that was only zeroed. */
void vsi_civetweb_parked_finish(vsi_civetweb_parked *parked, const vestry_host *host);

/* entry: connection, peer and has_peer are set. The parked thread holds its connection until it has removed it. */
void vsi_civetweb_parked_add(vsi_civetweb_parked *parked, vsi_civetweb_entry *entry);
void vsi_civetweb_parked_remove(vsi_civetweb_parked *parked, vsi_civetweb_entry *entry);

/* Close all that are there for a cause. No lock is held over the closing. */
void vsi_civetweb_parked_close_all(vsi_civetweb_parked *parked, vestry_cause cause);

/* A round of the watch: begin, then see for each socket there is, then close. One round at a time.
 * begin  false: no thread is parked, so there is no round
 * see    the socket belongs to the stream that has its cookie, or to the youngest without one that has its peer
 * unseen how many of those that were there at the begin have no socket so far
 * close  closes the unseen for HANGUP, the judged for their verdict */
bool vsi_civetweb_parked_begin(vsi_civetweb_parked *parked);
void vsi_civetweb_parked_see(vsi_civetweb_parked *parked, const vsi_civetweb_socket *socket, uint64_t now_ns,
                             uint64_t lost_ns);
size_t vsi_civetweb_parked_unseen(vsi_civetweb_parked *parked);
void vsi_civetweb_parked_close(vsi_civetweb_parked *parked);

#endif
