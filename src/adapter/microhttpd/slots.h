/* SPDX-License-Identifier: MIT */
/* A bounded number of slots for running requests, each identified by its pointer. */
#ifndef VSI_MICROHTTPD_SLOTS_H
#define VSI_MICROHTTPD_SLOTS_H

#include <stdbool.h>

#include "base/map.h"
#include "base/mutex.h"

typedef struct vsi_microhttpd_slots {
  const vestry_host *host;
  uint32_t count; /* constant; 0: not created */
  vsi_mutex lock; /* innermost */
  vsi_map taken;  /* guarded by lock; has buckets for all */
} vsi_microhttpd_slots;

/* Allocate the slots. OK | NO_MEMORY */
vestry_err vsi_microhttpd_slots_init(vsi_microhttpd_slots *slots, const vestry_host *host, uint32_t count);
/* All slots must be free. A struct that was only zeroed is accepted. */
void vsi_microhttpd_slots_finish(vsi_microhttpd_slots *slots);

/* Take a slot for the object that contains this link. false: all are taken. Threads any, as for the next function. */
bool vsi_microhttpd_slots_take(vsi_microhttpd_slots *slots, vsi_map_link *link);
/* Return the link at a pointer, if it is in a slot; NULL: the pointer refers to another object, or to none. */
vsi_map_link *vsi_microhttpd_slots_at(vsi_microhttpd_slots *slots, const void *pointer);
void vsi_microhttpd_slots_give(vsi_microhttpd_slots *slots, const vsi_map_link *link);
/* Free any taken slot. Returns its link; NULL: all are free. */
vsi_map_link *vsi_microhttpd_slots_pop(vsi_microhttpd_slots *slots);

#endif
