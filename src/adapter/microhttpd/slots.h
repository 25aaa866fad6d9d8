/* SPDX-License-Identifier: MIT */
/* A table of things that are under way, each known by a pointer to its slot: such a pointer is never another one's. */
#ifndef VSI_MICROHTTPD_SLOTS_H
#define VSI_MICROHTTPD_SLOTS_H

#include "base/mutex.h"
#include "vestry/host.h"

typedef struct vsi_microhttpd_slots {
  const vestry_host *host;
  uint32_t count;      /* constant; 0: not made */
  vsi_mutex lock;      /* innermost */
  void **slots;        /* guarded by lock */
  uint32_t *free;      /* guarded by lock: which are */
  uint32_t free_count; /* guarded by lock */
} vsi_microhttpd_slots;

/* OK | NO_MEMORY */
vestry_err vsi_microhttpd_slots_init(vsi_microhttpd_slots *slots, const vestry_host *host, uint32_t count);
/* All are free. Takes one that was only zeroed. */
void vsi_microhttpd_slots_finish(vsi_microhttpd_slots *slots);

/* A slot for something; NULL: all are taken. Threads any, like the next. */
void *vsi_microhttpd_slots_take(vsi_microhttpd_slots *slots, void *thing);
/* What is there; NULL: the pointer is no slot. */
void *vsi_microhttpd_slots_at(vsi_microhttpd_slots *slots, const void *slot);
void vsi_microhttpd_slots_give(vsi_microhttpd_slots *slots, const void *slot);
/* Free any slot that is taken: what was there; NULL: all are free. */
void *vsi_microhttpd_slots_pop(vsi_microhttpd_slots *slots);

#endif
