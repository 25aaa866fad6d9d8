/* SPDX-License-Identifier: MIT */
/* A database that pages follow: a SQLite file, or PostgreSQL, which all nodes share. Programs use the statements of
 * vestry/data/sql.h, in SQL that both understand; this interface hides the differences between the two. A commit
 * renders the pages again that have read the changed data. */
#ifndef EXAMPLES_DATABASE_H
#define EXAMPLES_DATABASE_H

#include "console.h"
#include "secret.h"
#include "vestry/data/sqlite.h"
#include "vestry/vestry.h"

enum { DATABASE_TAB_MAX_BYTES = 64 * 1024 };

/* Which database to use, and which data of vestry it stores. Zero: none. */
struct database_options {
  const char *program;             /* its name, the prefix of messages */
  const char *file, *postgres_url; /* a SQLite file, or a PostgreSQL address for libpq: not both */
  const char *default_file;        /* used if neither is given */
  /* Statements that make missing tables, including `secret`; for SQLite, they also upgrade a file of any version. */
  const char *sqlite_schema, *postgres_schema;
  int sqlite_version;
  vestry_sqlite_topics_fn sqlite_topics;  /* for database_read_aside */
  bool is_serializable;                   /* transactions are serializable; in SQLite they always are */
  bool has_sessions, has_tabs, has_forms; /* it stores sessions, states of tabs, and typed text of forms */
};

struct database {
  struct database_options options; /* a copy, with the file that is used */
  vestry_sql_pool *pool;
  vestry_pages *pages;           /* pages that follow the database; NULL: none */
  vestry_sql_sessions *sessions; /* logged-in sessions */
  vestry_sql_once *once;         /* idempotent actions of all nodes; NULL: stored in memory only */
  vestry_forms_storage *forms;   /* typed text of forms */
  vestry_sql_tabs *tabs;         /* states of tabs */
  /* SQLite only. */
  vestry_sqlite *file; /* the followed file; NULL: not followed */
  vestry_sqlite_level level;
  /* PostgreSQL only. state_pool: for sessions, states of tabs and idempotent actions, which use separate transactions;
   * NULL: SQLite. */
  vestry_sql_pool *state_pool;
  struct vestry_postgres *server;
  struct vestry_postgres_topics *topics;
};

/* Open the database, and make missing tables. Call it before any other use of SQLite. Prints a message if it fails.
 * options: copied; their pointers are borrowed until database_close, which is also called after a failure */
vestry_err database_open(struct database *db, const struct database_options *options);
/* Read the secret of the instance from the table `secret`. Because it is stored, seals stay valid and open pages
 * continue after a restart. */
vestry_err database_secret(struct database *db, unsigned char secret[SECRET_BYTES]);
void database_close(struct database *db);
/* Let the pages follow the database, from attach to detach. Call detach before vestry_pages_destroy. */
vestry_err database_attach(struct database *db, vestry_pages *pages);
void database_detach(struct database *db);

/* Run a statement that reads. In a render (NULL: elsewhere), the page renders again when the data that it has read
 * changes. NOT_FOUND: there is no row. */
vestry_err database_read(struct database *db, vestry_render *render, const char *sql, const vestry_value *values,
                         vestry_sql_row_fn row, void *ctx);
/* Read from a table with adjacent rows of many users, for a page that has named a topic of options.sqlite_topics for
 * the data. With SQLite, only this topic refreshes the page. */
vestry_err database_read_aside(struct database *db, vestry_render *render, const char *sql, const vestry_value *values,
                               vestry_sql_row_fn row, void *ctx);
/* Run a statement that changes data, and commit it. */
vestry_err database_run_alone(struct database *db, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                              void *ctx);
/* Run a transaction by vestry_sql_act. LIMIT: not possible now, so an action that is repeated (vestry/app/once.h) can
 * run later. If the connection to a server is lost during the commit, its result is unknown, and LIMIT is returned,
 * too: an action that can be repeated has no further effect the second time. */
vestry_err database_act(struct database *db, vestry_sql_act_fn fn, void *ctx);
/* Lock a number for a transaction. Other transactions with this number wait until the first has ended. */
vestry_err database_lock(struct database *db, vestry_sql_transaction *transaction, int number);

/* Get the state of a request's tab as JSON: an empty object if it has none. render: the render that reads it, which is
 * repeated when the state is written; NULL: none. The caller owns the result (json_decref). NULL: no memory, or not
 * possible now. */
json_t *database_tab(struct database *db, const vestry_request *req, vestry_render *render);
/* Changes the state of a tab. OK | any error: the state is not changed. */
typedef vestry_err (*database_tab_fn)(json_t *state, void *ctx);
/* Run a transaction by fn (NULL: none), and change the state of the tab by tab. No other request of the tab can change
 * the state meanwhile. With SQLite both are one transaction; with PostgreSQL the state is written afterwards. */
vestry_err database_change(struct database *db, const vestry_request *req, vestry_sql_act_fn fn, database_tab_fn tab,
                           void *ctx);

/* Call fn for each commit of this process that other processes do not detect at once; NULL: stop. */
void database_on_commit(struct database *db, vestry_sqlite_commit_fn fn, void *ctx);
/* Check for commits of other processes now. */
void database_look(struct database *db);
/* Delete expired sessions and expired idempotent actions. */
void database_expire(struct database *db);
/* The level at which pages follow the database, and its counters. */
struct database_counters {
  const char *level;
  uint64_t commits, other_commits, recorded, coarse, refreshed;
  uint64_t committed; /* transactions committed by this process */
};
void database_counters(struct database *db, struct database_counters *ret_counters);
void database_metrics(struct database *db, struct console_metrics *metrics);

#endif
