/* SPDX-License-Identifier: MIT */
/* A pool over one server for all tests of a program; each test begins with an empty database. */
#ifndef TESTS_POSTGRES_SHOP_H
#define TESTS_POSTGRES_SHOP_H

#include "postgres/server.h"
#include "support/test_host.h"
#include "vestry/data/postgres.h"

typedef struct shop {
  test_host th;
  vestry_sql_pool *pool;
} shop;

/* The program's server. */
postgres_server *shop_server(void);
/* For cmocka's group. With the environment variable VESTRY_HOSTILE the database also has a schema `hostile`, with
 * operators and functions that fail. They have the names of those in vestry's statements, and each combination of types
 * for which pg_catalog has none. A program without PostgreSQL exits with 77 itself. */
int shop_open_server(void **state);
/* The same without that schema; settings: as for postgres_server_start. */
void shop_start_server(const char *const *settings);
int shop_close_server(void **state);

/* Drop everything in the schemas public and aside; the role `site` may create tables in the former. Other statements
 * may follow in the same request. */
#define SHOP_CLEAR                                                                                                     \
  "SET client_min_messages = error; DROP SCHEMA IF EXISTS public, aside CASCADE; CREATE SCHEMA public;"                \
  " CREATE SCHEMA aside; GRANT ALL ON SCHEMA public TO site"
void shop_clear(void);
/* Return the URL of the role `site`, whose rights a stranger may change. */
const char *shop_site_url(void);
/* Open a pool. host is set; url is set unless given. */
vestry_err shop_open(shop *s, vestry_postgres_pool_options options);
/* Clear the database, and open a pool. */
void shop_begin(shop *s, vestry_postgres_pool_options options);
/* Close the pool; check that all connections were released and all memory freed. */
void shop_end(shop *s);
/* Use the pool: return the number that a query finds, or run a statement that must succeed. */
int64_t shop_number(shop *s, const char *sql);
void shop_do(shop *s, const char *sql);
/* Set values for the session of a connection of the pool, by libpq, so that the pool does not notice. */
void shop_set(shop *s, const char *sql);
vestry_sql_pool_stats shop_stats(shop *s);

#endif
