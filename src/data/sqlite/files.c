/* SPDX-License-Identifier: MIT */
#include "data/sqlite/files.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/vfs.h>
#include <time.h>

#include "base/wait.h"
#include "data/sqlite/frames.h"
#include "data/sqlite/schema.h"

enum { PATH_BYTES = 4096, FILES = 3 };
static const struct {
  const char *suffix, *name;
} kinds[] = {{"", "the file"}, {"-wal", "the file's WAL (-wal)"}, {"-shm", "the index of the file's WAL (-shm)"}};

static bool is_in_wal_mode(sqlite3 *db) {
  sqlite3_stmt *statement = NULL;
  bool is_wal = false;
  if (!sqlite3_prepare_v2(db, "PRAGMA main.journal_mode", -1, &statement, NULL) &&
      sqlite3_step(statement) == SQLITE_ROW)
    is_wal = sqlite3_stricmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
  sqlite3_finalize(statement);
  return is_wal;
}

/* A connection that sets the mode reads and then writes. If two do this at the same time, SQLite rejects one without
 * waiting, because each would wait for the other. Therefore, try again. */
int vsi_sqlite_files_set_wal(sqlite3 *db, uint32_t wait_ms) {
  const uint64_t due_ns = vsi_monotonic_in_ms(wait_ms);
  for (;;) {
    const int result = vsi_sqlite_exec(db, "PRAGMA journal_mode = WAL");
    if ((result & 0xff) != SQLITE_BUSY || vsi_monotonic_ns() >= due_ns) return result;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
}

/* Return the path of a file beside the database; "": there is none. */
static const char *path_of(sqlite3 *db, const char *suffix, char path[PATH_BYTES]) {
  const char *name = sqlite3_db_filename(db, "main");
  const int len = name && *name ? snprintf(path, PATH_BYTES, "%s%s", name, suffix) : 0;
  if (len <= 0 || len >= PATH_BYTES) *path = '\0';
  return path;
}

void vsi_sqlite_files_note(vsi_sqlite_files *files, sqlite3 *db) {
  struct stat is;
  char path[PATH_BYTES];
  const size_t count = is_in_wal_mode(db) ? FILES : 1;
  *files = (vsi_sqlite_files){{{0}}};
  for (size_t i = 0; i < count; i++) {
    if (!*path_of(db, kinds[i].suffix, path) || stat(path, &is)) continue;
    files->of[i].device = is.st_dev;
    files->of[i].number = is.st_ino;
  }
}

static bool has_moved(const vsi_sqlite_files *files, sqlite3 *db, size_t i) {
  struct stat now;
  char path[PATH_BYTES];
  if (!files->of[i].number || !*path_of(db, kinds[i].suffix, path)) return false;
  if (stat(path, &now)) return errno == ENOENT || errno == ENOTDIR; /* otherwise it may only be out of reach */
  return now.st_dev != files->of[i].device || now.st_ino != files->of[i].number;
}

static bool map(sqlite3 *db, const _Atomic(uint32_t) **ret_index) {
  sqlite3_file *file = NULL;
  return !sqlite3_file_control(db, NULL, SQLITE_FCNTL_FILE_POINTER, &file) && file && file->pMethods &&
         !vsi_sqlite_frames_map(file, ret_index);
}

/* Return whether the WAL is shorter than its index requires. While its size is read, another program may commit, or
 * empty it, which changes the index before the file. */
static bool is_cut(sqlite3 *db, vsi_sqlite_wal *ret_wal) {
  const _Atomic(uint32_t) *wal_index;
  sqlite3_int64 bytes = 0;
  sqlite3_file *wal = NULL;
  if (!map(db, &wal_index) || sqlite3_file_control(db, NULL, SQLITE_FCNTL_JOURNAL_POINTER, &wal) || !wal ||
      !wal->pMethods)
    return false;
  const vsi_sqlite_extent before = vsi_sqlite_frames_extent(wal_index);
  if (wal->pMethods->xFileSize(wal, &bytes)) return false;
  const vsi_sqlite_extent after = vsi_sqlite_frames_extent(wal_index);
  *ret_wal = (vsi_sqlite_wal){(uint64_t)bytes, wal_index};
  return before.number == after.number && before.bytes == after.bytes && (uint64_t)bytes < before.bytes;
}

const char *vsi_sqlite_files_far(sqlite3 *db) {
  static const struct {
    unsigned long type;
    const char *name;
  } all[] = {{0x65735546, "FUSE or virtiofs"},
             {0x01021997, "9p"},
             {NFS_SUPER_MAGIC, "NFS"},
             {SMB_SUPER_MAGIC, "SMB"},
             {0xff534d42, "SMB"},
             {0xfe534d42, "SMB"},
             {0x00c36400, "Ceph"},
             {0x0bd00bd0, "Lustre"},
             {0x47504653, "GPFS"},
             {0x7461636f, "OCFS2"},
             {0x01161970, "GFS2"},
             {AFS_SUPER_MAGIC, "AFS"},
             {CODA_SUPER_MAGIC, "Coda"},
             {0x786f4256, "vboxsf"},
             {0xbacbacbc, "vmhgfs"},
             {0x5346414f, "AFS"},
             {0x19830326, "BeeGFS"},
             {0xaad7aaea, "PanFS"}};
  struct statfs of;
  char path[PATH_BYTES];
  if (!*path_of(db, "", path) || statfs(path, &of)) return NULL;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (all[i].type == ((unsigned long)of.f_type & 0xffffffff)) return all[i].name;
  return NULL;
}

bool vsi_sqlite_files_have_links(sqlite3 *db) {
  struct stat now;
  char path[PATH_BYTES];
  return *path_of(db, "", path) && !stat(path, &now) && now.st_nlink > 1;
}

const char *vsi_sqlite_files_find_moved(const vsi_sqlite_files *files, sqlite3 *db, bool checks_names,
                                        vsi_sqlite_wal *ret_wal) {
  *ret_wal = (vsi_sqlite_wal){.bytes = 0};
  if (checks_names && has_moved(files, db, 0)) return kinds[0].name;
  if (files->of[1].number && is_cut(db, ret_wal)) return kinds[1].name;
  for (size_t i = 1; i < FILES && checks_names; i++)
    if (has_moved(files, db, i)) return kinds[i].name;
  return NULL;
}
