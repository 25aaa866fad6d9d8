/* SPDX-License-Identifier: MIT */
/* The target connections of a dispatch: a list of references, without an allocation while it is short.
 *
 * A callback may read the list (vestry_context_info) while it sends or adds a target, which can append to the list. So
 * a list that grows frees no former array of items before vsi_targets_finish. */
#ifndef VSI_REGISTRY_TARGETS_H
#define VSI_REGISTRY_TARGETS_H

#include "base/memory.h"
#include "connection/connection.h"
#include "vestry/store.h"

enum { VSI_TARGETS_INLINE = 8 };

/* An array of items, and the smaller one before it. */
typedef struct vsi_targets_block {
  struct vsi_targets_block *former;
  vestry_connection *items[];
} vsi_targets_block;

typedef struct vsi_targets {
  const vestry_host *host;
  vestry_connection **items; /* few, or those of block */
  size_t count, capacity;
  vsi_targets_block *block;                   /* NULL: none */
  vestry_connection *few[VSI_TARGETS_INLINE]; /* the list must stay at its address */
} vsi_targets;

static inline void vsi_targets_init(vsi_targets *targets, const vestry_host *host) {
  targets->host = host;
  targets->items = targets->few;
  targets->count = 0;
  targets->capacity = VSI_TARGETS_INLINE;
  targets->block = NULL;
}
/* Drop the references. */
static inline void vsi_targets_clear(vsi_targets *targets) {
  enum { FETCHED_AHEAD = 8 };
  while (targets->count) {
    if (targets->count > FETCHED_AHEAD)
      vsi_prefetch_to_write(&targets->items[targets->count - 1 - FETCHED_AHEAD]->refs);
    vsi_connection_let_go(targets->items[--targets->count]);
  }
}
static inline void vsi_targets_finish(vsi_targets *targets) {
  vsi_targets_clear(targets);
  for (vsi_targets_block *block = targets->block, *former; block; block = former) {
    former = block->former;
    vsi_free(targets->host, block);
  }
}

/* Append; takes a reference. OK | NO_MEMORY (list unchanged). */
vestry_err vsi_targets_add(vsi_targets *targets, vestry_connection *connection);
/* Drop connections that are not open. */
void vsi_targets_prune(vsi_targets *targets);

/* Append all open connections stored under a key, oldest first. A closing connection is still stored until its hooks
 * run, but it is not a target any more. OK | NOT_FOUND (none is open) | NO_MEMORY (list unchanged). */
VESTRY_API vestry_err vsi_targets_find(vsi_targets *targets, vestry_store *store, const vestry_scoped_key *key);
/* Count the open connections stored under a key. ret_count: always set. Results as vsi_targets_find. */
VESTRY_API vestry_err vsi_targets_count(vestry_store *store, const vestry_scoped_key *key, uint32_t *ret_count);

#endif
