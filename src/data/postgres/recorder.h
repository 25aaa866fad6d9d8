/* SPDX-License-Identifier: MIT */
/* The render that runs on a thread, as the functions of a pool know it: what they read there is recorded, and a failure
 * there leaves a trace. database.c records. */
#ifndef VSI_POSTGRES_RECORDER_H
#define VSI_POSTGRES_RECORDER_H

#include <stdbool.h>

#include "data/postgres/loan.h"

typedef struct vsi_postgres_recorder {
  struct vsi_postgres_recorder *outer; /* of the same thread: of another database */
  const vsi_postgres_pool *pool;
  bool is_followed;             /* otherwise its reads are those of any thread */
  vestry_sql_transaction *loan; /* its transaction; NULL: none yet */
  bool is_unknown;              /* a read has failed, or was another transaction's: any commit may concern it */
  bool wants_again;             /* what has failed may succeed after a while */
  /* Begin its transaction, which it has not yet. As vsi_postgres_begin. */
  vestry_err (*begin)(struct vsi_postgres_recorder *recorder);
  /* vestry_sql_run in its transaction, which is begun again if the server has given it up. */
  vestry_err (*run)(struct vsi_postgres_recorder *recorder, const char *sql, const vestry_value *values,
                    vestry_sql_row_fn row, void *ctx);
} vsi_postgres_recorder;

/* This thread's render begins, or ends: they end in the reverse order. */
void vsi_postgres_recorder_enter(vsi_postgres_recorder *recorder);
void vsi_postgres_recorder_leave(const vsi_postgres_recorder *recorder);
/* This thread's, of that pool; of any pool, if that is NULL. NULL: it renders nothing. */
vsi_postgres_recorder *vsi_postgres_recorder_of(const vsi_postgres_pool *pool);
/* Something has failed on this thread, by this pool. If the thread renders a page, the page depends on every commit,
 * whether it catches the error or not. */
void vsi_postgres_recorder_fail(const vsi_postgres_pool *pool, vestry_err error);

#endif
