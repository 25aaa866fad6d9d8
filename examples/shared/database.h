/* SPDX-License-Identifier: MIT */
/* An application over a SQLite file, or over PostgreSQL, which all nodes share (--db, --postgres). Programs use the
 * statements of vestry/data/sql.h, in SQL that both understand; this interface hides the remaining differences. */
#ifndef EXAMPLES_DATABASE_H
#define EXAMPLES_DATABASE_H

#include "program.h"
#include "vestry/data/sqlite.h"

struct database {
  /* Set by the program. */
  const char *postgres_url;                    /* --postgres, an address for libpq; not with --db */
  const char *default_file;                    /* used if neither is given */
  const char *sqlite_schema, *postgres_schema; /* make missing tables; SQLite: also upgrade a file of any version */
  int sqlite_version;

  /* Set by database_create. */
  vestry_application *app;
  const char *file;      /* SQLite's */
  vestry_sql_pool *pool; /* of the application */
  void *followed;        /* the vestry_sqlite or vestry_postgres of the application */
  struct vestry_postgres_topics *topics;
};

/* Create the application over the database, and missing tables. Ends the process after an error, whose reason was
 * printed. options: without database */
void database_create(struct database *db, struct program *program, const vestry_application_options *options);
/* Call it after vestry_stop, before program_finish. */
void database_end(struct database *db);
bool database_is_postgres(const struct database *db);

/* In a render that reads the database, also if PostgreSQL's commits cannot be followed: render again after each commit
 * of a program with this function. */
vestry_err database_follow(struct database *db, vestry_render *render);
/* In the function of an act: refresh these renders, also if PostgreSQL's commits cannot be followed. */
void database_tell(struct database *db, vestry_call *call);
/* Run a transaction by vestry_application_act, outside of the function of an act. */
vestry_err database_act(struct database *db, vestry_sql_act_fn fn, void *ctx);
/* Run a statement that changes data, and commit it, as database_act. */
vestry_err database_run_alone(struct database *db, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                              void *ctx);
/* Lock a number for a transaction. Other transactions with this number wait until the first has ended. */
vestry_err database_lock(struct database *db, vestry_sql_transaction *transaction, int number);

/* The level at which pages follow the database, and its counters. */
struct database_counters {
  const char *level;
  uint64_t commits, other_commits, recorded, coarse, refreshed;
  uint64_t committed; /* transactions committed by this process */
};
void database_counters(struct database *db, struct database_counters *ret_counters);

#endif
