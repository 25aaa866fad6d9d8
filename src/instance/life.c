/* SPDX-License-Identifier: MIT */
#include "instance/life.h"

#include <string.h>

#include "base/memory.h"
#include "base/refs.h"
#include "connection/connection.h"

vsi_life *vsi_life_create(vestry *v, vestry_scope scope, const vestry_connection_hooks *hooks, const vsi_data *data,
                          bool has_watches, size_t more_keys_count) {
  bool has_hooks = hooks->on_open || hooks->on_close || hooks->on_error, has_data = data->data || data->destroy;
  size_t before = (has_hooks ? sizeof *hooks : 0) + (has_data ? sizeof *data : 0);
  size_t watches = has_watches ? sizeof(struct vestry_watcher *) : 0;
  size_t handles = more_keys_count * sizeof(vestry_handle);
  vsi_life *life = vsi_calloc(v->host, 1, sizeof *life + before + watches + handles + scope.len);
  if (!life) return NULL;
  life->v = v;
  life->has_hooks = has_hooks;
  life->has_data = has_data;
  life->has_watches = has_watches;
  life->more_keys_count = (uint16_t)more_keys_count;
  if (has_hooks) memcpy(life->tail, hooks, sizeof *hooks);
  if (has_data) memcpy(life->tail + before - sizeof *data, data, sizeof *data);
  VSI_REFS_INIT(&life->refs, 2);
  atomic_init(&life->handle, 0);
  for (size_t i = 0; i < more_keys_count; i++) atomic_init(&vsi_life_handles(life)[i], 0);
  if (has_watches) atomic_init(vsi_life_watches(life), NULL);
  atomic_init(&life->ended, false);
  life->scope_len = scope.len & 0x7ff;
  if (scope.len) memcpy((void *)vsi_life_scope(life).data, scope.data, scope.len);
  return life;
}

void vsi_life_unref(vsi_life *life, const vestry_host *host) {
  if (life && VSI_REFS_DROP(&life->refs)) vsi_free(host, life);
}

vsi_life *vsi_life_of(const vestry_connection *connection) {
  return connection->hooks && connection->hooks->has_life ? connection->hooks_ctx : NULL;
}
