/* SPDX-License-Identifier: MIT */
/* The number that SQLite counts a file's commits with. */
#ifndef VSI_SQLITE_COUNTER_H
#define VSI_SQLITE_COUNTER_H

#include "data/sqlite/sqlite.h"

/* The number of the last commit. Under the lock.
 *  file      of any connection to the database
 *  Returns  whether it could be read */
bool vsi_sqlite_counter(vestry_sqlite *database, sqlite3_file *file, vsi_sqlite_number *ret_number);
/* Find the WAL's index, if there is one by now. Under the lock. OK | BUSY | NO_MEMORY | IO */
vestry_err vsi_sqlite_counter_open(vestry_sqlite *database);
/* Whether a number that was announced has been committed, now that last is the last one. After a change of the mode and
 * after a crash numbers begin anew: then it has been. */
static inline bool vsi_sqlite_is_reached(vsi_sqlite_number announced, vsi_sqlite_number last) {
  return announced.is_wal != last.is_wal || announced.value - 1 != last.value;
}

#endif
