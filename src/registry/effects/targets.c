#include "registry/effects/targets.h"

#include <string.h>

#include "base/memory.h"

void vsi_targets_init(vsi_targets *targets, const vestry_host *host) {
  targets->host = host;
  targets->items = targets->few;
  targets->count = 0;
  targets->capacity = VSI_TARGETS_INLINE;
}

void vsi_targets_clear(vsi_targets *targets) {
  while (targets->count) vestry_connection_unref(targets->items[--targets->count]);
}

void vsi_targets_finish(vsi_targets *targets) {
  vsi_targets_clear(targets);
  if (targets->items != targets->few) vsi_free(targets->host, targets->items);
  vsi_targets_init(targets, targets->host);
}

vestry_err vsi_targets_reserve(vsi_targets *targets, size_t more) {
  if (more <= targets->capacity - targets->count) return VESTRY_OK;
  if (more > SIZE_MAX / 4 / sizeof *targets->items - targets->count) return VESTRY_NO_MEMORY;
  size_t capacity = (targets->count + more) * 2;
  bool few = targets->items == targets->few;
  vestry_connection **items =
      vsi_realloc(targets->host, few ? NULL : targets->items, capacity * sizeof *targets->items);
  if (!items) return VESTRY_NO_MEMORY;
  if (few) memcpy(items, targets->few, targets->count * sizeof *items);
  targets->items = items;
  targets->capacity = capacity;
  return VESTRY_OK;
}

vestry_err vsi_targets_add(vsi_targets *targets, vestry_connection *connection) {
  if (vsi_targets_reserve(targets, 1)) return VESTRY_NO_MEMORY;
  targets->items[targets->count++] = vestry_connection_ref(connection);
  return VESTRY_OK;
}

vestry_err vsi_targets_add_all(vsi_targets *targets, const vsi_targets *more) {
  if (vsi_targets_reserve(targets, more->count)) return VESTRY_NO_MEMORY;
  for (size_t i = 0; i < more->count; i++) targets->items[targets->count++] = vestry_connection_ref(more->items[i]);
  return VESTRY_OK;
}

void vsi_targets_prune(vsi_targets *targets) {
  size_t kept = 0;
  for (size_t i = 0; i < targets->count; i++) {
    if (vestry_connection_is_open(targets->items[i]))
      targets->items[kept++] = targets->items[i];
    else
      vestry_connection_unref(targets->items[i]);
  }
  targets->count = kept;
}

static void drop(void **values, size_t count) {
  for (size_t i = 0; i < count; i++) vestry_connection_unref(values[i]);
}

/* All values of a key. found: room for *count of them; when that is too little, ret_more is allocated instead. */
static vestry_err get_all(const vestry_host *host, vestry_store *store, vestry_scope scope, const vestry_key *key,
                          void **found, size_t *count, void ***ret_more) {
  size_t capacity = *count;
  void **more = NULL;
  for (;;) {
    *count = capacity;
    vestry_err error = vestry_store_get(store, scope, key, more ? more : found, count);
    if (error) {
      vsi_free(host, more);
      return error;
    }
    if (*count < capacity) break; /* a full buffer may have left some out */
    drop(more ? more : found, *count);
    capacity *= 4;
    void **grown = vsi_realloc(host, more, capacity * sizeof *grown);
    if (!grown) {
      vsi_free(host, more);
      return VESTRY_NO_MEMORY;
    }
    more = grown;
  }
  *ret_more = more;
  return VESTRY_OK;
}

vestry_err vsi_targets_find(vsi_targets *targets, vestry_store *store, vestry_scope scope, const vestry_key *key,
                            size_t *ret_closed_count) {
  void *few[VSI_TARGETS_INLINE], **more = NULL;
  size_t count = VSI_TARGETS_INLINE, closed_count = 0, open_count = 0;
  vestry_err error = get_all(targets->host, store, scope, key, few, &count, &more);
  if (error && error != VESTRY_NOT_FOUND) return error;
  if (error) count = 0;
  void **values = more ? more : few;
  error = vsi_targets_reserve(targets, count);
  for (size_t i = 0; i < count; i++) {
    bool is_open = !error && vestry_connection_is_open(values[i]);
    if (is_open) {
      targets->items[targets->count++] = values[i]; /* with the reference that get took */
      open_count++;
    } else {
      vestry_connection_unref(values[i]);
      closed_count++;
    }
  }
  vsi_free(targets->host, more);
  if (error) return error;
  if (ret_closed_count) *ret_closed_count = closed_count;
  return open_count ? VESTRY_OK : VESTRY_NOT_FOUND;
}
