/* SPDX-License-Identifier: MIT */
/* The effect of a commit on a set of reads (sets.h). A commit meets a set if it has written something that the set
 * contains. A plan is the content of a set. */
#ifndef VSI_SQLITE_JUDGE_H
#define VSI_SQLITE_JUDGE_H

#include "data/sqlite/sets.h"

/* The changes of a commit. */
typedef struct vsi_sqlite_commit {
  bool is_whole;     /* everything, including the schema */
  bool is_of_render; /* made by a render: it refreshes nothing */
  bool knows_tables, knows_pages;
  const vsi_sqlite_use *uses; /* sorted */
  size_t uses_count;
  const vsi_sqlite_key *keys; /* sorted */
  size_t keys_count;
  const uint32_t *pages;
  size_t pages_count;
  uint64_t at_ns; /* when it was seen (vestry_change_now_ns); 0: unknown */
} vsi_sqlite_commit;

/* NOTHING: the commit does not concern the set. VOID: the set is invalidated, because the commit may have written file
 * pages of the set, but refreshes nothing; from then on it is followed by tables. REFRESH: the set's renders are
 * refreshed. */
typedef enum vsi_sqlite_verdict { VSI_SQLITE_NOTHING, VSI_SQLITE_VOID, VSI_SQLITE_REFRESH } vsi_sqlite_verdict;

vsi_sqlite_verdict vsi_sqlite_judge(const vsi_sqlite_commit *commit, const vsi_sqlite_plan *p);
/* Return the changed table for which a set's renders are refreshed; NULL: no table is known. */
const vsi_sqlite_use *vsi_sqlite_met_use(const vsi_sqlite_commit *commit, const vsi_sqlite_plan *p);
/* Return whether a commit concerns a set, considering only tables. */
bool vsi_sqlite_meets_tables(const vsi_sqlite_commit *commit, const vsi_sqlite_plan *p);

#endif
