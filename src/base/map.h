/* SPDX-License-Identifier: MIT */
/* A hash map whose members embed their links, each with its hash. It has chains in a power of two of buckets, with one
 * member for each bucket on average. A lookup visits the members that have the hash, and the caller compares their
 * keys, so no function is called through a pointer. The upper bits of a hash choose the bucket. Zeroes are an empty
 * map. Only buckets are allocated; they grow and never shrink.
 *
 * Concurrency Kit's ck_ht and ck_rhs store pairs in slots. Their allocator is a table of global functions without a
 * context, so they cannot use the host's memory. They move the whole table under their user's lock when it grows. Their
 * members have no links, so adding one may need memory. A lookup takes 5 ns here and 30 ns in ck_ht; removing a member
 * and adding it again takes 6 ns here and 53 ns in ck_ht (10,000 numbers, two processors). The store
 * and the cluster's keys have separate tables that are made for their lookups. */
#ifndef VSI_BASE_MAP_H
#define VSI_BASE_MAP_H

#include <stdbool.h>

#include "base/assert.h"
#include "base/memory.h"
#include "vestry/error.h"

typedef struct vsi_map_link {
  struct vsi_map_link *next; /* in its bucket */
  uint64_t hash;
} vsi_map_link;

typedef struct vsi_map {
  vsi_map_link **buckets; /* NULL: none yet */
  size_t count;           /* members */
  unsigned bits;          /* 2^bits buckets */
} vsi_map;

enum { VSI_MAP_FIRST_BITS = 4 };

/* Return the object that embeds a link, or NULL for NULL. `type` and `member`: as for offsetof. */
#define VSI_MAP_OWNER(link, type, member) ((type *)vsi_map_owner(link, offsetof(type, member)))
static inline void *vsi_map_owner(const vsi_map_link *link, size_t offset) {
  return link ? (void *)((uintptr_t)link - offset) : NULL;
}

/* Free the buckets. The members belong to the caller. */
static inline void vsi_map_finish(vsi_map *map, const vestry_host *host) {
  vsi_free(host, map->buckets);
  *map = (vsi_map){.buckets = NULL};
}

static inline vsi_map_link **vsi_map_bucket(const vsi_map *map, uint64_t hash) {
  return &map->buckets[hash >> (64 - map->bits)];
}

/* Return the first member from `at` on in its bucket that has the hash; NULL: none. */
static inline vsi_map_link *vsi_map_along(vsi_map_link *at, uint64_t hash) {
  while (at && at->hash != hash) at = at->next;
  return at;
}
/* Return the first member with a hash, and the next one after each; NULL: there are no more. */
static inline vsi_map_link *vsi_map_first(const vsi_map *map, uint64_t hash) {
  return map->buckets ? vsi_map_along(*vsi_map_bucket(map, hash), hash) : NULL;
}
static inline vsi_map_link *vsi_map_further(const vsi_map_link *at) {
  return vsi_map_along(at->next, at->hash);
}

/* Begin to load the bucket of a hash; later the first member there, whose object has that many bytes. Lookups of
 * several hashes then wait for the memory together. */
static inline void vsi_map_prefetch_bucket(const vsi_map *map, uint64_t hash) {
  if (map->buckets) __builtin_prefetch(vsi_map_bucket(map, hash));
}
static inline void vsi_map_prefetch_first(const vsi_map *map, uint64_t hash, size_t bytes) {
  const char *first = map->buckets ? (const char *)*vsi_map_bucket(map, hash) : NULL;
  for (size_t at = 0; first && at < bytes; at += 64) __builtin_prefetch(first + at, 1);
}

/* Iterate over all members in any order: return the member after this one, or the first for NULL; NULL: there are no
 * more. */
VESTRY_API vsi_map_link *vsi_map_after(const vsi_map *map, const vsi_map_link *at);

/* Free the map and its members; each member is one allocation. offset: of the link in it. */
VESTRY_API void vsi_map_free_all(vsi_map *map, const vestry_host *host, size_t offset);

/* Add a member. There must be buckets. */
static inline void vsi_map_add(vsi_map *map, vsi_map_link *link, uint64_t hash) {
  VSI_ASSERT(map->buckets);
  vsi_map_link **bucket = vsi_map_bucket(map, hash);
  *link = (vsi_map_link){*bucket, hash};
  *bucket = link;
  map->count++;
}
static inline void vsi_map_remove(vsi_map *map, const vsi_map_link *link) {
  vsi_map_link **at = vsi_map_bucket(map, link->hash);
  while (VSI_ASSERT(*at), *at != link) at = &(*at)->next; /* it must be there */
  VSI_ASSERT(map->count > 0);
  *at = link->next;
  map->count--;
}

/* --------------------------------------------------------------------------------------------------- growing ------ */

/* Buckets outside a map: its future buckets, allocated while its user holds no lock, or its former buckets. */
typedef struct vsi_map_room {
  vsi_map_link **buckets; /* NULL: none */
  unsigned bits;
} vsi_map_room;

/* Return the number of bits for this number of members; 0: the map has enough. */
static inline unsigned vsi_map_wanted(const vsi_map *map, size_t count) {
  unsigned bits = map->buckets ? map->bits : VSI_MAP_FIRST_BITS;
  while (bits < 48 && count > (size_t)1 << bits) bits++;
  return map->buckets && bits == map->bits ? 0 : bits;
}
/* Allocate buckets. OK, also if bits is 0 or room has them already | NO_MEMORY: room has none */
VESTRY_API vestry_err vsi_map_room_make(vsi_map_room *room, const vestry_host *host, unsigned bits);
/* Give the map these buckets if they are more; room then has the former buckets, to be freed. */
VESTRY_API void vsi_map_room_take(vsi_map *map, vsi_map_room *room);
static inline void vsi_map_room_free(vsi_map_room *room, const vestry_host *host) {
  vsi_free(host, room->buckets);
}

/* Reserve room for this number of members. Without memory a map that has buckets keeps them, and becomes slower. OK |
 * NO_MEMORY: it has none */
VESTRY_API vestry_err vsi_map_reserve(vsi_map *map, const vestry_host *host, size_t count);

#endif
