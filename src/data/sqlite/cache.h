/* SPDX-License-Identifier: MIT */
/* The page caches of SQLite, and the file pages fetched from them. */
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
 *  owner  argument of vsi_sqlite_reads_page for each fetched page
 *  Returns  whether it is known. It is not if pages are not recorded in this process, or if connections share a cache
 *  Threads  that of the connection */
bool vsi_sqlite_cache_learn(vsi_sqlite_cache *cache, sqlite3 *db, void *owner);
/* Stop reporting fetches of a cache. A cache that is not known is accepted. */
void vsi_sqlite_cache_forget(vsi_sqlite_cache *cache);

/* Return whether vestry_sqlite_record_pages was called and succeeded; and whether it was called and this SQLite does
 * not support it. */
bool vsi_sqlite_cache_is_recorded(void);
bool vsi_sqlite_cache_is_refused(void);

#endif
