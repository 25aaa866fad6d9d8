/* SPDX-License-Identifier: MIT */
/* Which renders a commit concerns: sets of what renders have read, and a ring of the commits that some render may have
 * missed. Any thread. */
#ifndef VSI_POSTGRES_INDEX_H
#define VSI_POSTGRES_INDEX_H

#include <sys/queue.h>

#include "data/postgres/keys.h"
#include "data/postgres/snapshot.h"

typedef struct vsi_postgres_index vsi_postgres_index;

typedef struct vsi_postgres_index_options {
  const vestry_host *host;
  size_t max_bytes; /* of sets; beyond them sets are refused, as far as they can do with less */
  size_t max_ring;  /* commits that are kept for renders that run */
  /* Both under the index's lock. hit: what a commit met is over, and its render is to be made again. at_ns: when the
   * record of that commit was read; 0: that is not known. */
  void (*hit)(void *ctx, uint64_t number, uint64_t at_ns);
  bool (*is_used)(void *ctx, uint64_t number); /* whether a page still needs it */
  uint64_t (*now_ns)(void *ctx);               /* the time of a commit, without the lock; 0: nothing wants to know */
  /* Under the index's lock, of any commit that wrote something. keys: NULL: it is not known what. seen: it can be seen
   * from now on. is_heard: whether something waits for that. NULL, both: nothing does. */
  void (*seen)(void *ctx, const vsi_postgres_keys *keys);
  bool (*is_heard)(void *ctx, const vsi_postgres_keys *keys);
  void *ctx;
} vsi_postgres_index_options;

/* A render that runs. Its owner's memory. */
typedef struct vsi_postgres_ticket {
  LIST_ENTRY(vsi_postgres_ticket) in;
  uint64_t at;
} vsi_postgres_ticket;

/* OK | NO_MEMORY */
vestry_err vsi_postgres_index_create(const vsi_postgres_index_options *options, vsi_postgres_index **ret_index);
/* NULL is accepted. */
void vsi_postgres_index_destroy(vsi_postgres_index *index);

/* ---- renders ---- */

/* Before a render's transaction begins. */
void vsi_postgres_index_begin(vsi_postgres_index *index, vsi_postgres_ticket *ticket);
/* The render has ended, and depends on nothing. */
void vsi_postgres_index_leave(vsi_postgres_index *index, vsi_postgres_ticket *ticket);
/* A number for a set: never 0. */
uint64_t vsi_postgres_index_number(vsi_postgres_index *index);
/* The number of the set that every commit meets. */
enum { VSI_POSTGRES_EVERYTHING = 0 };

/* ENTERED    the render is hit by the next commit that meets it
 * OVERTAKEN  such a commit is visible already: the render is to be made again; nothing was entered
 * LARGE      with these keys it would be too large. Its ticket is still good: enter less, with is_least
 * WHOLE      there is no room for it, but the set EVERYTHING stands for it: let the render depend on that, too */
typedef enum vsi_postgres_entry {
  VSI_POSTGRES_ENTERED,
  VSI_POSTGRES_OVERTAKEN,
  VSI_POSTGRES_LARGE,
  VSI_POSTGRES_WHOLE
} vsi_postgres_entry;

/* The render has ended. keys and snapshot are taken, and are empty after it. A topic of that number has been named. */
vsi_postgres_entry vsi_postgres_index_enter(vsi_postgres_index *index, vsi_postgres_ticket *ticket, uint64_t number,
                                            vsi_postgres_keys *keys, vsi_postgres_snapshot *snapshot, bool is_least);

/* The same, of one of which it is not known what it read: OVERTAKEN or WHOLE. */
vsi_postgres_entry vsi_postgres_index_enter_whole(vsi_postgres_index *index, vsi_postgres_ticket *ticket);

/* A render depends on EVERYTHING that has no ticket. Before it begins. */
void vsi_postgres_index_add_whole(vsi_postgres_index *index);

/* ---- the follower: one thread ---- */

/* Records are read from here on. Which commits there were before is not known: all sets are hit, and again those that
 * may not have seen a transaction before `to`, a number that was given out after the first record's place was known,
 * whenever one of these has ended. */
void vsi_postgres_index_start(vsi_postgres_index *index, uint64_t to);
/* Records are read no more. All sets are hit, and renders that run count as passed by a commit. */
void vsi_postgres_index_stop(vsi_postgres_index *index);
/* A commit stands in the WAL; it may not be visible yet. keys are taken. is_all: it meets all.
 * OK | NO_MEMORY */
vestry_err vsi_postgres_index_commit(vsi_postgres_index *index, uint32_t xid, vsi_postgres_keys *keys, bool is_all);
/* Entries of a leaf, or their range, are on another leaf, too. OK | NO_MEMORY */
vestry_err vsi_postgres_index_move(vsi_postgres_index *index, uint32_t relation, uint32_t from, uint32_t to);
/* Whether it waits for commits to become visible.
 * NOTHING | SOME: no set that was entered meets one of them, yet | MET: one does */
typedef enum vsi_postgres_waits { VSI_POSTGRES_NOTHING, VSI_POSTGRES_SOME, VSI_POSTGRES_MET } vsi_postgres_waits;
vsi_postgres_waits vsi_postgres_index_waits(vsi_postgres_index *index);
/* A snapshot that was taken just now: commits that it sees are visible to renders that begin. */
void vsi_postgres_index_see(vsi_postgres_index *index, const vsi_postgres_snapshot *snapshot);

typedef struct vsi_postgres_index_stats {
  uint64_t commits_count;   /* that wrote what a render could read */
  uint64_t hits_count;      /* sets that a commit met */
  uint64_t overtaken_count; /* renders that a commit had passed before they ended */
  uint64_t all_count;       /* times that all were hit */
  uint64_t moves_count;
  uint64_t by_kind[VSI_POSTGRES_FILE + 1]; /* hits by the first key that met; 0: all */
  size_t sets_count, bytes;
  size_t ring_count, ring_most;
} vsi_postgres_index_stats;
void vsi_postgres_index_stats_get(vsi_postgres_index *index, vsi_postgres_index_stats *ret_stats);
/* Wait until no render runs that began before this call, or until that time. false: the time has come. For tests. */
bool vsi_postgres_index_wait(vsi_postgres_index *index, uint64_t until_ns);

#endif
