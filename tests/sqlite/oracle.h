/* SPDX-License-Identifier: MIT */
/* The oracle's worlds: random schemas, random pages over them, and random commits by several connections, attached
 * and not, and by other processes. oracle_test.c judges. A world's seed determines all random choices. Choices
 * within renders use a separate generator, so that commits do not depend on renders. */
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

/* The writers. All but the last are connections of this process. */
typedef enum oracle_who {
  ORACLE_WRITER, /* attached */
  ORACLE_SECOND, /* attached */
  ORACLE_READER, /* attached: renders pages, and writes too */
  ORACLE_OTHER,  /* not attached */
  ORACLE_TRUTH,  /* not attached; never writes */
  ORACLE_CONNECTIONS,
  ORACLE_PROCESS = ORACLE_CONNECTIONS /* another process, or one of several */
} oracle_who;

/* The way in which the database is followed. */
typedef enum oracle_kind {
  ORACLE_BY_PAGES,
  ORACLE_BY_TABLES,
  ORACLE_BY_JOURNAL, /* by tables, with a rollback journal */
  ORACLE_ALONE,      /* the same with locking_mode EXCLUSIVE on the only connection */
  ORACLE_KINDS
} oracle_kind;

/* The kind of commits in a step. */
typedef enum oracle_step {
  ORACLE_OF_ATTACHED,
  ORACLE_OF_OTHERS,
  ORACLE_OF_PEERS, /* processes that follow the database, too */
  ORACLE_OF_SEVERAL,
  ORACLE_OF_SCHEMA, /* and file maintenance: VACUUM, checkpoints, pragmas */
  ORACLE_STEPS
} oracle_step;

typedef struct oracle_query {
  char sql[ORACLE_SQL_BYTES];
  bool is_ordered;
  char value_types[2]; /* of the bound values: i, r, t, n */
  int values[2];
  uint64_t shown;
  sqlite3_stmt *kept, *truth; /* the reader's statement if the page keeps it; that of the connection ORACLE_TRUTH */
} oracle_query;

/* A page: its queries and their results. */
typedef struct oracle_page {
  oracle_query queries[ORACLE_QUERIES_MOST];
  int queries_count;
  bool keeps; /* its statements, from render to render */
  vestry_memory_exchange *stream;
  uint64_t shown, true_result;
  unsigned renders;
  bool has_failed; /* a read has failed, for example because no connection was free, and the page shows that */
} oracle_page;

typedef struct oracle_world {
  test_host th;
  char folder[FOLDER_BYTES], path[96], side[96];
  oracle_kind kind;
  vestry_sqlite_level level;
  bool is_wal;
  bool is_alone;
  bool is_plain;      /* tables without indexes, whose rows grow and move */
  bool is_keyed;      /* rows are looked up by keys, and keys change */
  bool is_chaotic;    /* commits happen within renders */
  bool is_analyzed;   /* ANALYZE runs, and query plans change */
  bool is_long;       /* values of many pages, and checkpoints that copy them into the file */
  bool has_temporary; /* TEMP tables and views, and an attached file */
  bool has_virtual;
  bool has_process;
  bool has_peers;    /* 2, 3 or 12 processes, which follow the database, are killed, and whose side file is harmed */
  bool has_failures; /* reads fail at random, and the pages' clock steps; with a separate generator */
  bool is_bounded;   /* the bounds of the memory for reads and changes are so small that they are reached */
  bool without_rowid[ORACLE_TABLES];
  int indexes;
  vestry *v;
  vestry_pages *pages;
  vestry_sqlite *database;
  sqlite3 *db[ORACLE_CONNECTIONS];
  vestry_sqlite_connection *attached[3]; /* the first three connections */
  oracle_page all[ORACLE_PAGES_MOST];
  int pages_count;
  unsigned chaos;   /* number of further commits within renders */
  pthread_t looker; /* a thread that follows the database all the time */
  bool has_looker;
  _Atomic(bool) is_over;
  char last_sql[ORACLE_STATEMENTS_MOST][ORACLE_SQL_BYTES];
  int last_count;
} oracle_world;

/* ---- oracle_world.c ---- */

/* Return a random number from 0 to below - 1, for commits or for choices within renders. */
unsigned oracle_chance(unsigned below);
unsigned oracle_chance_inside(unsigned below);
oracle_kind oracle_kind_of(uint64_t seed);
/* Open a world that the seed determines. */
void oracle_world_open(oracle_world *w, uint64_t seed, bool has_looker, bool is_bounded);
/* Returns how many commits refreshed all readers. */
uint64_t oracle_world_close(oracle_world *w);
/* Render all pages that are due. */
void oracle_world_settle(oracle_world *w);
/* Return the hash that the page would show if it rendered now. */
uint64_t oracle_world_truth(oracle_world *w, oracle_page *p);
/* Return the number of the last commit. */
uint32_t oracle_world_number(oracle_world *w);

/* ---- oracle_run.c ---- */

/* Return whether the statement succeeded. Constraint errors, locks and missing tables are not faults here. */
bool oracle_try(oracle_world *w, oracle_who who, const char *sql);
/* Waits for the thread that follows the database, which locks the file for a moment. */
void oracle_must(sqlite3 *db, const char *sql);
/* Return a hash of the result. kept: a statement that persists between calls; NULL: prepare one for this call. */
uint64_t oracle_ask(sqlite3 *db, const oracle_query *query, sqlite3_stmt **kept);
/* Record the statement for the report of a missed refresh. */
void oracle_note(oracle_world *w, const char *sql);

/* ---- oracle_process.c: other processes, which run statements ------- */

void oracle_process_start(void); /* first of all, before SQLite is used */
void oracle_process_stop(void);
/* is_peer: 2, 3 or 12 processes, each of which follows the file, and may be killed by any later call. */
void oracle_process_open(const char *path, bool is_peer, uint64_t seed);
void oracle_process_close(void);
bool oracle_process_run(const char *sql);
/* Step the statement once, and reset it. */
void oracle_process_step(const char *sql);

/* ---- oracle_schema.c ---- */

const char *oracle_table(char name[8]);
void oracle_schema_make(oracle_world *w);
/* Create the TEMP objects of a rendering connection, or of ORACLE_TRUTH. */
void oracle_schema_make_temporary(const oracle_world *w, sqlite3 *db);
/* The values of a row of any table, as SQL: k, id, a, b, c, d, e, u. */
void oracle_schema_row(const oracle_world *w, char sql[ORACLE_ROW_BYTES]);
void oracle_schema_change(oracle_world *w, oracle_who who);

/* ---- oracle_queries.c ---- */

void oracle_query_make(const oracle_world *w, oracle_query *query);

/* ---- oracle_long.c ---- */

/* Register the function that reads blobs, for a connection that queries. */
void oracle_long_prepare(sqlite3 *db);
void oracle_long_make(oracle_world *w);
unsigned oracle_long_bytes(void);
/* Returns whether the result is ordered. */
bool oracle_long_query(char *sql);
void oracle_long_change(char *sql);

/* ---- oracle_changes.c ---- */

/* Run one statement, or write to a blob. */
void oracle_change(oracle_world *w, oracle_who who);
/* Run one to a few commits, or none. */
oracle_step oracle_commit(oracle_world *w);

#endif
