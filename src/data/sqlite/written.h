/* SPDX-License-Identifier: MIT */
/* The file pages that renders have read and commits have written: when, and by which tables.
 *
 * If the tables of a commit are unknown, it refreshes the sets with a file page that it wrote, and void sets (index.c)
 * whose data may be on such a file page. For this, the owners of each file page are known: the tables whose renders
 * have read it, and those whose commits, with known tables, wrote it. The data of a void set are on file pages that its
 * render has read, or on file pages that later commits of one of its tables wrote, because SQLite writes each file page
 * to which it moves rows. (A table that shares a bit with another one, and a file page that shares an entry, only add
 * owners.) So a void set is refreshed if it has read a table that owns a file page which the commit wrote. There are
 * three exceptions:
 * - If a row is removed from an inner file page of an index, its place is taken by the row before it. A row that does
 *   not exist, between the two, would then be found on a leaf that was not written. Therefore, void sets of tables
 *   with such a removal are also refreshed if the owner of a file page is uncertain: this process has neither read nor
 *   written it, or a stranger has written it.
 * - With auto_vacuum, and by a statement that changes something other than rows, a commit moves data of tables that it
 *   does not change. It makes all tables owners of what it writes.
 * - Sets whose file pages were never known are refreshed by each commit of a stranger.
 * A commit of a stranger adds no owner: it refreshes each set whose data it moves. */
#ifndef VSI_SQLITE_WRITTEN_H
#define VSI_SQLITE_WRITTEN_H

#include "data/sqlite/commit.h"

typedef struct vsi_sqlite_page {
  uint64_t at;     /* when the last commit that wrote it was published; 0: none */
  uint64_t owners; /* as bits of tables */
} vsi_sqlite_page;

/* Initialize the host; the rest is zero. Free `pages`. */
typedef struct vsi_sqlite_file_pages {
  const vestry_host *host;
  vsi_sqlite_page *pages; /* by number; the others share `rest`, and so do all without memory */
  size_t count;
  vsi_sqlite_page rest;
  uint64_t all_at;      /* when the last commit whose file pages are unknown was published */
  uint64_t void_tables; /* tables of sets that may be void; renders have read them */
  uint64_t read;        /* tables that renders have read */
  uint64_t uprooted;    /* tables whose indexes have lost rows of inner file pages */
} vsi_sqlite_file_pages;

/* Each table is a bit; one more is for strangers. */
enum { VSI_SQLITE_TABLE_BITS = 63 };
#define VSI_SQLITE_ALL_TABLES ((UINT64_C(1) << VSI_SQLITE_TABLE_BITS) - 1)
static inline uint64_t vsi_sqlite_table_bit(uint32_t table) {
  return UINT64_C(1) << table % VSI_SQLITE_TABLE_BITS;
}

/* Note that a render that reads these tables has read file pages. */
void vsi_sqlite_note_read(vsi_sqlite_file_pages *written, const uint32_t *pages, size_t count, uint64_t tables);
/* Note that a commit, published then, has written file pages. Returns the tables that it may have changed. */
uint64_t vsi_sqlite_note_written(vsi_sqlite_file_pages *written, const vsi_sqlite_commit *commit, uint64_t at);
/* Return whether any file page of a list was written after a time. ret_page: receives it */
bool vsi_sqlite_is_written(const vsi_sqlite_file_pages *written, const uint32_t *pages, size_t count, uint64_t since,
                           uint32_t *ret_page);

#endif
