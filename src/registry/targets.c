/* SPDX-License-Identifier: MIT */
#include "registry/targets.h"

#include <string.h>

#include "store/store.h"

vestry_err vsi_targets_add(vsi_targets *targets, vestry_connection *connection) {
  if (targets->count == targets->capacity) {
    const size_t larger = targets->capacity * 2; /* no overflow: that many pointers are in memory already */
    vsi_targets_block *block = vsi_alloc(targets->host, sizeof *block + larger * sizeof *block->items);
    if (!block) return VESTRY_NO_MEMORY;
    block->former = targets->block;
    memcpy(block->items, targets->items, targets->count * sizeof *targets->items);
    targets->block = block;
    targets->items = block->items;
    targets->capacity = larger;
  }
  targets->items[targets->count++] = vsi_connection_hold(connection);
  return VESTRY_OK;
}

void vsi_targets_prune(vsi_targets *targets) {
  size_t kept = 0;
  for (size_t i = 0; i < targets->count; i++) {
    if (vsi_connection_is_open(targets->items[i]))
      targets->items[kept++] = targets->items[i];
    else
      vsi_connection_let_go(targets->items[i]);
  }
  targets->count = kept;
}

typedef struct search {
  vsi_targets *targets;
  bool lacks_memory;
} search;

/* The newest connection is met first. */
static void meet(void *value, void *ctx) {
  search *s = ctx;
  if (vsi_connection_is_open(value) && vsi_targets_add(s->targets, value)) s->lacks_memory = true;
}

/* A key may have ten thousand connections, and each visit fetches their memory: one visit finds them all, and the list
 * grows meanwhile. */
vestry_err vsi_targets_find(vsi_targets *targets, vestry_store *store, const vestry_scoped_key *key) {
  const size_t before_count = targets->count;
  search s = {.targets = targets};
  vestry_err error = vsi_store_with(store, key, meet, &s);
  if (error) return error;
  if (s.lacks_memory) {
    while (targets->count > before_count) vsi_connection_let_go(targets->items[--targets->count]);
    return VESTRY_NO_MEMORY;
  }
  vestry_connection **found = targets->items + before_count;
  const size_t open_count = targets->count - before_count;
  for (size_t i = 0; i < open_count / 2; i++) { /* reverse: the oldest first */
    vestry_connection *other = found[open_count - 1 - i];
    found[open_count - 1 - i] = found[i];
    found[i] = other;
  }
  return open_count ? VESTRY_OK : VESTRY_NOT_FOUND;
}

vestry_err vsi_targets_count(vestry_store *store, const vestry_scoped_key *key, uint32_t *ret_count) {
  vsi_targets found;
  vsi_targets_init(&found, store->host);
  vestry_err error = vsi_targets_find(&found, store, key);
  *ret_count = (uint32_t)found.count;
  vsi_targets_finish(&found);
  return error;
}
