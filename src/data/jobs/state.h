/* SPDX-License-Identifier: MIT */
/* The jobs of one database, as the files of this folder see them. The files, from the bottom up:
 *
 *     table.c  the rows of the table
 *     work.c   the threads: when the table is queried, what a function may do, and how its run ends
 *     order.c  jobs in transactions of the application
 *     jobs.c   creation, and functions for the kinds of jobs */
#ifndef VSI_JOBS_STATE_H
#define VSI_JOBS_STATE_H

#include <pthread.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "base/held_log.h"
#include "base/memory.h"
#include "base/mutex.h"
#include "base/utf8.h"
#include "base/wait.h"
#include "data/sql/sql.h"
#include "vestry/data/jobs.h"

/* When the periods of a scheduled job begin. length_ms 0: not a scheduled job. */
typedef struct vsi_jobs_period {
  int64_t length_ms, offset_ms;
} vsi_jobs_period;

/* The function for the jobs of one kind. */
typedef struct vsi_jobs_kind {
  char *name;
  vestry_job_fn fn;
  void *app;
  vsi_jobs_period period;
  int64_t from_due_ms, from_id; /* guarded by jobs->lock: of the job that was found last, where brief looks begin */
} vsi_jobs_kind;

/* A run of a job: from the time when it was taken to its end. */
typedef struct vsi_jobs_run {
  vestry_job job; /* the part that its function sees; the first member */
  vestry_jobs *jobs;
  const vsi_jobs_kind *kind;
  char *key;
  unsigned char *payload;
  vsi_jobs_period period;
  int64_t taken_ms;   /* when it was taken, on the table's clock */
  uint64_t taken_ns;  /* the same, on the monotonic clock */
  bool is_over_taken; /* it was taken after the lease of another run had ended */
  bool is_buried;     /* it was taken over without attempts left: it is dead, and no function is called */
  bool is_hopeless;   /* set by the function, like the next two */
  bool is_finished;   /* by vestry_job_finish; valid if that transaction was committed */
  char why[VESTRY_JOB_TEXT_MAX_BYTES + 1];
  bool is_lost;                /* guarded by jobs->lock: all later writes to its row are rejected */
  uint64_t renewed;            /* guarded by jobs->lock: the pass of the polling thread that renewed its lease last */
  LIST_ENTRY(vsi_jobs_run) in; /* guarded by jobs->lock */
} vsi_jobs_run;

struct vestry_jobs {
  vestry_sql_pool *pool;
  const vestry_host *host;
  vestry_jobs_options options; /* defaults filled in */
  vsi_jobs_kind *kinds;
  size_t kinds_count, kinds_room;
  pthread_t *threads; /* the last one is the polling thread; NULL: none were started */
  size_t threads_count;
  uint64_t passes_count;   /* belongs to the polling thread: times that it began to renew all leases */
  vsi_mutex lock;          /* guards all below */
  pthread_cond_t work;     /* the workers wait for it */
  pthread_cond_t poll;     /* the polling thread waits for it */
  bool is_begun;           /* no more kinds are added */
  bool is_due;             /* a worker must look for a job */
  bool is_over, is_ended;  /* the workers must end; the polling thread must end, too */
  size_t idle_count;       /* number of workers that wait */
  uint64_t poll_at_ns;     /* time of the next query; on the monotonic clock, like the next two */
  uint64_t full_at_ns;     /* time of the next look at all jobs; the looks before it are brief */
  uint64_t rests_until_ns; /* until then the polling thread waits */
  LIST_HEAD(, vsi_jobs_run) runs;
  vsi_repeated_log dead; /* the jobs that were logged, by kind */
};

/* Return the time of the options' clock, or else of this host's clock, limited so that sums with it do not overflow. */
static inline int64_t vsi_jobs_now_ms(const vestry_jobs *jobs) {
  const int64_t most = INT64_MAX / 4;
  struct timespec now;
  int64_t now_ms;
  if (jobs->options.now_ms)
    now_ms = jobs->options.now_ms(jobs->options.now_ctx);
  else {
    clock_gettime(CLOCK_REALTIME, &now);
    now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
  }
  return now_ms < 0 ? 0 : now_ms > most ? most : now_ms;
}

/* Return the time of the table's clock, as far as this process knows it. If that clock is set while the function runs,
 * the result does not reflect it; therefore, times that go into the table are computed by the database. */
static inline int64_t vsi_jobs_run_now_ms(const vsi_jobs_run *run) {
  if (run->jobs->options.now_ms) return vsi_jobs_now_ms(run->jobs);
  return run->taken_ms + (int64_t)((vsi_monotonic_ns() - run->taken_ns) / 1000000);
}

/* Return whether a text is valid UTF-8 of 1 to most bytes. NULL: no. */
static inline bool vsi_jobs_is_name(const char *text, size_t most) {
  const size_t len = text ? strnlen(text, most + 1) : 0;
  return len > 0 && len <= most && vsi_is_utf8(text, len);
}

/* Return the start of the period that contains a time. */
static inline int64_t vsi_jobs_period_of(vsi_jobs_period period, int64_t now_ms) {
  int64_t since = (now_ms - period.offset_ms) % period.length_ms;
  return now_ms - (since < 0 ? since + period.length_ms : since);
}

/* Return the start of the period after the one that contains a time. */
static inline int64_t vsi_jobs_period_after(vsi_jobs_period period, int64_t now_ms) {
  return vsi_jobs_period_of(period, now_ms) + period.length_ms;
}

/* The current time in a statement, as VSI_SQL_POSTGRES_NOW: a statement may wait for the lock before it runs. */
#define VSI_JOBS_SQLITE_NOW(parameter)                                                                                 \
  "(CASE " parameter " WHEN 0 THEN CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) ELSE " parameter  \
  " END)"

/* Mark a run as lost: from now on its writes to its row are rejected. */
static inline void vsi_jobs_lose(vsi_jobs_run *run) {
  vsi_mutex_lock(&run->jobs->lock);
  run->is_lost = true;
  vsi_mutex_unlock(&run->jobs->lock);
}

/* Mark a run as lost if the error is CLOSED. Returns the error. */
static inline vestry_err vsi_jobs_note_lost(vsi_jobs_run *run, vestry_err error) {
  if (error == VESTRY_CLOSED) vsi_jobs_lose(run);
  return error;
}

/* Return whether this process has a function for a kind, of vestry_jobs_on or vestry_jobs_every. */
bool vsi_jobs_have_kind(const vestry_jobs *jobs, const char *name);

/* ---- the table of jobs ---- */

/* The clock is that of the options, if they have one, otherwise the database's own. Each function is one transaction,
 * except poll and finish. Besides the results listed, each can return the errors of its pool: LIMIT (not available now,
 * nothing was done) and IO. */

/* The new state of a row when its run has ended. */
typedef struct vsi_jobs_end {
  vestry_job_state state;
  bool awaits_period; /* wait for the period after the last one, with the times that the scheduled job has now */
  int64_t wait_ms;    /* otherwise, if the job waits: how long from now on */
  uint32_t attempts_count;
  const char *error; /* NULL: unchanged; "": none */
} vsi_jobs_end;

/* Create the table if it does not exist. */
vestry_err vsi_jobs_table_make(vestry_sql_pool *pool);
/* Create the scheduled job of a kind, or change its times. */
vestry_err vsi_jobs_table_schedule(vestry_jobs *jobs, const vsi_jobs_kind *kind);
/* Return the error of a statement that inserts a job; IO instead of EXISTS, which would mean a job with the same key.
 * PostgreSQL: the sequence of ids is behind the rows. */
vestry_err vsi_jobs_if_new_id(vestry_jobs *jobs, const char *function, vestry_err error);
/* Query when the next job is due.
 *  is_aside     for the polling thread, which must not wait for connections that others hold, because it also renews
 *               leases
 *  ret_wait_ms  until the next job of a kind of this process is due; 0: one is due; INT64_MAX: there is none */
vestry_err vsi_jobs_table_poll(vestry_jobs *jobs, bool is_aside, int64_t *ret_wait_ms);
/* Take the job that has been due for the longest time.
 *  ret_run  zeroed before; call vsi_jobs_run_finish afterwards, also after a failure
 *  Returns  OK | NOT_FOUND | NO_MEMORY */
vestry_err vsi_jobs_table_take(vestry_jobs *jobs, vsi_jobs_run *ret_run);
/* Free the key and the payload, and zero the run. */
void vsi_jobs_run_finish(vsi_jobs_run *run, const vestry_jobs *jobs);
/* Write the end of a run to its row, if the run still has the lease: OK | CLOSED (taken over, or removed) | NO_MEMORY.
 * The same for vsi_jobs_table_progress. */
vestry_err vsi_jobs_table_end(vsi_jobs_run *run, const vsi_jobs_end *end);
vestry_err vsi_jobs_table_progress(vsi_jobs_run *run, double fraction, const char *text);
/* Mark the job as done, in a transaction of the application. */
vestry_err vsi_jobs_table_finish(vsi_jobs_run *run, vestry_sql_transaction *transaction);
/* Find out whether this run was marked as done and that was committed. NOT_FOUND: the row no longer exists. */
vestry_err vsi_jobs_table_is_finished(vsi_jobs_run *run, bool *ret_is_finished);
/* Renew the lease of a run: OK | CLOSED (it is lost). As far as the database permits, this does not wait for a
 * connection that others hold, because functions may hold all connections of the pool for longer than their leases. */
vestry_err vsi_jobs_table_renew(vestry_jobs *jobs, int64_t id, int64_t fence);
/* Remove some of the jobs that were done long ago. */
vestry_err vsi_jobs_table_clean(vestry_jobs *jobs);
/* vestry_jobs_retry: OK | NOT_FOUND */
vestry_err vsi_jobs_table_retry(vestry_jobs *jobs, int64_t id);

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
