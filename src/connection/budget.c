/* SPDX-License-Identifier: MIT */
/* essay: what all queues hold together, and which stream is closed for it */
/* What the whole instance may have queued.
 *
 * Hard. A sender takes its events' cost from the budget before it takes room in the queue, by a compare-and-swap that
 * never goes above the maximum; the runner gives it back when the event is freed. So the sum of all queues is below the
 * maximum at every moment, and exactly what the counter says. An event that waits in several queues is counted in each,
 * though its bytes are there once: the counter is an upper bound of the memory.
 *
 * No sender waits. Memory comes back when a closed connection's runner gets to it, on another thread, and a sender does
 * not wait for that. So closing begins an eighth below the maximum: what is sent while the runners free goes into that
 * eighth. Only a sender that fills it faster than they free is refused, as by a full queue.
 *
 * Cost. One relaxed read-modify-write for each send and each settlement. */
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
