/* SPDX-License-Identifier: MIT */
/* The file of a connection's main database, and which of its pages are read past the page cache. */
#ifndef VSI_SQLITE_FILE_H
#define VSI_SQLITE_FILE_H

#include "data/sqlite/cache.h"

/* One connection's file. It must stay where it is while it is watched. */
typedef struct vsi_sqlite_watch {
  void *shim; /* NULL: it is not watched (any more) */
  sqlite3_file *file;
  const vsi_sqlite_cache *cache; /* of the same connection: its owner is told, its size of pages holds */
} vsi_sqlite_watch;

/* Whether this SQLite reads, or may read, pages of a file past its cache: files are to be watched then. */
bool vsi_sqlite_file_is_read_past_cache(void);
/* Tell the cache's owner of what SQLite reads of the file, by vsi_sqlite_reads_page.
 *  file     the connection's, which is open
 *  cache    borrowed; may be learned anew meanwhile
 *  Returns  whether it is watched: not, if there is no memory, and if another connection with the same file is
 *  Threads  the connection's */
bool vsi_sqlite_file_watch(vsi_sqlite_watch *watch, sqlite3_file *file, const vsi_sqlite_cache *cache);
/* Whether it still is: not, if the file was closed, and if other methods were put in the place of these. */
bool vsi_sqlite_file_is_watched(const vsi_sqlite_watch *watch);
/* Be told of it no more. NULL-safe for files that are not watched. */
void vsi_sqlite_file_forget(vsi_sqlite_watch *watch);

#endif
