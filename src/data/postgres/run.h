/* SPDX-License-Identifier: MIT */
/* Transactions and statements of a pool. */
#ifndef VSI_POSTGRES_RUN_H
#define VSI_POSTGRES_RUN_H

#include "data/postgres/pool.h"

extern const vsi_sql_ops vsi_postgres_ops;

/* Same as vestry_sql_begin, with these statements (vsi_postgres_around). */
vestry_err vsi_postgres_begin(vsi_postgres_pool *pool, vestry_sql_kind kind, const char *const *begin,
                              vestry_sql_transaction **ret_transaction);
/* Same as vestry_sql_run for valid arguments, without recording for a render. */
vestry_err vsi_postgres_run(vsi_postgres_conn *conn, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                            void *ctx);

/* The render that runs on a thread, as the functions of a pool see it: their reads are recorded, and their failures are
 * noted. database.c implements it. */
typedef struct vsi_postgres_recorder {
  struct vsi_postgres_recorder *outer; /* the enclosing render of this thread, for another database */
  const vsi_postgres_pool *pool;
  bool is_followed;                    /* otherwise its reads are ordinary ones */
  vestry_sql_transaction *transaction; /* its transaction; NULL: none yet */
  uint32_t left_out;                   /* oid of a table that it reads without depending on it; 0: none */
  bool is_unknown;                     /* a read has failed, or ran in another transaction: any commit may concern it */
  bool wants_again;                    /* the failure may be temporary */
  /* Begin its transaction. As vsi_postgres_begin. */
  vestry_err (*begin)(struct vsi_postgres_recorder *recorder);
  /* Same as vestry_sql_run in its transaction, which is begun again if the server has aborted it. */
  vestry_err (*run)(struct vsi_postgres_recorder *recorder, const char *sql, const vestry_value *values,
                    vestry_sql_row_fn row, void *ctx);
} vsi_postgres_recorder;

/* Begin or end a render on this thread. Renders end in the reverse order. */
void vsi_postgres_recorder_enter(vsi_postgres_recorder *recorder);
void vsi_postgres_recorder_leave(const vsi_postgres_recorder *recorder);
/* Return the recorder of this thread for that pool; pool NULL: for any. NULL: the thread does not render. */
vsi_postgres_recorder *vsi_postgres_recorder_of(const vsi_postgres_pool *pool);

#endif
