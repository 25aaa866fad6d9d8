/* SPDX-License-Identifier: MIT */
/* Finds the renders that a commit concerns. It has sets of the reads of renders, and a ring of the commits that a
 * render may have missed. Any thread. */
#ifndef VSI_POSTGRES_INDEX_H
#define VSI_POSTGRES_INDEX_H

#include <sys/queue.h>

#include "data/postgres/keys.h"
#include "vestry/data/postgres.h"

typedef struct vsi_postgres_index vsi_postgres_index;

/* A set that a commit matches. It has ended, and its render must run again. */
typedef struct vsi_postgres_hit {
  uint64_t number;
  uint64_t at_ns; /* when the record of the commit was read; 0: unknown */
  uint16_t kind;  /* for the index itself: of the key */
  bool is_used;   /* set by the owner: a page needs the set */
} vsi_postgres_hit;
enum { VSI_POSTGRES_HITS_MOST = 32 }; /* reported at once */

typedef struct vsi_postgres_index_options {
  const vestry_host *host;
  size_t max_bytes; /* of sets; beyond it a set is rejected if a smaller set is possible */
  size_t max_ring;  /* number of commits kept for running renders */
  /* Commits match these sets. Called under the index's lock, as is is_used. If a commit matches many sets, renders get
   * the lock in between. */
  void (*hit)(void *ctx, vsi_postgres_hit *hits, size_t count);
  bool (*is_used)(void *ctx, uint64_t number); /* whether a page needs the set */
  uint64_t (*now_ns)(void *ctx);               /* time for a commit, without the lock; 0: not needed */
  /* Notify the receivers that a commit is visible from now on; return whether a receiver waits for a commit. Called
   * under the index's lock, for each commit that wrote something. keys NULL: unknown. NULL: there are no receivers. */
  void (*seen)(void *ctx, const vsi_postgres_keys *keys);
  bool (*has_receiver)(void *ctx, const vsi_postgres_keys *keys);
  void *ctx;
} vsi_postgres_index_options;

/* A running render. Its owner provides the memory. */
typedef struct vsi_postgres_ticket {
  TAILQ_ENTRY(vsi_postgres_ticket) in;
  uint64_t at;
} vsi_postgres_ticket;

/* Create an index. OK | NO_MEMORY */
vestry_err vsi_postgres_index_create(const vsi_postgres_index_options *options, vsi_postgres_index **ret_index);
/* Free an index. NULL is accepted. */
void vsi_postgres_index_destroy(vsi_postgres_index *index);

/* ---- renders ---- */

/* Begin a render, before its transaction begins. */
void vsi_postgres_index_begin(vsi_postgres_index *index, vsi_postgres_ticket *ticket);
/* End a render that depends on nothing. */
void vsi_postgres_index_leave(vsi_postgres_index *index, vsi_postgres_ticket *ticket);
/* Return a number for a set: never 0. */
uint64_t vsi_postgres_index_number(vsi_postgres_index *index);
/* The number of the set that every commit matches. */
enum { VSI_POSTGRES_EVERYTHING = 0 };

/* ENTERED    the next commit that matches the set hits the render
 * OVERTAKEN  such a commit is visible already: the render must run again; nothing was entered
 * LARGE      the set would be too large with these keys. The ticket stays valid: enter fewer keys, with is_least
 * WHOLE      there is no room, but the set EVERYTHING represents it: let the render depend on that, too */
typedef enum vsi_postgres_entry {
  VSI_POSTGRES_ENTERED,
  VSI_POSTGRES_OVERTAKEN,
  VSI_POSTGRES_LARGE,
  VSI_POSTGRES_WHOLE
} vsi_postgres_entry;

/* End a render and enter its set. keys and snapshot are taken over, and are empty afterwards. The topic of that number
 * must have been named. */
vsi_postgres_entry vsi_postgres_index_enter(vsi_postgres_index *index, vsi_postgres_ticket *ticket, uint64_t number,
                                            vsi_postgres_keys *keys, vsi_postgres_snapshot *snapshot, bool is_least);

/* The same for a render with unknown reads: OVERTAKEN or WHOLE. */
vsi_postgres_entry vsi_postgres_index_enter_whole(vsi_postgres_index *index, vsi_postgres_ticket *ticket);

/* Let a render without a ticket depend on EVERYTHING, before it begins. */
void vsi_postgres_index_add_whole(vsi_postgres_index *index);

/* ---- for the follower: one thread ---- */

/* Begin to follow: records are read from here on. Earlier commits are unknown, so all sets are hit. Transactions before
 * `to`, a number assigned after the position of the first record was known, may have committed unseen: whenever one of
 * them has ended, sets that may not see it are hit again. */
void vsi_postgres_index_start(vsi_postgres_index *index, uint64_t to);
/* Stop following. All sets are hit, and running renders count as having missed a commit. */
void vsi_postgres_index_stop(vsi_postgres_index *index);
/* Add a commit that is in the WAL; it may not be visible yet. keys are taken over, and replaced by an empty set. It may
 * have memory for the next keys, which the caller frees. is_all: the commit matches every set. Takes no lock as a rule:
 * the commit enters the ring with others (vsi_postgres_index_take). OK | NO_MEMORY, after which only
 * vsi_postgres_index_start or _stop may follow */
vestry_err vsi_postgres_index_commit(vsi_postgres_index *index, uint32_t xid, vsi_postgres_keys *keys, bool is_all);
/* Enter the commits that were added into the ring. Call it when the records that have come are read, before the two
 * functions below. Returns as vsi_postgres_index_commit. */
vestry_err vsi_postgres_index_take(vsi_postgres_index *index);
/* Note that entries of a leaf, or their range, are on another leaf, too. OK | NO_MEMORY */
vestry_err vsi_postgres_index_move(vsi_postgres_index *index, uint32_t relation, uint32_t from, uint32_t to);
/* Return whether the index waits for commits to become visible. Any thread
 *
 * NOTHING  it does not
 * SOME     it does, but they match no set, and no render runs
 * RUNNING  they match no set, but a render that runs may have read what they changed; or some are unknown
 * MET      one matches a set, or a render depends on everything, sets are being hit, or many have come since the last
 *          snapshot */
typedef enum vsi_postgres_waits {
  VSI_POSTGRES_NOTHING,
  VSI_POSTGRES_SOME,
  VSI_POSTGRES_RUNNING,
  VSI_POSTGRES_MET
} vsi_postgres_waits;
vsi_postgres_waits vsi_postgres_index_waits(vsi_postgres_index *index);
/* Process a snapshot that was taken just now: commits that it sees are visible to renders that begin. Returns whether
 * commits, or splits of leaves, were dropped for the first time, for the log. */
bool vsi_postgres_index_see(vsi_postgres_index *index, const vsi_postgres_snapshot *snapshot);

/* Get the counters of commits, refreshes, sets and the ring; the others are 0. */
void vsi_postgres_index_stats_get(vsi_postgres_index *index, vestry_postgres_stats *stats);
/* Wait until no render runs that began before this call, or until that time. false: the time is over. For tests. */
bool vsi_postgres_index_wait(vsi_postgres_index *index, uint64_t until_ns);

#endif
