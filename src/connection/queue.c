/* SPDX-License-Identifier: MIT */
/* essay: which waiting event a later event supersedes */
#include "connection/queue.h"

#include <string.h>

#include "event/extras.h"

/* A stream that reads slowly gets the latest state of its page instead of each step. The author of an event names
 * the state that it shows: all of it, so that none of the former events of the same name is needed. When such an event
 * is put, the waiting delivery of the same name leaves the queue.
 *
 * The order of all other events stays, and the page ends as if it had received each event, for these reasons:
 * - An event without a name is a fence: nothing is known about its effect, which may depend on the events before it.
 *   The search begins at the youngest delivery and stops at the first fence. So no event is dropped across a fence.
 *   Each event of a batch is a fence, because the batch must arrive whole.
 * - Between an event and the one that supersedes it are only events of other names, which show other states.
 * - A delivery that the runner has taken is never dropped: a part of its bytes may be written.
 *
 * Behind the last fence, at most one waiting delivery has a given name. So a slow page holds one event for each of its
 * parts, and the search takes as many steps. It stops after VSI_STATES_MOST steps in any case, because it is made under
 * the lock.
 *
 * A shut queue with count 0 is empty for ever: SHUT is set and never cleared, and deliveries are added under the lock,
 * together with their count, only if it is not set. */

void vsi_queue_init(vsi_queue *queue) {
  TAILQ_INIT(&queue->waiting);
  atomic_init(&queue->load, 0);
}

static bool is_fence(const vsi_delivery *delivery) {
  return delivery->is_of_batch || !vsi_event_state(delivery->event).len;
}

vsi_delivery *vsi_queue_superseded_locked(const vsi_queue *queue, const vestry_event *event) {
  const vestry_slice state = vsi_event_state(event);
  if (!state.len) return NULL;
  vsi_delivery *at = TAILQ_LAST(&queue->waiting, vsi_deliveries);
  for (int i = 0; i < VSI_STATES_MOST && at && !is_fence(at); i++, at = TAILQ_PREV(at, vsi_deliveries, in)) {
    const vestry_slice other = vsi_event_state(at->event);
    if (other.len == state.len && memcmp(other.data, state.data, state.len) == 0) return at;
  }
  return NULL;
}

uint32_t vsi_queue_take(vsi_queue *queue, vsi_deliveries *to, uint32_t most, bool only_fences) {
  uint32_t count = 0;
  vsi_queue_lock(queue);
  for (vsi_delivery *at; count < most && (at = TAILQ_FIRST(&queue->waiting)); count++) {
    if (only_fences && !is_fence(at)) break;
    TAILQ_REMOVE(&queue->waiting, at, in);
    TAILQ_INSERT_TAIL(to, at, in);
  }
  vsi_queue_unlock(queue);
  return count;
}

void vsi_queue_settle(vsi_queue *queue, const vsi_settled *settled, vsi_budget *budget) {
  const uint32_t count = settled->count;
  const size_t bytes = settled->bytes;
  if (!count) return;
  vsi_queue_lock(queue);
  const uint64_t load = atomic_load_explicit(&queue->load, memory_order_relaxed);
  VSI_ASSERT(vsi_queue_count_of(load) >= count && (load & VSI_QUEUE_BYTES_MASK) >= bytes); /* they were put */
  /* release pairs with vsi_queue_load */
  atomic_store_explicit(&queue->load, load - count * VSI_QUEUE_ONE_EVENT - bytes, memory_order_release);
  vsi_queue_unlock(queue);
  if (load & VSI_QUEUE_GOING)
    atomic_fetch_sub_explicit(&budget->going, vsi_budget_cost(count, bytes), memory_order_relaxed);
}

/* The mark and the count are set and read under the lock. An event that is settled before is not in the count, so its
 * cost is not added to budget->going. The settlement of a later event sees the mark, and subtracts the event's cost. */
void vsi_queue_shut(vsi_queue *queue, vsi_budget *budget) {
  vsi_queue_lock(queue);
  const uint64_t load = atomic_load_explicit(&queue->load, memory_order_relaxed);
  atomic_store_explicit(&queue->load, load | VSI_QUEUE_SHUT | (budget ? VSI_QUEUE_GOING : 0), memory_order_release);
  vsi_queue_unlock(queue);
  if (budget && !(load & VSI_QUEUE_GOING))
    atomic_fetch_add_explicit(&budget->going, vsi_budget_cost(vsi_queue_count_of(load), load & VSI_QUEUE_BYTES_MASK),
                              memory_order_relaxed);
}
