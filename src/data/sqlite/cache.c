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
 * The file reports the pages that SQLite reads past its caches (below).
 *
 * Shared caches (sqlite3_enable_shared_cache) have several connections: the first attached connection gets the cache,
 * and the others are followed at level TABLES. */
#include "data/sqlite/cache.h"

#include <stdatomic.h>
#include <stddef.h>
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

/* State of the process, like the settings of SQLite. Written once, before SQLite is used, under the lock. */
static vsi_mutex lock = VSI_MUTEX_INITIALIZER(VSI_LOCK_SQLITE_CACHE);
static _Atomic(bool) is_recorded, is_refused;
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
  return is_recorded;
}

bool vsi_sqlite_cache_is_refused(void) {
  return is_refused;
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

/* ---------------------------------------------------------------------------------------- past the cache ---------- */

/* essay: reads past the page cache, reported by the file */
/* SQLite reads pages of the database from its page cache, with two exceptions:
 * - pages of a mapped file, which it gets from the file (xFetch);
 * - from 3.45 on, or if built with SQLITE_DIRECT_OVERFLOW_READ, pages of a long value.
 *
 * A row that does not fit on a page continues in a chain of overflow pages. When SQLite copies a value out of such a
 * chain, it reads a page whose copy begins at the page's start directly from the file into the value (xRead). It does
 * not do so if the page is in the WAL, or if the cache has changed pages that are not written yet. The following pages
 * always come through the cache: the page of the chain on which a value begins, pages that SQLite only traverses, and
 * all pages in the WAL. (See accessPayload in btree.c, sqlite3PagerDirectReadOk and getPageMMap in pager.c of SQLite,
 * read in 3.46.1 and 3.53.2; sqlite.org/compile.html, under DIRECT_OVERFLOW_READ.) So the same query can read a page
 * through the cache now, and past it after the next checkpoint.
 *
 * In both cases SQLite calls the file: it has no other access to it than the methods of its sqlite3_file
 * (sqlite.org/c3ref/io_methods.html), and the offset of a page gives its number. Therefore, the methods of a
 * connection's file are replaced by a copy, which reports each xRead and xFetch and then calls the original methods.
 * The reports of the cache and of the file together are complete:
 * - A read past the cache, for whatever reason (a column, a key that is compared, sqlite3_blob_read), is one xRead at
 *   the page's offset, or one xFetch.
 * - Misses of the cache call xRead too. These pages are already reported, and adding a page twice has no effect.
 * - The WAL and journals are other files. Pages read from the WAL were requested from the cache before; a hot journal
 *   is rolled back into the file before the file is read.
 * - The header (the change counter at byte 24) counts as page 1, which every reader has.
 * - Backups, VACUUM, sqlite_dbpage, integrity checks and sqlite3_serialize take their pages from the cache.
 * - Each connection has a separate file, even if several are open on the same database, so the reads of a checkpoint or
 *   of another connection are not reported here. A report goes to the recording of the thread that reads.
 *
 * A page may be reported but not read, for example if xFetch has not mapped it. This makes a set larger by a page that
 * the cache reports next anyway. No page is missed, because no page is read without a call.
 *
 * A VFS is not used instead, for two reasons. It would have to be the default before a connection is opened, or be
 * named by the code that opens it; a VFS that the application names in its sqlite3_open_v2 would not be seen. And
 * registering a VFS calls sqlite3_initialize, after which SQLite cannot be configured any more. The methods, in
 * contrast, are a pointer at the start of each open file, whichever VFS has made it (for example unix-excl, or a VFS
 * that encrypts). Those of the outermost VFS are replaced, so offsets are the ones that SQLite passed. The functions of
 * the copy get the same file as before.
 *
 * The direct reads cannot be switched off by a setting of a connection, nor by a file control. From 3.48 on SQLite
 * checks whether the file permits partial reads of pages (SQLITE_IOCAP_SUBPAGE_READ in xDeviceCharacteristics); if it
 * does not, SQLite reads nothing past its cache. However, long values then fill the cache again, and 3.45 to 3.47 do
 * not check. When all versions in use check, that bit makes this part unnecessary, except for mapped files. The files
 * of versions before 3.45 are watched as well: they may be mapped.
 *
 * A copy stays with its file until the file is closed, watched or not, because another connection that shares the file
 * (a shared cache) may be inside one of its functions. The same copy guards the restarts of the WAL (copier.c). */

/* Locks of the WAL's index. SQLite takes those of the WAL's readers together to restart the WAL, and otherwise appends
 * to it. */
enum { LOCK_OF_CHECKPOINTS = 1, LOCKS_OF_READERS = 4, READERS = 4 };

typedef struct file_shim {
  sqlite3_io_methods methods; /* those of the file, which gets this address */
  const sqlite3_io_methods *inner;
  vsi_sqlite_watch *watch; /* NULL: none */
  /* guarded: restarts of the WAL need the lock for checkpoints; the connection is in a checkpoint, and has this lock */
  bool is_guarded, has_checkpoints;
} file_shim;

static file_shim *file_shim_of(const sqlite3_file *file) {
  return (file_shim *)(uintptr_t)file->pMethods;
}

static void report_read(const file_shim *at, sqlite3_int64 offset, sqlite3_int64 bytes) {
  const vsi_sqlite_cache *cache = at->watch ? at->watch->cache : NULL;
  if (!cache || !cache->cache || offset < 0 || bytes <= 0) return; /* nothing is known until it is learned again */
  const sqlite3_int64 first = offset / cache->page_bytes, last = (offset + bytes - 1) / cache->page_bytes;
  for (sqlite3_int64 page = first; page <= last; page++) vsi_sqlite_reads_page(cache->owner, (uint32_t)(page + 1));
}

static int read_part(sqlite3_file *file, void *buffer, int bytes, sqlite3_int64 offset) {
  const file_shim *at = file_shim_of(file);
  report_read(at, offset, bytes);
  return at->inner->xRead(file, buffer, bytes, offset);
}

static int map_part(sqlite3_file *file, sqlite3_int64 offset, int bytes, void **ret_mapped) {
  const file_shim *at = file_shim_of(file);
  report_read(at, offset, bytes);
  return at->inner->xFetch(file, offset, bytes, ret_mapped);
}

/* The file's xShmLock. For a restart of the WAL, also takes the lock for checkpoints, and releases it with the locks of
 * the readers. If another program has it, the result is BUSY, and SQLite appends to the WAL instead. */
static int lock_index(sqlite3_file *file, int at, int count, int flags) {
  file_shim *own = file_shim_of(file);
  const sqlite3_io_methods *former = own->inner;
  const bool is_lock = flags & SQLITE_SHM_LOCK;
  const bool is_restart = at == LOCKS_OF_READERS && count == READERS && own->is_guarded && !own->has_checkpoints;
  if (is_restart && is_lock && former->xShmLock(file, LOCK_OF_CHECKPOINTS, 1, flags)) return SQLITE_BUSY;
  const int result = former->xShmLock(file, at, count, flags);
  if (is_restart && (!is_lock || result))
    (void)former->xShmLock(file, LOCK_OF_CHECKPOINTS, 1, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
  if (at == LOCK_OF_CHECKPOINTS) own->has_checkpoints = is_lock && !result;
  return result;
}

static int close_file(sqlite3_file *file) {
  file_shim *at = file_shim_of(file);
  const sqlite3_io_methods *former = at->inner;
  if (at->watch) {
    vsi_sqlite_reads_lose(at->watch->cache->owner);
    at->watch->shim = NULL;
  }
  file->pMethods = former;
  sqlite3_free(at);
  return former->xClose(file);
}

/* Return the size of a table of methods. A VFS of an earlier version has a shorter one. */
static size_t bytes_of(const sqlite3_io_methods *methods) {
  if (methods->iVersion < 2) return offsetof(sqlite3_io_methods, xShmMap);
  if (methods->iVersion < 3) return offsetof(sqlite3_io_methods, xFetch);
  return sizeof *methods;
}

static file_shim *put_in(sqlite3_file *file) {
  file_shim *made = sqlite3_malloc(sizeof *made);
  if (!made) return NULL;
  memset(made, 0, sizeof *made);
  made->inner = file->pMethods;
  memcpy(&made->methods, made->inner, bytes_of(made->inner));
  if (made->methods.iVersion > 3) made->methods.iVersion = 3;
  made->methods.xRead = read_part;
  made->methods.xClose = close_file;
  if (made->methods.xFetch) made->methods.xFetch = map_part;
  if (made->methods.xShmLock) made->methods.xShmLock = lock_index;
  file->pMethods = &made->methods;
  return made;
}

static file_shim *have_in(sqlite3_file *file) {
  return file->pMethods->xRead == read_part ? file_shim_of(file) : put_in(file);
}

int vsi_sqlite_file_guard(sqlite3 *db) {
  sqlite3_file *file = NULL;
  const int result = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (result || !file || !file->pMethods) return result; /* in memory */
  file_shim *at = have_in(file);
  if (at) at->is_guarded = true;
  return at ? SQLITE_OK : SQLITE_NOMEM;
}

bool vsi_sqlite_file_watch(vsi_sqlite_watch *watch, sqlite3_file *file, const vsi_sqlite_cache *cache) {
  vsi_sqlite_file_forget(watch);
  file_shim *at = have_in(file);
  if (!at || at->watch) return false;
  *watch = (vsi_sqlite_watch){at, file, cache};
  at->watch = watch;
  return true;
}

bool vsi_sqlite_file_is_watched(const vsi_sqlite_watch *watch) {
  return watch->shim && file_shim_of(watch->file) == watch->shim;
}

void vsi_sqlite_file_forget(vsi_sqlite_watch *watch) {
  file_shim *at = watch->shim;
  if (at) at->watch = NULL;
  *watch = (vsi_sqlite_watch){NULL, NULL, NULL};
}
