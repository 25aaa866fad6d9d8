/* SPDX-License-Identifier: MIT */
/* A reference count of any atomic integer type. A holder of a reference may take more, and the drop of the last
 * reference ends the counted object.
 *
 * Memory orders: a take is relaxed, because a held reference keeps the object alive, and passing the new reference to
 * another thread orders it. A drop is acq_rel: release, so that all uses of the reference come before the end; acquire,
 * so that the last thread sees the writes of all other threads before it frees the object. */
#ifndef VSI_BASE_REFS_H
#define VSI_BASE_REFS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"

typedef _Atomic(uint32_t) vsi_refs;

/* No other thread sees the count yet. */
#define VSI_REFS_INIT(refs, count) atomic_init(refs, count)
#define VSI_REFS_TAKE(refs)        VSI_REFS_TAKE_MANY(refs, 1)
/* Drop a reference. Returns whether it was the last one. */
#define VSI_REFS_DROP(refs) VSI_REFS_DROP_MANY(refs, 1)

/* Take or drop several references at once, at least one. */
#define VSI_REFS_TAKE_MANY(refs, count) vsi_refs_taken(atomic_fetch_add_explicit(refs, count, memory_order_relaxed))
#define VSI_REFS_DROP_MANY(refs, count)                                                                                \
  vsi_refs_dropped(atomic_fetch_sub_explicit(refs, count, memory_order_acq_rel), count)

/* before: the former count. A reference cannot be taken or dropped after the end. */
static inline void vsi_refs_taken(uint64_t before) {
  VSI_ASSERT(before > 0);
}
static inline bool vsi_refs_dropped(uint64_t before, uint64_t count) {
  VSI_ASSERT(before >= count);
  return before == count;
}

#endif
