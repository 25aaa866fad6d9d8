/* What leaves a shard: gathered under its lock, sent off without. */
#ifndef VSI_STORE_LEAVING_H
#define VSI_STORE_LEAVING_H

#include "store/sections.h"
#include "store/slab.h"
#include "store/store.h"

enum { VSI_LEAVING_BATCH = 32 };

/* A stay that has ended: all that its callbacks need, copied from its slot. */
typedef struct vsi_parting {
  void *value;
  vestry_handle handle;
  vestry_cause cause;
  uint8_t len; /* as in the slot */
  unsigned char key[VSI_SLOT_KEY_BYTES];
} vsi_parting;

/* A value whose last reader is gone. */
typedef struct vsi_rest {
  void *value;
  vsi_outside *outside; /* NULL: none */
} vsi_rest;

typedef struct vsi_leaving {
  const vestry_host *host;
  vsi_section *section; /* open while the callbacks run, when readers may still see the slots */
  size_t count, room, rests_count;
  uint32_t taken;  /* list of the slots, until they part */
  bool counted;    /* in the shard's holders: there was no section to be had */
  bool readers;    /* the values' references are dropped later */
  vsi_parting *at; /* own, or on the heap when there are many */
  vsi_parting own[VSI_LEAVING_BATCH];
  vsi_rest rests[VSI_LEAVING_BATCH];
} vsi_leaving;

/* Only the few words that say "empty". */
static inline void vsi_leaving_init(vsi_leaving *leaving, const vestry_host *host) {
  leaving->host = host;
  leaving->section = NULL;
  leaving->taken = 0;
  leaving->count = leaving->rests_count = 0;
  leaving->room = VSI_LEAVING_BATCH;
  leaving->readers = leaving->counted = false;
  leaving->at = leaving->own;
}

/* Make room for so many in all. OK | NO_MEMORY. */
vestry_err vsi_leaving_reserve(vsi_leaving *leaving, size_t count);

/* Copy a slot. There is room. */
void vsi_leaving_add(vsi_leaving *leaving, const vsi_slot *slot, vestry_handle handle, vestry_cause cause);

/* Run the callbacks, drop what may be dropped, and empty it. No lock held. */
void vsi_leaving_run(vsi_leaving *leaving, vestry_store_exit *exit);

#endif
