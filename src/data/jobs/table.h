/* SPDX-License-Identifier: MIT */
/* The seam of jobs: what a database does for them (data/sqlite/jobs_table.c, data/postgres/jobs_table.c). The clock is
 * the options', if they have one, otherwise the database's own. Each function is one transaction, but for `look` and
 * what the application begins; each may also say what its pool fails with, as LIMIT (not now: nothing was done) and
 * IO. */
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
  bool is_told;    /* `rest` tells of what is committed since the look began */
} vsi_jobs_looked;

typedef struct vsi_jobs_table_ops {
  /* Make the table, unless it is there. */
  vestry_err (*make)(vestry_jobs_table *table);
  /* Make a tick, or give it other times. */
  vestry_err (*tick)(vestry_jobs *jobs, const char *name, vsi_jobs_period period);
  /* is_aside: by the thread that looks, which waits for no connection that others have: it renews leases, too. */
  vestry_err (*look)(vestry_jobs *jobs, bool is_aside, vsi_jobs_looked *ret_looked);
  /* These four: NULL, if the table tells nothing. listen: before threads start. leave: when they have ended; also
   * without listen. rest: the thread that looks waits until that time, or until `rouse`, which may have come before;
   * returns whether others may have changed the table since the last look. rouse: any thread, with no lock. */
  void (*listen)(vestry_jobs *jobs);
  void (*leave)(vestry_jobs *jobs);
  bool (*rest)(vestry_jobs *jobs, uint64_t until_ns);
  void (*rouse)(vestry_jobs *jobs);
  /* Take the one that has been due for longest.
   *  ret_run  zeroed before; its key and payload are to be freed by the jobs' host, also after a failure
   *  Returns  OK | NOT_FOUND | NO_MEMORY */
  vestry_err (*take)(vestry_jobs *jobs, vsi_jobs_run *ret_run);
  /* What a run writes to its row, if it has the lease yet: OK | CLOSED (it was taken over, or removed) | NO_MEMORY */
  vestry_err (*end)(vsi_jobs_run *run, const vsi_jobs_end *end);
  vestry_err (*progress)(vsi_jobs_run *run, double fraction, const char *text);
  /* Whether it was made done, by this run, and that was committed. NOT_FOUND: there is no such row any more. */
  vestry_err (*is_finished)(vsi_jobs_run *run, bool *ret_is_finished);
  /* Renew leases; each says whether it is lost. It waits for no connection that others have, as far as the database
   * lets it: functions may have all of the pool's for longer than their leases. */
  vestry_err (*renew)(vestry_jobs *jobs, vsi_jobs_lease *leases, size_t count);
  /* Remove some that were done long ago. */
  vestry_err (*clean)(vestry_jobs *jobs);
  /* vestry_jobs_retry and _remove: OK | NOT_FOUND */
  vestry_err (*retry)(vestry_jobs *jobs, int64_t id);
  vestry_err (*remove)(vestry_jobs *jobs, int64_t id);
  vestry_err (*list)(vestry_jobs *jobs, const vsi_jobs_listing *listing);
  /* The first six of them. */
  vestry_err (*count)(vestry_jobs *jobs, vestry_jobs_stats *stats);
} vsi_jobs_table_ops;

/* The first member of a database's own, which is one piece of its host's memory. */
struct vestry_jobs_table {
  const vsi_jobs_table_ops *ops;
  const vestry_host *host;
  const char *function; /* that the application has called for it, for the log */
};

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

/* A tick begins the period that holds the time, with all attempts, however the last one ended. A period that was begun
 * is not followed by an earlier one, also if the clock was set back. */
static inline void vsi_jobs_begin_period(vsi_jobs_run *run, int64_t now_ms) {
  const int64_t at_ms = run->period.length_ms ? vsi_jobs_period_of(run->period, now_ms) : 0;
  if (at_ms <= run->job.period_at_ms) return;
  run->job.period_at_ms = at_ms;
  run->job.attempt = 0;
}

/* One that was read is begun once more, at that time. A row that ran, and has had its attempts, is left as it is: the
 * end that it gets is the jobs'. Returns whether it is begun. */
static inline bool vsi_jobs_begin(vsi_jobs_run *run, int64_t now_ms) {
  run->taken_ms = now_ms;
  run->taken_ns = vsi_monotonic_ns();
  vsi_jobs_begin_period(run, now_ms);
  run->is_buried = run->is_over_taken && run->job.attempt >= run->job.attempts_most;
  if (run->is_buried) return false;
  run->job.attempt++;
  run->job.fence++;
  return true;
}

/* Whether it may be finished in a transaction of a database's: it is in a table of that one's, and no tick. */
static inline bool vsi_jobs_may_finish(const vsi_jobs_run *run, const vsi_jobs_table_ops *ops) {
  return run && run->jobs->table->ops == ops && !run->period.length_ms;
}

/* That was written: it is done once the transaction is committed. */
static inline vestry_err vsi_jobs_note_finished(vsi_jobs_run *run, vestry_err error) {
  if (!error) run->is_finished = true;
  return vsi_jobs_note_lost(run, error);
}

#endif
