/* SPDX-License-Identifier: MIT */
/* The file of a connection's main database, and the pages that SQLite reads from it past the page cache. */
#ifndef VSI_SQLITE_FILE_H
#define VSI_SQLITE_FILE_H

#include "data/sqlite/cache.h"

/* The file of one connection. Its address must not change while it is watched. */
typedef struct vsi_sqlite_watch {
  void *shim; /* NULL: not watched, or no longer watched */
  sqlite3_file *file;
  const vsi_sqlite_cache *cache; /* of the same connection: has the owner and the page size */
} vsi_sqlite_watch;

/* Return whether this SQLite reads, or may read, pages of a file past its cache, so that files must be watched. */
bool vsi_sqlite_file_is_read_past_cache(void);
/* Report the reads of a file to the cache's owner, with vsi_sqlite_reads_page.
 *  file     of the connection, open
 *  cache    borrowed; may be learned again meanwhile
 *  Returns  whether it is watched. It is not if there is no memory, or if another connection with the same file is
 *           watched
 *  Threads  that of the connection */
bool vsi_sqlite_file_watch(vsi_sqlite_watch *watch, sqlite3_file *file, const vsi_sqlite_cache *cache);
/* Return whether the file is still watched. It is not if it was closed, or if its methods were replaced again. */
bool vsi_sqlite_file_is_watched(const vsi_sqlite_watch *watch);
/* Stop watching a file. A file that is not watched is accepted. */
void vsi_sqlite_file_forget(vsi_sqlite_watch *watch);

#endif
