/* SPDX-License-Identifier: MIT */
/* A count of references, of any atomic integer type: a holder of one may take more, and the last one to be dropped ends
 * what is counted.
 *
 * The orders: relaxed to take, since a reference that is held keeps the object alive, and handing the new one on to
 * another thread orders that. acq_rel to drop: release, so that all that was done with the reference comes before the
 * end; acquire, so that the last one sees all that the others did before it frees. */
#ifndef VSI_BASE_REFS_H
#define VSI_BASE_REFS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/assert.h"

typedef _Atomic(uint32_t) vsi_refs;

/* No other thread sees it yet. */
#define VSI_REFS_INIT(refs, count) atomic_init(refs, count)
#define VSI_REFS_TAKE(refs)        vsi_refs_taken(atomic_fetch_add_explicit(refs, 1, memory_order_relaxed))
/* Whether it was the last one. */
#define VSI_REFS_DROP(refs) vsi_refs_dropped(atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel))

/* By the count before. One that has ended is neither held nor dropped again. */
static inline void vsi_refs_taken(uint64_t before) {
  VSI_ASSERT(before > 0);
}
static inline bool vsi_refs_dropped(uint64_t before) {
  VSI_ASSERT(before > 0);
  return before == 1;
}

#endif
