/* The database: boards and cards, and sessions, which vestry stores here. SQLite is in its serialized mode, so all of
 * this may be called by any thread. */
#ifndef BOARD_DB_H
#define BOARD_DB_H

#include <sqlite3.h>

#include "vestry/vestry.h"

enum { DB_SECRET_BYTES = 32 };

/* NULL: it cannot be opened, and why has been said. */
sqlite3 *db_open(const char *path);

/* One statement. values: for its parameters; integers and texts of vestry/value.h.
 * row: called for each row; NULL: none is wanted. OK | NOT_FOUND (no row, or nothing was changed) | LIMIT (not now: the
 * disk is full, another process writes) | IO; these two are logged */
typedef void (*db_row_fn)(sqlite3_stmt *row, void *ctx);
vestry_err db_run(sqlite3 *db, const char *sql, const vestry_key *values, db_row_fn row, void *ctx);

/* What nonces are sealed with. OK | NOT_FOUND | IO */
vestry_err db_secret(sqlite3 *db, unsigned char secret[DB_SECRET_BYTES]);

/* Their context is a pointer to the database. */
extern const vestry_session_storage_ops db_sessions;

/* Files of this folder, made into arrays by the build. */
extern const unsigned char board_css[], schema_sql[];
extern const size_t board_css_len, schema_sql_len;

#endif
