/* SPDX-License-Identifier: MIT */
/* What a commit means for a set of reads. */
#ifndef VSI_SQLITE_JUDGE_H
#define VSI_SQLITE_JUDGE_H

#include "data/sqlite/sets.h"

/* What a commit changed. */
typedef struct vsi_sqlite_commit {
  bool is_whole;     /* everything, and the schema */
  bool is_of_render; /* a render made it: it refreshes nothing */
  bool knows_tables, knows_pages;
  const vsi_sqlite_use *uses; /* sorted */
  size_t uses_count;
  const vsi_sqlite_key *keys; /* sorted */
  size_t keys_count;
  const uint32_t *pages;
  size_t pages_count;
  uint64_t at_ns; /* when it was seen (vestry_change_now_ns); 0: not known */
} vsi_sqlite_commit;

/* NOTHING: the commit does not concern the set. VOID: it may have written pages that the set has read, but refreshes
 * nothing: from then on the set is followed by tables. REFRESH: the set's renders are refreshed. */
typedef enum vsi_sqlite_verdict { VSI_SQLITE_NOTHING, VSI_SQLITE_VOID, VSI_SQLITE_REFRESH } vsi_sqlite_verdict;

vsi_sqlite_verdict vsi_sqlite_judge(const vsi_sqlite_commit *commit, const vsi_sqlite_plan *p);
/* The use of a table, among those that the commit changed, for which a set's renders are refreshed; NULL: no table is
 * known. */
const vsi_sqlite_use *vsi_sqlite_met_use(const vsi_sqlite_commit *commit, const vsi_sqlite_plan *p);
/* Whether a commit concerns a set, by tables alone. */
bool vsi_sqlite_meets_tables(const vsi_sqlite_commit *commit, const vsi_sqlite_plan *p);

#endif
