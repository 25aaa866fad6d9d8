/* SPDX-License-Identifier: MIT */
/* The members of a channel: a list in the order of joining, and a map by connection. */
#include "channel/members.h"

#include "base/hash.h"
#include "connection/connection.h"

void vsi_members_init(vsi_members *members, const vestry_host *host) {
  *members = (vsi_members){.host = host};
  TAILQ_INIT(&members->list);
}

void vsi_members_finish(vsi_members *members) {
  vsi_map_finish(&members->by_connection, members->host);
}

/* Each connection has a different hash. */
static uint64_t hash_of(const vestry_connection *connection) {
  return vsi_hash_number(vsi_connection_id(connection));
}

vsi_member *vsi_members_find(const vsi_members *members, const vestry_connection *connection) {
  return VSI_MAP_OWNER(vsi_map_first(&members->by_connection, hash_of(connection)), vsi_member, by_connection);
}

vestry_err vsi_members_reserve(vsi_members *members) {
  return vsi_map_reserve(&members->by_connection, members->host, 1);
}

vestry_err vsi_members_add(vsi_members *members, vsi_member *member) {
  vsi_map *map = &members->by_connection;
  if (vsi_members_find(members, member->connection)) return VESTRY_EXISTS;
  if (vsi_map_reserve(map, members->host, map->count + 1)) return VESTRY_NO_MEMORY;
  vsi_map_add(map, &member->by_connection, hash_of(member->connection));
  member->number = ++members->last_number;
  member->in = true;
  TAILQ_INSERT_TAIL(&members->list, member, in_order);
  return VESTRY_OK;
}

void vsi_members_remove(vsi_members *members, vsi_member *member) {
  vsi_map_remove(&members->by_connection, &member->by_connection);
  TAILQ_REMOVE(&members->list, member, in_order);
  member->in = false;
}
