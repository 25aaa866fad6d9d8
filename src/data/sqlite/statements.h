/* SPDX-License-Identifier: MIT */
/* The prepared statements that one connection keeps, and what statements leave on it. */
#ifndef VSI_SQLITE_STATEMENTS_H
#define VSI_SQLITE_STATEMENTS_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/memory.h"

enum { VSI_SQLITE_SEVERAL = -1 /* not a result of SQLite: the text has several statements */ };

typedef struct vsi_sqlite_prepared {
  sqlite3_stmt *statement;
  uint64_t used; /* number of the lookup that found it last */
  bool is_given; /* given to the application until the next reset: neither finalized nor used otherwise */
} vsi_sqlite_prepared;

typedef struct vsi_sqlite_statements {
  const vestry_host *host;
  vsi_sqlite_prepared *all;
  size_t count, room, most;
  uint64_t looks, prepared;
} vsi_sqlite_statements;

/* What statements may have left on a connection, so that the next thread that gets it would have it, too. */
typedef struct vsi_sqlite_left {
  bool settings; /* a PRAGMA was given a value */
  bool names;    /* an object of TEMP was created, or a file was attached or detached */
} vsi_sqlite_left;

/* Note an action, with the arguments of an authorizer. */
void vsi_sqlite_left_note(vsi_sqlite_left *left, int action, const char *first, const char *second, const char *schema);
/* Return whether an action changes the meaning of a name without a commit. */
bool vsi_sqlite_is_odd_action(int action, const char *schema);

/* Return where SQL continues after blanks, semicolons and comments; "": nowhere. */
const char *vsi_sqlite_text_rest(const char *sql);
/* Return whether the first word of a statement is one of some words, which are in upper case. */
typedef struct vsi_sqlite_word {
  char word[10];
  unsigned char len;
} vsi_sqlite_word;
bool vsi_sqlite_text_begins(const char *sql, const vsi_sqlite_word *words, size_t count);

/* Initialize a zeroed struct. OK | NO_MEMORY */
vestry_err vsi_sqlite_statements_init(vsi_sqlite_statements *statements, const vestry_host *host, size_t most);
/* Finalize all statements, before the connection is closed. */
void vsi_sqlite_statements_finish(vsi_sqlite_statements *statements);
/* Find a statement that is reset and not in use, or prepare it. If there is no room, the least recently used one is
 * finalized; if all are in use or given to the application, there are more for a while.
 *  is_given  give it to the application: it stays unchanged until the next reset
 *  Returns   a result of SQLite | VSI_SQLITE_SEVERAL */
int vsi_sqlite_statements_find(vsi_sqlite_statements *statements, sqlite3 *db, const char *sql, bool is_given,
                               sqlite3_stmt **ret_statement);
/* Reset all statements and their bindings, take back those given to the application, and finalize surplus ones. */
void vsi_sqlite_statements_reset(vsi_sqlite_statements *statements);

#endif
