/* SPDX-License-Identifier: MIT */
/* When the table is queried for due jobs: at the time when the next job becomes due, and after poll_ms. If the table
 * has a receiver that reports commits of other processes, the table is queried after each report, and otherwise only
 * every slow_poll_ms instead of every poll_ms. This slow query is necessary because the database's clock may have been
 * set, and because a transaction that is rolled back causes no report, although it had a job locked. While all workers
 * are busy, the looking thread does not query the table, because each worker does so when it has ended a job. */
#include "data/jobs/poll.h"

#include "base/wait.h"
#include "data/jobs/table.h"

enum { APART_MS = 5 /* minimum between two queries: the receiver reports each step of each job */ };
#define NEVER_NS UINT64_MAX

static const vsi_sql_receiver_ops *receivers_of(const vestry_jobs *jobs) {
  return jobs->pool->ops->receivers;
}

void vsi_jobs_rouse(vestry_jobs *jobs) {
  if (receivers_of(jobs)) {
    receivers_of(jobs)->rouse(jobs->pool, jobs->receiver);
    return;
  }
  vsi_mutex_lock(&jobs->lock);
  jobs->is_roused = true;
  pthread_cond_signal(&jobs->poll);
  vsi_mutex_unlock(&jobs->lock);
}

/* ------------------------------------------------------------------------------------------------- looking -------- */

/* A job that is due now is no reason for another query: the worker that takes it makes the next one. */
static uint64_t next_ns(const vestry_jobs *jobs, vestry_err error, const vsi_jobs_polled *is) {
  const uint64_t poll_ms = is->is_notified ? jobs->slow_poll_ms : jobs->options.poll_ms;
  if (error) return vsi_monotonic_in_ms(VSI_JOBS_PAUSE_MS);
  return vsi_monotonic_in_ms(is->wait_ms > 0 && (uint64_t)is->wait_ms < poll_ms ? (uint64_t)is->wait_ms : poll_ms);
}

vestry_err vsi_jobs_poll(vestry_jobs *jobs, bool is_aside, bool *ret_is_due) {
  vsi_jobs_polled is = {INT64_MAX, false};
  vsi_mutex_lock(&jobs->lock);
  jobs->poll_at_ns = NEVER_NS; /* this query covers all earlier reports */
  vsi_mutex_unlock(&jobs->lock);
  const vestry_err error = vsi_jobs_table_poll(jobs, is_aside, &is);
  const uint64_t at_ns = next_ns(jobs, error, &is);
  vsi_mutex_lock(&jobs->lock);
  if (at_ns < jobs->poll_at_ns) jobs->poll_at_ns = at_ns; /* another query may have ended meanwhile */
  const bool is_sooner = jobs->poll_at_ns < jobs->rests_until_ns;
  vsi_mutex_unlock(&jobs->lock);
  if (is_sooner) vsi_jobs_rouse(jobs);
  if (!error) *ret_is_due = is.wait_ms == 0;
  return error;
}

void vsi_jobs_poll_again(vestry_jobs *jobs) {
  const uint64_t at_ns = vsi_monotonic_in_ms(jobs->options.poll_ms);
  vsi_mutex_lock(&jobs->lock);
  if (at_ns < jobs->poll_at_ns) jobs->poll_at_ns = at_ns;
  const bool is_sooner = jobs->poll_at_ns < jobs->rests_until_ns;
  vsi_mutex_unlock(&jobs->lock);
  if (is_sooner) vsi_jobs_rouse(jobs);
}

/* Return whether a query is due and useful. It is not during the pause after a failure, nor while no worker waits. */
static bool is_wanted(vestry_jobs *jobs) {
  bool is_wanted = false;
  vsi_mutex_lock(&jobs->lock);
  const uint64_t now_ns = vsi_monotonic_ns();
  const bool is_time = now_ns >= jobs->poll_at_ns;
  if (is_time && now_ns < jobs->paused_until_ns) {
    jobs->poll_at_ns = jobs->paused_until_ns;
  } else if (is_time && !jobs->idle_count) {
    jobs->poll_at_ns = NEVER_NS;
    jobs->is_left_out = true;
  } else {
    is_wanted = is_time && !jobs->is_over;
    if (is_wanted) jobs->polled_ns = now_ns;
  }
  vsi_mutex_unlock(&jobs->lock);
  return is_wanted;
}

static void pause_all(vestry_jobs *jobs) {
  vsi_mutex_lock(&jobs->lock);
  jobs->paused_until_ns = vsi_monotonic_in_ms(VSI_JOBS_PAUSE_MS);
  vsi_mutex_unlock(&jobs->lock);
}

void vsi_jobs_poll_in_time(vestry_jobs *jobs) {
  bool is_due = false;
  if (!is_wanted(jobs)) return;
  if (vsi_jobs_poll(jobs, true, &is_due)) pause_all(jobs);
  if (is_due) vestry_jobs_wake(jobs);
}

/* ------------------------------------------------------------------------------------------------- resting -------- */

/* Return whether other processes may have changed the table. */
static bool wait_until(vestry_jobs *jobs, uint64_t until_ns) {
  if (receivers_of(jobs)) return receivers_of(jobs)->wait(jobs->pool, jobs->receiver, until_ns);
  vsi_mutex_lock(&jobs->lock);
  while (!jobs->is_roused && vsi_wait_until(&jobs->poll, &jobs->lock, until_ns)) continue;
  jobs->is_roused = false;
  vsi_mutex_unlock(&jobs->lock);
  return false;
}

static void note_report(vestry_jobs *jobs) {
  vsi_mutex_lock(&jobs->lock);
  const uint64_t at_ns = jobs->polled_ns + (uint64_t)APART_MS * 1000000;
  if (at_ns < jobs->poll_at_ns) jobs->poll_at_ns = at_ns;
  vsi_mutex_unlock(&jobs->lock);
}

bool vsi_jobs_rest(vestry_jobs *jobs, uint32_t every_ms) {
  vsi_mutex_lock(&jobs->lock);
  const uint64_t most_ns = vsi_monotonic_in_ms(every_ms);
  const uint64_t until_ns = jobs->poll_at_ns < most_ns ? jobs->poll_at_ns : most_ns;
  const bool is_ended = jobs->is_ended;
  jobs->rests_until_ns = until_ns;
  vsi_mutex_unlock(&jobs->lock);
  if (is_ended) return false;
  if (wait_until(jobs, until_ns)) note_report(jobs);
  return true;
}
