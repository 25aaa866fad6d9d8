/* SPDX-License-Identifier: MIT */
/* What can be asked of an instance. */
#include "instance/instance.h"

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

/* The innermost of this thread. */
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
