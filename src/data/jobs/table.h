/* SPDX-License-Identifier: MIT */
/* The table of jobs. The clock is the options', if they have one, otherwise the database's own. Each function is one
 * transaction, but for `look` and `finish`; each may also say what its pool fails with, as LIMIT (not now: nothing was
 * done) and IO. */
#ifndef VSI_JOBS_TABLE_H
#define VSI_JOBS_TABLE_H

#include "data/jobs/state.h"

/* What a run's end makes of its row. */
typedef struct vsi_jobs_end {
  vestry_job_state state;
  bool awaits_period; /* it waits for the period after its last one, by the times that the tick has now */
  int64_t wait_ms;    /* else, if it waits: so long from now on */
  uint32_t attempts_count;
  const char *error; /* NULL: as it was; "": none */
} vsi_jobs_end;

/* The arguments of vestry_jobs_list. */
typedef struct vsi_jobs_listing {
  const char *kind;
  vestry_job_state state;
  int64_t after_id;
  uint32_t count;
  vestry_job_row_fn fn;
  void *ctx;
} vsi_jobs_listing;

/* What a look has found. */
typedef struct vsi_jobs_looked {
  int64_t wait_ms; /* until the next job of a kind that is done here is due; 0: one is; INT64_MAX: there is none */
  bool is_told;    /* the ear tells of what is committed since the look began */
} vsi_jobs_looked;

/* Make the table, unless it is there. */
vestry_err vsi_jobs_table_make(vestry_sql_pool *pool);
/* Make a tick, or give it other times. */
vestry_err vsi_jobs_table_tick(vestry_jobs *jobs, const char *name, vsi_jobs_period period);
/* is_aside: by the thread that looks, which waits for no connection that others have: it renews leases, too. */
vestry_err vsi_jobs_table_look(vestry_jobs *jobs, bool is_aside, vsi_jobs_looked *ret_looked);
/* Take the one that has been due for longest.
 *  ret_run  zeroed before; its key and payload are to be freed by the jobs' host, also after a failure
 *  Returns  OK | NOT_FOUND | NO_MEMORY */
vestry_err vsi_jobs_table_take(vestry_jobs *jobs, vsi_jobs_run *ret_run);
/* What a run writes to its row, if it has the lease yet: OK | CLOSED (it was taken over, or removed) | NO_MEMORY */
vestry_err vsi_jobs_table_end(vsi_jobs_run *run, const vsi_jobs_end *end);
vestry_err vsi_jobs_table_progress(vsi_jobs_run *run, double fraction, const char *text);
/* In a transaction of the application's. */
vestry_err vsi_jobs_table_finish(vsi_jobs_run *run, vestry_sql_transaction *transaction);
/* Whether it was made done, by this run, and that was committed. NOT_FOUND: there is no such row any more. */
vestry_err vsi_jobs_table_is_finished(vsi_jobs_run *run, bool *ret_is_finished);
/* Renew leases; each says whether it is lost. It waits for no connection that others have, as far as the database
 * lets it: functions may have all of the pool's for longer than their leases. */
vestry_err vsi_jobs_table_renew(vestry_jobs *jobs, vsi_jobs_lease *leases, size_t count);
/* Remove some that were done long ago. */
vestry_err vsi_jobs_table_clean(vestry_jobs *jobs);
/* vestry_jobs_retry and _remove: OK | NOT_FOUND */
vestry_err vsi_jobs_table_retry(vestry_jobs *jobs, int64_t id);
vestry_err vsi_jobs_table_remove(vestry_jobs *jobs, int64_t id);
vestry_err vsi_jobs_table_list(vestry_jobs *jobs, const vsi_jobs_listing *listing);
/* The first six of them. */
vestry_err vsi_jobs_table_count(vestry_jobs *jobs, vestry_jobs_stats *stats);

/* The time for a statement; 0: the database's own clock. */
static inline int64_t vsi_jobs_table_now_ms(const vestry_jobs *jobs) {
  return jobs->options.now_ms ? vsi_jobs_now_ms(jobs) : 0;
}

/* A state in the column of that name. NULL: any. */
static inline const char *vsi_jobs_state_name(vestry_job_state state) {
  static const char *const names[] = {NULL, "waiting", "running", "done", "dead"};
  return names[state];
}

static inline vestry_job_state vsi_jobs_state_of(const char *name) {
  for (int state = VESTRY_JOB_WAITING; name && state <= VESTRY_JOB_DEAD; state++)
    if (strcmp(vsi_jobs_state_name((vestry_job_state)state), name) == 0) return (vestry_job_state)state;
  return VESTRY_JOB_ANY;
}

#endif
