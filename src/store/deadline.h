/* SPDX-License-Identifier: MIT */
/* The time of a store's next tick (the call that removes due entries), and the driver that sleeps until then. */
#ifndef VSI_STORE_DEADLINE_H
#define VSI_STORE_DEADLINE_H

#include "store/front.h"

/* Return the time at which the next tick is due; UINT64_MAX: never. */
uint64_t vsi_store_deadline_ns(vestry_store *store);
/* Make the driver, if there is one, tick at a deadline, unless it ticks earlier anyway. OK | CLOSED (the runtime) */
vestry_err vsi_store_arm(vestry_store *store, uint64_t deadline_ns);
/* Re-arm the driver, if there is one, after a put or a tick, if an entry is due before armed_ns. No lock held. */
void vsi_store_driver_wake_armed(vestry_store *store, uint64_t armed_ns);
static inline void vsi_store_driver_wake(vestry_store *store) {
  uint64_t armed_ns = atomic_load_explicit(&store->armed_ns, memory_order_seq_cst);
  if (armed_ns) vsi_store_driver_wake_armed(store, armed_ns);
}

#endif
