/* SPDX-License-Identifier: MIT */
/* The secret with which an instance seals data. It is stored in the table `secret` of the example's database, so seals
 * stay valid and open pages continue after a restart. */
#ifndef EXAMPLES_SECRET_H
#define EXAMPLES_SECRET_H

#include <string.h>

#include "vestry/data/sqlite.h"

enum { SECRET_BYTES = 32 };

static inline void secret_take(const vestry_sql_row *row, void *secret) {
  (void)vestry_sql_bytes(row, 0, secret, SECRET_BYTES);
}

/* Read the secret. Returns as vestry_sql_run_alone. */
static inline vestry_err secret_read(vestry_sql_pool *pool, unsigned char secret[SECRET_BYTES]) {
  return vestry_sql_run_alone(pool, "SELECT bytes FROM secret", NULL, secret_take, secret);
}

#endif
