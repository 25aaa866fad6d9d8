/* SPDX-License-Identifier: MIT */
/* One run of a function, and the new state of the job when the function has returned. */
#include "data/jobs/run.h"

#include "base/log.h"
#include "base/utf8.h"
#include "base/wait.h"
#include "data/jobs/poll.h"
#include "data/jobs/table.h"

/* ------------------------------------------------------------------------------- for the functions of jobs -------- */

vestry_err vestry_job_progress(vestry_job *job, double fraction, const char *text) {
  if (!job) return VESTRY_INVALID;
  const size_t len = text ? strnlen(text, VESTRY_JOB_SAID_MAX_BYTES + 1) : 0;
  if (len > VESTRY_JOB_SAID_MAX_BYTES) return VESTRY_TOO_LARGE;
  if (!vsi_is_utf8(text, len)) return VESTRY_INVALID;
  vsi_jobs_run *run = (vsi_jobs_run *)job;
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
  const size_t len = vsi_utf8_trim(text, strnlen(text, VESTRY_JOB_SAID_MAX_BYTES));
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

/* Return the wait before the next attempt: a base that doubles with each attempt, up to backoff_most_ms, shortened at
 * random by up to half. */
static int64_t wait_ms(const vsi_jobs_run *run) {
  const vestry_jobs_options *options = &run->jobs->options;
  uint64_t ms = options->backoff_ms, chance;
  for (uint32_t i = 1; i < run->job.attempt && ms < options->backoff_most_ms; i++) ms *= 2;
  if (ms > options->backoff_most_ms) ms = options->backoff_most_ms;
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
  const bool is_tick = run->period.length_ms != 0;
  vsi_jobs_end end = {.state = VESTRY_JOB_WAITING, .attempts_count = run->job.attempt};
  vestry_job_outcome outcome = VESTRY_JOB_ENDED_AGAIN;
  if (!error) {
    outcome = VESTRY_JOB_ENDED_DONE;
    end.state = VESTRY_JOB_DONE;
    if (is_tick) end.error = "";
  } else if (is_put_back) {
    outcome = VESTRY_JOB_ENDED_PUT_BACK;
    end.attempts_count--;
  } else {
    end.error = *run->why ? run->why : vestry_strerror(error);
    end.wait_ms = wait_ms(run);
    const bool is_last = run->is_buried || run->is_hopeless || run->job.attempt >= run->job.attempts_most ||
                         is_of_next_period(run, end.wait_ms);
    if (is_last) {
      outcome = VESTRY_JOB_ENDED_DEAD;
      end.state = VESTRY_JOB_DEAD;
    }
  }
  if (is_tick && end.state != VESTRY_JOB_WAITING) {
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
  const uint64_t until_ns = vsi_monotonic_in_ms(VSI_JOBS_PAUSE_MS);
  vsi_mutex_lock(&jobs->lock);
  while (!jobs->is_over && vsi_wait_until(&jobs->work, &jobs->lock, until_ns)) continue;
  bool goes_on = !jobs->is_over;
  vsi_mutex_unlock(&jobs->lock);
  return goes_on;
}

/* A commit of the function whose response was lost can take effect between the check and the write. The write then
 * finds no running row, so the check is repeated. */
static vestry_err write_end(vsi_jobs_run *run, vestry_err error, const vsi_jobs_end *end, bool *ret_is_finished) {
  vestry_err written = look_finished(run, error, ret_is_finished);
  if (written || *ret_is_finished) return written;
  written = vsi_jobs_table_end(run, end);
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
  do written = write_end(run, error, &end, &is_finished);
  while (may_pass(written, &refused_count) && wait_a_moment(run));
  if (!written) return is_finished ? VESTRY_JOB_ENDED_DONE : outcome;
  vsi_jobs_lose(run);
  return VESTRY_JOB_ENDED_LOST;
}

static void count_end(vestry_jobs_stats *stats, vestry_job_outcome outcome) {
  switch (outcome) {
  case VESTRY_JOB_ENDED_DONE: stats->succeeded_count++; break;
  case VESTRY_JOB_ENDED_AGAIN: stats->again_count++; break;
  case VESTRY_JOB_ENDED_DEAD: stats->died_count++; break;
  case VESTRY_JOB_ENDED_PUT_BACK: stats->put_back_count++; break;
  case VESTRY_JOB_ENDED_LOST: stats->lost_count++; break;
  }
}

static void tell(vsi_jobs_run *run, vestry_job_outcome outcome, vestry_err error) {
  const vestry_jobs_options *options = &run->jobs->options;
  if (outcome == VESTRY_JOB_ENDED_DEAD)
    vsi_log(run->jobs->host, VESTRY_LOG_WARN, "job %lld (%s) failed after %u attempts, and is not repeated: %s",
            (long long)run->job.id, run->job.kind, (unsigned)run->job.attempt,
            *run->why ? run->why : vestry_strerror(error));
  if (options->on_end) options->on_end(&run->job, outcome, error, options->app);
}

/* ---------------------------------------------------------------------------------------------------- runs -------- */

static void enter(vsi_jobs_run *run) {
  vestry_jobs *jobs = run->jobs;
  vsi_mutex_lock(&jobs->lock);
  LIST_INSERT_HEAD(&jobs->runs, run, in);
  jobs->stats.begun_count++;
  jobs->stats.under_way_count++;
  jobs->stats.taken_over_count += run->is_over_taken;
  vsi_mutex_unlock(&jobs->lock);
}

static void leave(vsi_jobs_run *run, vestry_job_outcome outcome) {
  vestry_jobs *jobs = run->jobs;
  vsi_mutex_lock(&jobs->lock);
  LIST_REMOVE(run, in);
  jobs->stats.under_way_count--;
  count_end(&jobs->stats, outcome);
  vsi_mutex_unlock(&jobs->lock);
}

static void perform(vsi_jobs_run *run) {
  enter(run);
  vestry_jobs_wake(run->jobs); /* another job may be due */
  vestry_err error = run->kind->fn(&run->job, run->kind->app);
  vestry_job_outcome outcome = end_run(run, error);
  leave(run, outcome);
  (void)vsi_jobs_table_clean(run->jobs); /* a failure does not matter: the next run tries again */
  tell(run, outcome, error);
}

/* End a job that has no attempts left and whose lease ended while it ran. */
static vestry_err bury(vsi_jobs_run *run) {
  vsi_jobs_end end;
  vestry_job_explain(&run->job, "the process died, or the lease expired");
  const vestry_job_outcome outcome = judge(run, VESTRY_FAILED, false, &end);
  vestry_err error = vsi_jobs_table_end(run, &end);
  if (error) return error == VESTRY_CLOSED ? VESTRY_OK : error; /* ended, or renewed meanwhile */
  vsi_mutex_lock(&run->jobs->lock);
  run->jobs->stats.buried_count++;
  vsi_mutex_unlock(&run->jobs->lock);
  tell(run, outcome, VESTRY_FAILED);
  return VESTRY_OK;
}

static void free_run(vsi_jobs_run *run, const vestry_jobs *jobs) {
  vsi_free(jobs->host, run->key);
  vsi_free(jobs->host, run->payload);
}

vestry_err vsi_jobs_run_one(vestry_jobs *jobs, bool *ret_has_run) {
  bool is_due = true, has_run = false;
  vestry_err error = VESTRY_OK;
  while (!error && !has_run && is_due) {
    error = vsi_jobs_poll(jobs, false, &is_due); /* no writing transaction without need */
    if (error || !is_due) break;
    vsi_jobs_run run;
    memset(&run, 0, sizeof run);
    error = vsi_jobs_table_take(jobs, &run);
    if (!error && run.is_buried)
      error = bury(&run);
    else if (!error) {
      perform(&run);
      has_run = true;
    }
    free_run(&run, jobs);
  }
  if (error == VESTRY_NOT_FOUND) { /* another process has taken all due jobs, or they are locked */
    vsi_jobs_poll_again(jobs);
    error = VESTRY_OK;
  }
  *ret_has_run = has_run;
  return error;
}
