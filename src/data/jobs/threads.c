/* SPDX-License-Identifier: MIT */
/* The threads of jobs. The workers run jobs. One more thread, the looking thread, renews leases and queries the table
 * for due jobs (poll.c). A commit by the pool of this process wakes the workers at once. */
#include "data/jobs/threads.h"

#include "base/thread.h"
#include "base/wait.h"
#include "data/jobs/poll.h"
#include "data/jobs/run.h"
#include "data/jobs/table.h"

/* Wait, as a worker, until a job may be due. */
static void idle_locked(vestry_jobs *jobs) {
  jobs->idle_count++;
  if (jobs->is_left_out) {
    jobs->is_left_out = false;
    jobs->poll_at_ns = 0;
    vsi_mutex_unlock(&jobs->lock);
    vsi_jobs_rouse(jobs);
    vsi_mutex_lock(&jobs->lock);
  }
  while (!jobs->is_due && !jobs->is_over) vsi_mutex_wait(&jobs->lock, &jobs->work);
  jobs->idle_count--;
}

static void *work(void *ctx) {
  vestry_jobs *jobs = ctx;
  vsi_mutex_lock(&jobs->lock);
  while (!jobs->is_over) {
    if (!jobs->is_due) {
      idle_locked(jobs);
      continue;
    }
    jobs->is_due = false; /* before the query: a commit after it sets this again */
    vsi_mutex_unlock(&jobs->lock);
    bool has_run = false;
    vestry_err error = vsi_jobs_run_one(jobs, &has_run);
    vsi_mutex_lock(&jobs->lock);
    if (has_run) jobs->is_due = true;
    if (error) jobs->paused_until_ns = vsi_monotonic_in_ms(VSI_JOBS_PAUSE_MS);
  }
  vsi_mutex_unlock(&jobs->lock);
  return NULL;
}

/* Copy the leases of the running jobs. */
static size_t collect_locked(vestry_jobs *jobs) {
  size_t count = 0;
  vsi_jobs_run *run;
  LIST_FOREACH(run, &jobs->runs, in)
  if (!run->is_lost) jobs->leases[count++] = (vsi_jobs_lease){run->job.id, run->job.fence, false};
  return count;
}

static void note_lost_locked(vestry_jobs *jobs, const vsi_jobs_lease *lease) {
  vsi_jobs_run *run;
  LIST_FOREACH(run, &jobs->runs, in)
  if (run->job.id == lease->id && run->job.fence == lease->fence) run->is_lost = true;
}

static vestry_err renew(vestry_jobs *jobs) {
  vsi_mutex_lock(&jobs->lock);
  const size_t count = collect_locked(jobs);
  vsi_mutex_unlock(&jobs->lock);
  if (!count) return VESTRY_OK;
  vestry_err error = vsi_jobs_table_renew(jobs, jobs->leases, count);
  vsi_mutex_lock(&jobs->lock);
  for (size_t i = 0; i < count && !error; i++)
    if (jobs->leases[i].is_lost) note_lost_locked(jobs, &jobs->leases[i]);
  vsi_mutex_unlock(&jobs->lock);
  return error;
}

/* Renew the leases, and check that the scheduled jobs exist. */
static void renew_in_time(vestry_jobs *jobs, int64_t *renewed_ms) {
  const int64_t now_ms = vsi_jobs_now_ms(jobs);
  if (now_ms - *renewed_ms < jobs->options.lease_ms / 3 && now_ms >= *renewed_ms) return;
  if (renew(jobs) || vsi_jobs_table_restore_ticks(jobs)) return; /* it is repeated after the next wait */
  *renewed_ms = now_ms;
}

static void *look(void *ctx) {
  vestry_jobs *jobs = ctx;
  int64_t renewed_ms = 0; /* so that the first pass renews, because this thread may start late */
  /* Open the connection for renewals, before functions of jobs get all that the server accepts. */
  (void)jobs->pool->ops->run_aside(jobs->pool, "SELECT 1", NULL, NULL, NULL);
  const uint32_t part_ms = jobs->options.lease_ms / 10;
  const uint32_t every_ms = jobs->slow_poll_ms < part_ms ? jobs->slow_poll_ms : part_ms;
  do {
    renew_in_time(jobs, &renewed_ms);
    vsi_jobs_poll_in_time(jobs);
  } while (vsi_jobs_rest(jobs, every_ms));
  return NULL;
}

/* Stop the workers first, because their leases must be renewed until they end. */
void vsi_jobs_threads_stop(vestry_jobs *jobs) {
  if (!jobs->threads) return;
  const size_t workers_count = jobs->options.threads_count;
  for (size_t i = 0; i < jobs->threads_count; i++) {
    vsi_mutex_lock(&jobs->lock);
    jobs->is_over = true;
    jobs->is_ended = i >= workers_count;
    pthread_cond_broadcast(&jobs->work);
    vsi_mutex_unlock(&jobs->lock);
    if (i >= workers_count) vsi_jobs_rouse(jobs);
    pthread_join(jobs->threads[i], NULL);
  }
  if (jobs->receiver) jobs->pool->ops->receivers->close(jobs->pool, jobs->receiver);
  vsi_free(jobs->host, jobs->threads);
  vsi_free(jobs->host, jobs->leases);
  jobs->threads = NULL;
  jobs->leases = NULL;
  jobs->threads_count = 0;
}

vestry_err vsi_jobs_threads_start(vestry_jobs *jobs) {
  const size_t workers_count = jobs->options.threads_count;
  vestry_err error = VESTRY_OK;
  jobs->threads = vsi_calloc(jobs->host, workers_count + 1, sizeof *jobs->threads);
  jobs->leases = vsi_calloc(jobs->host, workers_count, sizeof *jobs->leases);
  if (!jobs->threads || !jobs->leases) error = VESTRY_NO_MEMORY;
  if (!error && jobs->receiver) jobs->pool->ops->receivers->open(jobs->pool, jobs->receiver);
  vestry_jobs_wake(jobs); /* jobs that are due already */
  for (size_t i = 0; i <= workers_count && !error; i++) {
    error = vsi_thread_start(jobs->host, &jobs->threads[i], "vestry-jobs", i < workers_count ? work : look, jobs);
    if (!error) jobs->threads_count++;
  }
  if (!error) return VESTRY_OK;
  vsi_jobs_threads_stop(jobs);
  vsi_free(jobs->host, jobs->leases);
  jobs->leases = NULL;
  vsi_mutex_lock(&jobs->lock);
  jobs->is_over = jobs->is_ended = jobs->is_due = false;
  vsi_mutex_unlock(&jobs->lock);
  return error;
}
