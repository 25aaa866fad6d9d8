/* SPDX-License-Identifier: MIT */
/* A site over a database, on the stepped runtime. Its pages read all rows of a table, and count their renders. The
 * clock is manual, also SQLite's. */
#ifndef TESTS_SQLITE_LEDGER_H
#define TESTS_SQLITE_LEDGER_H

#include <sqlite3.h>

#include "support/folder.h"
#include "support/site.h"
#include "vestry/data/sqlite.h"

enum { LEDGER_ROOMS = 8 };

typedef struct ledger {
  site on;
  char folder[FOLDER_BYTES], path[96];
  vestry_sqlite *database;
  sqlite3 *db, *viewer, *reader; /* reader is not attached; the pages use viewer */
  vestry_sqlite_connection *connection, *viewing;
  vestry_sql_pool *pool; /* followed, with tab states; set by tabs_open */
  vestry_sql_tabs *states;
  vestry_memory_exchange *tabs[LEDGER_ROOMS]; /* tabs that read the tables below */
  const char *tables[LEDGER_ROOMS];
  size_t tabs_count;
  size_t renders[LEDGER_ROOMS]; /* since ledger_seen */
  int counted[LEDGER_ROOMS];    /* rows of the table t in the last render */
} ledger;

/* Open a folder, a database with the table t (id, x) and others in this journal mode, and an instance; path /page?N
 * for the N-th table that is watched. */
void ledger_open(ledger *s, const char *journal_mode, const vestry_sqlite_options *options);
/* The same with the options of the instance; ledger_open uses scopes by cookie. */
void ledger_open_as(ledger *s, const char *journal_mode, const vestry_sqlite_options *options, vestry_options own);
void ledger_close(ledger *s);
/* Open a tab of a page that reads the table, and render it once. */
void ledger_watch(ledger *s, const char *table);
/* Run SQL, which must succeed. */
void ledger_run(sqlite3 *db, const char *sql);
int ledger_number(sqlite3 *db, const char *sql);
/* Render all pages that commits affect. site_settle_pages handles published commits only. */
void ledger_sync(ledger *s);
/* Return the number of renders of the table's page since the last call. */
size_t ledger_seen(ledger *s, const char *table);
/* Set SQLite's clock: seconds since 1970. It is the process's. */
void ledger_clock(int64_t now_s);
/* Lose the disk, or restore it: files opened since the first call of this function or of ledger_clock are neither
 * read nor written. */
void ledger_lose_disk(bool is_lost);
/* Return how often files were synced that were opened since the first call of one of these three functions. */
unsigned ledger_syncs(void);

/* A case with a ledger that has a WAL. */
#define LEDGER_CASE(name) TEST_CASE_WITH(name, ledger, s, ledger_open(s, "wal", NULL), ledger_close(s))

#endif
