/* SPDX-License-Identifier: MIT */
/* What an instance seals with, kept in the table `secret` of the example's database: so what was sealed is good after a
 * restart, and open pages go on. */
#ifndef EXAMPLES_SECRET_H
#define EXAMPLES_SECRET_H

#include <string.h>

#include "vestry/data/sqlite_pool.h"

enum { SECRET_BYTES = 32 };

static inline void secret_take(sqlite3_stmt *row, void *secret) {
  if (sqlite3_column_bytes(row, 0) == SECRET_BYTES) memcpy(secret, sqlite3_column_blob(row, 0), SECRET_BYTES);
}

/* As vestry_sqlite_run_alone. */
static inline vestry_err secret_read(vestry_sqlite_pool *pool, unsigned char secret[SECRET_BYTES]) {
  return vestry_sqlite_run_alone(pool, "SELECT bytes FROM secret", NULL, secret_take, secret);
}

#endif
