/* SPDX-License-Identifier: MIT */
/* The checkpoints of a pool, and a separate connection for them. */
#ifndef VSI_SQLITE_COPIER_H
#define VSI_SQLITE_COPIER_H

#include "data/sqlite/frames.h"

/* Initialized with 0. Used by the pool's writer only. */
typedef struct vsi_sqlite_copier {
  sqlite3 *db;
  uint64_t until_ns; /* for which it waits for locks */
} vsi_sqlite_copier;

/* Open the connection to a file in WAL mode. Its address must not change. Returns a result of SQLite. */
int vsi_sqlite_copier_open(vsi_sqlite_copier *copier, const char *path);
void vsi_sqlite_copier_close(vsi_sqlite_copier *copier);
/* Copy as much of the WAL into the database as readers permit. Blocks on the disk.
 *  db  another connection, without a transaction
 *  Returns false if another program was writing until then, or was copying */
bool vsi_sqlite_copier_copy(vsi_sqlite_copier *copier, sqlite3 *db, uint64_t until_ns);
/* Copy all of the WAL, and empty its file. Other connections go on reading. Waits for those that have begun before the
 * WAL was copied. Returns whether the file is empty. */
bool vsi_sqlite_copier_empty(vsi_sqlite_copier *copier, uint64_t until_ns);

#endif
