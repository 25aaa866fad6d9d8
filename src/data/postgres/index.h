/* SPDX-License-Identifier: MIT */
/* Finds the renders that a commit concerns. It has sets of the reads of renders, and a ring of the commits that a
 * render may have missed. Any thread. */
#ifndef VSI_POSTGRES_INDEX_H
#define VSI_POSTGRES_INDEX_H

#include "data/postgres/keys.h"
#include "vestry/data/postgres.h"

typedef struct vsi_postgres_index vsi_postgres_index;

typedef struct vsi_postgres_index_options {
  const vestry_host *host;
  size_t max_bytes; /* of sets; beyond it a set is rejected if a smaller set is possible */
  size_t max_ring;  /* number of commits kept for running renders */
  /* Commits match these sets. Called under the index's lock, as is is_used. If a commit matches many sets, renders get
   * the lock in between. */
  void (*hit)(void *ctx, vsi_read_hit *hits, size_t count);
  bool (*is_used)(void *ctx, uint64_t number); /* whether a page needs the set */
  uint64_t (*now_ns)(void *ctx);               /* time for a commit, without the lock; 0: not needed */
  void *ctx;
} vsi_postgres_index_options;

/* Create an index. OK | NO_MEMORY */
vestry_err vsi_postgres_index_create(const vsi_postgres_index_options *options, vsi_postgres_index **ret_index);
/* Free an index. NULL is accepted. */
void vsi_postgres_index_destroy(vsi_postgres_index *index);

/* ---- renders ---- */

/* Return the index's reads: renders begin with them, and get numbers for their sets. */
vsi_reads *vsi_postgres_index_reads(vsi_postgres_index *index);
/* Enter the set of a render (vsi_reads_enter), whose ticket ends if the result is ENTERED or OVERTAKEN. keys are taken
 * over, as is snapshot unless the result is LARGE; both are empty then. */
vsi_read_entry vsi_postgres_index_enter(vsi_postgres_index *index, vsi_read_ticket *ticket, uint64_t number,
                                        vsi_postgres_keys *keys, vsi_postgres_snapshot *snapshot, bool is_least);

/* ---- for the follower: one thread ---- */

/* Begin to follow: records are read from here on. Earlier commits are unknown, so all sets are hit. Transactions before
 * `to`, a number assigned after the position of the first record was known, may have committed unseen: whenever one of
 * them has ended, sets that may not see it are hit again. */
void vsi_postgres_index_start(vsi_postgres_index *index, uint64_t to);
/* Stop following. All sets are hit, and running renders count as having missed a commit. */
void vsi_postgres_index_stop(vsi_postgres_index *index);
/* Add a commit that is in the WAL; it may not be visible yet. keys are taken over, and are empty then. is_all: it
 * matches every set. OK | NO_MEMORY, after which only vsi_postgres_index_start or _stop may follow */
vestry_err vsi_postgres_index_commit(vsi_postgres_index *index, uint32_t xid, vsi_postgres_keys *keys, bool is_all);
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
#endif
