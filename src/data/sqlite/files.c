/* SPDX-License-Identifier: MIT */
#include "data/sqlite/files.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "data/sqlite/frames.h"

enum { PATH_BYTES = 4096 };

static bool is_in_wal_mode(sqlite3 *db) {
  sqlite3_stmt *statement = NULL;
  bool is_wal = false;
  if (!sqlite3_prepare_v2(db, "PRAGMA main.journal_mode", -1, &statement, NULL) &&
      sqlite3_step(statement) == SQLITE_ROW)
    is_wal = sqlite3_stricmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
  sqlite3_finalize(statement);
  return is_wal;
}

/* Return the path of a file beside the database; "": there is none. */
static const char *path_of(sqlite3 *db, const char *suffix, char path[PATH_BYTES]) {
  const char *name = sqlite3_db_filename(db, "main");
  const int len = name && *name ? snprintf(path, PATH_BYTES, "%s%s", name, suffix) : 0;
  if (len <= 0 || len >= PATH_BYTES) *path = '\0';
  return path;
}

void vsi_sqlite_files_note(vsi_sqlite_files *files, sqlite3 *db) {
  struct stat wal, wal_index;
  char path[PATH_BYTES];
  *files = (vsi_sqlite_files){{0}, {0}};
  if (!is_in_wal_mode(db) || stat(path_of(db, "-wal", path), &wal) || stat(path_of(db, "-shm", path), &wal_index))
    return;
  files->wal.device = wal.st_dev;
  files->wal.number = wal.st_ino;
  files->wal_index.device = wal_index.st_dev;
  files->wal_index.number = wal_index.st_ino;
}

static bool has_moved(sqlite3 *db, const char *suffix, dev_t device, ino_t number) {
  struct stat now;
  char path[PATH_BYTES];
  if (!number || !*path_of(db, suffix, path)) return false;
  if (stat(path, &now)) return errno == ENOENT;
  return now.st_dev != device || now.st_ino != number;
}

static bool map(sqlite3 *db, const _Atomic(uint32_t) **ret_index) {
  sqlite3_file *file = NULL;
  return !sqlite3_file_control(db, NULL, SQLITE_FCNTL_FILE_POINTER, &file) && file && file->pMethods &&
         !vsi_sqlite_frames_map(file, ret_index);
}

/* Return whether the WAL is shorter than its index requires. While its size is read, another program may commit, or
 * empty it, which changes the index before the file. */
static bool is_cut(sqlite3 *db, uint64_t *ret_bytes) {
  const _Atomic(uint32_t) *wal_index;
  sqlite3_int64 bytes = 0;
  sqlite3_file *wal = NULL;
  if (!map(db, &wal_index) || sqlite3_file_control(db, NULL, SQLITE_FCNTL_JOURNAL_POINTER, &wal) || !wal ||
      !wal->pMethods)
    return false;
  const vsi_sqlite_extent before = vsi_sqlite_frames_extent(wal_index);
  if (wal->pMethods->xFileSize(wal, &bytes)) return false;
  const vsi_sqlite_extent after = vsi_sqlite_frames_extent(wal_index);
  *ret_bytes = (uint64_t)bytes;
  return before.number == after.number && before.bytes == after.bytes && (uint64_t)bytes < before.bytes;
}

uint64_t vsi_sqlite_files_wal_bytes(const vsi_sqlite_files *files, sqlite3 *db) {
  const _Atomic(uint32_t) *wal_index;
  return files->wal.number && map(db, &wal_index) ? vsi_sqlite_frames_extent(wal_index).bytes : 0;
}

const char *vsi_sqlite_files_find_moved(const vsi_sqlite_files *files, sqlite3 *db, bool checks_names,
                                        uint64_t *ret_wal_bytes) {
  int is_other = 0;
  *ret_wal_bytes = 0;
  if (!sqlite3_file_control(db, "main", SQLITE_FCNTL_HAS_MOVED, &is_other) && is_other) return "the file";
  if (files->wal.number && is_cut(db, ret_wal_bytes)) return "the file's WAL (-wal)";
  if (!checks_names) return NULL;
  if (has_moved(db, "-wal", files->wal.device, files->wal.number)) return "the file's WAL (-wal)";
  if (has_moved(db, "-shm", files->wal_index.device, files->wal_index.number))
    return "the index of the file's WAL (-shm)";
  return NULL;
}
