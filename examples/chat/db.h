/* SPDX-License-Identifier: MIT */
/* The database: connections that are lent (vestry/sqlite_pool.h), sessions, and what the pages follow. Whoever changes
 * something here has said so to every page that shows it. */
#ifndef CHAT_DB_H
#define CHAT_DB_H

#include "vestry/sqlite_sessions.h"
#include "vestry/vestry.h"

struct db {
  vestry_sqlite_pool *pool;
  vestry_sqlite_sessions *sessions; /* who has logged in */
  vestry_sqlite *followed;          /* by the pages; NULL: not */
  vestry_sqlite_level level;        /* how closely */
};

/* Open it, make it if there is none. What it cannot do is in the log. */
vestry_err db_open(struct db *db, const char *path);
/* A first conversation, if nothing has been said yet. */
vestry_err db_welcome(struct db *db);
void db_close(struct db *db);
/* Let the pages follow it, and follow it no more: from db_attach to db_detach, which comes before vestry_pages_destroy.
 * What a render reads aside it names a topic for: that of what somebody has read is "seen/" and his name, that of
 * messages that are gone "gone". */
vestry_err db_attach(struct db *db, const char *path, vestry_pages *pages);
void db_detach(struct db *db);

/* The state of a request's tab (vestry/sqlite.h), as JSON: an empty object if it has none. render: NULL or the one that
 * reads it. The caller's (json_decref); NULL: no memory, or the database is broken. */
json_t *db_tab(vestry_sqlite_loan *loan, const vestry_request *req, vestry_render *render);
vestry_err db_tab_set(vestry_sqlite_loan *loan, const vestry_request *req, const json_t *state);

/* Files of this folder, made into arrays by the build. */
extern const unsigned char chat_css[], chat_js[], schema_sql[];
extern const size_t chat_css_len, chat_js_len, schema_sql_len;

#endif
