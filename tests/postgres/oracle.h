/* SPDX-License-Identifier: MIT */
/* A random world over a server: tables, an application whose pages show what queries find, and clients whose
 * transactions stay open beside one another. All is by one seed; only what the server does by itself differs from run
 * to run.
 *
 * What a commit is: a transaction that a client has committed, and that changed rows, or ran a command (VACUUM, ALTER
 * TABLE, …). It counts once, however many statements it has; one that found nothing to change counts as none.
 *
 * What is checked when: after some commits, as the application's pace has it, all is settled: the follower has read the
 * WAL behind the last commit, and each page that was hit is rendered. Then the queries of every page are asked afresh,
 * in one snapshot, and each page must show what they find. A page that was missed shows what was before, until
 * another commit meets it. So when few commits are between two checks, hardly anything hides a miss; when there are
 * many, commits of several clients come together, as they do under load. How many differs from application to
 * application. By tables nearly every commit meets most pages: there are few pages there, and few commits between
 * checks.
 *
 * What else happens: pages read in transactions of their own, of each kind; some catch what fails, and show that. Their
 * connection is cut in the middle of a render; the follower's is cut, or its process is stopped; the server crashes, or
 * comes back and cannot be followed; the pages' clock steps. A page that shows a failure has to come back by itself. */
#ifndef TESTS_POSTGRES_ORACLE_H
#define TESTS_POSTGRES_ORACLE_H

#include "postgres/shop.h"
#include "support/site.h"
#include "vestry/data/postgres.h"

enum {
  ORACLE_PAGES = 40,
  ORACLE_PAGES_BY_TABLES = 8,
  ORACLE_WRITERS = 4,
  ORACLE_SQL_BYTES = 256,
  ORACLE_HISTORY_BYTES = 32000
};

typedef struct oracle_page {
  char sql[2][ORACLE_SQL_BYTES]; /* the second may be empty */
  vestry_sql_kind kind;          /* of the transaction that it reads in; 0: the one that reading begins */
  bool runs;                     /* by vestry_sql_run in that */
  bool catches;                  /* it shows that a read has failed */
  uint64_t shown, is;            /* what it shows, what it was to show when that was last asked */
  uint64_t renders;              /* since then */
  bool has_failed;
  vestry_memory_exchange *stream;
} oracle_page;

typedef struct oracle_writer {
  PGconn *db;
  bool is_open, is_late; /* late: its commit stands in the WAL, and is not visible */
  bool has_written;      /* in this transaction */
  unsigned savepoints;
} oracle_writer;

typedef struct oracle_world {
  site on;
  vestry_sql_pool *pool;
  vestry_postgres *database;
  oracle_page all[ORACLE_PAGES];
  size_t pages_count;
  vestry_postgres_level level;
  oracle_writer writers[ORACLE_WRITERS];
  PGconn *truth;
  uint64_t random, names;
  uint64_t steps, commits;            /* of clients */
  bool is_inside;                     /* a client's step comes inside of the next render */
  bool is_cut;                        /* the next render's connection is cut before its last read */
  char history[ORACLE_HISTORY_BYTES]; /* what clients did since it was last looked */
} oracle_world;

uint32_t oracle_random(oracle_world *w, uint32_t below);

/* oracle_queries.c: a page's, and the tables they are of. */
extern const char oracle_schema[];
void oracle_make_query(oracle_world *w, char sql[ORACLE_SQL_BYTES]);
/* A statement with random numbers: @g, @n, @i, @k, @x. */
void oracle_write_sql(oracle_world *w, const char *form, char sql[ORACLE_SQL_BYTES]);

/* oracle_writers.c: the next step of one of the clients. */
void oracle_writers_open(oracle_world *w);
void oracle_write(oracle_world *w);
/* The server was away: they begin anew, and what was prepared is ended. */
void oracle_writers_again(oracle_world *w);
void oracle_writers_close(oracle_world *w);

/* oracle_world.c. Clients may have begun before the follower does. */
void oracle_world_open(oracle_world *w, uint64_t seed, vestry_postgres_level level);
void oracle_world_close(oracle_world *w);
/* Until every page shows what it is to show. false: it never ends. */
bool oracle_world_settle(oracle_world *w);
/* Ask what each page is to show: into ret_is. */
void oracle_world_ask(oracle_world *w, uint64_t ret_is[ORACLE_PAGES]);
/* The application ends and begins again, with other pages, while clients' transactions stay open. */
void oracle_world_restart(oracle_world *w);
/* The follower loses its connection; or it is stopped, clients go on, and it is continued. */
void oracle_world_cut(oracle_world *w);
void oracle_world_pause(oracle_world *w);
/* The server crashes, and is there again; or it lets nobody follow then, for a while. false: a page does not show by
 * then what it is to show. */
void oracle_world_crash(oracle_world *w);
bool oracle_world_refuse(oracle_world *w);
/* The server's settings. */
extern const char *const oracle_settings[], *const oracle_settings_refusing[];

#endif
