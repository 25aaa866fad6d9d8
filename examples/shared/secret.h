/* SPDX-License-Identifier: MIT */
/* The secret with which an instance seals data. It is stored in the table `secret` of the example's database, so seals
 * stay valid and open pages continue after a restart. */
#ifndef EXAMPLES_SECRET_H
#define EXAMPLES_SECRET_H

#include <string.h>

#include "vestry/data/sqlite.h"

enum { SECRET_BYTES = 32 };

struct secret {
  unsigned char bytes[SECRET_BYTES];
};
static const vestry_sql_shape secret_shape = VESTRY_ROW(struct secret, VESTRY_COLUMN(struct secret, bytes));

/* Read the secret. Returns as vestry_sql_read_rows. */
static inline vestry_err secret_read(vestry_sql_pool *pool, unsigned char bytes[SECRET_BYTES]) {
  struct secret secret;
  vestry_err err = vestry_sql_read_rows(pool, "SELECT bytes FROM secret", NULL, VESTRY_ONE_ROW(&secret_shape, &secret));
  if (!err) memcpy(bytes, secret.bytes, SECRET_BYTES);
  return err;
}

#endif
