/* SPDX-License-Identifier: MIT */
/* An index of the reads of renders: it finds the topics of the renders that have read a page of the file, or a
 * table. */
#ifndef VSI_SQLITE_INDEX_H
#define VSI_SQLITE_INDEX_H

#include "data/sqlite/judge.h"
#include "data/sqlite/recording.h"

typedef struct vsi_sqlite_index_stats {
  uint64_t refreshed_count, refreshed_sets_count, whole_count, recorded_count, coarse_count;
  size_t bytes, sets_count;
} vsi_sqlite_index_stats;

typedef struct vsi_sqlite_index vsi_sqlite_index;

/* Create an index. tables: borrowed, for their names. max_bytes: limit of the memory for sets. OK | NO_MEMORY */
vestry_err vsi_sqlite_index_create(vestry_pages *pages, const vestry_host *host, vsi_sqlite_tables *tables,
                                   size_t max_bytes, vsi_sqlite_index **ret_index);
void vsi_sqlite_index_destroy(vsi_sqlite_index *index);
/* Begin a render: commits from now on are kept until it ends. Returns the number of commits that were followed
 * before. */
uint64_t vsi_sqlite_index_begin(vsi_sqlite_index *index);
/* End a render: make it depend on its reads. */
void vsi_sqlite_index_enter(vsi_sqlite_index *index, vsi_sqlite_recording *recording);
/* End a render that depends on nothing; and make a running render depend on everything. */
void vsi_sqlite_index_end(vsi_sqlite_index *index);
void vsi_sqlite_index_enter_all(vsi_sqlite_index *index, vestry_render *render);
/* Refresh the renders that a commit concerns, which every connection can see now. Commits must come in their order.
 * Returns the number of refreshed sets.
 *  ret_seq  of the last refresh; untouched if there was none */
size_t vsi_sqlite_index_commit(vsi_sqlite_index *index, const vsi_sqlite_commit *commit, uint64_t *ret_seq);
void vsi_sqlite_index_stats_get(vsi_sqlite_index *index, vsi_sqlite_index_stats *ret_stats);

#endif
