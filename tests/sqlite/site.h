/* SPDX-License-Identifier: MIT */
/* A site over a database: its pages name their topic in the query, count their renders, and show what a statement
 * gives. On the stepped runtime; time is turned by hand, SQLite's too. */
#ifndef TESTS_SQLITE_SITE_H
#define TESTS_SQLITE_SITE_H

#include <sqlite3.h>

#include "support/folder.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/memory.h"
#include "vestry/sqlite.h"
#include "vestry/vestry.h"

enum { SITE_ROOMS = 8 };

typedef struct site {
  test_host th;
  char folder[FOLDER_BYTES], path[96];
  vestry *v;
  vestry_pages *pages;
  vestry_sqlite *database;
  sqlite3 *db, *reader; /* the first is attached, the second is not */
  vestry_sqlite_connection *connection;
  vestry_memory_exchange *tabs[SITE_ROOMS]; /* of the topics below */
  const char *topics[SITE_ROOMS];
  size_t tabs_count;
  size_t renders[SITE_ROOMS]; /* since site_seen */
  int counted[SITE_ROOMS];    /* rows of the table t that the last render saw */
} site;

/* A folder, a database with the table t (id, x) and others, in this mode, and an instance; path /page?N for topic N. */
void site_open(site *s, const char *journal_mode, const vestry_sqlite_options *options);
/* Of an instance with these options, which by itself has scopes by cookie. */
void site_open_as(site *s, const char *journal_mode, const vestry_sqlite_options *options, vestry_options own);
void site_close(site *s);
/* A tab of a page that depends on a topic. It has been rendered once. */
void site_watch(site *s, const char *topic);
/* Run SQL; it must succeed. */
void site_run(sqlite3 *db, const char *sql);
int site_number(sqlite3 *db, const char *sql);
/* Let everything be rendered, by what has been published alone, or by all that was committed. */
void site_settle(site *s);
void site_sync(site *s);
/* How often the page of a topic was rendered since this was last asked. */
size_t site_seen(site *s, const char *topic);
/* Set SQLite's clock: seconds since 1970. It is the process's. */
void site_clock(int64_t now_s);
/* Whether the disk is gone: files that were opened since site_clock or this was first called are neither read nor
 * written. */
void site_lose_disk(bool is_lost);

#endif
