/* SPDX-License-Identifier: MIT */
/* A pool of a test's, over one server for all tests of a program: each begins with an empty database. */
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
/* For cmocka's group: 77 by the program itself where there is no PostgreSQL. */
int shop_open_server(void **state);
int shop_close_server(void **state);

/* Whatever is in the schema public is gone. */
void shop_clear(void);
/* host and url are filled in, unless there is a url. */
vestry_err shop_open(shop *s, vestry_postgres_pool_options options);
/* shop_clear, and a pool that opens. */
void shop_begin(shop *s, vestry_postgres_pool_options options);
/* All connections are back, and all memory. */
void shop_end(shop *s);
/* By the pool: the one number that a query finds; a statement that is to succeed. */
int64_t shop_number(shop *s, const char *sql);
void shop_do(shop *s, const char *sql);
vestry_postgres_pool_stats shop_stats(shop *s);

#endif
