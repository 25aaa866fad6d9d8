/* SPDX-License-Identifier: MIT */
/* essay: the bound of all queues together, and the stream that is closed when it is reached */
/* The budget bounds the bytes that all queues of an instance hold together.
 *
 * The bound is hard. A sender takes the cost of its events from the budget before it takes room in the queue, by a
 * compare-and-swap that never exceeds the maximum. The runner returns the cost when the event is freed. So the counter
 * equals the sum of all queues and never exceeds the maximum. An event that waits in several queues is counted
 * once for each, although its bytes exist once: the counter is an upper bound of the memory.
 *
 * No sender waits. The memory of a closed connection is released by its runner, on another thread, and senders do not
 * wait for it. Therefore, connections are closed from seven eighths of the maximum on, and events that are sent while
 * the runners release memory use the last eighth. A send is refused, as by a full queue, only if senders fill this
 * eighth faster than the runners release memory.
 *
 * The cost is one relaxed read-modify-write for each send and for each settlement. A broadcast takes the room of up to
 * VSI_BURST_MOST sends at once (send.c), and a batch of writes returns the room of up to VSI_SENDS_TOGETHER events at
 * once, just before they leave their queues (runner.c): otherwise all threads would wait for the counter's cache line.
 * So the counter may differ from the sum by one such group for each thread; it still never exceeds the maximum. */
#include "connection/budget.h"
#include "base/assert.h"

enum { HEADROOM = 8 };

void vsi_budget_init(vsi_budget *budget, size_t max_bytes) {
  budget->max = max_bytes ? max_bytes : VSI_BUDGET_DEFAULT_BYTES;
  budget->mark = budget->max - budget->max / HEADROOM;
}

bool vsi_budget_take(vsi_budget *budget, uint64_t cost) {
  uint64_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
  do {
    if (cost > budget->max || used > budget->max - cost) return false;
  } while (!atomic_compare_exchange_weak_explicit(&budget->used, &used, used + cost, memory_order_relaxed,
                                                  memory_order_relaxed));
  used += cost;
  VSI_ASSERT(used <= budget->max);
  uint64_t peak = atomic_load_explicit(&budget->peak, memory_order_relaxed);
  while (peak < used &&
         !atomic_compare_exchange_weak_explicit(&budget->peak, &peak, used, memory_order_relaxed, memory_order_relaxed))
    continue;
  return true;
}
