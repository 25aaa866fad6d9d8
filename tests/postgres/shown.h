/* SPDX-License-Identifier: MIT */
/* A site over a test's server. Its pages show the results of statements, and count their renders. On the stepped
 * runtime. */
#ifndef TESTS_POSTGRES_SHOWN_H
#define TESTS_POSTGRES_SHOWN_H

#include "postgres/shop.h"
#include "support/site.h"
#include "vestry/data/postgres.h"

enum { SHOWN_MOST = 12, SHOWN_TEXT_BYTES = 200, SHOWN_WAIT_MS = 20000 };

/* The way in which a page reads. */
typedef enum shown_how {
  SHOWN_READS,    /* by vestry_sql_read */
  SHOWN_BEGINS,   /* the same within a transaction VESTRY_SQL_READ */
  SHOWN_RUNS,     /* by vestry_sql_run within such a transaction */
  SHOWN_HANDLED,  /* by libpq within such a transaction, after a read without its values */
  SHOWN_COMMITTED /* by vestry_sql_read within a transaction VESTRY_SQL_WRITE */
} shown_how;

/* A page: its statements and their result. */
typedef struct shown {
  const char *sql, *second; /* second: NULL: only one statement */
  shown_how how;
  bool catches; /* it shows failed reads, and the topic "own" renders it again */
  char text[SHOWN_TEXT_BYTES];
  unsigned renders; /* since the last call of shown_renders */
  vestry_memory_exchange *stream;
} shown;

typedef struct shown_site {
  site on;
  vestry_sql_pool *pool;
  vestry_postgres *database;
  PGconn *writer;
  shown all[SHOWN_MOST];
  size_t count;
  void (*inside)(struct shown_site *); /* called within the next render, after its first read */
} shown_site;

/* Open the site. schema: SQL for an empty database. */
void shown_open(shown_site *s, const char *schema, const vestry_postgres_options *options);
/* The same with options for the pool: host is set, url is set unless given. log: receives log lines; NULL: the test
 * host. */
void shown_open_with(shown_site *s, const char *schema, vestry_postgres_pool_options pool,
                     void (*log)(void *ctx, vestry_log_level level, const char *line),
                     const vestry_postgres_options *options);
void shown_close(shown_site *s);
/* Run SQL on a separate client connection. */
void shown_run(shown_site *s, const char *sql);
/* Open a page, and a tab that shows it. */
size_t shown_watch(shown_site *s, const char *sql, const char *second);
size_t shown_watch_as(shown_site *s, const char *sql, shown_how how, bool catches);
/* Follow all commits, and return the number of renders since the last call. */
unsigned shown_renders(shown_site *s, size_t at);
void shown_settle(shown_site *s);
/* Wait until the server is back and followed, and repeat failed renders. */
void shown_settle_again(shown_site *s, size_t at);
vestry_postgres_stats shown_stats(shown_site *s);

#endif
