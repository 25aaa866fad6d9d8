/* SPDX-License-Identifier: MIT */
#include "data/sqlite/written.h"

#include "base/array.h"

enum { PAGES_MOST = 1 << 20 }; /* with entries: the first 4 GiB of a file as a rule */

static const uint64_t of_stranger = UINT64_C(1) << VSI_SQLITE_TABLE_BITS;

/* Return the entry of a file page, and make one if it has none. File pages that share one have uncertain owners. */
static vsi_sqlite_page *make_entry(vsi_sqlite_file_pages *w, uint32_t number) {
  const size_t had = w->count;
  if (number >= had && number < PAGES_MOST && !VSI_ARRAY_RESERVE(w->host, w->pages, had, w->count, number + 1 - had))
    for (size_t i = had; i < w->count; i++) w->pages[i] = w->rest;
  if (number < w->count) return &w->pages[number];
  w->rest.owners |= of_stranger;
  return &w->rest;
}

void vsi_sqlite_note_read(vsi_sqlite_file_pages *w, const uint32_t *pages, size_t count, uint64_t tables) {
  w->read |= tables;
  for (size_t i = 0; i < count; i++) make_entry(w, pages[i])->owners |= tables;
}

uint64_t vsi_sqlite_note_written(vsi_sqlite_file_pages *w, const vsi_sqlite_commit *commit, uint64_t at) {
  const bool is_of_stranger = !commit->knows_tables && !commit->is_of_render;
  bool is_uncertain = false;
  uint64_t tables = commit->knows_tables || is_of_stranger ? 0 : VSI_SQLITE_ALL_TABLES;
  for (size_t i = 0; i < commit->uses_count && commit->knows_tables; i++)
    tables |= vsi_sqlite_table_bit(commit->uses[i].table);
  if (commit->has_removed && commit->has_inner) w->uprooted |= tables;
  const uint64_t added = is_of_stranger ? of_stranger : commit->is_rough ? VSI_SQLITE_ALL_TABLES : tables;
  for (size_t i = 0; i < commit->pages_count; i++) {
    vsi_sqlite_page *entry = make_entry(w, commit->pages[i]);
    entry->at = at;
    if (commit->pages[i] != 1) { /* which has no rows */
      is_uncertain |= !entry->owners || entry->owners & of_stranger;
      if (is_of_stranger) tables |= entry->owners;
      entry->owners |= added;
    }
    w->void_tables |= entry->owners & w->read;
  }
  if (!commit->knows_pages) {
    w->all_at = at;
    w->void_tables = VSI_SQLITE_ALL_TABLES;
  }
  return is_of_stranger && is_uncertain ? tables | w->uprooted : tables;
}

bool vsi_sqlite_is_written(const vsi_sqlite_file_pages *w, const uint32_t *pages, size_t count, uint64_t since,
                           uint32_t *ret_page) {
  for (size_t i = 0; i < count; i++) {
    *ret_page = pages[i];
    if ((pages[i] < w->count ? &w->pages[pages[i]] : &w->rest)->at > since) return true;
  }
  return false;
}
