/* SPDX-License-Identifier: MIT */
/* Queries about an instance. */
#include "instance/instance.h"

#include "base/log.h"
#include "base/memory.h"

bool vestry_is_forked(const vestry *v) {
  return vsi_instance_is_forked(v);
}

const vestry_parts *vestry_parts_of(const vestry *v) {
  return v ? &v->parts : NULL;
}

uint32_t vsi_instance_retry_after_s(const vestry *v) {
  if (!vsi_instance_is_draining(v)) return v->retry_after_s;
  uint64_t now_ns = vsi_now_ns(v->host), ends_ns = atomic_load_explicit(&v->drain_ends_ns, memory_order_relaxed);
  uint64_t left_ns = now_ns < ends_ns ? ends_ns - now_ns : 0;
  return v->retry_after_s + (uint32_t)((left_ns + 999999999) / 1000000000);
}

/* The innermost entry of this thread. */
static _Thread_local vsi_inside *innermost;

void vsi_inside_begin(vsi_inside *inside, const vestry *v) {
  *inside = (vsi_inside){v, innermost};
  innermost = inside;
}

void vsi_inside_end(const vsi_inside *inside) {
  innermost = inside->outer;
}

bool vsi_instance_is_inside(const vestry *v) {
  for (const vsi_inside *at = innermost; at; at = at->outer)
    if (at->v == v) return true;
  return vsi_runtime_is_inside(v->runtime);
}

vestry_err vsi_extension_add(vestry *v, const vsi_extension *kind, void *state) {
  vestry_err error = vsi_extensions_add(&v->extensions, kind, state);
  if (error == VESTRY_LIMIT)
    vsi_log(v->host, VESTRY_LOG_ERROR, "%s: cannot add the extension: the instance has too many", kind->name);
  return error;
}

void *vsi_extension_find(const vestry *v, const vsi_extension *kind) {
  const vsi_extended *row = vsi_extensions_find(&v->extensions, kind);
  return row ? row->state : NULL;
}

vestry_err vsi_extension_use(vestry *v, const vsi_extension *kind, void **ret_state) {
  *ret_state = vsi_extension_find(v, kind);
  if (*ret_state) return VESTRY_OK;
  void *made = NULL;
  vestry_err error = kind->create(v, &made);
  if (!error) error = vsi_extension_add(v, kind, made);
  if (!error)
    *ret_state = made;
  else if (made && kind->destroy)
    kind->destroy(v, made);
  if (error != VESTRY_EXISTS) return error;
  *ret_state = vsi_extension_find(v, kind); /* another thread was faster */
  return VESTRY_OK;
}
