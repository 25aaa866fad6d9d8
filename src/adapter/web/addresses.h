/* SPDX-License-Identifier: MIT */
/* How many connections or requests each peer address has now, so that one client cannot take all of them. */
#ifndef VSI_WEB_ADDRESSES_H
#define VSI_WEB_ADDRESSES_H

#include "base/map.h"
#include "base/mutex.h"
#include "base/siphash.h"
#include "http/address.h"

typedef struct vsi_web_addresses {
  const vestry_host *host;
  vsi_siphash_key key; /* no client can choose addresses that collide */
  uint32_t limit;      /* for each; 0: none, and nothing is counted */
  vsi_mutex lock;
  vsi_map map; /* guarded by lock; of the addresses that are here */
} vsi_web_addresses;

/* limit 0: none. OK | IO (no randomness) */
vestry_err vsi_web_addresses_init(vsi_web_addresses *addresses, const vestry_host *host, uint32_t limit);
/* What was only zeroed may be finished too. */
void vsi_web_addresses_finish(vsi_web_addresses *addresses);

/* Count one more: OK, followed by one leave | LIMIT: this address has as many as it may | NO_MEMORY. Memory grows with
 * the addresses that are here at once, which are no more than the caller lets in: 64 bytes each. Any thread; takes the
 * lock. */
vestry_err vsi_web_addresses_enter(vsi_web_addresses *addresses, vsi_address address);
void vsi_web_addresses_leave(vsi_web_addresses *addresses, vsi_address address);
/* How many an address has now. */
uint32_t vsi_web_addresses_of(vsi_web_addresses *addresses, vsi_address address);

#endif
