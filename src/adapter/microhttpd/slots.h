/* SPDX-License-Identifier: MIT */
/* Slots for what is under way, as many as there may be, each known by its pointer. */
#ifndef VSI_MICROHTTPD_SLOTS_H
#define VSI_MICROHTTPD_SLOTS_H

#include <stdbool.h>

#include "base/map.h"
#include "base/mutex.h"

typedef struct vsi_microhttpd_slots {
  const vestry_host *host;
  uint32_t count; /* constant; 0: not made */
  vsi_mutex lock; /* innermost */
  vsi_map taken;  /* guarded by lock; has buckets for all */
} vsi_microhttpd_slots;

/* OK | NO_MEMORY */
vestry_err vsi_microhttpd_slots_init(vsi_microhttpd_slots *slots, const vestry_host *host, uint32_t count);
/* All are free. Takes one that was only zeroed. */
void vsi_microhttpd_slots_finish(vsi_microhttpd_slots *slots);

/* Take a slot for what carries this link. false: all are taken. Threads any, like the next. */
bool vsi_microhttpd_slots_take(vsi_microhttpd_slots *slots, vsi_map_link *link);
/* The link, if that is what the pointer points to; NULL: it points to something else, or to nothing. */
vsi_map_link *vsi_microhttpd_slots_at(vsi_microhttpd_slots *slots, const void *pointer);
void vsi_microhttpd_slots_give(vsi_microhttpd_slots *slots, const vsi_map_link *link);
/* Free any slot that is taken: what had it; NULL: all are free. */
vsi_map_link *vsi_microhttpd_slots_pop(vsi_microhttpd_slots *slots);

#endif
