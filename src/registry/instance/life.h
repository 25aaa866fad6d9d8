/* The life of a stream as the instance sees it: what happens when it has opened and when it has ended. Each stream that
 * vestry_serve opens has one, as the context of its hooks. */
#ifndef VSI_REGISTRY_LIFE_H
#define VSI_REGISTRY_LIFE_H

#include <stdatomic.h>

#include "registry/instance/instance.h"

/* Two hold it: the connection, until its close hook has returned, and the serving thread, until it is done with it. */
typedef struct vsi_life {
  vestry *v;
  _Atomic(vestry_handle) handle; /* where the keeper stored it; 0: nowhere */
  _Atomic(uint32_t) refs;
  uint16_t scope_len : 15; /* constant, and so is what shares its memory: any thread that sends reads it */
  bool has_hooks : 1;
  _Atomic(bool) ended; /* its close hook has begun */
  bool given_up;       /* it was never to open; set before abandon, which runs the hook on that thread */
  /* The reply's hooks, if it has any, then the bytes of the scope: few streams have the former, and all are idle. */
  _Alignas(vestry_connection_hooks) unsigned char tail[];
} vsi_life;
_Static_assert(VESTRY_SCOPE_MAX_BYTES < 1 << 15, "scope_len");

/* hooks: the reply's, may be NULL. Two references, one for the connection: NULL when out of memory. */
vsi_life *vsi_life_create(vestry *v, vestry_scope scope, const vestry_connection_hooks *hooks);
void vsi_life_unref(vsi_life *life);

static inline vestry_scope vsi_life_scope(const vsi_life *life) {
  return (vestry_scope){life->tail + (life->has_hooks ? sizeof(vestry_connection_hooks) : 0), life->scope_len};
}

#endif
