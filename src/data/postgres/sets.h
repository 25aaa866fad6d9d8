/* SPDX-License-Identifier: MIT */
/* The sets of the reads of renders, found by their keys. One thread at a time.
 *
 * A set has few keys itself: rows, blocks and leaves. The other keys, of definitions, tables and files, are the same
 * for every render of a page, so sets with the same ones are in one group, which has these keys once:
 *
 *     key of a row, a leaf ──→ sets                key of a table, a definition ──→ groups ──→ sets
 *
 * A set has a place for each row that its render has read, so freeing it takes longer than finding it. Therefore, a set
 * that a commit has matched only ends: no walk returns it, and it is freed later, on another thread than that of the
 * commits.
 *
 * There may be a million sets, so a walk over them takes long, and its owner may let others add and remove sets
 * meanwhile: the next place of each walk is kept here, and moves on if it is removed. A set that is added meanwhile may
 * be left out. */
#ifndef VSI_POSTGRES_SETS_H
#define VSI_POSTGRES_SETS_H

#include <sys/queue.h>

#include "base/map.h"
#include "data/postgres/keys.h"
#include "data/sql/stepped_map.h"

typedef struct vsi_postgres_set vsi_postgres_set;
typedef struct vsi_postgres_group vsi_postgres_group;

/* A key of a set or of a group. */
typedef struct vsi_postgres_place {
  vsi_stepped_link in; /* first */
  vsi_postgres_key key;
  union {
    vsi_postgres_set *set;     /* if the key names a part of a relation */
    vsi_postgres_group *group; /* otherwise */
  } of;
} vsi_postgres_place;

typedef struct vsi_postgres_later vsi_postgres_later; /* a place that a set got when its leaf was split */

struct vsi_postgres_set {
  LIST_ENTRY(vsi_postgres_set) in; /* of its group */
  vsi_postgres_group *group;       /* NULL: it has ended */
  uint64_t number;
  uint64_t from, to; /* its snapshot; the numbers of running transactions are behind the places */
  uint32_t running_count, places_count;
  vsi_postgres_later *later;
  vsi_postgres_place places[];
};

/* A walk: over all sets, or over those with a key. */
typedef struct vsi_postgres_walk {
  vsi_postgres_place *place; /* the next one with the key; NULL: none, or a walk over all */
  vsi_postgres_group *group; /* of `next`; NULL: at the end */
  vsi_postgres_set *next;    /* NULL: continue with the next group or place */
  bool is_all, is_part;
} vsi_postgres_walk;

enum { VSI_POSTGRES_USED = 1024 };

/* Initialize the host; the rest is zero. */
typedef struct vsi_postgres_sets {
  const vestry_host *host;
  vsi_stepped_map places;
  uint32_t used[VSI_POSTGRES_USED]; /* number of places by a hash of the relation and kind of their key */
  vsi_map groups;
  LIST_HEAD(, vsi_postgres_group) all;
  vsi_postgres_walk walk, sweep; /* sweep: over all, again and again */
  LIST_HEAD(, vsi_postgres_set) ended;
  size_t ended_count;
  size_t count, bytes; /* count: without ended ones; bytes: with them, without the buckets of the maps */
} vsi_postgres_sets;

static inline size_t vsi_postgres_sets_used_at(vsi_postgres_key key) {
  _Static_assert(VSI_POSTGRES_USED == 1 << 10, "the upper ten bits");
  return (uint32_t)((key.relation * 16 + key.kind) * 0x9E3779B1u) >> 22;
}
/* Return whether a set or a group may have a key. A commit has keys of several kinds, and few sets have those of whole
 * tables or indexes; also, no page reads many of the relations. So most lookups end here, without a miss of the
 * cache. */
static inline bool vsi_postgres_sets_may_have(const vsi_postgres_sets *sets, vsi_postgres_key key) {
  return sets->used[vsi_postgres_sets_used_at(key)] > 0;
}

/* Free all sets. */
void vsi_postgres_sets_finish(vsi_postgres_sets *sets);
/* Return the memory that a set with these keys will take, unless its group is new. */
size_t vsi_postgres_sets_wanted(const vsi_postgres_keys *keys, const vsi_postgres_snapshot *snapshot);
/* Add a set. OK | NO_MEMORY */
vestry_err vsi_postgres_sets_add(vsi_postgres_sets *sets, uint64_t number, const vsi_postgres_keys *keys,
                                 const vsi_postgres_snapshot *snapshot);
void vsi_postgres_sets_remove(vsi_postgres_sets *sets, vsi_postgres_set *set);
/* End a set, in constant time. */
void vsi_postgres_sets_end(vsi_postgres_sets *sets, vsi_postgres_set *set);
/* Free at most this number of sets that have ended. */
void vsi_postgres_sets_free_ended(vsi_postgres_sets *sets, size_t count);
/* Return whether a set has a key. */
bool vsi_postgres_sets_have(vsi_postgres_sets *sets, vsi_postgres_key key);
/* Add the key `to` to each set that has the key `from`; both are leaves. OK | NO_MEMORY */
vestry_err vsi_postgres_sets_move(vsi_postgres_sets *sets, vsi_postgres_key from, vsi_postgres_key to);

/* Begin a walk over all sets, or over those that have a key. There is one at a time. */
void vsi_postgres_sets_walk(vsi_postgres_sets *sets);
void vsi_postgres_sets_walk_key(vsi_postgres_sets *sets, vsi_postgres_key key);
/* Return the next set of the walk; NULL: there are no more. */
vsi_postgres_set *vsi_postgres_sets_next(vsi_postgres_sets *sets);
/* Return the next set of an endless walk over all sets; NULL: continue from the beginning with the next call. */
vsi_postgres_set *vsi_postgres_sets_sweep(vsi_postgres_sets *sets);

/* Return the snapshot of a set, which is valid as long as the set. */
static inline vsi_postgres_snapshot vsi_postgres_set_snapshot(vsi_postgres_set *s) {
  return (vsi_postgres_snapshot){s->from, s->to, (uint64_t *)(void *)&s->places[s->places_count], s->running_count};
}
static inline bool vsi_postgres_set_sees(vsi_postgres_set *s, uint64_t xid) {
  const vsi_postgres_snapshot of = vsi_postgres_set_snapshot(s);
  return vsi_postgres_snapshot_sees(&of, xid);
}

#endif
