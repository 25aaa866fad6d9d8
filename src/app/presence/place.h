/* SPDX-License-Identifier: MIT */
/* A place of a presence: a key, and the guests that are there. Functions named _locked: the presence's lock is held. */
#ifndef VSI_PRESENCE_PLACE_H
#define VSI_PRESENCE_PLACE_H

#include "app/presence/table.h"
#include "store/scoped_key.h"

/* Pack the key of a presence's place, once for whatever is done with the place. place: NULL: the one for all.
 * OK (finish it) | INVALID | TOO_LARGE | NO_MEMORY. No lock is needed. */
vestry_err vsi_place_pack(const vestry_presence *presence, const vestry_key *place, vsi_scoped_key *packed);
/* The same for a key that another node has encoded. */
vestry_err vsi_place_pack_encoded(const vestry_presence *presence, vestry_slice encoded, vsi_scoped_key *packed);

/* One that is in no table yet (vsi_free). packed: copied. OK | MALFORMED | NO_MEMORY */
vestry_err vsi_place_create(const vestry_host *host, const vestry_scoped_key *packed, vsi_place **ret_place);
/* NULL: no guest is known there. */
vsi_place *vsi_place_find_locked(const vestry_presence *presence, const vestry_scoped_key *packed);
void vsi_place_enter_locked(vestry_presence *presence, vsi_place *at);
/* A guest is there no more: the last one frees it. */
void vsi_place_unref_locked(vestry_presence *presence, vsi_place *at);

/* Its key, encoded: as other nodes know it. */
static inline vestry_slice vsi_place_encoded(const vsi_place *at) {
  return (vestry_slice){at->packed.data + at->packed.key_offset, at->packed.len - at->packed.key_offset};
}

#endif
