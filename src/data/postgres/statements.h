/* SPDX-License-Identifier: MIT */
/* The statements of one connection that are kept prepared.
 *
 * The server finds the types of parameters when it prepares a statement, and keeps them when another client alters the
 * table: a text is read as a `timestamp` then, and stored in a column that is `timestamptz` by now. It reports a change
 * of the columns of a result only. Therefore a statement with parameters has a witness: a prepared query whose result
 * is all columns of the tables that the statement names, and no row. It is run ahead of the statement, in one round
 * trip and one transaction; after an ALTER it fails, and the statement is not run. Where a table has columns that this
 * role may not read there is no witness, and the statement is prepared each time.
 *
 * Names are hashes of the text, so that a connection that leads to another backend (a pooler in transaction mode) finds
 * the same statement or none, and never another one. */
#ifndef VSI_POSTGRES_STATEMENTS_H
#define VSI_POSTGRES_STATEMENTS_H

#include "data/postgres/link.h"

enum { VSI_POSTGRES_STATEMENT_NAME_BYTES = 48 };

typedef struct vsi_postgres_prepared {
  char *sql;
  uint64_t used; /* the look that has found it last */
  bool has_witness;
  bool is_kept;    /* false: prepared each time */
  bool is_doubted; /* it failed, perhaps for types that are no longer those of its tables: prepared anew */
  char name[VSI_POSTGRES_STATEMENT_NAME_BYTES];
} vsi_postgres_prepared;

typedef struct vsi_postgres_statements {
  const vestry_host *host;
  vsi_postgres_prepared *all;
  size_t count, most;
  bool is_stale; /* one was prepared with definitions that have changed: all are prepared anew */
  uint64_t looks;
} vsi_postgres_statements;

/* Values as text; NULL among the texts: a null. */
typedef struct vsi_postgres_values {
  int count;
  const char *const *texts;
} vsi_postgres_values;

/* How a run has ended. */
typedef struct vsi_postgres_ran {
  PGresult *result; /* the caller's. NULL: the connection is lost */
  bool is_new;      /* the statement was prepared for it */
  bool is_stale;    /* not run: the definitions that it was prepared with have changed, or the server has lost it */
  bool is_doubted;  /* it failed, and may not when it is run again, since it is prepared anew then */
} vsi_postgres_ran;

/* Zeroed before. OK | NO_MEMORY */
vestry_err vsi_postgres_statements_init(vsi_postgres_statements *statements, const vestry_host *host, size_t most);
void vsi_postgres_statements_finish(vsi_postgres_statements *statements);
/* None is prepared: the connection is another one. */
void vsi_postgres_statements_forget(vsi_postgres_statements *statements);
/* Run one, prepared unless it is. Without a place for it the one used longest ago is given up.
 *  Returns  OK: ret_ran has a result, which may be an error | NO_MEMORY: nothing was run */
vestry_err vsi_postgres_statements_run(vsi_postgres_statements *statements, PGconn *db, const char *sql,
                                       const vsi_postgres_values *values, uint64_t until_ns, vsi_postgres_ran *ret_ran);

#endif
