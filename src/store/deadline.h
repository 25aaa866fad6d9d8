/* SPDX-License-Identifier: MIT */
/* When a store is to tick next, and a driver that sleeps until then. */
#ifndef VSI_STORE_DEADLINE_H
#define VSI_STORE_DEADLINE_H

#include "store/front.h"

/* When the next tick is due; UINT64_MAX: never. */
uint64_t vsi_store_deadline_ns(vestry_store *store);
/* Have the driver, if there is one, tick at a deadline, unless it does so earlier. OK | CLOSED (the runtime) */
vestry_err vsi_store_arm(vestry_store *store, uint64_t deadline_ns);
/* After a put or a tick: have the driver, if there is one, tick earlier if something is due earlier. No lock held. */
void vsi_store_driver_wake_armed(vestry_store *store, uint64_t armed_ns);
static inline void vsi_store_driver_wake(vestry_store *store) {
  uint64_t armed_ns = atomic_load_explicit(&store->armed_ns, memory_order_seq_cst);
  if (armed_ns) vsi_store_driver_wake_armed(store, armed_ns);
}

#endif
