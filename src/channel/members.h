/* SPDX-License-Identifier: MIT */
/* A channel's members, in the order of joining and by connection. */
#ifndef VSI_CHANNEL_MEMBERS_H
#define VSI_CHANNEL_MEMBERS_H

#include <sys/queue.h>

#include "base/map.h"
#include "base/refs.h"
#include "connection/close_list.h"

/* One connection in one channel. */
typedef struct vsi_member {
  vsi_close_node at_close; /* first member: a node is its member */
  vsi_refs refs;
  bool in;       /* guarded by the channel's lock: in the list and the map */
  bool is_fresh; /* likewise: it has yet to receive the state; until then it gets events without their ids */
  struct vsi_channel *channel;   /* a reference */
  vestry_connection *connection; /* a reference */
  uint64_t number;               /* ascending in the order of joining */
  /* guarded by the channel's lock */
  TAILQ_ENTRY(vsi_member) in_order;
  vsi_map_link by_connection;
} vsi_member;

/* All guarded by the channel's lock. */
typedef struct vsi_members {
  const vestry_host *host;
  TAILQ_HEAD(, vsi_member) list;
  uint64_t last_number;
  vsi_map by_connection;
} vsi_members;

void vsi_members_init(vsi_members *members, const vestry_host *host);
void vsi_members_finish(vsi_members *members); /* empty */
vsi_member *vsi_members_find(const vsi_members *members, const vestry_connection *connection);
/* Reserve room for the first member. OK | NO_MEMORY */
vestry_err vsi_members_reserve(vsi_members *members);
/* Number a member and append it. If room for the first member was reserved, this never fails for memory. OK | EXISTS |
 * NO_MEMORY */
vestry_err vsi_members_add(vsi_members *members, vsi_member *member);
void vsi_members_remove(vsi_members *members, vsi_member *member);

#endif
