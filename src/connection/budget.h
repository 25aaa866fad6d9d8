/* SPDX-License-Identifier: MIT */
/* The budget: what all queues of a group hold together, and may hold. Arithmetic only: the group decides which
 * connections are closed when it is pressed (group.c). */
#ifndef VSI_CONNECTION_BUDGET_H
#define VSI_CONNECTION_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vestry/error.h"

#include "base/assert.h"

/* What a delivery is counted as beside its event's bytes: itself, the event's head, and the allocator's own. */
enum { VSI_DELIVERY_COST = 160 };
#define VSI_BUDGET_DEFAULT_BYTES ((size_t)1 << 30)

typedef struct vsi_budget {
  char apart[64];         /* every send and every settlement writes used: nothing else shall share its line */
  _Atomic(uint64_t) used; /* reserved and not yet given back, of all queues; never above max */
  _Atomic(uint64_t) peak;
  _Atomic(uint64_t) going; /* of used: what was held by those that have been closed since, and give it back soon */
  uint64_t max, mark;      /* constant; above the mark it is relieved */
  char behind[64];
} vsi_budget;

/* max_bytes 0: the default. Before it is used. */
VESTRY_API void vsi_budget_init(vsi_budget *budget, size_t max_bytes);

static inline uint64_t vsi_budget_cost(size_t count, size_t bytes) {
  return (uint64_t)count * VSI_DELIVERY_COST + bytes;
}

/* Take so much, or nothing: false. Any thread, lock-free. */
bool vsi_budget_take(vsi_budget *budget, uint64_t cost);

/* Any thread, wait-free. Relaxed: the sum alone is what others look at. */
static inline void vsi_budget_give_back(vsi_budget *budget, uint64_t cost) {
  const uint64_t used = atomic_fetch_sub_explicit(&budget->used, cost, memory_order_relaxed);
  VSI_ASSERT(used >= cost); /* it was taken */
}

/* Whether more is held than the mark, but for what is given back soon. */
static inline bool vsi_budget_is_pressed(const vsi_budget *budget) {
  uint64_t going = atomic_load_explicit(&budget->going, memory_order_relaxed);
  return atomic_load_explicit(&budget->used, memory_order_relaxed) > budget->mark + going;
}

#endif
