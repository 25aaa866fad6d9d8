/* SPDX-License-Identifier: MIT */
/* What an instance seals with, kept in the table `secret` of the example's database: so what was sealed is good after a
 * restart, and open pages go on. */
#ifndef EXAMPLES_SECRET_H
#define EXAMPLES_SECRET_H

#include <string.h>

#include "vestry/data/sqlite.h"

enum { SECRET_BYTES = 32 };

static inline void secret_take(const vestry_sql_row *row, void *secret) {
  (void)vestry_sql_bytes(row, 0, secret, SECRET_BYTES);
}

/* As vestry_sql_run_alone. */
static inline vestry_err secret_read(vestry_sql_pool *pool, unsigned char secret[SECRET_BYTES]) {
  return vestry_sql_run_alone(pool, "SELECT bytes FROM secret", NULL, secret_take, secret);
}

#endif
