#include "registry/instance/life.h"

#include <string.h>

#include "base/memory.h"

vsi_life *vsi_life_create(vestry *v, vestry_scope scope, const vestry_connection_hooks *hooks, const vsi_data *data) {
  bool has_hooks = hooks->on_open || hooks->on_close || hooks->on_error, has_data = data->data || data->destroy;
  size_t before = (has_hooks ? sizeof *hooks : 0) + (has_data ? sizeof *data : 0);
  vsi_life *life = vsi_calloc(v->host, 1, sizeof *life + before + scope.len);
  if (!life) return NULL;
  life->v = v;
  life->has_hooks = has_hooks;
  life->has_data = has_data;
  if (has_hooks) memcpy(life->tail, hooks, sizeof *hooks);
  if (has_data) memcpy(life->tail + before - sizeof *data, data, sizeof *data);
  atomic_init(&life->refs, 2);
  atomic_init(&life->handle, 0);
  atomic_init(&life->ended, false);
  life->scope_len = scope.len & 0x3fff;
  if (scope.len) memcpy((void *)vsi_life_scope(life).data, scope.data, scope.len);
  return life;
}

void vsi_life_unref(vsi_life *life, const vestry_host *host) {
  /* acq_rel: the last one frees what the other has written */
  if (life && atomic_fetch_sub_explicit(&life->refs, 1, memory_order_acq_rel) == 1) vsi_free(host, life);
}
