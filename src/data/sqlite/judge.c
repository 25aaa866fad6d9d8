/* SPDX-License-Identifier: MIT */
/* Which sets of reads a commit concerns. A set is the common read set of renders: file pages, and tables with keys. (A
 * page here is a page of the database file.) A set is exact if it is followed by its file pages; otherwise it is
 * followed by its tables. */
#include "data/sqlite/judge.h"

bool vsi_sqlite_meets_tables(const vsi_sqlite_commit *commit, const vsi_sqlite_plan *p) {
  return !commit->knows_tables || p->is_all || p->is_wild ||
         vsi_sqlite_uses_meet(p->uses, p->uses_count, commit->uses, commit->uses_count, commit->keys,
                              commit->keys_count);
}

/* If no table of the set matches (every commit concerns it, because not all its reads are tracked), name the first
 * table that the commit changed. */
const vsi_sqlite_use *vsi_sqlite_met_use(const vsi_sqlite_commit *commit, const vsi_sqlite_plan *p) {
  for (size_t i = 0; i < commit->uses_count && commit->knows_tables; i++)
    if (vsi_sqlite_uses_meet(p->uses, p->uses_count, &commit->uses[i], 1, commit->keys, commit->keys_count))
      return &commit->uses[i];
  return commit->knows_tables && commit->uses_count ? commit->uses : NULL;
}

static bool meets_pages(const vsi_sqlite_commit *commit, const vsi_sqlite_plan *p) {
  for (size_t i = 0; i < commit->pages_count; i++) {
    size_t low = 0, high = p->pages_count;
    while (low < high) {
      size_t middle = (low + high) / 2;
      if (p->pages[middle] < commit->pages[i])
        low = middle + 1;
      else
        high = middle;
    }
    if (low < p->pages_count && p->pages[low] == commit->pages[i]) return true;
  }
  return false;
}

vsi_sqlite_verdict vsi_sqlite_judge(const vsi_sqlite_commit *commit, const vsi_sqlite_plan *p) {
  if (commit->is_whole) return VSI_SQLITE_REFRESH;
  if (p->is_exact && commit->knows_pages) {
    if (!meets_pages(commit, p)) return VSI_SQLITE_NOTHING;
    return commit->is_of_render || !vsi_sqlite_meets_tables(commit, p) ? VSI_SQLITE_VOID : VSI_SQLITE_REFRESH;
  }
  /* A commit of a render refreshes nothing. But which pages it wrote is not known here. They may be pages of an exact
   * set, so such a set is void. */
  if (commit->is_of_render) return p->is_exact ? VSI_SQLITE_VOID : VSI_SQLITE_NOTHING;
  return vsi_sqlite_meets_tables(commit, p) ? VSI_SQLITE_REFRESH : p->is_exact ? VSI_SQLITE_VOID : VSI_SQLITE_NOTHING;
}
