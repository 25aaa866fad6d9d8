/* SPDX-License-Identifier: MIT */
/* SQLite's page caches, and which pages are fetched from them. */
#ifndef VSI_SQLITE_CACHE_H
#define VSI_SQLITE_CACHE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* The cache of one connection's main database. It must stay where it is while it is known. */
typedef struct vsi_sqlite_cache {
  void *cache;  /* NULL: not known (any more) */
  void *owner;  /* of whose pages it is told */
  bool is_lost; /* it was known, and is gone: the connection has another one now */
  int page_bytes;
} vsi_sqlite_cache;

/* Find out which cache is a connection's, by reading with it. Nothing is recorded meanwhile.
 *  owner  what vsi_sqlite_reads_page is told for each page that is fetched
 *  Returns  whether it is known: not, if pages are not recorded in this process, and if connections share a cache
 *  Threads  the connection's */
bool vsi_sqlite_cache_learn(vsi_sqlite_cache *cache, sqlite3 *db, void *owner);
/* Be told of it no more. NULL-safe for caches that are not known. */
void vsi_sqlite_cache_forget(vsi_sqlite_cache *cache);

/* Whether vestry_sqlite_record_pages was called, and this SQLite can; and whether it was, and this one cannot. */
bool vsi_sqlite_cache_is_recorded(void);
bool vsi_sqlite_cache_is_refused(void);

#endif
