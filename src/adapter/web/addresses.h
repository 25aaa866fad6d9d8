/* SPDX-License-Identifier: MIT */
/* The current number of connections or requests of each client address, so that one client cannot take all of them. */
#ifndef VSI_WEB_ADDRESSES_H
#define VSI_WEB_ADDRESSES_H

#include "base/map.h"
#include "base/mutex.h"
#include "base/siphash.h"
#include "http/address.h"

typedef struct vsi_web_addresses {
  const vestry_host *host;
  vsi_siphash_key key; /* keeps clients from choosing addresses that collide */
  uint32_t limit;      /* for each address; 0: no limit, and nothing is counted */
  vsi_mutex lock;
  vsi_map map; /* guarded by lock; of the current addresses */
} vsi_web_addresses;

/* limit 0: none. OK | IO (no randomness) */
vestry_err vsi_web_addresses_init(vsi_web_addresses *addresses, const vestry_host *host, uint32_t limit);
/* A struct that was only zeroed is accepted. */
void vsi_web_addresses_finish(vsi_web_addresses *addresses);

/* Count one more. OK: call leave once | LIMIT: the address has reached its limit | NO_MEMORY. Uses 64 bytes for each
 * current address, of which there are no more than the caller admits. Any thread; takes the lock. */
vestry_err vsi_web_addresses_enter(vsi_web_addresses *addresses, vsi_address address);
void vsi_web_addresses_leave(vsi_web_addresses *addresses, vsi_address address);

#endif
