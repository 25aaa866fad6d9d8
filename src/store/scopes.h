/* SPDX-License-Identifier: MIT */
/* How many values each scope of a shard has, and which was used longest ago: in a store with a cap per scope, where all
 * keys of a scope are in one shard. All under its lock. A share is there while the scope has a value, or a put is under
 * way in it. */
#ifndef VSI_STORE_SCOPES_H
#define VSI_STORE_SCOPES_H

#include "base/map.h"
#include "store/entry.h"
#include "vestry/store.h"

typedef struct vsi_scope_share {
  vsi_map_link in;          /* first; in the shard's map */
  vsi_ring used;            /* the scope's entries, by their scope_in, in the order of use */
  size_t count, puts_count; /* values; puts under way */
  size_t len;
  unsigned char scope[];
} vsi_scope_share;

/* A put begins: the share of a scope, a new one if need be. NULL: out of memory. */
vsi_scope_share *vsi_scopes_enter(vsi_map *scopes, const vestry_host *host, vsi_siphash_key secret,
                                  const vestry_scope *scope);
/* A put is over. */
void vsi_scopes_leave(vsi_map *scopes, const vestry_host *host, vsi_scope_share *share);

/* An entry comes, is used again, goes. The list is in the order of all uses, whatever their ticks. */
void vsi_scopes_add(vsi_scope_share *share, vsi_entry *entry);
void vsi_scopes_use(vsi_entry *entry);
void vsi_scopes_remove(vsi_map *scopes, const vestry_host *host, vsi_entry *entry);

/* Whose turn it is, but not this value's: the oldest of those that have ended, if one is among the VSI_SCOPE_LOOKS that
 * were used longest ago; else the oldest. NULL: there is no other. */
enum { VSI_SCOPE_LOOKS = 64 };
vsi_entry *vsi_scopes_first(const vsi_scope_share *share, vestry_store_exit *exit, const void *newcomer);

#endif
