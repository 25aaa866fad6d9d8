/* SPDX-License-Identifier: MIT */
/* The prepared statements that one connection keeps.
 *
 * The server determines the types of parameters when it prepares a statement, and keeps them when another client alters
 * the table. For example, a text is then read as a `timestamp`, and stored in a column that has become `timestamptz`.
 * The server reports only changes of the result's columns. Therefore, a statement with parameters has a witness: a
 * prepared query whose result has all columns of the tables that the statement names, and no row. The witness is
 * executed before the statement, in one round trip and one transaction; after an ALTER it fails, and the statement is
 * not executed. If a table has columns that this role may not read, there is no witness, and the statement is prepared
 * each time. So is a statement that may call a function of the application, because the function can be replaced by one
 * with other parameters, and the server does not report this.
 *
 * A transaction begins with a session in the state of its setup, whatever earlier ones did: in the round trip that
 * begins it, the server first undoes all that they may have kept. No text of a statement shows this, because any
 * statement may call a function. RESET ROLE is not needed: the role ends with the session's user, and the query
 * `restoring` sets another one. The undoing has its own transaction, because the next one may be rolled back, and may
 * need its first snapshot.
 *
 * Names are hashes of the text. */
#ifndef VSI_POSTGRES_STATEMENTS_H
#define VSI_POSTGRES_STATEMENTS_H

#include "data/postgres/link.h"
#include "data/sql/pool.h"

enum { VSI_POSTGRES_STATEMENT_NAME_BYTES = 48 };

typedef struct vsi_postgres_prepared {
  char *sql;
  uint64_t used; /* number of the lookup that found it last */
  bool has_witness;
  bool is_kept;    /* false: prepared each time */
  bool is_doubted; /* it failed, perhaps because types of its tables have changed: prepared again */
  char name[VSI_POSTGRES_STATEMENT_NAME_BYTES];
} vsi_postgres_prepared;

/* A prepared statement that begins or ends a transaction. */
typedef struct vsi_postgres_around_part {
  const char *sql;
  int at; /* position of the result of its preparation, in the pipeline that prepared it */
  char name[VSI_POSTGRES_STATEMENT_NAME_BYTES];
} vsi_postgres_around_part;
enum { VSI_POSTGRES_PARTS = 24 }; /* of all transactions, and of the undoing */

/* The things that a session may have kept of earlier transactions. PREPARE is excluded: the caller closes its
 * connection.
 * NOTHING   nothing
 * LOCKS     advisory locks of the session, because only transactions were rolled back that cannot write
 * ANYTHING  also settings, a role, temporary objects, channels, cursors, values of sequences */
typedef enum vsi_postgres_kept {
  VSI_POSTGRES_KEPT_NOTHING,
  VSI_POSTGRES_KEPT_LOCKS,
  VSI_POSTGRES_KEPT_ANYTHING
} vsi_postgres_kept;

typedef struct vsi_postgres_statements {
  const vestry_host *host;
  vsi_postgres_prepared all[VSI_SQL_STATEMENTS];
  size_t count;
  vsi_postgres_around_part parts[VSI_POSTGRES_PARTS];
  size_t parts_count;
  bool is_stale; /* the definitions of a statement have changed: all are prepared again */
  uint64_t looks;
  char *restoring; /* a query that makes the settings of the session's setup again, and releases its advisory locks */
  vsi_postgres_kept kept;
} vsi_postgres_statements;

/* Values as text; a NULL text is a null. */
typedef struct vsi_postgres_values {
  int count;
  const char *const *texts;
} vsi_postgres_values;

/* Commands in the same round trip as a statement. Initialized with 0: nothing. */
typedef struct vsi_postgres_around {
  bool is_first;            /* the server first undoes all that the session has kept */
  const char *const *begin; /* statements that begin the transaction; NULL ends the list. NULL: none */
  bool rolls_back;          /* the transaction is rolled back after the statement, unless that fails */
} vsi_postgres_around;

/* The result of running a statement. */
typedef struct vsi_postgres_ran {
  PGresult *result; /* owned by the caller. NULL: the connection is lost */
  bool is_new;      /* the statement was prepared for this run */
  bool is_stale;    /* not run: its definitions have changed, or the server has lost it */
  bool is_doubted;  /* it failed, and may succeed in another run, because it is prepared again */
  bool is_unbegun;  /* not run: its transaction could not begin */
  bool is_unclean;  /* not run: the session still keeps something, so its connection must be closed */
} vsi_postgres_ran;

/* Forget all statements, because there is another connection. */
void vsi_postgres_statements_forget(vsi_postgres_statements *statements);
/* Undo all that the session has kept, without a statement. Returns whether that succeeded; otherwise the connection
 * must be closed. */
bool vsi_postgres_statements_undo(vsi_postgres_statements *statements, PGconn *db, uint64_t until_ns);
/* Run a statement, and prepare it if necessary, before the transaction begins. If there is no room, the least recently
 * used one is dropped.
 *  around   reset when it was sent
 *  Returns  OK: ret_ran has a result, which may be an error | NO_MEMORY: nothing was run */
vestry_err vsi_postgres_statements_run(vsi_postgres_statements *statements, PGconn *db, const char *sql,
                                       const vsi_postgres_values *values, vsi_postgres_around *around,
                                       uint64_t until_ns, vsi_postgres_ran *ret_ran);

#endif
