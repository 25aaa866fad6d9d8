/* SPDX-License-Identifier: MIT */
/* What renders have read: from pages of the file and from tables to the topics of renders. */
#ifndef VSI_SQLITE_INDEX_H
#define VSI_SQLITE_INDEX_H

#include "sqlite/judge.h"
#include "sqlite/recording.h"

typedef struct vsi_sqlite_index_stats {
  uint64_t refreshed_count, refreshed_sets_count, whole_count, recorded_count, coarse_count;
  size_t bytes, sets_count;
} vsi_sqlite_index_stats;

typedef struct vsi_sqlite_index vsi_sqlite_index;

/* max_bytes: of what is kept of renders. OK | NO_MEMORY */
vestry_err vsi_sqlite_index_create(vestry_pages *pages, const vestry_host *host, size_t max_bytes,
                                   vsi_sqlite_index **ret_index);
void vsi_sqlite_index_destroy(vsi_sqlite_index *index);
/* A render begins: commits from here on are kept until it ends. Returns how many were followed. */
uint64_t vsi_sqlite_index_begin(vsi_sqlite_index *index);
/* It has ended: have it depend on what it has read. */
void vsi_sqlite_index_enter(vsi_sqlite_index *index, vsi_sqlite_recording *recording);
/* It has ended, and depends on nothing; or, while it runs, on everything. */
void vsi_sqlite_index_end(vsi_sqlite_index *index);
void vsi_sqlite_index_enter_all(vsi_sqlite_index *index, vestry_render *render);
/* A commit can be seen by everybody: refresh those that it concerns. Commits come in their order. Returns how many.
 *  ret_seq  of the last refresh; untouched if there was none */
size_t vsi_sqlite_index_commit(vsi_sqlite_index *index, const vsi_sqlite_commit *commit, uint64_t *ret_seq);
void vsi_sqlite_index_stats_get(vsi_sqlite_index *index, vsi_sqlite_index_stats *ret_stats);

#endif
