/* SPDX-License-Identifier: MIT */
/* The table of jobs in a database of SQLite. */
#ifndef VSI_SQLITE_JOBS_TABLE_H
#define VSI_SQLITE_JOBS_TABLE_H

#include "data/jobs/table.h"
#include "data/sqlite/loan.h"
#include "vestry/data/sqlite_jobs.h"

typedef struct vsi_sqlite_jobs_table {
  vestry_jobs_table table; /* the first member */
  vestry_sqlite_pool *pool;
} vsi_sqlite_jobs_table;

extern const vsi_jobs_table_ops vsi_sqlite_jobs_ops;

static inline vestry_sqlite_pool *vsi_sqlite_jobs_pool(const vestry_jobs *jobs) {
  return ((const vsi_sqlite_jobs_table *)jobs->table)->pool;
}

/* Make a run's job done on a connection of the application's: OK | CLOSED (it was taken over, or removed) | NO_MEMORY |
 * BUSY | LIMIT | IO */
vestry_err vsi_sqlite_jobs_finish(vsi_jobs_run *run, sqlite3 *db);

#endif
