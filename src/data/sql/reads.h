/* SPDX-License-Identifier: MIT */
/* essay: one index of the reads of renders, for both databases */
/* The reads of renders, found by the keys that commits write. A key names a thing that a render can read and a commit
 * can write, such as a row, a table or a part of an index. The database makes the keys, and decides whether a commit
 * concerns a set with which it has a key in common; this module has the rest.
 *
 * A set has the reads of one render. Its topic is named by its number, and before the set is entered. It ends when a
 * commit concerns it; the render that follows enters another set. So there is nothing to revive, and nothing is stale.
 *
 * Some kinds of keys are of the set itself: rows and parts of indexes. The others, such as tables and definitions, are
 * the same for every render of a page, so sets with the same ones are in one group, which has these keys once:
 *
 *     key of a row, a leaf ──→ sets                key of a table, a definition ──→ groups ──→ sets
 *
 * A running render has no set yet. It has a ticket: the time of a clock before its transaction began. (This clock is a
 * counter.) A commit that renders can see from now on is published, which puts it into the ring; then the sets that it
 * may concern are walked. It stays in the ring while a ticket is older. A render with such a ticket compares its reads
 * with the ring at its end, and runs again if a commit of the ring concerns them; a render with a later ticket sees the
 * commit. Therefore:
 *
 *     A commit is in the ring, or has been walked against every set whose ticket is older than it.
 *
 * If the ring is full, commits leave it, the oldest first, and renders with older tickets run again.
 *
 * The lock. A commit can concern every set, of which there may be a million. Renders that wait for the lock get it
 * after each STEP of a walk. A set that is entered meanwhile has been compared with the commit, which is published
 * before the walk, and is held in the ring until its end. One thread at a time walks.
 *
 * A set has a place for each row that its render has read, so freeing it takes longer than finding it. Therefore, a set
 * that a commit concerns only ends: no walk returns it, and it is freed later, as a rule by a thread that renders. */
#ifndef VSI_SQL_READS_H
#define VSI_SQL_READS_H

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/queue.h>

#include "base/map.h"
#include "base/mutex.h"
#include "data/sql/stepped_map.h"

/* A key of a set. Two are equal if all members are. PostgreSQL's are in data/postgres/keys.h. Those of SQLite have the
 * table in `offset`, and the two halves of a value, or the number of a file page, in the first two members. */
typedef struct vsi_read_key {
  uint32_t relation, block;
  uint16_t offset, kind;
} vsi_read_key;

static inline bool vsi_read_keys_are_equal(const vsi_read_key *a, const vsi_read_key *b) {
  return a->relation == b->relation && a->block == b->block && a->offset == b->offset && a->kind == b->kind;
}

typedef struct vsi_read_set vsi_read_set;
typedef struct vsi_read_group vsi_read_group;

/* A key of a set or of a group. */
typedef struct vsi_read_place {
  vsi_stepped_link in; /* first */
  vsi_read_key key;
  union {
    vsi_read_set *set;
    vsi_read_group *group;
  } of;
} vsi_read_place;

typedef struct vsi_read_later vsi_read_later; /* a place that a set got when its leaf was split */

struct vsi_read_set {
  LIST_ENTRY(vsi_read_set) in; /* of its group */
  vsi_read_group *group;       /* NULL: it has ended */
  uint64_t number;
  vsi_read_later *later;
  uint32_t places_count, bytes; /* bytes: of the database's data, which are behind the places */
  vsi_read_place places[];
};

/* The sets with the same keys of other kinds. It has at least one. */
struct vsi_read_group {
  vsi_map_link in; /* first; its hash is that of its keys and data, in their order */
  LIST_ENTRY(vsi_read_group) in_all;
  LIST_HEAD(, vsi_read_set) sets;
  uint64_t since;          /* the clock when it was made */
  bool is_hidden;          /* later sets have another group */
  bool has_turned;         /* it is found by its further keys now (vsi_reads_turn) */
  uint32_t count, further; /* number of keys, and of further keys */
  uint32_t bytes;          /* of the database's data, which are behind the places */
  vsi_read_place places[];
};

static inline void *vsi_read_set_data(vsi_read_set *s) {
  return &s->places[s->places_count];
}
static inline void *vsi_read_group_data(vsi_read_group *g) {
  return &g->places[g->count + g->further];
}

/* The content of a set that is entered. */
typedef struct vsi_read_content {
  const vsi_read_key *keys, *further; /* further: of its group */
  size_t count, further_count;
  const void *shared; /* the group's data: sets with others are in other groups */
  size_t shared_bytes;
  size_t bytes; /* of the set's own data, which the caller writes */
} vsi_read_content;

/* A commit in the ring: the beginning of the database's struct. */
typedef struct vsi_read_commit {
  TAILQ_ENTRY(vsi_read_commit) in;
  uint64_t published; /* time of the clock; 0: not yet */
  uint64_t at_ns;     /* when it was seen; 0: not needed */
  size_t bytes;       /* of its keys */
  bool is_held;       /* its sets are being walked */
  bool is_quiet;      /* it does not concern renders that depend on everything */
} vsi_read_commit;
TAILQ_HEAD(vsi_read_ring, vsi_read_commit);

/* A running render. Its owner provides the memory. */
typedef struct vsi_read_ticket {
  TAILQ_ENTRY(vsi_read_ticket) in;
  uint64_t at;
} vsi_read_ticket;

/* A set that a commit concerns. It has ended, and its render must run again. */
typedef struct vsi_read_hit {
  uint64_t number;
  uint64_t at_ns;   /* of the commit */
  vsi_read_key key; /* that they have in common; kind 0: none */
  bool is_used;     /* set by the owner: a page needs the set */
} vsi_read_hit;

enum {
  VSI_READS_HITS_MOST = 32, /* reported at once */
  VSI_READS_EVERYTHING = 0, /* number of the set that every commit concerns */
  VSI_READS_USED = 1024
};

typedef struct vsi_reads_options {
  const vestry_host *host;
  size_t max_bytes;   /* of sets; beyond it a set is refused if a smaller one is possible */
  size_t more_bytes;  /* for sets that cannot be smaller */
  size_t max_ring;    /* number of commits, and */
  size_t ring_bytes;  /* their bytes */
  uint32_t own_kinds; /* bits of the kinds, modulo 32, of keys of sets */
  uint64_t (*hash)(const void *ctx, const vsi_read_key *key);
  /* Called under the lock: commits concern these sets; whether a page needs a set; a commit leaves the ring; whether a
   * set may still be in a group (NULL: yes). */
  void (*hit)(void *ctx, vsi_read_hit *hits, size_t count);
  bool (*is_used)(void *ctx, uint64_t number);
  void (*drop)(void *ctx, vsi_read_commit *commit);
  bool (*is_current)(const void *ctx, vsi_read_group *group);
  void *ctx;
} vsi_reads_options;

/* A walk: over all sets, or over those with a key. */
typedef struct vsi_read_walk {
  vsi_read_place *place; /* the next one with the key; NULL: none, or a walk over all */
  vsi_read_group *group; /* of `next`; NULL: at the end */
  vsi_read_set *next;    /* NULL: continue with the next group or place */
  bool is_all;
} vsi_read_walk;

typedef struct vsi_reads {
  vsi_reads_options is;
  vsi_mutex lock;
  pthread_cond_t ended;      /* a render has ended, or had the lock while a walk gave way */
  _Atomic(uint64_t) numbers; /* relaxed: only unique */
  _Atomic(unsigned) waiting; /* threads that want the lock; relaxed: a hint */
  /* All below is guarded by the lock. */
  uint64_t clock;
  uint64_t forgotten;                    /* renders with tickets up to this may have missed an unknown commit */
  TAILQ_HEAD(, vsi_read_ticket) tickets; /* the oldest first */
  struct vsi_read_ring ring;             /* in the order of publication */
  size_t ring_count, ring_bytes;         /* the database may add those of other commits */
  vsi_stepped_map places;
  vsi_map groups;
  uint32_t used[VSI_READS_USED]; /* number of places by a hash of the relation and kind of their key */
  LIST_HEAD(, vsi_read_group) all;
  vsi_read_walk walk, sweep; /* sweep: over all, again and again */
  LIST_HEAD(, vsi_read_set) gone;
  size_t gone_count;
  size_t count, bytes;      /* count: without ended sets; bytes: with them, without the buckets of the maps */
  uint64_t overtaken_count; /* renders that ended OVERTAKEN */
  size_t walked;            /* sets and keys that the walk has passed */
  bool gives_way;           /* the walk waits until another thread has had the lock */
  bool has_whole;           /* a render depends on everything */
  vsi_read_hit hits[VSI_READS_HITS_MOST]; /* not reported yet; none while others may have the lock */
  size_t hits_count;
} vsi_reads;

VESTRY_API void vsi_reads_init(vsi_reads *reads, const vsi_reads_options *options);
VESTRY_API void vsi_reads_finish(vsi_reads *reads);
/* Return a number for a set: never 0. */
VESTRY_API uint64_t vsi_reads_number(vsi_reads *reads);
/* Write the topic that the render of a set names: the kind of database, the object that has the index, and the number
 * of the set. Returns its length. */
enum { VSI_READS_TOPIC_BYTES = 48 };
static inline size_t vsi_reads_topic(const char *kind, const void *of, uint64_t number,
                                     char topic[VSI_READS_TOPIC_BYTES]) {
  return (size_t)snprintf(topic, VSI_READS_TOPIC_BYTES, "%s/%" PRIxPTR "/%" PRIx64, kind, (uintptr_t)of, number);
}

/* Take the lock, to which walks give way. The thread that walks takes the mutex itself. */
VESTRY_API void vsi_reads_lock(vsi_reads *reads);
VESTRY_API void vsi_reads_unlock(vsi_reads *reads);

/* ---- renders ---- */

/* Begin a render, before its transaction begins; and end one that depends on nothing. Both without the lock. */
VESTRY_API void vsi_reads_begin(vsi_reads *reads, vsi_read_ticket *ticket);
VESTRY_API void vsi_reads_leave(vsi_reads *reads, vsi_read_ticket *ticket);
/* End a render, under the lock. */
VESTRY_API void vsi_reads_end(vsi_reads *reads, vsi_read_ticket *ticket);
/* Let the next commit hit everything, because a render without a ticket is about to begin. */
VESTRY_API void vsi_reads_add_whole(vsi_reads *reads);

/* ENTERED    the next commit that concerns the set hits the render
 * OVERTAKEN  such a commit is visible already: the render must run again; nothing was entered
 * LARGE      the set would be too large with these keys, and was not entered: enter fewer keys, with is_least
 * WHOLE      there is no room, or no memory: let the render depend on the set EVERYTHING, and call
 *            vsi_reads_enter_whole with its ticket, which is valid until then */
typedef enum vsi_read_entry { VSI_READS_ENTERED, VSI_READS_OVERTAKEN, VSI_READS_LARGE, VSI_READS_WHOLE } vsi_read_entry;
/* Enter a set under the lock, after its keys were compared with the ring. The topic of that number must have been
 * named. Never OVERTAKEN. */
VESTRY_API vsi_read_entry vsi_reads_enter(vsi_reads *reads, uint64_t number, const vsi_read_content *content,
                                          bool is_least, vsi_read_set **ret_set);
/* End a render that depends on EVERYTHING, without the lock: OVERTAKEN, or WHOLE: the next commit hits it. */
VESTRY_API vsi_read_entry vsi_reads_enter_whole(vsi_reads *reads, vsi_read_ticket *ticket);
/* Wait until no render runs that began before this call, or until that time. false: the time is over. */
VESTRY_API bool vsi_reads_wait(vsi_reads *reads, uint64_t until_ns);

/* ---- commits, under the lock ---- */

/* Publish a commit: put it into the ring, where it is held until vsi_reads_walked, which drops it if no running render
 * can need it. */
VESTRY_API void vsi_reads_publish(vsi_reads *reads, vsi_read_commit *commit);
VESTRY_API void vsi_reads_walked(vsi_reads *reads, vsi_read_commit *commit);
/* Drop commits of the ring, the oldest first, while there are too many. Returns whether there still are. */
VESTRY_API bool vsi_reads_shrink(vsi_reads *reads);
/* Drop all commits of the ring: renders that run may have missed an unknown commit. */
VESTRY_API void vsi_reads_forget(vsi_reads *reads);

/* Begin a walk over all sets, or over those that have a key. Sets that are added meanwhile may be left out. */
VESTRY_API void vsi_reads_walk(vsi_reads *reads);
VESTRY_API void vsi_reads_walk_key(vsi_reads *reads, const vsi_read_key *key);
/* Return the next set of the walk; NULL: there are no more. */
VESTRY_API vsi_read_set *vsi_reads_next(vsi_reads *reads);
/* In a walk, between two sets or keys: let others have the lock from time to time. */
VESTRY_API void vsi_reads_give_way(vsi_reads *reads);
/* End a set that a commit concerns, in constant time; end the renders that depend on everything. */
VESTRY_API void vsi_reads_hit(vsi_reads *reads, vsi_read_set *set, vsi_read_key key, uint64_t at_ns);
VESTRY_API void vsi_reads_hit_whole(vsi_reads *reads, uint64_t at_ns);
/* Report the hits, at the end of a walk at the latest. */
VESTRY_API void vsi_reads_report(vsi_reads *reads);
/* Let a group be found by its further keys instead of its keys, and by no later set. */
VESTRY_API void vsi_reads_turn(vsi_reads *reads, vsi_read_group *group);

/* Return whether a set has a key. */
VESTRY_API bool vsi_reads_have(const vsi_reads *reads, const vsi_read_key *key);
static inline size_t vsi_reads_used_at(const vsi_read_key *key) {
  _Static_assert(VSI_READS_USED == 1 << 10, "the upper ten bits");
  return (uint32_t)((key->relation * 16 + key->kind) * 0x9E3779B1u) >> 22;
}
/* Return whether a set or a group may have a key. A commit has keys of several kinds, and few sets have those of whole
 * tables or indexes; also, no page reads many of the relations. So most lookups end here, without a miss of the
 * cache. */
static inline bool vsi_reads_may_have(const vsi_reads *reads, const vsi_read_key *key) {
  return reads->used[vsi_reads_used_at(key)] > 0;
}
/* Add the key `to` to each set that has the key `from`; both are of sets. OK | NO_MEMORY */
VESTRY_API vestry_err vsi_reads_move(vsi_reads *reads, const vsi_read_key *from, const vsi_read_key *to);

#endif
