/* SPDX-License-Identifier: MIT */
/* The presences that nodes of a cluster share: the named ones. The cluster (cluster/cluster/announcements.c) transports
 * the changes: it takes those to announce from here, and passes those of other nodes to here. */
#ifndef VSI_PRESENCE_SPREAD_H
#define VSI_PRESENCE_SPREAD_H

#include "app/presence/presences.h"
#include "vestry/app/presence.h"

/* Return the presences of an instance, and create them at the first use. OK | NO_MEMORY */
VESTRY_API vestry_err vsi_presences_use(vestry *v, vsi_presences **ret_all);

/* A membership event: a member of one node joined or left a place. */
typedef struct vsi_presence_update {
  const char *presence; /* its name */
  vestry_slice place;   /* encoded key */
  const char *user;
  bool is_here;
} vsi_presence_update;

/* Return a hash of member, place and presence. It is the same on all nodes. */
VESTRY_API uint64_t vsi_presence_update_hash(const vsi_presence_update *update);
/* Return whether a member can be announced to the other nodes; true: there are none. The presence's lock is held. */
bool vsi_presence_fits_locked(const vestry_presence *presence, vestry_slice place, const char *user);

/* Begin and end the announcement of members to other nodes. The end removes no member. */
VESTRY_API void vsi_presences_begin(vsi_presences *all, const vsi_presence_watch *watch);
VESTRY_API void vsi_presences_end(vsi_presences *all);

/* Receives a membership event. Locks are held: it must not call a presence. */
typedef void (*vsi_presence_update_fn)(const vsi_presence_update *update, void *ctx);
/* Take all changes that wait to be announced. The changes count as announced afterwards. A new member that is too large
 * for a message is left out. */
VESTRY_API void vsi_presences_take(vsi_presences *all, vsi_presence_update_fn fn, void *ctx);
/* List all members that are announced as here. If the broker's limit has changed, other members may fit a message than
 * before. Then the sum of the hashes changes, so that all other nodes request a list. */
VESTRY_API void vsi_presences_list(vsi_presences *all, vsi_presence_update_fn fn, void *ctx);
/* Get the number of announced members, and the sum of their hashes. */
VESTRY_API void vsi_presences_sum(vsi_presences *all, uint64_t *ret_count, uint64_t *ret_sum);

/* Apply a membership event of another node. OK, also if this node has no such presence or no room | MALFORMED |
 * NO_MEMORY */
VESTRY_API vestry_err vsi_presences_apply(vsi_presences *all, unsigned node, const vsi_presence_update *update);
/* Begin and end a new list of all members of a node. vsi_presences_sweep removes the members that the node has not
 * listed since vsi_presences_doubt. */
VESTRY_API void vsi_presences_doubt(vsi_presences *all, unsigned node);
VESTRY_API void vsi_presences_sweep(vsi_presences *all, unsigned node);
/* Remove all members of a node. */
VESTRY_API void vsi_presences_forget(vsi_presences *all, unsigned node);
/* Return whether members of the node were left out for lack of room, and there is room now. */
VESTRY_API bool vsi_presences_have_room_again(vsi_presences *all, unsigned node);

/* Add a new presence to those of the instance, and remove it. A presence without a name stays outside. OK | EXISTS (the
 * name). No lock held. */
vestry_err vsi_presence_begin(vestry_presence *presence);
void vsi_presence_end(vestry_presence *presence);

#endif
