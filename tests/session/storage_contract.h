/* SPDX-License-Identifier: MIT */
/* The contract of a database that stores sessions: SQLite and PostgreSQL run the same tests. */
#ifndef TESTS_SESSION_STORAGE_CONTRACT_H
#define TESTS_SESSION_STORAGE_CONTRACT_H

#include "support/site.h"
#include "vestry/app/session.h"
#include "vestry/data/sql.h"

typedef struct storage_suite {
  site on;
  vestry_sql_pool *pool;
  vestry_sql_sessions *stored;
} storage_suite;

/* Options of a database's sessions; zero selects the default. */
typedef struct storage_bounds {
  uint32_t max_per_user_count;
} storage_bounds;

/* The database that stores the sessions. */
typedef struct storage_world {
  void (*make)(void), (*remove)(void); /* make and remove an empty database */
  vestry_err (*open)(const vestry_host *host, vestry_sql_pool **ret_pool);
} storage_world;
/* Set before the tests run. */
extern const storage_world *storage_contract_world;

/* Open an instance over the existing database: "/" returns the user's name, /in?user= logs in, /out logs out. */
vestry_err storage_open(storage_suite *s, storage_bounds bounds);
void storage_close(storage_suite *s);
/* The same with an empty database. storage_end removes it, and checks that all memory was freed. */
void storage_begin(storage_suite *s, storage_bounds bounds);
void storage_end(storage_suite *s);
int storage_rows(storage_suite *s);

typedef char storage_cookie[120];
/* Return status and body, and update the cookie. */
const char *storage_ask(storage_suite *s, const char *path, const char *query, storage_cookie c);
void storage_let_in(storage_suite *s, const char *query, storage_cookie c);

/* Run the contract's tests. Returns the number of failed tests. */
int storage_contract_run(const char *name);

#endif
