/* SPDX-License-Identifier: MIT */
/* An index of the reads of renders: it finds the topics of the renders that have read a page of the file, or a
 * table. */
#ifndef VSI_SQLITE_INDEX_H
#define VSI_SQLITE_INDEX_H

#include "base/siphash.h"
#include "data/sqlite/commit.h"
#include "data/sqlite/recording.h"
#include "vestry/data/sqlite.h"

typedef struct vsi_sqlite_index vsi_sqlite_index;

/* Create an index.
 *  tables     borrowed, for their names and that of the database
 *  secret     random, for hashes
 *  max_bytes  limit of the memory for sets
 *  stats      borrowed; the index counts renders in it, under the lock of its reads
 *  OK | NO_MEMORY */
vestry_err vsi_sqlite_index_create(vestry_pages *pages, vsi_sqlite_tables *tables, vsi_siphash_key secret,
                                   size_t max_bytes, vestry_sqlite_stats *stats, vsi_sqlite_index **ret_index);
void vsi_sqlite_index_destroy(vsi_sqlite_index *index);
/* Return the index's reads: renders begin with them. */
vsi_reads *vsi_sqlite_index_reads(vsi_sqlite_index *index);
/* End a render: make it depend on its reads. */
void vsi_sqlite_index_enter(vsi_sqlite_index *index, vsi_sqlite_recording *recording);
/* Make a render that has no ticket depend on everything. */
void vsi_sqlite_index_enter_all(vsi_sqlite_index *index, vestry_render *render);
/* Queue a copy of a commit, which every connection can see now. Commits must come in their order. Does not block; only
 * without memory for the copy, it is followed at once. */
void vsi_sqlite_index_commit(vsi_sqlite_index *index, const vsi_sqlite_commit *commit);
/* Follow all queued commits: refresh the renders that they concern. Waits while another thread follows them.
 *  ret_seq  becomes that of the last refresh, if it is later. May be NULL */
void vsi_sqlite_index_follow(vsi_sqlite_index *index, uint64_t *ret_seq);

#endif
