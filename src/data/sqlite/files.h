/* SPDX-License-Identifier: MIT */
/* The files of a database, which others may remove, replace or cut while this program has them open. Its connections
 * continue with the removed files, and SQLite reports no error in WAL mode: other programs use the new files, and
 * writes to the removed ones are lost. If the WAL was cut, its next checkpoint writes zeros into the database.
 *
 * A connection that has read in WAL mode keeps the files of the WAL open, and as long as it does, no program that uses
 * SQLite removes them.
 */
#ifndef VSI_SQLITE_FILES_H
#define VSI_SQLITE_FILES_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* The database, the WAL, and its index. Initialized with 0: they are not known. */
typedef struct vsi_sqlite_files {
  struct {
    dev_t device;
    ino_t number; /* 0: not known */
  } of[3];
} vsi_sqlite_files;

/* The size of a connection's WAL (0: unknown), and its mapped index. The index is valid while the connection cannot
 * leave WAL mode: until the end of its transaction. */
typedef struct vsi_sqlite_wal {
  uint64_t bytes;
  const _Atomic(uint32_t) *index;
} vsi_sqlite_wal;

/* Set WAL mode, in which the file then is for all programs.
 *  Returns a result of SQLite; OK, too, if the file cannot be in this mode */
int vsi_sqlite_files_set_wal(sqlite3 *db, uint32_t wait_ms);
/* Note the files that a connection has open, which has read. In modes without a WAL only the database is noted. */
void vsi_sqlite_files_note(vsi_sqlite_files *files, sqlite3 *db);
/* Return the name, for a message, of a file of this connection that was removed, replaced or cut; NULL: none, or
 * unknown.
 *  checks_names  also look the names of all files up, which is four system calls
 *  ret_wal       the WAL; of size 0 if it is unknown */
const char *vsi_sqlite_files_find_moved(const vsi_sqlite_files *files, sqlite3 *db, bool checks_names,
                                        vsi_sqlite_wal *ret_wal);
/* Return the name, for a message, of a file system whose processes may not share memory, because they are on several
 * machines or mounts, if the database file is on one; NULL: it is not, or that is unknown. */
const char *vsi_sqlite_files_far(sqlite3 *db);
/* Return whether the database file has several names (hard links). SQLite names the files of the WAL after the name by
 * which a program opens the database, so programs that use different names neither see nor respect each other. */
bool vsi_sqlite_files_have_links(sqlite3 *db);

#endif
