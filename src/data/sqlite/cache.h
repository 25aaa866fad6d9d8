/* SPDX-License-Identifier: MIT */
/* The reads of file pages by SQLite: from its page caches, and past them from the file of a connection. */
#ifndef VSI_SQLITE_CACHE_H
#define VSI_SQLITE_CACHE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* The cache of one connection's main database. Its address must not change while it is known. */
typedef struct vsi_sqlite_cache {
  void *cache;  /* NULL: not known, or no longer known */
  void *owner;  /* to which fetched pages are reported */
  bool is_lost; /* it was known and is destroyed: the connection has another one */
  int page_bytes;
} vsi_sqlite_cache;

/* Find out which cache belongs to a connection, by reading with it. Nothing is recorded meanwhile.
 *  owner    argument of vsi_sqlite_reads_page for each fetched page
 *  Returns  whether the cache is known; false: pages are not recorded in this process, or connections share a cache
 *  Threads  that of the connection */
bool vsi_sqlite_cache_learn(vsi_sqlite_cache *cache, sqlite3 *db, void *owner);
/* Stop reporting fetches of a cache. A cache that is not known is accepted. */
void vsi_sqlite_cache_forget(vsi_sqlite_cache *cache);

/* Return whether vestry_sqlite_record_pages was called and succeeded; and whether it was called and this SQLite does
 * not support it. */
bool vsi_sqlite_cache_is_recorded(void);
bool vsi_sqlite_cache_is_refused(void);

/* ---------------------------------------------------------------------------------------- past the cache ---------- */

/* The file of one connection. Its address must not change while it is watched. */
typedef struct vsi_sqlite_watch {
  void *shim; /* NULL: not watched, or no longer watched */
  sqlite3_file *file;
  const vsi_sqlite_cache *cache; /* of the same connection: has the owner and the page size */
} vsi_sqlite_watch;

/* Report the reads of a file to the cache's owner, with vsi_sqlite_reads_page.
 *  file     of the connection, open
 *  cache    borrowed; may be learned again meanwhile
 *  Returns  whether the file is watched; false: there is no memory, or another connection with the same file is watched
 *  Threads  that of the connection */
bool vsi_sqlite_file_watch(vsi_sqlite_watch *watch, sqlite3_file *file, const vsi_sqlite_cache *cache);
/* Return whether the file is still watched; false: it was closed, or its methods were replaced again. */
bool vsi_sqlite_file_is_watched(const vsi_sqlite_watch *watch);
/* Stop watching a file. A file that is not watched is accepted. */
void vsi_sqlite_file_forget(vsi_sqlite_watch *watch);

/* Let a new connection restart the WAL only while no program is within a checkpoint (copier.c), until it is closed.
 * Returns a result of SQLite */
int vsi_sqlite_file_guard(sqlite3 *db);

#endif
