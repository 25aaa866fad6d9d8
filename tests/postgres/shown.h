/* SPDX-License-Identifier: MIT */
/* A site whose pages are what statements show, over a test's server: it counts how often each was rendered. On the
 * stepped runtime. */
#ifndef TESTS_POSTGRES_SHOWN_H
#define TESTS_POSTGRES_SHOWN_H

#include "postgres/shop.h"
#include "support/site.h"
#include "vestry/data/postgres.h"

enum { SHOWN_MOST = 12, SHOWN_TEXT_BYTES = 200, SHOWN_WAIT_MS = 20000 };

/* How a page reads. */
typedef enum shown_how {
  SHOWN_READS,    /* by vestry_sql_read */
  SHOWN_BEGINS,   /* so, inside of a transaction of the kind RENDER */
  SHOWN_RUNS,     /* by vestry_sql_run in such a one */
  SHOWN_COMMITTED /* by vestry_sql_read inside of a transaction READ_COMMITTED */
} shown_how;

/* A page: what it runs and shows. */
typedef struct shown {
  const char *sql, *second; /* second: NULL: it runs one statement */
  shown_how how;
  bool catches; /* it shows that a read has failed, and the topic "own" renders it again */
  char text[SHOWN_TEXT_BYTES];
  unsigned renders; /* since it was last asked */
  vestry_memory_exchange *stream;
} shown;

typedef struct shown_site {
  site on;
  vestry_sql_pool *pool;
  vestry_postgres *database;
  PGconn *writer;
  shown all[SHOWN_MOST];
  size_t count;
  void (*inside)(struct shown_site *); /* comes inside of the next render, behind what it reads first */
} shown_site;

/* schema: SQL for an empty database. */
void shown_open(shown_site *s, const char *schema, const vestry_postgres_options *options);
/* The same with a pool of its own kind: host and url are filled in, unless there is a url. log: takes its lines; NULL:
 * the test host does. */
void shown_open_with(shown_site *s, const char *schema, vestry_postgres_pool_options pool,
                     void (*log)(void *ctx, vestry_log_level level, const char *line),
                     const vestry_postgres_options *options);
void shown_close(shown_site *s);
/* By a client of its own. */
void shown_run(shown_site *s, const char *sql);
/* A page, and a tab that shows it. */
size_t shown_watch(shown_site *s, const char *sql, const char *second);
size_t shown_watch_as(shown_site *s, const char *sql, shown_how how, bool catches);
/* How often the page was rendered since it was last asked, once all that is committed was followed. */
unsigned shown_renders(shown_site *s, size_t at);
void shown_settle(shown_site *s);
/* Once the server is there again, and is followed; renders that have failed are tried again. */
void shown_settle_again(shown_site *s, size_t at);
vestry_postgres_stats shown_stats(shown_site *s);

#endif
