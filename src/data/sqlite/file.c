/* SPDX-License-Identifier: MIT */
/* essay: what is read past the cache, told by the file */
/* SQLite reads pages of the database from its page cache (cache.c), with two exceptions: pages of a mapped file, which
 * it asks the file for (xFetch); and, from 3.45 on or if built with SQLITE_DIRECT_OVERFLOW_READ, pages of a long value.
 * A row that does not fit on a page goes on in a chain of overflow pages. When SQLite copies a value out of such a
 * chain, it reads each page that it copies from its beginning straight from the file into the value (xRead), unless the
 * page stands in the WAL, or pages of the cache are changed and not written yet. The page of the chain on which a value
 * begins, pages that SQLite only passes on its way, and all pages that stand in the WAL come through the cache as ever.
 * (SQLite's accessPayload in btree.c, sqlite3PagerDirectReadOk and getPageMMap in pager.c, read in 3.46.1 and 3.53.2;
 * sqlite.org/compile.html, under DIRECT_OVERFLOW_READ.) So the same query reads a page through the cache today and past
 * it after the next checkpoint.
 *
 * Either way SQLite asks the file: it has no other access to it than the methods of its sqlite3_file
 * (sqlite.org/c3ref/io_methods.html), and the place of a page in the file says its number. So the methods of a
 * connection's file are replaced by a copy, which tells what xRead and xFetch are asked for and then calls the original
 * methods. What the cache tells and what the file tells is, together, all that is read:
 *
 *   - a read past the cache, by whatever calls for it (a column, a key that is compared, sqlite3_blob_read), is one
 *     xRead at the page's place, or one xFetch;
 *   - the cache's own misses come as xRead too: these pages are known already, and to add one twice adds nothing;
 *   - the WAL and journals are other files. What is read of the WAL was asked of the cache before; a hot journal is
 *     rolled back into the file before anything is read of that;
 *   - the header (24 bytes from the beginning, the change counter) counts as page 1, which every reader has;
 *   - backups, VACUUM, sqlite_dbpage, integrity checks and sqlite3_serialize take their pages from the cache;
 *   - each connection has a file of its own, also when several are open on one: what a checkpoint or a reader of
 *     another connection does is not told here. What is told goes to the recording of the thread that reads.
 * A page may be told of and not be read, as one that xFetch has not mapped: that makes a set larger by a page that the
 * cache tells of next anyway. No page may be missed; and none is, since no page comes without a call.
 *
 * Why not a VFS. A VFS would have to be the default one before a connection is opened, or be named by the code that
 * opens it; a VFS of the application's, named in its sqlite3_open_v2, would stay unseen. And one that is registered
 * calls sqlite3_initialize, after which SQLite cannot be configured any more. The methods are a pointer at the
 * beginning of each open file, whichever VFS has made it (unix-excl, one that encrypts): those of the outermost are
 * replaced, so offsets are the ones that SQLite asked for. Functions of the copy get the file that they always got.
 *
 * Why not switch it off. No setting of a connection switches it off, nor does a file control. From 3.48 on SQLite asks
 * the file whether pages may be read in part (SQLITE_IOCAP_SUBPAGE_READ in xDeviceCharacteristics), and reads nothing
 * past its cache if they may not: but then long values fill the cache again, and 3.45 to 3.47 do not ask. When all
 * SQLites do, that bit makes this file unnecessary, but for files that are mapped.
 *
 * A SQLite before 3.45 that says it was built without DIRECT_OVERFLOW_READ is not watched: nothing passes its cache,
 * so long as no file is mapped.
 *
 * A copy stays with its file until the file is closed, watched or not: another connection that shares the file (a
 * shared cache) may be inside one of its functions. */
#include "data/sqlite/file.h"

#include <stddef.h>
#include <string.h>

#include "data/sqlite/recording.h"

/* These functions are missing in a SQLite that was built without them. */
#pragma weak sqlite3_compileoption_get
#pragma weak sqlite3_compileoption_used

typedef struct shim {
  sqlite3_io_methods methods; /* the file's: an owner of the file has this */
  const sqlite3_io_methods *inner;
  vsi_sqlite_watch *watch; /* NULL: none */
} shim;

static shim *shim_of(const sqlite3_file *file) {
  return (shim *)(uintptr_t)file->pMethods;
}

static void tell(const shim *at, sqlite3_int64 offset, sqlite3_int64 bytes) {
  const vsi_sqlite_cache *cache = at->watch ? at->watch->cache : NULL;
  if (!cache || !cache->cache || offset < 0 || bytes <= 0) return; /* until it is learned anew, nothing is known */
  const sqlite3_int64 first = offset / cache->page_bytes, last = (offset + bytes - 1) / cache->page_bytes;
  for (sqlite3_int64 page = first; page <= last; page++) vsi_sqlite_reads_page(cache->owner, (uint32_t)(page + 1));
}

static int read_part(sqlite3_file *file, void *buffer, int bytes, sqlite3_int64 offset) {
  const shim *at = shim_of(file);
  tell(at, offset, bytes);
  return at->inner->xRead(file, buffer, bytes, offset);
}

static int map_part(sqlite3_file *file, sqlite3_int64 offset, int bytes, void **ret_mapped) {
  const shim *at = shim_of(file);
  tell(at, offset, bytes);
  return at->inner->xFetch(file, offset, bytes, ret_mapped);
}

static int close_file(sqlite3_file *file) {
  shim *at = shim_of(file);
  const sqlite3_io_methods *inner = at->inner;
  if (at->watch) {
    vsi_sqlite_reads_lose(at->watch->cache->owner);
    at->watch->shim = NULL;
  }
  file->pMethods = inner;
  sqlite3_free(at);
  return inner->xClose(file);
}

/* A VFS of a former version has a shorter table. */
static size_t bytes_of(const sqlite3_io_methods *methods) {
  if (methods->iVersion < 2) return offsetof(sqlite3_io_methods, xShmMap);
  if (methods->iVersion < 3) return offsetof(sqlite3_io_methods, xFetch);
  return sizeof *methods;
}

static shim *put_in(sqlite3_file *file) {
  shim *made = sqlite3_malloc(sizeof *made);
  if (!made) return NULL;
  memset(made, 0, sizeof *made);
  made->inner = file->pMethods;
  memcpy(&made->methods, made->inner, bytes_of(made->inner));
  if (made->methods.iVersion > 3) made->methods.iVersion = 3;
  made->methods.xRead = read_part;
  made->methods.xClose = close_file;
  if (made->methods.xFetch) made->methods.xFetch = map_part;
  file->pMethods = &made->methods;
  return made;
}

bool vsi_sqlite_file_is_read_past_cache(void) {
  const bool lists_its_options =
      sqlite3_compileoption_get && sqlite3_compileoption_used && sqlite3_compileoption_get(0);
  return sqlite3_libversion_number() >= 3045000 || !lists_its_options ||
         sqlite3_compileoption_used("DIRECT_OVERFLOW_READ");
}

bool vsi_sqlite_file_watch(vsi_sqlite_watch *watch, sqlite3_file *file, const vsi_sqlite_cache *cache) {
  vsi_sqlite_file_forget(watch);
  shim *at = file->pMethods->xRead == read_part ? shim_of(file) : put_in(file);
  if (!at || at->watch) return false;
  *watch = (vsi_sqlite_watch){at, file, cache};
  at->watch = watch;
  return true;
}

bool vsi_sqlite_file_is_watched(const vsi_sqlite_watch *watch) {
  return watch->shim && shim_of(watch->file) == watch->shim;
}

void vsi_sqlite_file_forget(vsi_sqlite_watch *watch) {
  shim *at = watch->shim;
  if (at) at->watch = NULL;
  *watch = (vsi_sqlite_watch){NULL, NULL, NULL};
}
