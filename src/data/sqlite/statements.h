/* SPDX-License-Identifier: MIT */
/* The prepared statements that one connection keeps, and what statements leave on it. */
#ifndef VSI_SQLITE_STATEMENTS_H
#define VSI_SQLITE_STATEMENTS_H

#include <sqlite3.h>
#include <stdbool.h>

#include "base/memory.h"

enum { VSI_SQLITE_SEVERAL = -1 }; /* not a result of SQLite: the text has several statements */

typedef struct vsi_sqlite_prepared {
  sqlite3_stmt *statement;
  uint64_t used; /* number of the lookup that found it last */
  size_t len;    /* of its text */
  int parameters_count;
} vsi_sqlite_prepared;

typedef struct vsi_sqlite_statements {
  const vestry_host *host;
  vsi_sqlite_prepared *all;
  size_t count, room, most;
  uint64_t looks, prepared;
} vsi_sqlite_statements;

/* Return whether an action, with the arguments of an authorizer, may leave something on the connection that the next
 * thread would have, too: a PRAGMA gets a value, an object of TEMP is created, a file is attached or detached. */
bool vsi_sqlite_leaves(int action, const char *first, const char *second, const char *schema);
/* Return whether an action changes the meaning of a name without a commit. */
bool vsi_sqlite_is_odd_action(int action, const char *schema);

/* Return where SQL continues after blanks, semicolons and comments; "": nowhere. */
const char *vsi_sqlite_text_rest(const char *sql);
/* Return whether the first word of a statement is one of some words; NULL ends them. */
bool vsi_sqlite_text_begins(const char *sql, const char *const *words);

/* Initialize a zeroed struct. OK | NO_MEMORY */
vestry_err vsi_sqlite_statements_init(vsi_sqlite_statements *statements, const vestry_host *host, size_t most);
/* Finalize all statements, before the connection is closed. */
void vsi_sqlite_statements_finish(vsi_sqlite_statements *statements);
/* Find a statement that is reset and not in use, or prepare it. The caller binds all values, and resets it. If there is
 * no room, the least recently used one is finalized; if all are in use, there are more.
 *  ret_prepared  until the next call
 *  Returns       a result of SQLite | VSI_SQLITE_SEVERAL */
int vsi_sqlite_statements_find(vsi_sqlite_statements *statements, sqlite3 *db, const char *sql,
                               const vsi_sqlite_prepared **ret_prepared);
/* Return the number of the value for a parameter, from 1; 0: it is invalid. SQLite treats $7 as a name, and numbers
 * parameters in the order of their first use. */
size_t vsi_sqlite_statements_value(const vsi_sqlite_prepared *prepared, int parameter);

#endif
