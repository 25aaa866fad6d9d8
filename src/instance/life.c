/* SPDX-License-Identifier: MIT */
#include "instance/life.h"

#include <string.h>

#include "base/memory.h"
#include "base/refs.h"
#include "connection/connection.h"

vsi_life *vsi_life_create(vestry *v, vestry_scope scope, const vestry_connection_hooks *hooks, const vsi_data *data,
                          bool has_parts, size_t more_keys_count) {
  bool has_hooks = hooks->on_open || hooks->on_close || hooks->on_error, has_data = data->data || data->destroy;
  size_t before = (has_hooks ? sizeof *hooks : 0) + (has_data ? sizeof *data : 0);
  size_t parts = has_parts ? sizeof(vsi_stream_part *) : 0;
  size_t handles = more_keys_count * sizeof(vestry_handle);
  vsi_life *life = vsi_calloc(v->host, 1, sizeof *life + before + parts + handles + scope.len);
  if (!life) return NULL;
  life->v = v;
  life->has_hooks = has_hooks;
  life->has_data = has_data;
  life->has_parts = has_parts;
  life->more_keys_count = (uint16_t)more_keys_count;
  if (has_hooks) memcpy(life->tail, hooks, sizeof *hooks);
  if (has_data) memcpy(life->tail + before - sizeof *data, data, sizeof *data);
  VSI_REFS_INIT(&life->refs, 2);
  atomic_init(&life->handle, 0);
  for (size_t i = 0; i < more_keys_count; i++) atomic_init(&vsi_life_handles(life)[i], 0);
  if (has_parts) atomic_init(vsi_life_parts(life), NULL);
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

void vsi_life_append(vsi_life *life, vsi_stream_part *part) {
  _Atomic(vsi_stream_part *) *at = vsi_life_parts(life);
  for (vsi_stream_part *other = vsi_life_first(life); other; other = vsi_stream_part_next(other)) at = &other->next;
  atomic_store_explicit(at, part, memory_order_release); /* pairs with vsi_life_first, vsi_stream_part_next */
}

void vestry_connection_wake(vestry_connection *connection) {
  const vsi_life *life = vsi_life_of(connection);
  if (!life) return;
  for (vsi_stream_part *part = vsi_life_first(life); part; part = vsi_stream_part_next(part)) part->ops->woken(part);
}
