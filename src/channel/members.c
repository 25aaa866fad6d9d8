/* SPDX-License-Identifier: MIT */
/* The table is no base/map: a connection's number, which it has anyhow, is its hash, so a member has 8 bytes for its
 * bucket's chain and not 16, and there is one for each stream of a channel. */
#include "channel/members.h"

#include "base/memory.h"
#include "connection/connection.h"

enum { FIRST_BUCKETS = 16 };

void vsi_members_init(vsi_members *members, const vestry_host *host) {
  *members = (vsi_members){.host = host};
  TAILQ_INIT(&members->list);
}

void vsi_members_finish(vsi_members *members) {
  vsi_free(members->host, members->buckets);
}

/* Connections are numbered one after the other, so their numbers spread by themselves. */
static vsi_member **bucket_of(const vsi_members *members, const vestry_connection *connection) {
  return &members->buckets[vsi_connection_id(connection) & (members->buckets_count - 1)];
}

vsi_member *vsi_members_find(const vsi_members *members, const vestry_connection *connection) {
  if (!members->buckets_count) return NULL;
  vsi_member *at = *bucket_of(members, connection);
  while (at && at->connection != connection) at = at->chain_next;
  return at;
}

static void put_in_bucket(vsi_members *members, vsi_member *member) {
  vsi_member **bucket = bucket_of(members, member->connection);
  member->chain_next = *bucket;
  *bucket = member;
}

/* Room for one more. A table that cannot grow is slower, but works. */
static vestry_err grow(vsi_members *members) {
  if (members->count < members->buckets_count) return VESTRY_OK;
  size_t count = members->buckets_count ? members->buckets_count * 2 : FIRST_BUCKETS;
  vsi_member **buckets = vsi_calloc(members->host, count, sizeof *buckets);
  if (!buckets) return members->buckets_count ? VESTRY_OK : VESTRY_NO_MEMORY;
  vsi_free(members->host, members->buckets);
  members->buckets = buckets;
  members->buckets_count = count;
  for (vsi_member *at = TAILQ_FIRST(&members->list); at; at = TAILQ_NEXT(at, in_order)) put_in_bucket(members, at);
  return VESTRY_OK;
}

vestry_err vsi_members_reserve(vsi_members *members) {
  return members->buckets_count ? VESTRY_OK : grow(members);
}

vestry_err vsi_members_add(vsi_members *members, vsi_member *member) {
  if (vsi_members_find(members, member->connection)) return VESTRY_EXISTS;
  vestry_err error = grow(members);
  if (error) return error;
  put_in_bucket(members, member);
  member->number = ++members->last_number;
  member->in = true;
  TAILQ_INSERT_TAIL(&members->list, member, in_order);
  members->count++;
  return VESTRY_OK;
}

void vsi_members_remove(vsi_members *members, vsi_member *member) {
  vsi_member **at = bucket_of(members, member->connection);
  while (*at != member) at = &(*at)->chain_next;
  *at = member->chain_next;
  TAILQ_REMOVE(&members->list, member, in_order);
  member->in = false;
  members->count--;
}
