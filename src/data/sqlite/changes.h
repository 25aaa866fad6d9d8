/* SPDX-License-Identifier: MIT */
/* The changes of a running transaction, by tables and columns. They belong to the connection's thread. */
#ifndef VSI_SQLITE_CHANGES_H
#define VSI_SQLITE_CHANGES_H

#include <sqlite3.h>

#include "data/sqlite/tables.h"

enum { VSI_SQLITE_NAME_MOST = 63 };

typedef struct vsi_sqlite_changes {
  vsi_sqlite_uses uses; /* each table once */
  vsi_sqlite_key *keys;
  size_t keys_count, keys_room;
  bool are_unknown; /* there was no memory for all of them */
  bool are_many;    /* more than max_changes_count of the tables: some keys or compared columns are missing */
  /* The table that was changed last, also in a former transaction. */
  char name[VSI_SQLITE_NAME_MOST + 1]; /* empty: none */
  uint32_t table, generation;
  uint32_t version; /* of the tables, when `known` was read */
  vsi_sqlite_known known;
  uint32_t compared_count; /* rows of this transaction whose columns were compared */
} vsi_sqlite_changes;

/* A row that is being changed: the arguments of the preupdate hook. */
typedef struct vsi_sqlite_row {
  sqlite3 *db;
  int operation; /* SQLITE_INSERT, UPDATE, DELETE */
  const char *table;
  int64_t old_rowid, new_rowid;
} vsi_sqlite_row;

/* Add a row that is being changed. Called in the hook. */
void vsi_sqlite_changes_row(vsi_sqlite_changes *changes, vsi_sqlite_tables *tables, const vsi_sqlite_row *row);
/* Remove all changes. The memory of a few keys is kept. */
void vsi_sqlite_changes_clear(const vestry_host *host, vsi_sqlite_changes *changes);
void vsi_sqlite_changes_finish(const vestry_host *host, vsi_sqlite_changes *changes);

#endif
