/* SPDX-License-Identifier: MIT */
/* The number of values of each scope in a shard, and the order of their use. Only a store with a limit per scope has
 * them. All keys of a scope are in one shard. All functions run under the shard's lock. A share exists while the scope
 * has a value or a put for it is running. */
#ifndef VSI_STORE_SCOPES_H
#define VSI_STORE_SCOPES_H

#include "store/exit.h"
#include "store/shard.h"

typedef struct vsi_scope_share {
  vsi_map_link in;          /* first member; in the shard's map */
  vsi_links used;           /* head of the list of the scope's entries, in the order of use */
  size_t count, puts_count; /* number of values; number of running puts */
  size_t len;
  unsigned char scope[];
} vsi_scope_share;

/* Begin a put: return the share of the scope, created if necessary. NULL: out of memory. */
vsi_scope_share *vsi_scopes_enter(vsi_shard *shard, const vestry_host *host, vsi_siphash_key secret,
                                  const vestry_scope *scope);
/* End a put. */
void vsi_scopes_leave(vsi_shard *shard, const vestry_host *host, vsi_scope_share *share);

/* Add an entry, note its use, remove it. The list is in the order of all uses, even within a tick. */
void vsi_scopes_add(vsi_shard *shard, vsi_scope_share *share, uint32_t number);
void vsi_scopes_use(vsi_shard *shard, uint32_t number);
void vsi_scopes_remove(vsi_shard *shard, const vestry_host *host, uint32_t number);

/* Return the entry to evict, never one whose value is `newcomer`. The function examines the VSI_SCOPE_LOOKS least
 * recently used entries, the least recently used first. It returns the first entry whose value has ended, or the least
 * recently used entry if no value has ended. 0: there is no other entry. */
enum { VSI_SCOPE_LOOKS = 64 };
uint32_t vsi_scopes_first(const vsi_shard *shard, const vsi_scope_share *share, vestry_store_exit *exit,
                          const void *newcomer);

#endif
