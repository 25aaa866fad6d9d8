/* SPDX-License-Identifier: MIT */
/* An index of the reads of renders: it finds the topics of the renders that have read a page of the file, or a
 * table. */
#ifndef VSI_SQLITE_INDEX_H
#define VSI_SQLITE_INDEX_H

#include <string.h>
#include <sys/queue.h>

#include "base/siphash.h"
#include "data/sqlite/frames.h"
#include "data/sqlite/recording.h"
#include "vestry/data/sqlite.h"
#include "vestry/trace.h"

/* The changes of a commit. */
typedef struct vsi_sqlite_commit {
  bool is_whole;     /* everything, including the schema */
  bool is_of_render; /* made by a render: it refreshes nothing */
  bool knows_tables, knows_pages;
  bool has_removed; /* rows were removed or updated; meaningful if the tables are known */
  bool has_inner;   /* it wrote a file page of an index that is no leaf */
  bool is_rough;    /* it may have written file pages of tables that it did not change */
  /* The data that an attached connection has about its commit, kept until the commit is followed (commits.c); also
   * at and trace. */
  bool changes_tabs;
  bool is_touch; /* it only notes that states of tabs were read */
  vsi_sqlite_position at;
  const vsi_sqlite_use *uses; /* sorted */
  size_t uses_count;
  const vsi_sqlite_key *keys; /* sorted */
  size_t keys_count;
  const uint32_t *pages;
  size_t pages_count;
  uint64_t at_ns; /* when it was seen (vestry_change_now_ns); 0: unknown */
  /* Of a copy, in its owner's list. */
  TAILQ_ENTRY(vsi_sqlite_commit) in;
  uint64_t order;     /* in the index */
  vestry_trace trace; /* the trace of the transaction */
} vsi_sqlite_commit;

typedef TAILQ_HEAD(vsi_sqlite_commit_list, vsi_sqlite_commit) vsi_sqlite_commit_list;

/* Return the size of a commit with its arrays. */
static inline size_t vsi_sqlite_commit_bytes_of(size_t uses_count, size_t keys_count, size_t pages_count) {
  return sizeof(vsi_sqlite_commit) + uses_count * sizeof(vsi_sqlite_use) + keys_count * sizeof(vsi_sqlite_key) +
         pages_count * sizeof(uint32_t);
}
/* Copy the arrays of a commit into the memory behind it. */
static inline void vsi_sqlite_commit_take_arrays(vsi_sqlite_commit *commit) {
  vsi_sqlite_use *uses = (vsi_sqlite_use *)(commit + 1);
  vsi_sqlite_key *keys = (vsi_sqlite_key *)(uses + commit->uses_count);
  uint32_t *pages = (uint32_t *)(keys + commit->keys_count);
  if (commit->uses_count == 1) { /* without a call of memcpy */
    *uses = *commit->uses;
    commit->uses = uses;
  } else if (commit->uses_count) {
    commit->uses = memcpy(uses, commit->uses, commit->uses_count * sizeof *uses);
  }
  if (commit->keys_count) commit->keys = memcpy(keys, commit->keys, commit->keys_count * sizeof *keys);
  if (commit->pages_count) commit->pages = memcpy(pages, commit->pages, commit->pages_count * sizeof *pages);
}

typedef struct vsi_sqlite_index vsi_sqlite_index;

/* Create an index. tables: borrowed, for their names. secret: random, for hashes. max_bytes: limit of the memory for
 * sets. path: of the database, for the log; borrowed. OK | NO_MEMORY */
vestry_err vsi_sqlite_index_create(vestry_pages *pages, vsi_sqlite_tables *tables, vsi_siphash_key secret,
                                   size_t max_bytes, const char *path, vsi_sqlite_index **ret_index);
void vsi_sqlite_index_destroy(vsi_sqlite_index *index);
/* Begin a render: commits from now on are kept until it ends. Returns the number of commits that were followed
 * before. */
uint64_t vsi_sqlite_index_begin(vsi_sqlite_index *index);
/* End a render: make it depend on its reads. */
void vsi_sqlite_index_enter(vsi_sqlite_index *index, vsi_sqlite_recording *recording);
/* End a render that depends on nothing; and make a running render depend on everything. */
void vsi_sqlite_index_end(vsi_sqlite_index *index);
void vsi_sqlite_index_enter_all(vsi_sqlite_index *index, vestry_render *render);
/* Queue a copy of a commit, which every connection can see now. Commits must come in their order. Does not block; only
 * without memory for the copy, it is followed at once. */
void vsi_sqlite_index_commit(vsi_sqlite_index *index, const vsi_sqlite_commit *commit);
/* Follow all queued commits: refresh the renders that they concern. Waits while another thread follows them.
 *  ret_seq  becomes that of the last refresh, if it is later */
void vsi_sqlite_index_follow(vsi_sqlite_index *index, uint64_t *ret_seq);
/* Set the counters that the index keeps. */
void vsi_sqlite_index_stats_get(vsi_sqlite_index *index, vestry_sqlite_stats *stats);

#endif
