/* SPDX-License-Identifier: MIT */
/* A map that grows in steps. Header only, because the libraries of both databases use it. */
#ifndef VSI_SQL_STEPPED_MAP_H
#define VSI_SQL_STEPPED_MAP_H

#include <stdbool.h>

#include "base/assert.h"
#include "base/memory.h"
#include "vestry/error.h"

/* A map for millions of members, of which many may have the same key. The first member with a key is in a bucket, and
 * the others are in a list behind it: so each is removed in constant time, and they slow down no other key. A link has
 * no hash; a function of the user computes it, if a first member is removed or its bucket moves. The growth of a
 * vsi_map moves all members at once, which takes 0.1 s for a million; this one moves a few buckets with each
 * reservation, and has two arrays of them meanwhile. Zeroes are an empty map. */
typedef struct vsi_stepped_link {
  struct vsi_stepped_link *next; /* of a first member: another key's in its bucket; else the next with the same key */
  uintptr_t other;               /* of a first member: 1 + the second one, or 1; else the one before it */
} vsi_stepped_link;

typedef struct vsi_stepped_map {
  vsi_stepped_link **buckets; /* 2^bits; NULL: none yet */
  vsi_stepped_link **former;  /* half as many, of which `moved` are in buckets; NULL: all are */
  size_t count, keys_count, moved;
  unsigned bits;
} vsi_stepped_map;

typedef uint64_t vsi_stepped_hash(const void *ctx, const vsi_stepped_link *of);

enum { VSI_STEPPED_FIRST_BITS = 4, VSI_STEPPED_MOVED = 8 }; /* MOVED: buckets with each reservation */

static inline vsi_stepped_link **vsi_stepped_bucket(const vsi_stepped_map *map, uint64_t hash) {
  const size_t at = (size_t)(hash >> (64 - map->bits));
  return map->former && at / 2 >= map->moved ? &map->former[at / 2] : &map->buckets[at];
}

/* Return the first member of some key in the bucket of a hash; the `next` of each is that of another key. NULL: none */
static inline vsi_stepped_link *vsi_stepped_map_keys(const vsi_stepped_map *map, uint64_t hash) {
  return map->buckets ? *vsi_stepped_bucket(map, hash) : NULL;
}
/* Return the next member with the same key; NULL: there is none. */
static inline vsi_stepped_link *vsi_stepped_further(const vsi_stepped_link *at) {
  return at->other & 1 ? (vsi_stepped_link *)(at->other - 1) : at->next;
}

static inline void vsi_stepped_set_further(vsi_stepped_link *at, vsi_stepped_link *next) {
  if (at->other & 1)
    at->other = (uintptr_t)next + 1;
  else
    at->next = next;
}

/* Reserve room for a member with another key. Without memory a map that has buckets keeps them, and becomes slower. OK
 * | NO_MEMORY: it has none */
static inline vestry_err vsi_stepped_map_reserve(vsi_stepped_map *map, const vestry_host *host, vsi_stepped_hash *hash,
                                                 const void *ctx) {
  for (int i = 0; map->former && i < VSI_STEPPED_MOVED; i++) {
    vsi_stepped_link *at = map->former[map->moved++];
    for (vsi_stepped_link *next; at; at = next) {
      vsi_stepped_link **bucket = &map->buckets[hash(ctx, at) >> (64 - map->bits)];
      next = at->next;
      at->next = *bucket;
      *bucket = at;
    }
    if (map->moved < (size_t)1 << (map->bits - 1)) continue;
    vsi_free(host, map->former);
    map->former = NULL;
  }
  if (map->buckets && (map->former || map->keys_count < (size_t)1 << map->bits)) return VESTRY_OK;
  const unsigned bits = map->buckets ? map->bits + 1 : VSI_STEPPED_FIRST_BITS;
  vsi_stepped_link **made = vsi_calloc(host, (size_t)1 << bits, sizeof *made);
  if (!made) return map->buckets ? VESTRY_OK : VESTRY_NO_MEMORY;
  map->former = map->buckets;
  map->buckets = made;
  map->bits = bits;
  map->moved = 0;
  return VESTRY_OK;
}

/* Add the first member with a key, after a reservation. */
static inline void vsi_stepped_map_add(vsi_stepped_map *map, vsi_stepped_link *link, uint64_t hash) {
  VSI_ASSERT(map->buckets);
  vsi_stepped_link **bucket = vsi_stepped_bucket(map, hash);
  *link = (vsi_stepped_link){*bucket, 1};
  *bucket = link;
  map->count++;
  map->keys_count++;
}
/* Add a further one, directly behind a member with the same key. */
static inline void vsi_stepped_map_add_behind(vsi_stepped_map *map, vsi_stepped_link *link, vsi_stepped_link *before) {
  *link = (vsi_stepped_link){vsi_stepped_further(before), (uintptr_t)before};
  if (link->next) link->next->other = (uintptr_t)link;
  vsi_stepped_set_further(before, link);
  map->count++;
}
static inline void vsi_stepped_map_remove(vsi_stepped_map *map, const vsi_stepped_link *link, vsi_stepped_hash *hash,
                                          const void *ctx) {
  vsi_stepped_link *next = vsi_stepped_further(link);
  VSI_ASSERT(map->count > 0);
  map->count--;
  if (!(link->other & 1)) {
    if (next) next->other = link->other;
    vsi_stepped_set_further((vsi_stepped_link *)link->other, next);
    return;
  }
  vsi_stepped_link **at = vsi_stepped_bucket(map, hash(ctx, link));
  while (VSI_ASSERT(*at), *at != link) at = &(*at)->next; /* it must be there */
  *at = next ? next : link->next;
  map->keys_count -= !next;
  if (next) *next = (vsi_stepped_link){link->next, (uintptr_t)next->next + 1};
}

/* Free the buckets. The members belong to the caller. */
static inline void vsi_stepped_map_finish(vsi_stepped_map *map, const vestry_host *host) {
  vsi_free(host, map->former);
  vsi_free(host, map->buckets);
  *map = (vsi_stepped_map){.count = 0};
}

#endif
