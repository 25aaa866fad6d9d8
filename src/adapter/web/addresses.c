/* SPDX-License-Identifier: MIT */
#include "adapter/web/addresses.h"

/* An address that has connections or requests now. */
typedef struct counted {
  vsi_map_link in; /* first member */
  vsi_address address;
  uint32_t count;
} counted;

vestry_err vsi_web_addresses_init(vsi_web_addresses *addresses, const vestry_host *host, uint32_t limit) {
  *addresses = (vsi_web_addresses){.host = host, .limit = limit};
  vsi_mutex_init(&addresses->lock, VSI_LOCK_ADDRESSES);
  if (!limit) return VESTRY_OK;
  return host->random(host->ctx, &addresses->key, sizeof addresses->key) ? VESTRY_IO : VESTRY_OK;
}

void vsi_web_addresses_finish(vsi_web_addresses *addresses) {
  if (!addresses->host) return;
  vsi_map_free_all(&addresses->map, addresses->host, 0);
  vsi_mutex_finish(&addresses->lock);
  *addresses = (vsi_web_addresses){.host = NULL};
}

static uint64_t hash_of(const vsi_web_addresses *addresses, vsi_address address) {
  return vsi_siphash_1_3_words(addresses->key, address.prefix, address.family, 0, 16);
}

static counted *find_locked(const vsi_web_addresses *addresses, vsi_address address) {
  counted *at = (counted *)vsi_map_first(&addresses->map, hash_of(addresses, address));
  while (at && (at->address.prefix != address.prefix || at->address.family != address.family))
    at = (counted *)vsi_map_further(&at->in);
  return at;
}

/* NULL: no memory. */
static counted *make_locked(vsi_web_addresses *addresses, vsi_address address) {
  if (vsi_map_reserve(&addresses->map, addresses->host, addresses->map.count + 1)) return NULL;
  counted *made = vsi_calloc(addresses->host, 1, sizeof *made);
  if (!made) return NULL;
  made->address = address;
  vsi_map_add(&addresses->map, &made->in, hash_of(addresses, address));
  return made;
}

static vestry_err enter_locked(vsi_web_addresses *addresses, vsi_address address) {
  counted *at = find_locked(addresses, address);
  if (!at) at = make_locked(addresses, address);
  if (!at) return VESTRY_NO_MEMORY;
  if (at->count >= addresses->limit) return VESTRY_LIMIT;
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

void vsi_web_addresses_leave(vsi_web_addresses *addresses, vsi_address address) {
  if (!addresses->limit || !address.family) return;
  vsi_mutex_lock(&addresses->lock);
  counted *at = find_locked(addresses, address);
  if (--at->count == 0) {
    vsi_map_remove(&addresses->map, &at->in);
    vsi_free(addresses->host, at);
  }
  vsi_mutex_unlock(&addresses->lock);
}
