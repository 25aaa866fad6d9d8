/* SPDX-License-Identifier: MIT */
/* essay: which render reads which page of the file, recorded by the page cache */
/* SQLite fetches every page that it uses from its page cache, even if the page is in the cache already. Therefore, a
 * replacement cache that delegates to that of SQLite sees all reads. The replacement is a setting of the process, made
 * before SQLite is used.
 *
 * A cache knows neither its connection nor its file. To learn the owner, a statement reads the first page of the main
 * database and nothing else: the first cache used belongs to that database. Caches that were not learned belong to
 * other databases, to tables in memory, and to sorters of statements; no other connection changes their content.
 *
 * If the page size changes, SQLite creates a new cache and destroys the old one. This is noticed here, and until the
 * new cache is learned, it is unknown what was read.
 *
 * The file reports the pages that SQLite reads past its caches (file.c).
 *
 * Shared caches (sqlite3_enable_shared_cache) have several connections: the first attached connection gets the cache,
 * and the others are followed at level TABLES. */
#include "data/sqlite/cache.h"

#include <string.h>

#include "base/mutex.h"
#include "data/sqlite/recording.h"
#include "vestry/data/sqlite.h"

typedef struct shim {
  sqlite3_pcache *inner;
  void *owner;
  vsi_sqlite_cache *known;
  int page_bytes;
} shim;

/* State of the process, like the settings of SQLite. Written once, before SQLite is used. */
static vsi_mutex lock = VSI_MUTEX_INITIALIZER(VSI_LOCK_SQLITE_CACHE);
static bool is_recorded, is_refused;
static sqlite3_pcache_methods2 inner;

/* State of a running vsi_sqlite_cache_learn of this thread. */
static _Thread_local shim *learned;
static _Thread_local bool is_learning;

static shim *shim_of(sqlite3_pcache *cache) {
  return (shim *)(void *)cache;
}

static sqlite3_pcache *create(int page_bytes, int extra_bytes, int can_purge) {
  shim *made = sqlite3_malloc(sizeof *made);
  if (!made) return NULL;
  *made = (shim){.inner = inner.xCreate(page_bytes, extra_bytes, can_purge), .page_bytes = page_bytes};
  if (made->inner) return (sqlite3_pcache *)(void *)made;
  sqlite3_free(made);
  return NULL;
}

static void set_size(sqlite3_pcache *cache, int pages_count) {
  inner.xCachesize(shim_of(cache)->inner, pages_count);
}

static int count_pages(sqlite3_pcache *cache) {
  return inner.xPagecount(shim_of(cache)->inner);
}

static sqlite3_pcache_page *fetch(sqlite3_pcache *cache, unsigned page, int create_flag) {
  shim *at = shim_of(cache);
  if (at->owner)
    vsi_sqlite_reads_page(at->owner, page);
  else if (is_learning && !learned)
    learned = at;
  return inner.xFetch(at->inner, page, create_flag);
}

static void unpin(sqlite3_pcache *cache, sqlite3_pcache_page *page, int discard) {
  inner.xUnpin(shim_of(cache)->inner, page, discard);
}

static void rekey(sqlite3_pcache *cache, sqlite3_pcache_page *page, unsigned old_key, unsigned new_key) {
  inner.xRekey(shim_of(cache)->inner, page, old_key, new_key);
}

static void cut(sqlite3_pcache *cache, unsigned limit) {
  inner.xTruncate(shim_of(cache)->inner, limit);
}

static void destroy(sqlite3_pcache *cache) {
  shim *at = shim_of(cache);
  if (at->known) {
    vsi_sqlite_reads_lose(at->owner);
    at->known->cache = NULL;
    at->known->is_lost = true;
  }
  inner.xDestroy(at->inner);
  sqlite3_free(at);
}

static void shrink(sqlite3_pcache *cache) {
  inner.xShrink(shim_of(cache)->inner);
}

static vestry_err record_pages_locked(void) {
  if (is_recorded) return VESTRY_OK;
  int result = sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &inner);
  if (result == SQLITE_MISUSE) return VESTRY_BUSY;
  if (result || inner.iVersion < 1 || !inner.xShrink) return VESTRY_UNSUPPORTED;
  sqlite3_pcache_methods2 own = inner;
  own.xCreate = create;
  own.xCachesize = set_size;
  own.xPagecount = count_pages;
  own.xFetch = fetch;
  own.xUnpin = unpin;
  own.xRekey = rekey;
  own.xTruncate = cut;
  own.xDestroy = destroy;
  own.xShrink = shrink;
  if (sqlite3_config(SQLITE_CONFIG_PCACHE2, &own)) return VESTRY_UNSUPPORTED;
  is_recorded = true;
  return VESTRY_OK;
}

vestry_err vestry_sqlite_record_pages(void) {
  vsi_mutex_lock(&lock);
  vestry_err error = record_pages_locked();
  is_refused = error == VESTRY_UNSUPPORTED;
  vsi_mutex_unlock(&lock);
  return error;
}

bool vsi_sqlite_cache_is_recorded(void) {
  vsi_mutex_lock(&lock);
  bool is = is_recorded;
  vsi_mutex_unlock(&lock);
  return is;
}

bool vsi_sqlite_cache_is_refused(void) {
  vsi_mutex_lock(&lock);
  bool is = is_refused;
  vsi_mutex_unlock(&lock);
  return is;
}

bool vsi_sqlite_cache_learn(vsi_sqlite_cache *cache, sqlite3 *db, void *owner) {
  sqlite3_stmt *statement;
  vsi_sqlite_cache_forget(cache);
  if (!vsi_sqlite_cache_is_recorded()) return false;
  if (sqlite3_prepare_v2(db, "SELECT 1 FROM main.sqlite_schema LIMIT 1", -1, &statement, NULL)) return false;
  learned = NULL;
  is_learning = true;
  int result = sqlite3_step(statement);
  is_learning = false;
  sqlite3_finalize(statement);
  if ((result != SQLITE_ROW && result != SQLITE_DONE) || !learned) return false;
  learned->owner = owner;
  learned->known = cache;
  *cache = (vsi_sqlite_cache){learned, owner, false, learned->page_bytes};
  return true;
}

void vsi_sqlite_cache_forget(vsi_sqlite_cache *cache) {
  shim *at = cache->cache;
  if (at) at->owner = NULL, at->known = NULL;
  *cache = (vsi_sqlite_cache){NULL, NULL, false, 0};
}
