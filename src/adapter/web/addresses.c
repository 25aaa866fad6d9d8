/* SPDX-License-Identifier: MIT */
/* Open addressing with linear probing, at most half full; the slots after one that leaves are moved up, so that no
 * graves are left and a look-up ends at the first free slot. It is no base/map: an address is nothing but its count, so
 * there is no member to carry a link. A slot has 24 bytes; a member would have 40, allocated for each request. */
#include "adapter/web/addresses.h"

#include <string.h>

#include "base/memory.h"

enum { LEAST_CAPACITY = 64 };

typedef struct vsi_web_address_slot {
  vsi_address address;
  uint32_t count; /* 0: free */
} slot;

vestry_err vsi_web_addresses_init(vsi_web_addresses *addresses, const vestry_host *host, uint32_t limit) {
  *addresses = (vsi_web_addresses){.host = host, .limit = limit};
  vsi_mutex_init(&addresses->lock, VSI_LOCK_ADDRESSES);
  if (!limit) return VESTRY_OK;
  return host->random(host->ctx, &addresses->key, sizeof addresses->key) ? VESTRY_IO : VESTRY_OK;
}

void vsi_web_addresses_finish(vsi_web_addresses *addresses) {
  if (!addresses->host) return;
  vsi_free(addresses->host, addresses->slots);
  vsi_mutex_finish(&addresses->lock);
  *addresses = (vsi_web_addresses){.host = NULL};
}

static size_t home_of(const vsi_web_addresses *addresses, vsi_address address) {
  return (size_t)vsi_siphash_1_3_words(addresses->key, address.prefix, address.family, 0, 16) &
         (addresses->capacity - 1);
}

/* The slot of an address, or the free slot that it would take. */
static size_t find_locked(const vsi_web_addresses *addresses, vsi_address address) {
  size_t at = home_of(addresses, address);
  while (addresses->slots[at].count && (addresses->slots[at].address.prefix != address.prefix ||
                                        addresses->slots[at].address.family != address.family))
    at = (at + 1) & (addresses->capacity - 1);
  return at;
}

static vestry_err grow_locked(vsi_web_addresses *addresses) {
  size_t old_capacity = addresses->capacity;
  slot *old = addresses->slots;
  if (addresses->count < old_capacity / 2) return VESTRY_OK;
  size_t capacity = old_capacity ? old_capacity * 2 : LEAST_CAPACITY;
  slot *slots = vsi_calloc(addresses->host, capacity, sizeof *slots);
  if (!slots) return VESTRY_NO_MEMORY;
  addresses->slots = slots;
  addresses->capacity = capacity;
  for (size_t i = 0; i < old_capacity; i++)
    if (old[i].count) slots[find_locked(addresses, old[i].address)] = old[i];
  vsi_free(addresses->host, old);
  return VESTRY_OK;
}

static vestry_err enter_locked(vsi_web_addresses *addresses, vsi_address address) {
  vestry_err error = grow_locked(addresses);
  if (error) return error;
  slot *at = &addresses->slots[find_locked(addresses, address)];
  if (at->count >= addresses->limit) return VESTRY_LIMIT;
  if (!at->count) addresses->count++;
  at->address = address;
  at->count++;
  return VESTRY_OK;
}

vestry_err vsi_web_addresses_enter(vsi_web_addresses *addresses, vsi_address address) {
  if (!addresses->limit || !address.family) return VESTRY_OK;
  vsi_mutex_lock(&addresses->lock);
  vestry_err error = enter_locked(addresses, address);
  vsi_mutex_unlock(&addresses->lock);
  return error;
}

/* Move back whatever a free slot would cut off from its home. */
static void close_up_locked(vsi_web_addresses *addresses, size_t hole) {
  size_t mask = addresses->capacity - 1;
  for (size_t at = (hole + 1) & mask; addresses->slots[at].count; at = (at + 1) & mask) {
    size_t home = home_of(addresses, addresses->slots[at].address);
    if (((at - home) & mask) < ((at - hole) & mask)) continue; /* its home is after the hole */
    addresses->slots[hole] = addresses->slots[at];
    addresses->slots[at].count = 0;
    hole = at;
  }
}

void vsi_web_addresses_leave(vsi_web_addresses *addresses, vsi_address address) {
  if (!addresses->limit || !address.family) return;
  vsi_mutex_lock(&addresses->lock);
  size_t at = find_locked(addresses, address);
  if (--addresses->slots[at].count == 0) {
    addresses->count--;
    close_up_locked(addresses, at);
  }
  vsi_mutex_unlock(&addresses->lock);
}

uint32_t vsi_web_addresses_of(vsi_web_addresses *addresses, vsi_address address) {
  if (!addresses->limit || !address.family) return 0;
  vsi_mutex_lock(&addresses->lock);
  uint32_t count = addresses->capacity ? addresses->slots[find_locked(addresses, address)].count : 0;
  vsi_mutex_unlock(&addresses->lock);
  return count;
}
