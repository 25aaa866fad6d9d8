/* SPDX-License-Identifier: MIT */
/* The places of uploads that are under way: so many there are at once, of one person, and of all that are not known;
 * and their counters. */
#ifndef VSI_UPLOAD_PLACE_H
#define VSI_UPLOAD_PLACE_H

#include <sys/queue.h>

#include "base/mutex.h"
#include "base/siphash.h"
#include "vestry/app/upload.h"

/* The place of one. Embedded in what has it. */
typedef struct vsi_upload_place {
  LIST_ENTRY(vsi_upload_place) in; /* guarded by the places' lock, like the next */
  uint64_t person;                 /* a hash; 0: not known */
} vsi_upload_place;

typedef struct vsi_upload_places {
  uint32_t max_count, max_per_person_count; /* constant, like the next */
  vsi_siphash_key key;
  vsi_mutex lock;                    /* innermost */
  LIST_HEAD(, vsi_upload_place) all; /* guarded by lock, like the next */
  vestry_uploads_stats stats;
  bool is_warned; /* the log has it that clients are not known */
} vsi_upload_places;

/* Zeroed, but for its bounds. OK | IO (no randomness); to be finished on OK */
vestry_err vsi_upload_places_init(vsi_upload_places *places, const vestry_host *host);
void vsi_upload_places_finish(vsi_upload_places *places);
vestry_uploads_stats vsi_upload_places_stats(vsi_upload_places *places);

/* Of those that are not known half may be there, or all if it is but one.
 * OK | LIMIT: as many as there may be | BUSY: as many of this person */
vestry_err vsi_upload_place_take(vsi_upload_places *places, const vestry_request *req, vsi_upload_place *place);
void vsi_upload_place_give(vsi_upload_places *places, vsi_upload_place *place, bool is_done, uint64_t written_bytes);

#endif
