/* SPDX-License-Identifier: MIT */
/* The threads of jobs. The workers take jobs and run their functions. One more thread, the polling thread, renews
 * leases and queries the table for due jobs. A commit by the pool of this process wakes the workers at once.
 *
 * The table is queried for due jobs at the time when the next job becomes due, every poll_ms, which finds jobs of other
 * processes, and by each worker that has ended a job. */
#include "base/log.h"
#include "base/thread.h"
#include "data/jobs/state.h"

enum { PAUSE_MS = 1000 }; /* after a failure, for example a full disk */
#define NEVER_NS UINT64_MAX

/* --------------------------------------------------------------------------------------------------- waking ------- */

void vestry_jobs_wake(vestry_jobs *jobs) {
  if (!jobs) return;
  vsi_mutex_lock(&jobs->lock);
  jobs->is_due = true;
  pthread_cond_broadcast(&jobs->work); /* glibc can lose a signal if several threads wait, and few do */
  vsi_mutex_unlock(&jobs->lock);
}

/* ------------------------------------------------------------------------------------------------- looking -------- */

/* A job that is due now is no reason for another query: the worker that takes it makes the next one. */
static uint64_t next_ns(const vestry_jobs *jobs, vestry_err error, int64_t wait_ms) {
  const uint64_t poll_ms = jobs->options.poll_ms;
  if (error) return vsi_monotonic_in_ms(PAUSE_MS);
  return vsi_monotonic_in_ms(wait_ms > 0 && (uint64_t)wait_ms < poll_ms ? (uint64_t)wait_ms : poll_ms);
}

/* Query the table at that time, unless it is queried sooner: another query may have ended meanwhile. */
static void poll_at(vestry_jobs *jobs, uint64_t at_ns) {
  vsi_mutex_lock(&jobs->lock);
  if (at_ns < jobs->poll_at_ns) jobs->poll_at_ns = at_ns;
  if (jobs->poll_at_ns < jobs->rests_until_ns) pthread_cond_signal(&jobs->poll);
  vsi_mutex_unlock(&jobs->lock);
}

/* Query the table, and compute the time of the next query. The errors are those of the table. */
static vestry_err poll_table(vestry_jobs *jobs, bool is_aside, bool *ret_is_due) {
  int64_t wait_ms = INT64_MAX;
  vsi_mutex_lock(&jobs->lock);
  jobs->poll_at_ns = NEVER_NS;
  vsi_mutex_unlock(&jobs->lock);
  const vestry_err error = vsi_jobs_table_poll(jobs, is_aside, &wait_ms);
  poll_at(jobs, next_ns(jobs, error, wait_ms));
  if (!error) *ret_is_due = wait_ms == 0;
  return error;
}

/* Query the table if it is time, and wake the workers if a job is due. While all workers are busy, each of them queries
 * the table when it has ended a job. For the polling thread. */
static void poll_in_time(vestry_jobs *jobs) {
  bool is_due = false;
  vsi_mutex_lock(&jobs->lock);
  const bool is_time = !jobs->is_over && vsi_monotonic_ns() >= jobs->poll_at_ns,
             is_wanted = is_time && jobs->idle_count;
  if (is_time) jobs->poll_at_ns = vsi_monotonic_in_ms(jobs->options.poll_ms);
  vsi_mutex_unlock(&jobs->lock);
  if (is_wanted) (void)poll_table(jobs, true, &is_due);
  if (is_due) vestry_jobs_wake(jobs);
}

/* ------------------------------------------------------------------------------------------------- resting -------- */

/* Wait until it is time for a query, at most every_ms. false: the thread must end. For the polling thread. */
static bool rest(vestry_jobs *jobs, uint32_t every_ms) {
  vsi_mutex_lock(&jobs->lock);
  const uint64_t most_ns = vsi_monotonic_in_ms(every_ms);
  do {
    jobs->rests_until_ns = jobs->poll_at_ns < most_ns ? jobs->poll_at_ns : most_ns;
  } while (!jobs->is_ended && vsi_wait_until(&jobs->poll, &jobs->lock, jobs->rests_until_ns));
  const bool is_ended = jobs->is_ended;
  vsi_mutex_unlock(&jobs->lock);
  return !is_ended;
}

/* ------------------------------------------------------------------------------- for the functions of jobs -------- */

vestry_err vestry_job_progress(vestry_job *job, double fraction, const char *text) {
  vsi_jobs_run *run = (vsi_jobs_run *)job;
  if (!run) return VESTRY_INVALID;
  const size_t len = text ? strnlen(text, VESTRY_JOB_TEXT_MAX_BYTES + 1) : 0;
  if (len > VESTRY_JOB_TEXT_MAX_BYTES) return VESTRY_TOO_LARGE;
  if (!vsi_is_utf8(text, len)) return vsi_mistake(run->jobs->host, "vestry_job_progress", "the text is not UTF-8");
  return vsi_jobs_note_lost(run, vsi_jobs_table_progress(run, fraction > 1 ? 1 : fraction > 0 ? fraction : 0, text));
}

bool vestry_job_is_over(const vestry_job *job) {
  const vsi_jobs_run *run = (const vsi_jobs_run *)job;
  if (!job) return true;
  vsi_mutex_lock(&run->jobs->lock);
  bool is_over = run->is_lost || run->jobs->is_over;
  vsi_mutex_unlock(&run->jobs->lock);
  return is_over;
}

void vestry_job_explain(vestry_job *job, const char *text) {
  vsi_jobs_run *run = (vsi_jobs_run *)job;
  if (!job || !text) return;
  const size_t len = vsi_utf8_trim(text, strnlen(text, VESTRY_JOB_TEXT_MAX_BYTES));
  bool is_valid;
  memcpy(run->why, text, len);
  run->why[len] = '\0';
  for (size_t at = 0, next; at < len; at += next) {
    next = vsi_utf8_next(text + at, text + len, &is_valid);
    if (!is_valid) memset(run->why + at, '?', next);
  }
}

void vestry_job_give_up(vestry_job *job) {
  if (job) ((vsi_jobs_run *)job)->is_hopeless = true;
}

/* ---------------------------------------------------------------------------------------------------- ends -------- */

/* Return the wait before the next attempt: a base that doubles with each attempt, up to max_backoff_ms, shortened at
 * random by up to half. */
static int64_t wait_ms(const vsi_jobs_run *run) {
  const vestry_jobs_options *options = &run->jobs->options;
  uint64_t ms = options->backoff_ms, chance;
  for (uint32_t i = 1; i < run->job.attempt && ms < options->max_backoff_ms; i++) ms *= 2;
  if (ms > options->max_backoff_ms) ms = options->max_backoff_ms;
  if (run->jobs->host->random(run->jobs->host->ctx, &chance, sizeof chance)) return (int64_t)ms;
  return (int64_t)(ms - ms / 2 + chance % (ms / 2 + 1));
}

/* Return whether the next attempt of a scheduled job would fall into its next period. */
static bool is_of_next_period(const vsi_jobs_run *run, int64_t wait_ms) {
  return run->period.length_ms &&
         vsi_jobs_run_now_ms(run) + wait_ms >= vsi_jobs_period_after(run->period, run->job.period_at_ms);
}

/* Decide the new state of a job whose function has returned this error, or that is buried because its process died in
 * the last attempt. A scheduled job waits for the period after the one for which it ran; that period may have begun
 * already. */
static vestry_job_outcome judge(const vsi_jobs_run *run, vestry_err error, bool is_put_back, vsi_jobs_end *ret_end) {
  const bool is_scheduled = run->period.length_ms != 0;
  vsi_jobs_end end = {.state = VESTRY_JOB_WAITING, .attempts_count = run->job.attempt};
  vestry_job_outcome outcome = VESTRY_JOB_ENDED_AGAIN;
  if (!error) {
    outcome = VESTRY_JOB_ENDED_DONE;
    end.state = VESTRY_JOB_DONE;
    if (is_scheduled) end.error = "";
  } else if (is_put_back) {
    outcome = VESTRY_JOB_ENDED_PUT_BACK;
    end.attempts_count--;
  } else {
    end.error = *run->why ? run->why : vestry_strerror(error);
    end.wait_ms = wait_ms(run);
    const bool is_last = run->is_buried || run->is_hopeless || run->job.attempt >= run->job.max_attempts ||
                         is_of_next_period(run, end.wait_ms);
    if (is_last) {
      outcome = VESTRY_JOB_ENDED_DEAD;
      end.state = VESTRY_JOB_DEAD;
    }
  }
  if (is_scheduled && end.state != VESTRY_JOB_WAITING) {
    end.state = VESTRY_JOB_WAITING;
    end.awaits_period = true;
    end.attempts_count = 0;
  }
  *ret_end = end;
  return outcome;
}

/* Find out whether the function's own transaction has marked the job as done. The errors are those of the table. */
static vestry_err look_finished(vsi_jobs_run *run, vestry_err error, bool *ret_is_it) {
  if (!run->is_finished) return VESTRY_OK;
  const vestry_err looked = vsi_jobs_table_is_finished(run, ret_is_it);
  if (looked != VESTRY_NOT_FOUND) return looked;
  *ret_is_it = !error; /* it was done, and has been removed since */
  return VESTRY_OK;
}

/* Wait for a moment, while the end of this run cannot be written. A lost lease does not end the wait: its renewal also
 * finds no running row if the function's own transaction has finished the job. false: the jobs are being stopped, or
 * there are no threads. */
static bool wait_a_moment(vsi_jobs_run *run) {
  vestry_jobs *jobs = run->jobs;
  if (!jobs->threads) return false;
  const uint64_t until_ns = vsi_monotonic_in_ms(PAUSE_MS);
  vsi_mutex_lock(&jobs->lock);
  while (!jobs->is_over && vsi_wait_until(&jobs->work, &jobs->lock, until_ns)) continue;
  bool goes_on = !jobs->is_over;
  vsi_mutex_unlock(&jobs->lock);
  return goes_on;
}

/* Write an end to the row. The encoding of the database may lack letters of the reason, for example LATIN1. Then the
 * text of the error takes the reason's place, because the run would otherwise be lost, and the job repeated. */
static vestry_err write_row(vsi_jobs_run *run, vestry_err error, vsi_jobs_end end) {
  vestry_err written = vsi_jobs_table_end(run, &end);
  if (written != VESTRY_IO || end.error != run->why) return written;
  end.error = vestry_strerror(error);
  return vsi_jobs_table_end(run, &end);
}

/* A commit of the function whose response was lost can take effect between the check and the write. The write then
 * finds no running row, so the check is repeated. */
static vestry_err write_end(vsi_jobs_run *run, vestry_err error, const vsi_jobs_end *end, bool *ret_is_finished) {
  vestry_err written = look_finished(run, error, ret_is_finished);
  if (written || *ret_is_finished) return written;
  written = write_row(run, error, *end);
  if (written != VESTRY_CLOSED) return written;
  const vestry_err looked = look_finished(run, error, ret_is_finished);
  return looked ? looked : *ret_is_finished ? VESTRY_OK : VESTRY_CLOSED;
}

enum { MOST_REFUSED = 10 };

/* Return whether writing an end may succeed later, after this error. */
static bool may_pass(vestry_err written, unsigned *refused_count) {
  if (written == VESTRY_IO) return ++*refused_count < MOST_REFUSED;
  return written == VESTRY_LIMIT || written == VESTRY_NO_MEMORY;
}

/* Write the end of a run. If the disk is full, or another program writes for long, or the server is away, write it
 * later: the work must neither be repeated because of this, nor be reported with another outcome. IO may pass, too, for
 * example if a server cannot open a file while it recovers, so the write is repeated a few times. */
static vestry_job_outcome end_run(vsi_jobs_run *run, vestry_err error) {
  vsi_jobs_end end;
  const bool is_put_back = error == VESTRY_CLOSED && vestry_job_is_over(&run->job);
  const vestry_job_outcome outcome = judge(run, error, is_put_back, &end);
  bool is_finished = false;
  unsigned refused_count = 0;
  vestry_err written;
  do {
    written = write_end(run, error, &end, &is_finished);
  } while (may_pass(written, &refused_count) && wait_a_moment(run));
  if (!written) return is_finished ? VESTRY_JOB_ENDED_DONE : outcome;
  vsi_jobs_lose(run);
  return VESTRY_JOB_ENDED_LOST;
}

static void report(vsi_jobs_run *run, vestry_job_outcome outcome, vestry_err error) {
  const vestry_jobs_options *options = &run->jobs->options;
  if (outcome == VESTRY_JOB_ENDED_DEAD)
    vsi_log_repeated(run->jobs->host, &run->jobs->dead, vsi_log_reason(run->job.kind), VESTRY_LOG_WARN,
                     "job %lld (%s) failed after %u attempts, and is not repeated: %s", (long long)run->job.id,
                     run->job.kind, (unsigned)run->job.attempt, *run->why ? run->why : vestry_strerror(error));
  if (options->on_end) options->on_end(&run->job, outcome, error, options->app);
}

/* ---------------------------------------------------------------------------------------------------- runs -------- */

/* Call the function, unless the job has no attempts left, and end the run. */
static void perform(vsi_jobs_run *run) {
  vestry_jobs *jobs = run->jobs;
  vsi_mutex_lock(&jobs->lock);
  LIST_INSERT_HEAD(&jobs->runs, run, in);
  vsi_mutex_unlock(&jobs->lock);
  vestry_jobs_wake(jobs); /* another job may be due */
  if (run->is_buried) vestry_job_explain(&run->job, "the process died, or the lease expired");
  vestry_err error = run->is_buried ? VESTRY_FAILED : run->kind->fn(&run->job, run->kind->app);
  vestry_job_outcome outcome = end_run(run, error);
  vsi_mutex_lock(&jobs->lock);
  LIST_REMOVE(run, in);
  vsi_mutex_unlock(&jobs->lock);
  (void)vsi_jobs_table_clean(jobs); /* a failure does not matter: the next run tries again */
  report(run, outcome, error);
}

/* Take a job that is due and run it, on this thread. See vestry_jobs_step. */
static vestry_err run_one(vestry_jobs *jobs, bool *ret_has_run) {
  bool is_due = true, has_run = false;
  vestry_err error = VESTRY_OK;
  while (!error && !has_run && is_due) {
    error = poll_table(jobs, false, &is_due); /* no writing transaction without need */
    if (error || !is_due) break;
    vsi_jobs_run run;
    memset(&run, 0, sizeof run);
    error = vsi_jobs_table_take(jobs, &run);
    if (!error) perform(&run);
    has_run = !error && !run.is_buried;
    vsi_jobs_run_finish(&run, jobs);
  }
  if (error == VESTRY_NOT_FOUND) { /* another process has taken all due jobs, or they are locked */
    poll_at(jobs, vsi_monotonic_in_ms(jobs->options.poll_ms));
    error = VESTRY_OK;
  }
  *ret_has_run = has_run;
  return error;
}

/* -------------------------------------------------------------------------------------------------- threads ------- */

/* The thread of a worker. After a failure of the table, the next query comes after a pause. */
static void *work(void *ctx) {
  vestry_jobs *jobs = ctx;
  vsi_mutex_lock(&jobs->lock);
  while (!jobs->is_over) {
    if (!jobs->is_due) {
      jobs->idle_count++;
      vsi_mutex_wait(&jobs->lock, &jobs->work);
      jobs->idle_count--;
      continue;
    }
    jobs->is_due = false; /* before the query: a commit after it sets this again */
    vsi_mutex_unlock(&jobs->lock);
    bool has_run = false;
    vestry_err error = run_one(jobs, &has_run);
    vsi_mutex_lock(&jobs->lock);
    if (has_run) jobs->is_due = true;
    if (error) jobs->poll_at_ns = vsi_monotonic_in_ms(PAUSE_MS);
  }
  vsi_mutex_unlock(&jobs->lock);
  return NULL;
}

/* Find a run whose lease was not renewed in this pass. false: there is none. */
static bool find_unrenewed(vestry_jobs *jobs, uint64_t pass, int64_t *ret_id, int64_t *ret_fence) {
  vsi_jobs_run *run;
  vsi_mutex_lock(&jobs->lock);
  LIST_FOREACH(run, &jobs->runs, in)
  if (!run->is_lost && run->renewed != pass) break;
  if (run) {
    run->renewed = pass;
    *ret_id = run->job.id;
    *ret_fence = run->job.fence;
  }
  vsi_mutex_unlock(&jobs->lock);
  return run != NULL;
}

/* Mark a run as lost, unless it has ended meanwhile. */
static void note_lost(vestry_jobs *jobs, int64_t id, int64_t fence) {
  vsi_jobs_run *run;
  vsi_mutex_lock(&jobs->lock);
  LIST_FOREACH(run, &jobs->runs, in)
  if (run->job.id == id && run->job.fence == fence) run->is_lost = true;
  vsi_mutex_unlock(&jobs->lock);
}

static vestry_err renew(vestry_jobs *jobs) {
  const uint64_t pass = ++jobs->passes_count;
  int64_t id, fence;
  vestry_err error = VESTRY_OK;
  while (!error && find_unrenewed(jobs, pass, &id, &fence)) {
    error = vsi_jobs_table_renew(jobs, id, fence);
    if (error != VESTRY_CLOSED) continue;
    note_lost(jobs, id, fence);
    error = VESTRY_OK;
  }
  return error;
}

static void renew_in_time(vestry_jobs *jobs, int64_t *renewed_ms) {
  const int64_t now_ms = vsi_jobs_now_ms(jobs);
  if (now_ms - *renewed_ms < jobs->options.lease_ms / 3 && now_ms >= *renewed_ms) return;
  if (!renew(jobs)) *renewed_ms = now_ms; /* otherwise it is repeated after the next wait */
}

static void *look(void *ctx) {
  vestry_jobs *jobs = ctx;
  int64_t renewed_ms = 0; /* so that the first pass renews, because this thread may start late */
  /* Open the connection for renewals, before functions of jobs get all that the server accepts. */
  (void)jobs->pool->ops->run_by(jobs->pool, VSI_SQL_RUN_ASIDE, "SELECT 1", NULL, NULL, NULL);
  const uint32_t part_ms = jobs->options.lease_ms / 10;
  const uint32_t every_ms = jobs->options.poll_ms < part_ms ? jobs->options.poll_ms : part_ms;
  do {
    renew_in_time(jobs, &renewed_ms);
    poll_in_time(jobs);
  } while (rest(jobs, every_ms));
  return NULL;
}

/* Stop the workers first, because their leases must be renewed until they end. */
static void stop_threads(vestry_jobs *jobs) {
  const size_t workers_count = jobs->options.threads_count;
  for (size_t i = 0; i < jobs->threads_count; i++) {
    vsi_mutex_lock(&jobs->lock);
    jobs->is_over = true;
    jobs->is_ended = i >= workers_count;
    pthread_cond_broadcast(&jobs->work);
    pthread_cond_signal(&jobs->poll);
    vsi_mutex_unlock(&jobs->lock);
    pthread_join(jobs->threads[i], NULL);
  }
  vsi_free(jobs->host, jobs->threads);
  jobs->threads = NULL;
  jobs->threads_count = 0;
}

/* OK | NO_MEMORY | IO */
static vestry_err start_threads(vestry_jobs *jobs) {
  const size_t workers_count = jobs->options.threads_count;
  jobs->threads = vsi_calloc(jobs->host, workers_count + 1, sizeof *jobs->threads);
  vestry_err error = jobs->threads ? VESTRY_OK : VESTRY_NO_MEMORY;
  vestry_jobs_wake(jobs); /* jobs that are due already */
  for (size_t i = 0; i <= workers_count && !error; i++) {
    error = vsi_thread_start(jobs->host, &jobs->threads[i], "vestry-jobs", i < workers_count ? work : look, jobs);
    if (!error) jobs->threads_count++;
  }
  return error;
}

vestry_err vestry_jobs_start(vestry_jobs *jobs) {
  if (!jobs) return VESTRY_INVALID;
  vsi_mutex_lock(&jobs->lock);
  bool is_begun = jobs->is_begun || jobs->is_over;
  jobs->is_begun = true;
  vsi_mutex_unlock(&jobs->lock);
  if (is_begun)
    return vsi_mistake(jobs->host, "vestry_jobs_start", "the jobs were already started, stepped or stopped");
  vestry_err error = start_threads(jobs);
  if (!error) return VESTRY_OK;
  stop_threads(jobs);
  vsi_mutex_lock(&jobs->lock);
  jobs->is_begun = jobs->is_over = jobs->is_ended = jobs->is_due = false;
  vsi_mutex_unlock(&jobs->lock);
  return error;
}

void vestry_jobs_stop(vestry_jobs *jobs) {
  if (!jobs) return;
  vsi_mutex_lock(&jobs->lock);
  jobs->is_over = true;
  vsi_mutex_unlock(&jobs->lock);
  stop_threads(jobs);
}

vestry_err vestry_jobs_step(vestry_jobs *jobs, bool *ret_has_run) {
  bool has_run = false;
  if (!jobs) return VESTRY_INVALID;
  if (jobs->threads)
    return vsi_mistake(jobs->host, "vestry_jobs_step", "the jobs have threads; do not call vestry_jobs_start");
  vsi_mutex_lock(&jobs->lock);
  jobs->is_begun = true;
  bool is_over = jobs->is_over;
  vsi_mutex_unlock(&jobs->lock);
  if (is_over) return VESTRY_CLOSED;
  vestry_err error = run_one(jobs, &has_run);
  if (!error && ret_has_run) *ret_has_run = has_run;
  return error;
}
