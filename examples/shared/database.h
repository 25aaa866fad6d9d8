/* SPDX-License-Identifier: MIT */
/* A database that pages follow: a file of SQLite, or PostgreSQL, which all nodes share. Statements are those of
 * vestry/data/sql.h, of the SQL that both understand; here is what a program does differently over the two. A commit
 * renders the pages again that have read what it changed. */
#ifndef EXAMPLES_DATABASE_H
#define EXAMPLES_DATABASE_H

#include "console.h"
#include "secret.h"
#include "vestry/data/sqlite.h"
#include "vestry/vestry.h"

enum { DATABASE_TAB_MAX_BYTES = 64 * 1024 };

/* Which database it is, and what a program keeps there. Zero: not. */
struct database_options {
  const char *program;                         /* its name, ahead of what it complains about */
  const char *file, *postgres_url;             /* SQLite's file, or PostgreSQL's address as libpq has it: not both */
  const char *default_file;                    /* if neither is given */
  const char *sqlite_schema, *postgres_schema; /* statements that make the tables, `secret` among them, if there are
                                                  none; of SQLite those that bring a file of any version to this one */
  int sqlite_version;
  vestry_sqlite_topics_fn sqlite_topics;  /* for what is read aside */
  bool is_serializable;                   /* transactions are as if they came one after another: SQLite's always are */
  bool has_sessions, has_tabs, has_forms; /* who has logged in, states of tabs, what is typed into forms */
};

struct database {
  struct database_options options; /* with the file that it is */
  vestry_sql_pool *pool;
  vestry_pages *pages;           /* that follow it; NULL: none */
  vestry_sql_sessions *sessions; /* who has logged in */
  vestry_sql_once *once;         /* what was done, for all nodes; NULL: that is in memory alone */
  vestry_forms_storage *forms;   /* what is typed */
  vestry_sql_tabs *tabs;         /* states of tabs */
  /* Of SQLite. */
  vestry_sqlite *file; /* whose pages follow it; NULL: not */
  vestry_sqlite_level level;
  /* Of PostgreSQL. */
  vestry_sql_pool
      *state_pool; /* for sessions, states of tabs, and what runs once, which have transactions of their own;
                                  NULL: it is SQLite */
  struct vestry_postgres *server;
  struct vestry_postgres_topics *topics;
};

/* Open it, and make the tables if there are none; before anything else uses SQLite. What cannot be done has been said.
 * options: copied; what they point to is borrowed until database_close, which is called in either case */
vestry_err database_open(struct database *db, const struct database_options *options);
/* What the instance seals with, of the table `secret`: so what was sealed is good after a restart, and open pages go
 * on. */
vestry_err database_secret(struct database *db, unsigned char secret[SECRET_BYTES]);
void database_close(struct database *db);
/* Let the pages follow it, and follow it no more: from attach to detach, which comes before vestry_pages_destroy. */
vestry_err database_attach(struct database *db, vestry_pages *pages);
void database_detach(struct database *db);

/* Run a statement that reads. In a render (NULL: elsewhere) the page renders again when what it has read was changed.
 * NOT_FOUND: there is no row. */
vestry_err database_read(struct database *db, vestry_render *render, const char *sql, const vestry_value *values,
                         vestry_sql_row_fn row, void *ctx);
/* The same of tables in which the rows of many users stand side by side, for a page that has named a topic for what it
 * reads, as options.sqlite_topics says it: with SQLite that alone refreshes it. */
vestry_err database_read_aside(struct database *db, vestry_render *render, const char *sql, const vestry_value *values,
                               vestry_sql_row_fn row, void *ctx);
/* Run a statement that changes something, and commit it. */
vestry_err database_run_alone(struct database *db, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                              void *ctx);
/* vestry_sql_act. LIMIT: not now, what is repeated (vestry/app/once.h) may be done later. When the connection to a
 * server is lost during the commit it is not known whether that was done, and it is LIMIT, too: what can be repeated
 * does no more the second time. */
vestry_err database_act(struct database *db, vestry_sql_act_fn fn, void *ctx);
/* Only one transaction has that number at a time: others wait until it is over. */
vestry_err database_lock(struct database *db, vestry_sql_transaction *transaction, int number);

/* The state of a request's tab, as JSON: an empty object if it has none. render: the one that reads it, and renders
 * again when it is written; NULL: none. The caller's (json_decref). NULL: no memory, or not now. */
json_t *database_tab(struct database *db, const vestry_request *req, vestry_render *render);
/* Changes a tab's state. OK | any error: it stays as it is. */
typedef vestry_err (*database_tab_fn)(json_t *state, void *ctx);
/* Do a transaction by fn (NULL: none), and change the tab's state by tab. No other request of the tab changes that in
 * the meantime. With SQLite both are one transaction; with PostgreSQL the state is written after it. */
vestry_err database_change(struct database *db, const vestry_request *req, vestry_sql_act_fn fn, database_tab_fn tab,
                           void *ctx);

/* Call fn for each commit here that other processes do not see at once by themselves; NULL: no more. */
void database_on_commit(struct database *db, vestry_sqlite_commit_fn fn, void *ctx);
/* Look at what others have committed. */
void database_look(struct database *db);
/* Delete sessions that are over, and other things whose time is. */
void database_expire(struct database *db);
/* How closely the pages follow it, and what came of that. */
struct database_counters {
  const char *level;
  uint64_t commits, other_commits, recorded, coarse, refreshed;
  uint64_t committed; /* transactions of this process */
};
void database_counters(struct database *db, struct database_counters *ret_counters);
void database_metrics(struct database *db, struct console_metrics *metrics);

#endif
