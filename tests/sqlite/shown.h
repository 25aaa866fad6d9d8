/* SPDX-License-Identifier: MIT */
/* A site whose pages show the results of statements, and count their renders, at any level. On the stepped runtime. */
#ifndef TESTS_SQLITE_SHOWN_H
#define TESTS_SQLITE_SHOWN_H

#include <sqlite3.h>

#include "support/folder.h"
#include "support/site.h"
#include "vestry/data/sqlite.h"

enum { SHOWN_MOST = 12, SHOWN_TEXT_BYTES = 200 };

/* A page: its statements and their result. */
typedef struct shown {
  const char *sql;
  char text[SHOWN_TEXT_BYTES];
  unsigned renders; /* since the last call of shown_renders */
  vestry_memory_exchange *stream;
} shown;

typedef struct shown_site {
  site on;
  char folder[FOLDER_BYTES], path[96]; /* folder: empty: of another site */
  vestry_sqlite *database;
  sqlite3 *writer, *reader, *other;
  vestry_sqlite_connection *attached[2];
  shown all[SHOWN_MOST];
  size_t count;
  const char *committed; /* committed by another connection within the next render, after its reads */
  void (*ahead)(struct shown_site *, vestry_render *); /* called before each render */
  void (*behind)(struct shown_site *,
                 vestry_render *); /* called after the next render, before its page depends on its reads */
} shown_site;

/* A schema with 400 messages in each of ten channels, and two other tables; the latest messages of two channels. */
extern const char shown_channels[], shown_first[], shown_eighth[];

void shown_run(sqlite3 *db, const char *sql);
/* Return the rows of all statements as text. */
void shown_text(sqlite3 *db, const char *sql, char text[SHOWN_TEXT_BYTES]);
/* Open the site. writer and reader are attached, other is not. schema: SQL. The site sets path and poll_ms of the
 * options. */
void shown_open_with(shown_site *s, const char *mode, const char *schema, vestry_sqlite_options options);
void shown_open(shown_site *s, const char *schema, vestry_sqlite_level level);
/* Open another site over the database of the first one, as another process does. It is closed before the first. */
void shown_join(shown_site *s, const shown_site *first, vestry_sqlite_level level);
void shown_close(shown_site *s);
void shown_settle(shown_site *s);
/* Open a page, and a tab that shows it. */
size_t shown_watch(shown_site *s, const char *sql);
void shown_tab(shown_site *s, size_t at);
/* Follow all commits, and return the number of renders since the last call. */
unsigned shown_renders(shown_site *s, size_t at);
vestry_sqlite_stats shown_stats(shown_site *s);

/* A case with pages that follow a table of channels by file pages. */
#define SHOWN_CASE(name)                                                                                               \
  TEST_CASE_WITH(name, shown_site, s, shown_open(s, shown_channels, VESTRY_SQLITE_FILE_PAGES), shown_close(s))

#endif
