/* SPDX-License-Identifier: MIT */
/* The places of running uploads, and their counters. The number of places is bounded: for all uploads, for each person,
 * and for all unknown clients together. */
#ifndef VSI_UPLOAD_PLACE_H
#define VSI_UPLOAD_PLACE_H

#include <sys/queue.h>

#include "base/mutex.h"
#include "base/siphash.h"
#include "vestry/app/upload.h"

/* A place of one upload, embedded in the upload. */
typedef struct vsi_upload_place {
  LIST_ENTRY(vsi_upload_place) in; /* guarded by the lock of the places, as is the next */
  uint64_t person;                 /* a hash; 0: unknown */
} vsi_upload_place;

typedef struct vsi_upload_places {
  uint32_t max_count, max_per_person_count; /* constant, as is the next */
  vsi_siphash_key key;
  vsi_mutex lock;                    /* innermost */
  LIST_HEAD(, vsi_upload_place) all; /* guarded by lock, as are the next two */
  vestry_uploads_stats stats;
  bool is_warned; /* the warning about unknown clients was logged */
} vsi_upload_places;

/* Initialize places, which are zeroed except for the two bounds. OK: the lock must be finished | IO (no randomness) */
vestry_err vsi_upload_places_init(vsi_upload_places *places, const vestry_host *host);

/* Take a place. Unknown clients have at most half of the places, rounded up.
 * OK | LIMIT (no place left) | BUSY (this person has the maximum) */
vestry_err vsi_upload_place_take(vsi_upload_places *places, const vestry_request *req, vsi_upload_place *place);
void vsi_upload_place_give(vsi_upload_places *places, vsi_upload_place *place, bool is_done, uint64_t written_bytes);

#endif
