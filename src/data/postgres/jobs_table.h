/* SPDX-License-Identifier: MIT */
/* The table of jobs in a database of PostgreSQL. */
#ifndef VSI_POSTGRES_JOBS_TABLE_H
#define VSI_POSTGRES_JOBS_TABLE_H

#include "data/jobs/table.h"
#include "data/postgres/ears.h"

typedef struct vsi_postgres_jobs_table {
  vestry_jobs_table table; /* the first member */
  vestry_postgres_pool *pool;
  vsi_postgres_ear ear; /* of vestry_job, while threads run */
} vsi_postgres_jobs_table;

extern const vsi_jobs_table_ops vsi_postgres_jobs_ops;

static inline vestry_postgres_pool *vsi_postgres_jobs_pool(const vestry_jobs *jobs) {
  return ((const vsi_postgres_jobs_table *)jobs->table)->pool;
}

/* The time for a statement: 0: the server's clock. */
static inline int64_t vsi_postgres_jobs_now_ms(const vestry_jobs *jobs) {
  return jobs->options.now_ms ? vsi_jobs_now_ms(jobs) : 0;
}

/* Make a run's job done in a transaction of the application's: OK | CLOSED (it was taken over, or removed) | the errors
 * of vestry/data/postgres_pool.h */
vestry_err vsi_postgres_jobs_finish(vsi_jobs_run *run, vestry_postgres_loan *loan);

#endif
