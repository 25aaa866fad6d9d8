/* The database: a few connections, each in use by one thread at a time, all of them attached to the pages. Whoever
 * changes something here has said so to every page that shows it. */
#ifndef CHAT_DB_H
#define CHAT_DB_H

#include "vestry/sqlite.h"
#include "vestry/vestry.h"

/* The database, and one connection to it. */
struct db;
struct db_connection;

enum { DB_SECRET_BYTES = 32 };

/* Open it, make it if there is none. NULL: it cannot be, and why has been said. */
struct db *db_open(const char *path);
void db_close(struct db *db);
/* What seals of the instance are made with: the same after a restart, so that open pages go on. */
vestry_err db_secret(struct db *db, unsigned char secret[DB_SECRET_BYTES]);
/* Have somebody told of each commit of this process: on the thread that commits, when it can write again. NULL: nobody.
 * Not while others commit. */
void db_on_commit(struct db *db, void (*on_commit)(void *ctx), void *ctx);
/* Have the pages look now at what other processes have committed, rather than a moment later. Between attach and
 * detach. */
void db_look(struct db *db);
/* Let the pages follow it, and follow it no more: from db_attach to db_detach, which comes before vestry_pages_destroy.
 * */
vestry_err db_attach(struct db *db, vestry_pages *pages);
void db_detach(struct db *db);

/* A connection to read with; it waits until one is free. To be given back by the same thread, which takes no second. */
struct db_connection *db_take(struct db *db);
void db_give(struct db_connection *connection);
/* One that the pages do not follow: what a render reads with it, it names a topic for. The topic of what somebody has
 * read is "seen/" and his name, that of messages that are gone "gone". To be given back as the others. */
struct db_connection *db_take_aside(struct db *db);
/* One to write with, in a transaction: one writer at a time. NULL: the database is locked, or broken. */
struct db_connection *db_begin(struct db *db);
/* Commit if there is no error, otherwise roll back; and give it back. OK: it is on the disk. Returns the error. */
vestry_err db_end(struct db_connection *connection, vestry_err err);

/* What is done with a row. */
typedef void (*db_row_fn)(sqlite3_stmt *row, void *ctx);
/* Its first column becomes an int. */
void db_integer(sqlite3_stmt *row, void *ctx);
/* One statement, which is kept prepared. values: for its parameters; integers and texts of vestry/key.h. NULL: none.
 * row: called for each row; NULL: none is wanted. OK | NOT_FOUND (no row) | LIMIT (not now: the disk is full, another
 * process writes) | IO; these two are logged */
vestry_err db_run(struct db_connection *connection, const char *sql, const vestry_key *values, db_row_fn row,
                  void *ctx);

/* The state of a request's tab (vestry/sqlite.h), as JSON: an empty object if it has none. render: NULL or the one that
 * reads it. The caller's (json_decref); NULL: no memory, or the database is broken. */
json_t *db_tab(struct db_connection *connection, const vestry_request *req, vestry_render *render);
vestry_err db_tab_set(struct db_connection *connection, const vestry_request *req, const json_t *state);

/* Sessions; their context is the struct db *. */
extern const vestry_session_storage_ops db_sessions;

/* Files of this folder, made into arrays by the build. */
extern const unsigned char chat_css[], chat_js[], schema_sql[];
extern const size_t chat_css_len, chat_js_len, schema_sql_len;

#endif
