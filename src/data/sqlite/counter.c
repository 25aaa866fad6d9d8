/* SPDX-License-Identifier: MIT */
/* essay: the commit counter of SQLite, read without a call of SQLite */
/* The commit counter of SQLite, read where all processes share it.
 *
 * In WAL mode it is a word of the WAL's index (`iChange`, at byte 8), which is written last: a reader that finds the
 * number there can read the commit. The index is mapped once, by the database's own connection, so a check is one load,
 * without a call of SQLite and without a lock. That connection stays open, so no other connection can leave the mode.
 *
 * In other modes it is the counter in the file's header (at byte 24). It is written before the commit has ended.
 * Therefore, a connection that did not make the commit reads it again while none can write (others.c).
 *
 * The file is read through the sqlite3_file of an open connection. If the file were opened and closed here, POSIX would
 * drop the locks that SQLite has on it, because they belong to the process. */
#include "data/sqlite/counter.h"

enum {
  HEADER_BYTES = 28,
  MODE_AT = 18, /* 2: WAL */
  COUNTER_AT = 24,
  INDEX_WORD = 2,
  INDEX_BYTES = 32768 /* the size that SQLite maps */
};

static const _Atomic(uint32_t) *map(sqlite3_file *file, vestry_err *ret_error) {
  volatile void *head = NULL;
  *ret_error = VESTRY_IO;
  if (file->pMethods->iVersion < 2 || !file->pMethods->xShmMap) return NULL;
  int result = file->pMethods->xShmMap(file, 0, INDEX_BYTES, 0, &head);
  if (result == SQLITE_NOMEM || result == SQLITE_IOERR_NOMEM) *ret_error = VESTRY_NO_MEMORY;
  if (result == SQLITE_BUSY) *ret_error = VESTRY_BUSY;
  return result == SQLITE_OK ? (const _Atomic(uint32_t) *)(uintptr_t)head : NULL;
}

/* Read the number from the file's header. An empty file has no header yet. */
static bool read_header(sqlite3_file *file, vsi_sqlite_number *ret_number) {
  unsigned char header[HEADER_BYTES] = {0};
  int result = file->pMethods ? file->pMethods->xRead(file, header, sizeof header, 0) : SQLITE_IOERR;
  if (result != SQLITE_OK && result != SQLITE_IOERR_SHORT_READ) return false;
  const unsigned char *at = header + COUNTER_AT;
  ret_number->value = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
  ret_number->is_wal = header[MODE_AT] == 2;
  return true;
}

bool vsi_sqlite_counter(vestry_sqlite *database, sqlite3_file *file, vsi_sqlite_number *ret_number) {
  const _Atomic(uint32_t) *index = database->wal_index;
  if (!index) {
    if (!read_header(file, ret_number)) return false;
    if (!ret_number->is_wal) return true;
    /* The mode changed a moment ago. */
    if (vsi_sqlite_counter_open(database) || !(index = database->wal_index)) return false;
  }
  *ret_number = (vsi_sqlite_number){atomic_load_explicit(&index[INDEX_WORD], memory_order_acquire), true};
  return true;
}

vestry_err vsi_sqlite_counter_open(vestry_sqlite *database) {
  if (database->wal_index) return VESTRY_OK;
  int result = sqlite3_exec(database->db, "SELECT 1 FROM sqlite_schema LIMIT 1", NULL, NULL, NULL); /* opens the file */
  if (result) return vsi_sqlite_code(result);
  vsi_sqlite_number number;
  if (!read_header(database->file, &number)) return VESTRY_IO;
  if (!number.is_wal) return VESTRY_OK;
  vestry_err error;
  const _Atomic(uint32_t) *index = map(database->file, &error);
  if (!index) return error;
  error = vsi_sqlite_commits_follow_wal(&database->commits, database->db, index);
  if (error) return error;
  database->wal_index = index;
  return VESTRY_OK;
}
