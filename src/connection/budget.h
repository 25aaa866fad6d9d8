/* SPDX-License-Identifier: MIT */
/* The budget: the number of bytes that all queues of a group hold, and its maximum. The budget only counts; the group
 * decides which connections are closed under pressure (group.c). */
#ifndef VSI_CONNECTION_BUDGET_H
#define VSI_CONNECTION_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vestry/error.h"

#include "base/assert.h"

/* Cost of a delivery in addition to its event's bytes: the delivery, the event's head, and the allocator's overhead. */
enum { VSI_DELIVERY_COST = 192 };
#define VSI_BUDGET_DEFAULT_BYTES ((size_t)1 << 30)

typedef struct vsi_budget {
  char apart[64];         /* every send and settlement writes `used`: no other data may share its cache line */
  _Atomic(uint64_t) used; /* bytes reserved and not yet released, of all queues; never above max */
  _Atomic(uint64_t) peak;
  _Atomic(uint64_t) going; /* part of used: cost of closed connections, whose runners release it soon */
  uint64_t max, mark;      /* constant; above the mark connections are closed */
  char behind[64];
} vsi_budget;

/* Initialize before first use. max_bytes 0: the default. */
VESTRY_API void vsi_budget_init(vsi_budget *budget, size_t max_bytes);

static inline uint64_t vsi_budget_cost(size_t count, size_t bytes) {
  return (uint64_t)count * VSI_DELIVERY_COST + bytes;
}

/* Take this cost, or return false and take nothing. Any thread, lock-free. */
VESTRY_API bool vsi_budget_take(vsi_budget *budget, uint64_t cost);

/* Release a cost. Any thread, wait-free. Relaxed, because readers need the sum only. */
static inline void vsi_budget_give_back(vsi_budget *budget, uint64_t cost) {
  const uint64_t used = atomic_fetch_sub_explicit(&budget->used, cost, memory_order_relaxed);
  VSI_ASSERT(used >= cost); /* it was taken */
}

/* Return whether the bytes held exceed the mark; bytes that are released soon do not count. */
static inline bool vsi_budget_is_pressed(const vsi_budget *budget) {
  uint64_t going = atomic_load_explicit(&budget->going, memory_order_relaxed);
  return atomic_load_explicit(&budget->used, memory_order_relaxed) > budget->mark + going;
}

#endif
