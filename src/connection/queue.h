/* SPDX-License-Identifier: MIT */
/* A connection's queue: a list of deliveries under one lock, bounded in count and bytes, with many senders and one
 * runner. It can be shut for good. An event that names a state supersedes the one that waits with the same name. */
#ifndef VSI_CONNECTION_QUEUE_H
#define VSI_CONNECTION_QUEUE_H

#include <stdatomic.h>

#include "base/assert.h"
#include "base/spin_lock.h"
#include "coding/delivery.h"
#include "connection/budget.h"

/* The word of a queue: bit 63: shut; bit 62: going; 22 bits: count; 40 bits: bytes. */
#define VSI_QUEUE_SHUT       (UINT64_C(1) << 63)
#define VSI_QUEUE_GOING      (UINT64_C(1) << 62)
#define VSI_QUEUE_ONE_EVENT  (UINT64_C(1) << 40)
#define VSI_QUEUE_BYTES_MASK (VSI_QUEUE_ONE_EVENT - 1)

typedef struct vsi_queue {
  /* Guards the members below, and data of the connection that is read and changed for a few instructions, too
   * (vsi_connection_lock). Never held during a write. */
  vsi_spin_lock lock;
  uint32_t max_count;     /* bound of the count */
  vsi_deliveries waiting; /* oldest first; the runner has not taken them */
  _Atomic(uint64_t) load; /* of the events that were accepted and not yet settled, waiting and taken; written under the
                             lock, read by any thread */
  _Atomic(vsi_delivery *) spare; /* allocated, of a settled event, for the next one; NULL: none. It belongs to the
                                    thread that takes it out */
} vsi_queue;

/* VSI_STATES_MOST: number of waiting events with a state that a put compares. */
enum { VSI_QUEUE_MAX_COUNT = 1000000, VSI_STATES_MOST = 64 };
#define VSI_QUEUE_MAX_BYTES ((size_t)1 << 30)

/* Initialize a zeroed queue. */
void vsi_queue_init(vsi_queue *queue);

static inline void vsi_queue_lock(vsi_queue *queue) {
  vsi_spin_lock_take(&queue->lock, VSI_LOCK_CONNECTION);
}
static inline void vsi_queue_unlock(vsi_queue *queue) {
  vsi_spin_lock_give(&queue->lock);
}

/* Take the delivery that a queue keeps for its next event; NULL: none. The threads that send and settle then do not
 * free each other's memory, which the allocator would scatter. acquire pairs with vsi_delivery_free */
static inline vsi_delivery *vsi_queue_spare(vsi_queue *queue) {
  return atomic_exchange_explicit(&queue->spare, NULL, memory_order_acquire);
}

/* Return the waiting delivery that an event supersedes (queue.c); NULL: none. */
vsi_delivery *vsi_queue_superseded_locked(const vsi_queue *queue, const vestry_event *event);

/* Take the oldest deliveries, at most `most`, and append them to a list. only_fences: stop at the first one that a
 * later event may supersede. They count until they are settled. Returns their number. Runner only. */
uint32_t vsi_queue_take(vsi_queue *queue, vsi_deliveries *to, uint32_t most, bool only_fences);

static inline uint32_t vsi_queue_count_of(uint64_t load) {
  return (uint32_t)((load & ~(VSI_QUEUE_SHUT | VSI_QUEUE_GOING)) / VSI_QUEUE_ONE_EVENT);
}

/* Events that were taken, and are written or discarded, but still counted. */
typedef struct vsi_settled {
  uint32_t count;
  size_t bytes;
} vsi_settled;
/* Release their room. If the queue is marked as going, their cost leaves budget->going. Runner only. */
void vsi_queue_settle(vsi_queue *queue, const vsi_settled *settled, vsi_budget *budget);
/* Shut the queue: no event is put after this. budget: mark all that it holds as going, and add it to budget->going,
 * because the runner will release it soon; NULL: do not. Idempotent, any thread. */
void vsi_queue_shut(vsi_queue *queue, vsi_budget *budget);

/* Get the count and bytes of queued and taken events that are not settled. Any thread. */
static inline void vsi_queue_load(const vsi_queue *queue, uint32_t *ret_count, size_t *ret_bytes, bool *ret_shut) {
  uint64_t load = atomic_load_explicit(&queue->load, memory_order_acquire); /* pairs with the stores under the lock */
  if (ret_count) *ret_count = vsi_queue_count_of(load);
  if (ret_bytes) *ret_bytes = (size_t)(load & VSI_QUEUE_BYTES_MASK);
  if (ret_shut) *ret_shut = (load & VSI_QUEUE_SHUT) != 0;
}
static inline uint32_t vsi_queue_count(const vsi_queue *queue) {
  uint32_t count;
  vsi_queue_load(queue, &count, NULL, NULL);
  return count;
}

/* Add to a counter that only the runner writes, or only the thread that holds the queue's lock. With one writer at a
 * time, a plain load and store suffice. */
static inline void vsi_connection_count(_Atomic(uint64_t) *counter, uint64_t by) {
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

#endif
