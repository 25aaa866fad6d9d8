/* SPDX-License-Identifier: MIT */
/* Lookouts: what a layer above is told of streams that end, by whichever thread ends them. A host without one pays a
 * load and a comparison a stream. */
#ifndef VSI_INSTANCE_LOOKOUT_H
#define VSI_INSTANCE_LOOKOUT_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/mutex.h"
#include "vestry/connection.h"
#include "vestry/store.h"

struct vsi_life;

/* One of them; both functions are called on any thread, several at once, no lock held. */
typedef struct vsi_lookout {
  /* A value, which is a connection, has left the store, and will be closed after this. */
  void (*left)(const vestry_purged *purged, void *ctx);
  /* A stream has ended: nothing of it is counted any more. It is still in the store, unless it has left it before. */
  void (*ended)(struct vsi_life *life, vestry_connection *connection, vestry_cause cause, void *ctx);
  void *ctx;
  /* guarded by the lock of all */
  struct vsi_lookout *next;
  size_t inside_count; /* threads that are inside its functions */
  bool is_over;        /* no more go in */
} vsi_lookout;

/* An instance's. */
typedef struct vsi_lookouts {
  vsi_mutex lock;
  pthread_cond_t quiet; /* one that is over has no thread inside */
  /* Written with the lock; without it acquire, which pairs with the release of an add: a mere first look. */
  _Atomic(vsi_lookout *) first;
} vsi_lookouts;

void vsi_lookouts_init(vsi_lookouts *lookouts);
void vsi_lookouts_finish(vsi_lookouts *lookouts);

/* lookout: borrowed until it is removed. */
void vsi_lookouts_add(vsi_lookouts *lookouts, vsi_lookout *lookout);
/* Waits until no thread is inside. */
void vsi_lookouts_remove(vsi_lookouts *lookouts, vsi_lookout *lookout);

void vsi_lookouts_tell_all_left(vsi_lookouts *lookouts, const vestry_purged *purged);
void vsi_lookouts_tell_all_ended(vsi_lookouts *lookouts, struct vsi_life *life, vestry_connection *connection,
                                 vestry_cause cause);

static inline bool vsi_lookouts_are_there(const vsi_lookouts *lookouts) {
  return atomic_load_explicit(&lookouts->first, memory_order_acquire) != NULL;
}

#endif
