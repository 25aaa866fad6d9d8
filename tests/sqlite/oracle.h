/* SPDX-License-Identifier: MIT */
/* The oracle's worlds: random schemas, random pages over them, random commits by several connections, attached and not,
 * and by another process. oracle_test.c judges. What is random follows from a world's seed; what comes inside of
 * renders has chances of its own, so that what is committed does not depend on what is rendered. */
#ifndef TESTS_SQLITE_ORACLE_H
#define TESTS_SQLITE_ORACLE_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#include "support/folder.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/data/sqlite.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

enum {
  ORACLE_TABLES = 4,
  ORACLE_VIEWS = 2,
  ORACLE_ADDED = 3, /* columns that may be added: z0 to z2 */
  ORACLE_PAGES_MOST = 14,
  ORACLE_QUERIES_MOST = 3,
  ORACLE_STATEMENTS_MOST = 40,
  ORACLE_SQL_BYTES = 1024,
  ORACLE_ROW_BYTES = 160
};

/* Who can write. All but the last are connections of this process. */
typedef enum oracle_who {
  ORACLE_WRITER, /* attached */
  ORACLE_SECOND, /* attached */
  ORACLE_READER, /* attached: pages are rendered with it, and it writes too */
  ORACLE_OTHER,  /* not attached */
  ORACLE_TRUTH,  /* not attached; writes nothing */
  ORACLE_CONNECTIONS,
  ORACLE_PROCESS = ORACLE_CONNECTIONS /* another one */
} oracle_who;

/* How the database is followed. */
typedef enum oracle_kind {
  ORACLE_BY_PAGES,
  ORACLE_BY_TABLES,
  ORACLE_BY_JOURNAL, /* by tables, with a rollback journal */
  ORACLE_ALONE,      /* so, and one connection has the file for itself: locking_mode EXCLUSIVE */
  ORACLE_KINDS
} oracle_kind;

/* What a step commits. */
typedef enum oracle_step {
  ORACLE_OF_ATTACHED,
  ORACLE_OF_OTHERS,
  ORACLE_OF_SEVERAL,
  ORACLE_OF_SCHEMA, /* and of who cares for the file: VACUUM, checkpoints, pragmas */
  ORACLE_STEPS
} oracle_step;

typedef struct oracle_query {
  char sql[ORACLE_SQL_BYTES];
  bool is_ordered;
  char value_types[2]; /* of what is bound: i, r, t, n */
  int values[2];
  uint64_t shown;
  sqlite3_stmt *kept, *truth; /* the reader's, if the page keeps it; and that of whoever knows */
} oracle_query;

/* A page: what it asks, and what it shows. */
typedef struct oracle_page {
  oracle_query queries[ORACLE_QUERIES_MOST];
  int queries_count;
  bool keeps; /* its statements, from render to render */
  vestry_memory_exchange *stream;
  uint64_t shown, true_result;
  unsigned renders;
  bool has_failed; /* a read has, as where no connection is free, and the page shows that */
} oracle_page;

typedef struct oracle_world {
  test_host th;
  char folder[FOLDER_BYTES], path[96], side[96];
  oracle_kind kind;
  vestry_sqlite_level level;
  bool is_wal;
  bool is_alone;
  bool is_plain;      /* tables without indexes, whose rows grow and move about */
  bool is_keyed;      /* rows are looked up by keys, and keys change */
  bool is_chaotic;    /* something is committed inside of renders */
  bool is_analyzed;   /* ANALYZE comes: plans change */
  bool is_long;       /* values of many pages, and checkpoints that bring them into the file */
  bool has_temporary; /* tables and views of TEMP, and a file that is attached by SQL */
  bool has_virtual;
  bool has_process;
  bool has_failures; /* reads fail now and then, and the pages' clock steps; by chances of their own */
  bool without_rowid[ORACLE_TABLES];
  int indexes;
  vestry *v;
  vestry_pages *pages;
  vestry_sqlite *database;
  sqlite3 *db[ORACLE_CONNECTIONS];
  vestry_sqlite_connection *attached[3]; /* the first three */
  oracle_page all[ORACLE_PAGES_MOST];
  int pages_count;
  unsigned chaos;   /* how many times more */
  pthread_t looker; /* looks all the time, if there is one */
  bool has_looker;
  _Atomic(bool) is_over;
  char last_sql[ORACLE_STATEMENTS_MOST][ORACLE_SQL_BYTES];
  int last_count;
} oracle_world;

/* ---- oracle_world.c ---- */

/* 0 to below - 1: of what is committed, and of what comes inside of renders. */
unsigned oracle_chance(unsigned below);
unsigned oracle_chance_inside(unsigned below);
oracle_kind oracle_kind_of(uint64_t seed);
/* Takes its chances from the seed. */
void oracle_world_open(oracle_world *w, uint64_t seed, bool has_looker);
/* Returns how often everything was refreshed. */
uint64_t oracle_world_close(oracle_world *w);
/* Have everything rendered that is to be. */
void oracle_world_settle(oracle_world *w);
/* What it would show if it were rendered now. */
uint64_t oracle_world_truth(oracle_world *w, oracle_page *p);
/* The number of the last commit. */
uint32_t oracle_world_number(oracle_world *w);

/* ---- oracle_run.c ---- */

/* Whether it is done. A constraint, a lock and a table that is gone are no faults here. */
bool oracle_try(oracle_world *w, oracle_who who, const char *sql);
/* Waits for the thread that looks, which has the file for a moment. */
void oracle_must(sqlite3 *db, const char *sql);
/* A result, hashed; kept: the statement from call to call, NULL: it is prepared for this one. */
uint64_t oracle_ask(sqlite3 *db, const oracle_query *query, sqlite3_stmt **kept);
/* Remember what was done, for whoever reads of a miss. */
void oracle_note(oracle_world *w, const char *sql);

/* ---- oracle_process.c: another process, which does as it is told ---- */

void oracle_process_start(void); /* before anything else, SQLite too */
void oracle_process_stop(void);
void oracle_process_open(const char *path);
void oracle_process_close(void);
bool oracle_process_run(const char *sql);
/* Step it once, and reset it. */
void oracle_process_step(const char *sql);

/* ---- oracle_schema.c ---- */

const char *oracle_table(char name[8]);
void oracle_schema_make(oracle_world *w);
/* What a connection that renders has of its own, and whoever knows the truth too. */
void oracle_schema_make_temporary(const oracle_world *w, sqlite3 *db);
/* The values of a row of any table, as SQL: k, id, a, b, c, d, e, u. */
void oracle_schema_row(const oracle_world *w, char sql[ORACLE_ROW_BYTES]);
void oracle_schema_change(oracle_world *w, oracle_who who);

/* ---- oracle_queries.c ---- */

void oracle_query_make(const oracle_world *w, oracle_query *query);

/* ---- oracle_long.c ---- */

/* The function that reads blobs, for a connection that asks. */
void oracle_long_prepare(sqlite3 *db);
void oracle_long_make(oracle_world *w);
unsigned oracle_long_bytes(void);
/* Returns whether the result has an order. */
bool oracle_long_query(char *sql);
void oracle_long_change(char *sql);

/* ---- oracle_changes.c ---- */

/* One statement, or a blob that is written. */
void oracle_change(oracle_world *w, oracle_who who);
/* One to a few commits, or none. */
oracle_step oracle_commit(oracle_world *w);

#endif
