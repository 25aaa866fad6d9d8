/* SPDX-License-Identifier: MIT */
/* An index of what renders have read: from a page of the file, or a table, it finds the topics of the renders that read
 * it. */
#ifndef VSI_SQLITE_INDEX_H
#define VSI_SQLITE_INDEX_H

#include "data/sqlite/judge.h"
#include "data/sqlite/recording.h"

typedef struct vsi_sqlite_index_stats {
  uint64_t refreshed_count, refreshed_sets_count, whole_count, recorded_count, coarse_count;
  size_t bytes, sets_count;
} vsi_sqlite_index_stats;

typedef struct vsi_sqlite_index vsi_sqlite_index;

/* tables: borrowed, for their names. max_bytes: of what is kept of renders. OK | NO_MEMORY */
vestry_err vsi_sqlite_index_create(vestry_pages *pages, const vestry_host *host, vsi_sqlite_tables *tables,
                                   size_t max_bytes, vsi_sqlite_index **ret_index);
void vsi_sqlite_index_destroy(vsi_sqlite_index *index);
/* A render begins: commits from here on are kept until it ends. Returns how many were followed. */
uint64_t vsi_sqlite_index_begin(vsi_sqlite_index *index);
/* The render has ended: make it depend on what it has read. */
void vsi_sqlite_index_enter(vsi_sqlite_index *index, vsi_sqlite_recording *recording);
/* end: the render has ended, and depends on nothing. enter_all: a render that runs depends on everything. */
void vsi_sqlite_index_end(vsi_sqlite_index *index);
void vsi_sqlite_index_enter_all(vsi_sqlite_index *index, vestry_render *render);
/* Every connection can see a commit now: refresh the renders that it concerns. Commits come in their order. Returns how
 * many were refreshed.
 *  ret_seq  of the last refresh; untouched if there was none */
size_t vsi_sqlite_index_commit(vsi_sqlite_index *index, const vsi_sqlite_commit *commit, uint64_t *ret_seq);
void vsi_sqlite_index_stats_get(vsi_sqlite_index *index, vsi_sqlite_index_stats *ret_stats);

#endif
