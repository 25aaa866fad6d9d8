/* SPDX-License-Identifier: MIT */
/* A connection's queue: bounded in count and bytes, with many senders and one runner. It can be shut for good. An event
 * that finds the queue empty can wait without a delivery; it is called bare.
 *
 * Invariant: one atomic word holds {shut, count, bytes} of all events that were accepted and not yet settled (written
 * or discarded). A sender first reserves room in the word, and then links its deliveries into the mailbox. So a runner
 * that reads a shut word with count 0 knows that the queue is empty, that no sender is about to put an event into it,
 * and that none ever will. */
#ifndef VSI_CONNECTION_QUEUE_H
#define VSI_CONNECTION_QUEUE_H

#include "base/assert.h"
#include "coding/delivery.h"

#define VSI_QUEUE_SHUT       (UINT64_C(1) << 63)
#define VSI_QUEUE_GOING      (UINT64_C(1) << 62)
#define VSI_QUEUE_ONE_EVENT  (UINT64_C(1) << 40)
#define VSI_QUEUE_BYTES_MASK (VSI_QUEUE_ONE_EVENT - 1)

typedef struct vsi_queue {
  _Atomic(uint64_t) load; /* bit 63: shut; bit 62: going; 22 bits: count; 40 bits: bytes */
  vsi_mailbox mailbox;
  _Atomic(vestry_event *) bare; /* a reference; older than all deliveries that were sent after its put; NULL: none */
} vsi_queue;

enum { VSI_QUEUE_MAX_COUNT = 1000000 };
#define VSI_QUEUE_MAX_BYTES ((size_t)1 << 30)

void vsi_queue_init(vsi_queue *queue);

/* Reserve room for count events with bytes in total: OK | CLOSED (shut) | FULL. Any thread, lock-free. After OK the
 * caller must put exactly these events. */
vestry_err vsi_queue_reserve(vsi_queue *queue, uint32_t count, size_t bytes, uint32_t max_count, size_t max_bytes);

/* Reserve room for an event of this number of bytes, if the queue is empty and not shut. Returns false otherwise. Any
 * thread, wait-free. After true the caller must put exactly this event, by vsi_queue_put_bare or as a delivery. */
static inline bool vsi_queue_reserve_bare(vsi_queue *queue, size_t bytes) {
  uint64_t empty = 0;
  /* acq_rel: as in reserve */
  return atomic_compare_exchange_strong_explicit(&queue->load, &empty, VSI_QUEUE_ONE_EVENT + bytes,
                                                 memory_order_acq_rel, memory_order_relaxed);
}
static inline void vsi_queue_put_bare(vsi_queue *queue, vestry_event *event) {
  atomic_store_explicit(&queue->bare, event, memory_order_release); /* pairs with vsi_queue_bare */
}
/* Return the bare event; NULL: none. Runner only, after it has taken the oldest delivery (queue.c). */
static inline vestry_event *vsi_queue_bare(const vsi_queue *queue) {
  return atomic_load_explicit(&queue->bare, memory_order_acquire);
}
/* Remove the bare event, before it is settled. Runner only. */
static inline void vsi_queue_clear_bare(vsi_queue *queue) {
  atomic_store_explicit(&queue->bare, NULL, memory_order_relaxed); /* published by the settlement */
}

/* Link a chain of reserved deliveries. Any thread, wait-free. */
static inline void vsi_queue_put_chain(vsi_queue *queue, vsi_delivery *first, vsi_delivery *last) {
  vsi_mailbox_push_chain(&queue->mailbox, &first->mail, &last->mail);
}

/* Take the oldest delivery; NULL: the queue is empty, or a put is incomplete. Runner only. The delivery counts until it
 * is settled. */
static inline vsi_delivery *vsi_queue_take(vsi_queue *queue) {
  return (vsi_delivery *)vsi_mailbox_pop(&queue->mailbox);
}

static inline uint32_t vsi_queue_count_of(uint64_t load) {
  return (uint32_t)((load & ~(VSI_QUEUE_SHUT | VSI_QUEUE_GOING)) / VSI_QUEUE_ONE_EVENT);
}

/* Settle events that were taken. Runner only. Returns whether the queue is marked as going. */
static inline bool vsi_queue_settle(vsi_queue *queue, uint32_t count, size_t bytes) {
  /* release: pairs with the acquire in reserve and load */
  const uint64_t load =
      atomic_fetch_sub_explicit(&queue->load, count * VSI_QUEUE_ONE_EVENT + bytes, memory_order_release);
  VSI_ASSERT(vsi_queue_count_of(load) >= count && (load & VSI_QUEUE_BYTES_MASK) >= bytes); /* they were reserved */
  return load & VSI_QUEUE_GOING;
}
/* Shut the queue, and mark all that it holds as going: each later settlement returns true. Returns true if it was not
 * marked before; then count and bytes are what it holds, which the same number of settlements will release. Any
 * thread. */
bool vsi_queue_goes(vsi_queue *queue, uint32_t *ret_count, size_t *ret_bytes);

/* No reservation succeeds after this. Idempotent, any thread. */
void vsi_queue_shut(vsi_queue *queue);

/* Get the count and bytes of queued and taken events that are not settled. Any thread. */
static inline void vsi_queue_load(const vsi_queue *queue, uint32_t *ret_count, size_t *ret_bytes, bool *ret_shut) {
  uint64_t load = atomic_load_explicit(&queue->load, memory_order_acquire); /* pairs with settle and shut */
  if (ret_count) *ret_count = vsi_queue_count_of(load);
  if (ret_bytes) *ret_bytes = (size_t)(load & VSI_QUEUE_BYTES_MASK);
  if (ret_shut) *ret_shut = (load & VSI_QUEUE_SHUT) != 0;
}
static inline uint32_t vsi_queue_count(const vsi_queue *queue) {
  uint32_t count;
  vsi_queue_load(queue, &count, NULL, NULL);
  return count;
}

/* Add to a counter that only the runner writes, or only the thread that holds the conflation's lock. With one writer at
 * a time, a plain load and store suffice. */
static inline void vsi_connection_count(_Atomic(uint64_t) *counter, uint64_t by) {
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

#endif
