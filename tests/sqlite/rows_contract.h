/* SPDX-License-Identifier: MIT */
/* The contract of rows by name: SQLite and PostgreSQL run the same tests. */
#ifndef TESTS_SQLITE_ROWS_CONTRACT_H
#define TESTS_SQLITE_ROWS_CONTRACT_H

#include "support/test_host.h"
#include "vestry/data/sql.h"

/* The database of a test. */
typedef struct rows_world {
  vestry_err (*open)(const vestry_host *host, vestry_sql_pool **ret_pool); /* an empty database */
  void (*remove)(void);                                                    /* after the pool was destroyed */
  const char *bytes_type;                                                  /* of a column: BLOB, bytea */
} rows_world;
/* Set before the tests run. */
extern const rows_world *rows_contract_world;

/* Run the contract's tests. Returns the number of failed tests. */
int rows_contract_run(const char *name);

#endif
