/* SPDX-License-Identifier: MIT */
/* A database that pages follow: a file of SQLite (db_sqlite.c), or PostgreSQL (db_postgres.c). The pages and actions of
 * a program know this header alone. A commit renders the pages again that have read what it changed.
 *
 * Statements are of the SQL that both understand. Their parameters are $1, $2 and so on. */
#ifndef EXAMPLES_DB_H
#define EXAMPLES_DB_H

#include "console.h"
#include "secret.h"
#include "vestry/app/form.h"
#include "vestry/app/once.h"
#include "vestry/app/session.h"
#include "vestry/data/sqlite.h"
#include "vestry/vestry.h"

enum { DB_TAB_MAX_BYTES = 64 * 1024 };

/* Which database it is, and what a program keeps there. Zero: not. */
struct db_options {
  const char *program;                         /* its name, ahead of what it complains about */
  const char *file, *postgres_url;             /* SQLite's file, or PostgreSQL's address as libpq has it: not both */
  const char *default_file;                    /* if neither is given */
  const char *sqlite_schema, *postgres_schema; /* statements that make the tables, `secret` among them, if there are
                                                  none; of SQLite those that bring a file of any version to this one */
  int sqlite_version;
  vestry_sqlite_topics_fn sqlite_topics; /* for what is read aside */
  bool is_serializable; /* transactions are as if they came one after another: with SQLite they always are */
  bool has_sessions, has_tabs, has_forms; /* who has logged in, states of tabs, what is typed into forms */
};

/* One of the two kinds. */
struct db_ops;
struct db {
  struct db_options options; /* with the file that it is */
  const struct db_ops *ops;  /* NULL: none is open */
  void *own;                 /* what that kind has of its own */
  vestry_pages *pages;       /* that follow it; NULL: none */
  const vestry_session_storage_ops *sessions_ops;
  void *sessions;                          /* who has logged in */
  const vestry_once_storage_ops *once_ops; /* NULL: what was done is in memory alone */
  void *once;                              /* what was done: for all nodes */
  vestry_forms_storage *forms;             /* what is typed */
};
/* A transaction that changes something. */
struct db_loan {
  struct db *db;
  void *own;
};
/* A row that a statement has found. */
struct db_row {
  const struct db_ops *ops;
  void *own;
};

/* Open it, and make the tables if there are none; before anything else uses SQLite. What cannot be done has been said.
 * options: copied; what they point to is borrowed until db_close, which is called in either case */
vestry_err db_open(struct db *db, const struct db_options *options);
/* What the instance seals with, of the table `secret`: so what was sealed is good after a restart, and open pages go
 * on. */
vestry_err db_secret(struct db *db, unsigned char secret[SECRET_BYTES]);
void db_close(struct db *db);
/* Let the pages follow it, and follow it no more: from db_attach to db_detach, which comes before
 * vestry_pages_destroy. */
vestry_err db_attach(struct db *db, vestry_pages *pages);
void db_detach(struct db *db);

/* ------------------------------------------------------------------------------------------------ rows ----------- */

/* Does something with a row; valid until it returns. */
typedef void (*db_row_fn)(const struct db_row *row, void *ctx);
int64_t db_integer(const struct db_row *row, int column);
const char *db_text(const struct db_row *row, int column);
/* Puts the first column into the int64_t that ctx points to. */
void db_take_integer(const struct db_row *row, void *ctx);

/* Run a statement that reads. In a render (NULL: elsewhere) the page renders again when what it has read was changed.
 * NOT_FOUND: there is no row. */
vestry_err db_read(struct db *db, vestry_render *render, const char *sql, const vestry_value *values, db_row_fn row,
                   void *ctx);
/* The same of tables in which the rows of many users stand side by side, for a page that has named a topic for what it
 * reads, as db_options.sqlite_topics says it: with SQLite that alone refreshes it. */
vestry_err db_read_aside(struct db *db, vestry_render *render, const char *sql, const vestry_value *values,
                         db_row_fn row, void *ctx);
/* Run a statement that changes something, and commit it. */
vestry_err db_run_alone(struct db *db, const char *sql, const vestry_value *values, db_row_fn row, void *ctx);

/* Does the statements of a transaction; perhaps several times, each time from the beginning. */
typedef vestry_err (*db_act_fn)(struct db_loan *loan, void *ctx);
/* Do a transaction, and commit it if fn returns OK. LIMIT: not now, what is repeated (vestry/app/once.h) may be done
 * later. When the connection to a server is lost during the commit it is not known whether that was done, and it is
 * LIMIT, too: what can be repeated does no more the second time. */
vestry_err db_act(struct db *db, db_act_fn fn, void *ctx);
vestry_err db_run(struct db_loan *loan, const char *sql, const vestry_value *values, db_row_fn row, void *ctx);
/* Only one transaction has that number at a time: others wait until it is over. */
vestry_err db_lock(struct db_loan *loan, int number);

/* ---------------------------------------------------------------------------------------- state of tabs ---------- */

/* The state of a request's tab, as JSON: an empty object if it has none. render: the one that reads it, and renders
 * again when it is written; NULL: none. The caller's (json_decref). NULL: no memory, or not now. */
json_t *db_tab(struct db *db, const vestry_request *req, vestry_render *render);
/* Changes a tab's state. OK | any error: it stays as it is. */
typedef vestry_err (*db_tab_fn)(json_t *state, void *ctx);
/* Do a transaction by fn (NULL: none), and change the tab's state by tab. No other request of the tab changes that in
 * the meantime. With SQLite both are one transaction; with PostgreSQL the state is written after it. */
vestry_err db_change(struct db *db, const vestry_request *req, db_act_fn fn, db_tab_fn tab, void *ctx);

/* ------------------------------------------------------------------------------------- several processes --------- */

typedef void (*db_commit_fn)(void *ctx);
/* Call fn for each commit here that other processes do not see at once by themselves; NULL: no more. */
void db_on_commit(struct db *db, db_commit_fn fn, void *ctx);
/* Look at what others have committed. */
void db_look(struct db *db);

/* Delete sessions that are over, and other things whose time is. */
void db_expire(struct db *db);
/* How closely the pages follow it, and what came of that. */
struct db_counters {
  const char *level;
  uint64_t commits, other_commits, recorded, coarse, refreshed;
  uint64_t committed; /* transactions of this process */
};
void db_counters(struct db *db, struct db_counters *ret_counters);
void db_metrics(struct db *db, struct console_metrics *metrics);

/* ------------------------------------------------------------------------------------- what a kind has ----------- */

/* As the functions above, which call these. */
struct db_ops {
  vestry_err (*open)(struct db *db);
  vestry_err (*secret)(struct db *db, unsigned char secret[SECRET_BYTES]);
  void (*close)(struct db *db);
  vestry_err (*attach)(struct db *db);
  void (*detach)(struct db *db);
  int64_t (*integer)(const struct db_row *row, int column);
  const char *(*text)(const struct db_row *row, int column);
  vestry_err (*read)(struct db *db, vestry_render *render, bool is_aside, const char *sql, const vestry_value *values,
                     db_row_fn row, void *ctx);
  vestry_err (*act)(struct db *db, db_act_fn fn, void *ctx);
  vestry_err (*run)(struct db_loan *loan, const char *sql, const vestry_value *values, db_row_fn row, void *ctx);
  vestry_err (*lock)(struct db_loan *loan, int number);
  vestry_err (*tab_get)(struct db *db, const vestry_request *req, vestry_render *render, char *bytes, size_t *ret_len);
  vestry_err (*change)(struct db *db, const vestry_request *req, db_act_fn fn, db_tab_fn tab, void *ctx);
  void (*on_commit)(struct db *db, db_commit_fn fn, void *ctx);
  void (*look)(struct db *db);
  void (*expire)(struct db *db);
  void (*counters)(struct db *db, struct db_counters *ret_counters);
  void (*metrics)(struct db *db, struct console_metrics *metrics);
};
extern const struct db_ops db_sqlite_ops, db_postgres_ops;

/* The new state of a tab as a text, for malloc's free; NULL: *ret_error says why not. */
char *db_tab_changed(struct db *db, const vestry_request *req, db_tab_fn tab, void *ctx, vestry_err *ret_error);

#endif
