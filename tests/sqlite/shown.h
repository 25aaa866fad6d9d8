/* SPDX-License-Identifier: MIT */
/* A site whose pages are what statements show: it counts how often each was rendered, at whatever level. On the stepped
 * runtime. */
#ifndef TESTS_SQLITE_SHOWN_H
#define TESTS_SQLITE_SHOWN_H

#include <sqlite3.h>

#include "support/folder.h"
#include "support/site.h"
#include "vestry/data/sqlite.h"

enum { SHOWN_MOST = 12, SHOWN_TEXT_BYTES = 200 };

/* A page: what it runs and shows. */
typedef struct shown {
  const char *sql;
  char text[SHOWN_TEXT_BYTES];
  unsigned renders; /* since it was last asked */
  vestry_memory_exchange *stream;
} shown;

typedef struct shown_site {
  site on;
  char folder[FOLDER_BYTES], path[96];
  vestry_sqlite *database;
  sqlite3 *writer, *reader, *other;
  vestry_sqlite_connection *attached[2];
  shown all[SHOWN_MOST];
  size_t count;
  const char *committed; /* by somebody else, inside the next render, behind what it reads */
  void (*behind)(struct shown_site *,
                 vestry_render *); /* what comes behind the next render, before its page depends on it */
} shown_site;

void shown_run(sqlite3 *db, const char *sql);
/* The rows of all statements, as text. */
void shown_text(sqlite3 *db, const char *sql, char text[SHOWN_TEXT_BYTES]);
/* Two connections are attached, a third one is not. schema: SQL. path and poll_ms of the options are the site's. */
void shown_open_with(shown_site *s, const char *mode, const char *schema, vestry_sqlite_options options);
void shown_open(shown_site *s, const char *schema, vestry_sqlite_level level);
void shown_close(shown_site *s);
void shown_settle(shown_site *s);
/* A page, and a tab that shows it. */
size_t shown_watch(shown_site *s, const char *sql);
void shown_tab(shown_site *s, size_t at);
/* How often the page was rendered since it was last asked, once all that is committed was followed. */
unsigned shown_renders(shown_site *s, size_t at);
vestry_sqlite_stats shown_stats(shown_site *s);

#endif
