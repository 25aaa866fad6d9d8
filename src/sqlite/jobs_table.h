/* SPDX-License-Identifier: MIT */
/* The table of jobs. Each function is one transaction. */
#ifndef VSI_SQLITE_JOBS_TABLE_H
#define VSI_SQLITE_JOBS_TABLE_H

#include "sqlite/jobs_state.h"

/* What a run's end makes of its row. */
typedef struct vsi_jobs_end {
  vestry_job_state state;
  int64_t due_ms; /* if it waits */
  uint32_t attempts_count;
  int64_t period_at_ms;
  const char *error; /* NULL: as it was; "": none */
} vsi_jobs_end;

/* Make the table. */
vestry_err vsi_jobs_table_make(vestry_sqlite_pool *pool);
/* Make a tick, or give it other times. */
vestry_err vsi_jobs_table_tick(vestry_jobs *jobs, const char *name, vsi_jobs_period period);
/* Whether a job of a kind that is done here is due. */
vestry_err vsi_jobs_table_look(vestry_jobs *jobs, bool *ret_is_due);
/* Take the one that has been due for longest.
 *  ret_run  zeroed before; its key and payload are to be freed, also after a failure
 *  Returns  OK | NOT_FOUND | NO_MEMORY | the errors of vestry_sqlite_borrow */
vestry_err vsi_jobs_table_take(vestry_jobs *jobs, vsi_jobs_run *ret_run);
/* What a run writes to its row: OK | CLOSED (it was taken over, or removed) | as above. */
vestry_err vsi_jobs_table_end(vsi_jobs_run *run, const vsi_jobs_end *end);
vestry_err vsi_jobs_table_progress(vsi_jobs_run *run, double fraction, const char *text);
/* Make it done on a connection of the application's. */
vestry_err vsi_jobs_table_finish(vsi_jobs_run *run, sqlite3 *db);
/* Whether it was made so, by this run, and committed. NOT_FOUND: there is no such row any more. */
vestry_err vsi_jobs_table_is_finished(vsi_jobs_run *run, bool *ret_is_finished);
/* Renew leases; each says whether it is lost. */
vestry_err vsi_jobs_table_renew(vestry_jobs *jobs, vsi_jobs_lease *leases, size_t count);
/* Remove some that were done long ago. */
vestry_err vsi_jobs_table_clean(vestry_jobs *jobs);

#endif
