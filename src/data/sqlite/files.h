/* SPDX-License-Identifier: MIT */
/* The files of a database, which others may remove, replace or cut while this program has them open. Its connections
 * continue with the removed files, and SQLite reports no error in WAL mode: other programs use the new files, and
 * writes to the removed ones are lost. If the WAL was cut, its next checkpoint writes zeros into the database.
 *
 * SQLite compares the database file itself (SQLITE_FCNTL_HAS_MOVED), but not the files of the WAL. A connection that
 * has read in WAL mode keeps them open, and as long as it does, no program that uses SQLite removes them. */
#ifndef VSI_SQLITE_FILES_H
#define VSI_SQLITE_FILES_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Initialized with 0: the files of the WAL are not known. */
typedef struct vsi_sqlite_files {
  struct {
    dev_t device;
    ino_t number; /* 0: not known */
  } wal, wal_index;
} vsi_sqlite_files;

/* Note the files of the WAL that a connection has open, which has read. In other modes nothing is noted. */
void vsi_sqlite_files_note(vsi_sqlite_files *files, sqlite3 *db);
/* Return the name, for a message, of a file of this connection that was removed, replaced or cut; NULL: none, or
 * unknown.
 *  checks_names   also whether the files of the WAL still have their names, which is two system calls more
 *  ret_wal_bytes  the size of the WAL; 0: unknown */
const char *vsi_sqlite_files_find_moved(const vsi_sqlite_files *files, sqlite3 *db, bool checks_names,
                                        uint64_t *ret_wal_bytes);
/* Return the least size that the WAL has after the last commit, by its index; 0: unknown. */
uint64_t vsi_sqlite_files_wal_bytes(const vsi_sqlite_files *files, sqlite3 *db);

#endif
