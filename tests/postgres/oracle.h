/* SPDX-License-Identifier: MIT */
/* A random world over a server: tables, an application whose pages show the results of queries, and clients with
 * overlapping transactions. One seed determines everything, except what the server does by itself.
 *
 * Commits: a commit is a committed transaction of a client that changed rows or ran a command (VACUUM, ALTER TABLE,
 * …). It counts once, however many statements it has; a transaction that changed nothing does not count.
 *
 * Checks: after some commits, depending on the application's pace, everything settles: the follower has read the WAL
 * beyond the last commit, and each page that was hit has rendered. Then the queries of every page run again in one
 * snapshot, and each page must show their results. A missed page shows old results until another commit hits it.
 * With few commits between two checks, hardly any miss is hidden; with many, commits of several clients coincide, as
 * they do under load. The pace differs between applications. Followed by tables, nearly every commit hits most
 * pages, so there are few pages and few commits between checks.
 *
 * Bounds: worlds of the third kind are followed by reads with small maximums of keys and bytes, which most renders and
 * transactions exceed.
 *
 * Other events: pages read in transactions of each kind, and some catch failures and show them. A page's connection
 * is cut during its render. The follower's connection is cut, or its process is stopped. The server crashes, or
 * returns and cannot be followed. The pages' clock steps. Other clients hold snapshots and locks, change definitions,
 * settings and rights, and end vestry's sessions. A page that shows a failure must recover by itself. */
#ifndef TESTS_POSTGRES_ORACLE_H
#define TESTS_POSTGRES_ORACLE_H

#include "postgres/shop.h"
#include "support/site.h"
#include "vestry/data/postgres.h"

enum {
  ORACLE_PAGES = 40,
  ORACLE_PAGES_BY_TABLES = 8,
  ORACLE_WRITERS = 4,
  ORACLE_STRANGERS = 2,
  ORACLE_SQL_BYTES = 512,
  ORACLE_HISTORY_BYTES = 32000
};

typedef struct oracle_page {
  char sql[2][ORACLE_SQL_BYTES]; /* the second may be empty */
  vestry_sql_kind kind;          /* of the page's own transaction; 0: vestry_sql_read begins one */
  bool runs;                     /* reads by vestry_sql_run in that transaction */
  bool catches;                  /* shows failed reads */
  uint64_t shown, is;            /* shown: the page's content; is: the expected content at the last check */
  uint64_t renders;              /* since the last check */
  bool has_failed;
  vestry_memory_exchange *stream;
} oracle_page;

typedef struct oracle_writer {
  PGconn *db;
  bool is_open, is_late; /* late: its commit is in the WAL, but not visible */
  bool has_written;      /* in this transaction */
  unsigned savepoints;
  const struct stranger *holds; /* a stranger only */
} oracle_writer;

typedef struct oracle_world {
  site on;
  vestry_sql_pool *pool;
  vestry_postgres *database;
  oracle_page all[ORACLE_PAGES];
  size_t pages_count;
  vestry_postgres_level level;
  bool is_bounded;                                          /* each application has small bounds, which are reached */
  oracle_writer writers[ORACLE_WRITERS + ORACLE_STRANGERS]; /* the strangers last */
  PGconn *truth;
  uint64_t random, names;
  uint64_t steps, commits;            /* of clients */
  bool is_inside;                     /* a client's step happens within the next render */
  bool is_cut;                        /* the next render's connection is cut before its last read */
  char history[ORACLE_HISTORY_BYTES]; /* the clients' statements since the last check */
} oracle_world;

uint32_t oracle_random(oracle_world *w, uint32_t below);

/* oracle_queries.c: a random query of a page, and the tables. */
extern const char oracle_schema[];
void oracle_make_query(oracle_world *w, char sql[ORACLE_SQL_BYTES]);
/* Write a statement with random numbers for @g, @n, @i, @k, @x. */
void oracle_write_sql(oracle_world *w, const char *form, char sql[ORACLE_SQL_BYTES]);

/* oracle_writers.c: run the next step of one of the clients. */
void oracle_writers_open(oracle_world *w);
void oracle_write(oracle_world *w);
/* After a server crash: reconnect the clients, and end prepared transactions. */
void oracle_writers_again(oracle_world *w);
void oracle_writers_close(oracle_world *w);
/* End the clients' transactions. */
void oracle_writers_rest(oracle_world *w);
/* Run a statement of a client; return whether it succeeded. */
bool oracle_run(oracle_world *w, oracle_writer *by, const char *sql);
/* The client has committed. */
void oracle_count(oracle_world *w, oracle_writer *by);

/* oracle_strangers.c: what other clients of the server hold and change. */
void oracle_strangers_open(oracle_world *w);
/* Let one of the strangers begin something, or end it. */
void oracle_strangers_step(oracle_world *w);
/* End everything during which reads of pages may fail. */
void oracle_strangers_rest(oracle_world *w);
/* After a server crash: reconnect, and end everything. */
void oracle_strangers_again(oracle_world *w);
void oracle_strangers_close(oracle_world *w);
/* End all sessions of vestry. */
void oracle_end_sessions(oracle_world *w);

/* oracle_world.c. Some clients' transactions begin before the follower starts. */
void oracle_world_open(oracle_world *w, uint64_t seed, vestry_postgres_level level, bool is_bounded);
void oracle_world_close(oracle_world *w);
/* Settle until every page shows its content without failure. false: that does not happen. */
bool oracle_world_settle(oracle_world *w);
/* Query the expected content of each page, into ret_is. */
void oracle_world_ask(oracle_world *w, uint64_t ret_is[ORACLE_PAGES]);
/* Restart the application with other pages, while clients' transactions stay open. */
void oracle_world_restart(oracle_world *w);
/* Cut the follower's connection; or stop its process while clients continue, and resume it. */
void oracle_world_cut(oracle_world *w);
void oracle_world_pause(oracle_world *w);
/* Crash and restart the server; or restart it for a while without accepting followers. false: a page does not show
 * its expected content by then. */
void oracle_world_crash(oracle_world *w);
bool oracle_world_refuse(oracle_world *w);
/* The server's settings. */
extern const char *const oracle_settings[], *const oracle_settings_refusing[];

#endif
