/* SPDX-License-Identifier: MIT */
/* The number by which SQLite counts the commits of a file. */
#ifndef VSI_SQLITE_COUNTER_H
#define VSI_SQLITE_COUNTER_H

#include "data/sqlite/sqlite.h"

/* Get the number of the last commit. Call it under the lock.
 *  file      of any connection to the database
 *  Returns  whether it could be read */
bool vsi_sqlite_counter(vestry_sqlite *database, sqlite3_file *file, vsi_sqlite_number *ret_number);
/* Find the WAL's index, if it exists by now. Call it under the lock. OK | BUSY | NO_MEMORY | IO */
vestry_err vsi_sqlite_counter_open(vestry_sqlite *database);
/* Return whether an announced number has been committed, if last is the last number. After a change of the mode and
 * after a crash the numbers restart; the result is then true. */
static inline bool vsi_sqlite_is_reached(vsi_sqlite_number announced, vsi_sqlite_number last) {
  return announced.is_wal != last.is_wal || announced.value - 1 != last.value;
}

#endif
