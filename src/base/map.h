/* SPDX-License-Identifier: MIT */
/* A hash map whose members embed their links, each with its hash. It has chains in a power of two of buckets, with one
 * member for each bucket on average. A lookup visits the members that have the hash, and the caller compares their
 * keys, so no function is called through a pointer. The upper bits of a hash choose the bucket. Zeroes are an empty
 * map. Only buckets are allocated; they grow and never shrink.
 *
 * Concurrency Kit's ck_ht and ck_rhs store pairs in slots. Their allocator is a table of global functions without a
 * context, so they cannot use the host's memory. They move the whole table under their user's lock when it grows. Their
 * members have no links, so adding one may need memory. A lookup takes 5 ns here and 30 ns in ck_ht; removing a member
 * and adding it again takes 6 ns here and 53 ns in ck_ht (bench-containers: 10,000 numbers, two processors). The store
 * and the cluster's keys have separate tables that are made for their lookups.
 *
 * With VSI_NO_SLACK (base/array.h) the buckets of a small map move at each reservation. */
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

enum {
  VSI_MAP_FIRST_BITS = 4,
#ifdef VSI_NO_SLACK
  VSI_MAP_MOVES_BITS = 10 /* up to this number of buckets */
#else
  VSI_MAP_MOVES_BITS = 0
#endif
};

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
  return map->buckets && bits == map->bits && bits > VSI_MAP_MOVES_BITS ? 0 : bits;
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

/* ----------------------------------------------------------------------------------------- growing in steps ------- */

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

enum {
#ifdef VSI_NO_SLACK
  VSI_STEPPED_FIRST_BITS = 1,
  VSI_STEPPED_MOVED = 1,
#else
  VSI_STEPPED_FIRST_BITS = 4,
  VSI_STEPPED_MOVED = 8, /* buckets with each reservation */
#endif
};

static inline vsi_stepped_link **vsi_stepped_bucket(const vsi_stepped_map *map, uint64_t hash) {
  const size_t at = (size_t)(hash >> (64 - map->bits));
  return map->former && at / 2 >= map->moved ? &map->former[at / 2] : &map->buckets[at];
}

/* Return the first member of some key in the bucket of a hash; the `next` of each is that of another key. NULL: none */
static inline vsi_stepped_link *vsi_stepped_map_keys(const vsi_stepped_map *map, uint64_t hash) {
  return map->buckets ? *vsi_stepped_bucket(map, hash) : NULL;
}
/* Return the same for a part of all hashes, from *at on, and advance *at, which is 0 at the beginning and after the
 * last part. Members may be added and removed between the calls. */
static inline vsi_stepped_link *vsi_stepped_map_part(const vsi_stepped_map *map, uint64_t *at) {
  if (!map->buckets) return NULL;
  vsi_stepped_link **bucket = vsi_stepped_bucket(map, *at);
  const bool is_former = bucket != &map->buckets[*at >> (64 - map->bits)];
  *at += UINT64_C(1) << (64 - map->bits + is_former); /* the hashes of the bucket begin at `at` */
  return *bucket;
}
/* Return the next member with the same key; NULL: there is none. */
static inline vsi_stepped_link *vsi_stepped_further(const vsi_stepped_link *at) {
  return at->other & 1 ? (vsi_stepped_link *)(at->other - 1) : at->next;
}

/* Load what the removal of a member will need. */
static inline void vsi_stepped_map_prefetch(const vsi_stepped_map *map, const vsi_stepped_link *link,
                                            vsi_stepped_hash *hash, const void *ctx) {
  const void *before = link->other & 1 ? (void *)vsi_stepped_bucket(map, hash(ctx, link)) : (void *)link->other;
  __builtin_prefetch(before);
  __builtin_prefetch(vsi_stepped_further(link));
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
