/* SPDX-License-Identifier: MIT */
/* What nodes say to each other of the presences that have a name. The layer above (cluster/cluster/announce.c) carries
 * it: it takes the changes to tell, and passes on what it has heard. */
#ifndef VSI_PRESENCE_SPREAD_H
#define VSI_PRESENCE_SPREAD_H

#include "app/presence/presences.h"
#include "vestry/app/presence.h"

/* Those of an instance, which are made when they are first needed. OK | NO_MEMORY */
VESTRY_API vestry_err vsi_presences_use(vestry *v, vsi_presences **ret_all);

/* A member has come to a place of one node's, or has left it. */
typedef struct vsi_presence_said {
  const char *presence; /* its name */
  vestry_slice place;   /* a key, encoded */
  const char *who;
  bool is_here;
} vsi_presence_said;

/* One number for a member, his place and its presence, the same on all nodes. */
VESTRY_API uint64_t vsi_presence_said_hash(const vsi_presence_said *said);

/* Other nodes are told of members from the begin until the end. The end forgets no member. */
VESTRY_API void vsi_presences_begin(vsi_presences *all, const vsi_presence_watch *watch);
VESTRY_API void vsi_presences_end(vsi_presences *all);

/* Called under locks: it must not call a presence. */
typedef void (*vsi_presence_said_fn)(const vsi_presence_said *said, void *ctx);
/* All changes that wait to be told; they count as told. */
VESTRY_API void vsi_presences_take(vsi_presences *all, vsi_presence_said_fn fn, void *ctx);
/* All members that were told to be here. */
VESTRY_API void vsi_presences_list(vsi_presences *all, vsi_presence_said_fn fn, void *ctx);
/* How many these are, and what their hashes add up to. */
VESTRY_API void vsi_presences_sum(vsi_presences *all, uint64_t *ret_count, uint64_t *ret_sum);

/* Another node says that one of its members has come or left. OK, also if there is no such presence or no room |
 * MALFORMED | NO_MEMORY */
VESTRY_API vestry_err vsi_presences_told(vsi_presences *all, unsigned node, const vsi_presence_said *said);
/* doubt: the node begins to name all its members. sweep: it has named all; a member that it has not named is gone. */
VESTRY_API void vsi_presences_doubt(vsi_presences *all, unsigned node);
VESTRY_API void vsi_presences_sweep(vsi_presences *all, unsigned node);
/* The node has no member, as far as is known. */
VESTRY_API void vsi_presences_forget(vsi_presences *all, unsigned node);
/* Whether there was no room for some members of the node, and now there is. */
VESTRY_API bool vsi_presences_have_room_again(vsi_presences *all, unsigned node);

/* A presence begins: OK | EXISTS (the name); and ends. One without a name is of its node alone. No lock held. */
vestry_err vsi_presence_begin(vestry_presence *presence);
void vsi_presence_end(vestry_presence *presence);

#endif
