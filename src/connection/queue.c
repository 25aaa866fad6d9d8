/* SPDX-License-Identifier: MIT */
/* essay: a queue that can be shut and is then empty for ever */
#include "connection/queue.h"

/* The queue of a connection (queue.h has the invariant).
 *
 * Reservation and settlement are single read-modify-writes of one word, whose modification order decides about room.
 * The deliveries themselves go through the mailbox: its push (release) and pop (acquire) publish them to the runner.
 *
 * A shut queue with count 0 is empty for ever, for these reasons. SHUT is set and never cleared. A reservation is a
 * compare-and-swap that fails on a shut word, so after the shut no count is added. Each earlier reservation is counted
 * in the same word, and is subtracted only when its event was taken and settled. The runner reads the word with
 * acquire, which pairs with the release of the last settlement (its own) and of the shut.
 *
 * The bare event. Most events find an empty queue. Such an event needs no delivery and no mailbox: the queue has a
 * place for a pointer to it, `bare`.
 * - Exclusion: only a reservation that moves the word from 0 to one event allows a thread to write the place. From then
 *   until this event is settled, the word is not 0. The runner clears the place before it settles the event (release),
 *   so the next such reservation (acquire) finds the place free.
 * - Order: a bare event is older than every delivery that was sent after its put. The runner takes the oldest delivery
 *   from the mailbox first, and reads the place afterwards. If that delivery was sent after the put, the runner now
 *   finds the bare event, and writes it before the delivery.
 * - Batches: another sender may reserve and send a batch between the reservation of a bare event and its put. Then the
 *   runner may find the place empty at the first event of the batch, and full later. It reads the place only between
 *   batches (is_in_batch), so the bare event comes after this one. */

void vsi_queue_init(vsi_queue *queue) {
  atomic_init(&queue->load, 0);
  vsi_mailbox_init(&queue->mailbox);
  atomic_init(&queue->bare, NULL);
}

vestry_err vsi_queue_reserve(vsi_queue *queue, uint32_t count, size_t bytes, uint32_t max_count, size_t max_bytes) {
  /* relaxed: a stale value only costs another iteration */
  uint64_t load = atomic_load_explicit(&queue->load, memory_order_relaxed);
  uint64_t more;
  do {
    if (load & VSI_QUEUE_SHUT) return VESTRY_CLOSED;
    if (count > max_count || vsi_queue_count_of(load) > max_count - count) return VESTRY_FULL;
    if (bytes > max_bytes || (load & VSI_QUEUE_BYTES_MASK) > max_bytes - bytes) return VESTRY_FULL;
    more = load + count * VSI_QUEUE_ONE_EVENT + bytes;
    /* acq_rel: pairs with vsi_queue_settle and vsi_queue_shut */
  } while (
      !atomic_compare_exchange_weak_explicit(&queue->load, &load, more, memory_order_acq_rel, memory_order_relaxed));
  return VESTRY_OK;
}

bool vsi_queue_goes(vsi_queue *queue, uint32_t *ret_count, size_t *ret_bytes) {
  uint64_t load =
      atomic_fetch_or_explicit(&queue->load, VSI_QUEUE_SHUT | VSI_QUEUE_GOING, memory_order_acq_rel); /* as in shut */
  *ret_count = vsi_queue_count_of(load);
  *ret_bytes = (size_t)(load & VSI_QUEUE_BYTES_MASK);
  return !(load & VSI_QUEUE_GOING);
}

void vsi_queue_shut(vsi_queue *queue) {
  atomic_fetch_or_explicit(&queue->load, VSI_QUEUE_SHUT, memory_order_acq_rel); /* pairs with reserve */
}
