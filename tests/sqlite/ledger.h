/* SPDX-License-Identifier: MIT */
/* A site over a database: its pages name their topic in the query, count their renders, and show what a statement
 * gives. On the stepped runtime; time is turned by hand, SQLite's too. */
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
  sqlite3 *db, *reader; /* the first is attached, the second is not */
  vestry_sqlite_connection *connection;
  vestry_sql_pool *pool; /* that is followed, with states of tabs: once tabs_open was called */
  vestry_sql_tabs *states;
  vestry_memory_exchange *tabs[LEDGER_ROOMS]; /* of the topics below */
  const char *topics[LEDGER_ROOMS];
  size_t tabs_count;
  size_t renders[LEDGER_ROOMS]; /* since ledger_seen */
  int counted[LEDGER_ROOMS];    /* rows of the table t that the last render saw */
} ledger;

/* A folder, a database with the table t (id, x) and others, in this mode, and an instance; path /page?N for topic N. */
void ledger_open(ledger *s, const char *journal_mode, const vestry_sqlite_options *options);
/* Of an instance with these options, which by itself has scopes by cookie. */
void ledger_open_as(ledger *s, const char *journal_mode, const vestry_sqlite_options *options, vestry_options own);
void ledger_close(ledger *s);
/* A tab of a page that depends on a topic. It has been rendered once. */
void ledger_watch(ledger *s, const char *topic);
/* Run SQL; it must succeed. */
void ledger_run(sqlite3 *db, const char *sql);
int ledger_number(sqlite3 *db, const char *sql);
/* Let everything be rendered, by all that was committed; site_settle_pages: by what has been published alone. */
void ledger_sync(ledger *s);
/* How often the page of a topic was rendered since this was last asked. */
size_t ledger_seen(ledger *s, const char *topic);
/* Set SQLite's clock: seconds since 1970. It is the process's. */
void ledger_clock(int64_t now_s);
/* Whether the disk is gone: files that were opened since ledger_clock or this was first called are neither read nor
 * written. */
void ledger_lose_disk(bool is_lost);

#endif
