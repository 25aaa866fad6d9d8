/* SPDX-License-Identifier: MIT */
/* The table of jobs. The clock is that of the options, if they have one, otherwise the database's own. Each function is
 * one transaction, except look and finish. Besides the results listed, each can return the errors of its pool: LIMIT
 * (not available now, nothing was done) and IO. */
#ifndef VSI_JOBS_TABLE_H
#define VSI_JOBS_TABLE_H

#include "data/jobs/state.h"

/* The new state of a row when its run has ended. */
typedef struct vsi_jobs_end {
  vestry_job_state state;
  bool awaits_period; /* wait for the period after the last one, with the times that the scheduled job has now */
  int64_t wait_ms;    /* otherwise, if the job waits: how long from now on */
  uint32_t attempts_count;
  const char *error; /* NULL: unchanged; "": none */
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

/* Result of a query for due jobs. */
typedef struct vsi_jobs_polled {
  int64_t wait_ms;  /* until the next job of a kind of this process is due; 0: one is due; INT64_MAX: there is none */
  bool is_notified; /* the receiver reports all commits since the query began */
} vsi_jobs_polled;

/* Create the table if it does not exist. */
vestry_err vsi_jobs_table_make(vestry_sql_pool *pool);
/* Create the scheduled job of a kind, or change its times. */
vestry_err vsi_jobs_table_tick(vestry_jobs *jobs, const vsi_jobs_kind *kind);
/* Create the scheduled jobs of this process again whose rows others have deleted. For the looking thread. */
vestry_err vsi_jobs_table_restore_ticks(vestry_jobs *jobs);
/* Query when the next job is due. is_aside: for the looking thread, which must not wait for connections that others
 * hold, because it also renews leases. */
vestry_err vsi_jobs_table_poll(vestry_jobs *jobs, bool is_aside, vsi_jobs_polled *ret_polled);
/* Take the job that has been due for the longest time.
 *  ret_run  zeroed before; the caller frees its key and payload with the jobs' host, also after a failure
 *  Returns  OK | NOT_FOUND | NO_MEMORY */
vestry_err vsi_jobs_table_take(vestry_jobs *jobs, vsi_jobs_run *ret_run);
/* Write the end of a run to its row, if the run still has the lease: OK | CLOSED (taken over, or removed) | NO_MEMORY.
 * The same for vsi_jobs_table_progress. */
vestry_err vsi_jobs_table_end(vsi_jobs_run *run, const vsi_jobs_end *end);
vestry_err vsi_jobs_table_progress(vsi_jobs_run *run, double fraction, const char *text);
/* Mark the job as done, in a transaction of the application. */
vestry_err vsi_jobs_table_finish(vsi_jobs_run *run, vestry_sql_transaction *transaction);
/* Find out whether this run was marked as done and that was committed. NOT_FOUND: the row no longer exists. */
vestry_err vsi_jobs_table_is_finished(vsi_jobs_run *run, bool *ret_is_finished);
/* Renew leases; is_lost of each reports whether it is lost. As far as the database permits, this does not wait for a
 * connection that others hold, because functions may hold all connections of the pool for longer than their leases. */
vestry_err vsi_jobs_table_renew(vestry_jobs *jobs, vsi_jobs_lease *leases, size_t count);
/* Remove some of the jobs that were done long ago. */
vestry_err vsi_jobs_table_clean(vestry_jobs *jobs);
/* vestry_jobs_retry and _remove: OK | NOT_FOUND */
vestry_err vsi_jobs_table_retry(vestry_jobs *jobs, int64_t id);
vestry_err vsi_jobs_table_remove(vestry_jobs *jobs, int64_t id);
vestry_err vsi_jobs_table_list(vestry_jobs *jobs, const vsi_jobs_listing *listing);
/* Fill in the first six counters. */
vestry_err vsi_jobs_table_count(vestry_jobs *jobs, vestry_jobs_stats *stats);

/* Return the time for a statement; 0: the database's own clock. */
static inline int64_t vsi_jobs_table_now_ms(const vestry_jobs *jobs) {
  return jobs->options.now_ms ? vsi_jobs_now_ms(jobs) : 0;
}

/* Return the text of a state in the column of that name. NULL: any state. */
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
