/* SPDX-License-Identifier: MIT */
/* Creates jobs, and registers their functions. */
#include "base/array.h"
#include "base/log.h"
#include "data/jobs/state.h"

enum {
  THREADS = 1,
  THREADS_MOST = 256,
  LEASE_MS = 30000,
  LEASE_LEAST_MS = 10,
  POLL_MS = 50,
  POLL_MOST_MS = 60000,
  BACKOFF_MS = 1000,
  BACKOFF_MOST_MS = 3600000,
  ATTEMPTS = 20,
  PAYLOAD_BYTES = 65536
};
#define KEEP_MS      UINT64_C(86400000)
#define TEN_YEARS_MS (UINT64_C(3653) * 86400000)

/* ---------------------------------------------------------------------------------------------------- life -------- */

static void set_defaults(vestry_jobs_options *options) {
  if (!options->threads_count) options->threads_count = THREADS;
  if (!options->lease_ms) options->lease_ms = LEASE_MS;
  if (!options->poll_ms) options->poll_ms = POLL_MS;
  if (!options->backoff_ms) options->backoff_ms = BACKOFF_MS;
  if (!options->max_backoff_ms) options->max_backoff_ms = BACKOFF_MOST_MS;
  if (!options->max_attempts) options->max_attempts = ATTEMPTS;
  if (!options->max_payload_bytes) options->max_payload_bytes = PAYLOAD_BYTES;
  if (!options->keep_ms) options->keep_ms = KEEP_MS;
}

/* Return what is wrong with the options; NULL: nothing. */
static const char *find_mistake(const vestry_jobs_options *options) {
  if (options->threads_count > THREADS_MOST) return "options.threads_count is more than 256";
  if (options->lease_ms < LEASE_LEAST_MS) return "options.lease_ms is less than 10";
  if (options->poll_ms > POLL_MOST_MS) return "options.poll_ms is more than 60,000";
  if (options->max_payload_bytes > VESTRY_JOB_PAYLOAD_MAX_BYTES)
    return "options.max_payload_bytes is more than VESTRY_JOB_PAYLOAD_MAX_BYTES";
  return NULL;
}

static void free_all(vestry_jobs *jobs) {
  pthread_cond_destroy(&jobs->work);
  pthread_cond_destroy(&jobs->poll);
  vsi_mutex_finish(&jobs->lock);
  vsi_free(jobs->host, jobs);
}

vestry_err vestry_jobs_create(vestry_sql_pool *pool, const vestry_jobs_options *given, vestry_jobs **ret_jobs) {
  if (!pool) return VESTRY_INVALID;
  if (!ret_jobs) return vsi_mistake(pool->host, "vestry_jobs_create", "ret_jobs is NULL");
  vestry_jobs_options options = given ? *given : (vestry_jobs_options){0};
  set_defaults(&options);
  const char *mistake = find_mistake(&options);
  if (mistake) return vsi_mistake(pool->host, "vestry_jobs_create", mistake);
  vestry_jobs *jobs = vsi_calloc(pool->host, 1, sizeof *jobs);
  if (!jobs) return VESTRY_NO_MEMORY;
  jobs->pool = pool;
  jobs->host = pool->host;
  jobs->options = options;
  LIST_INIT(&jobs->runs);
  vsi_mutex_init(&jobs->lock, VSI_LOCK_JOBS);
  pthread_cond_init(&jobs->work, NULL);
  pthread_cond_init(&jobs->poll, NULL);
  vestry_err error = vsi_jobs_table_make(pool);
  if (error)
    free_all(jobs);
  else
    *ret_jobs = jobs;
  return error;
}

void vestry_jobs_destroy(vestry_jobs *jobs) {
  if (!jobs) return;
  vestry_jobs_stop(jobs);
  for (size_t i = 0; i < jobs->kinds_count; i++) vsi_free(jobs->host, jobs->kinds[i].name);
  vsi_free(jobs->host, jobs->kinds);
  free_all(jobs);
}

/* --------------------------------------------------------------------------------------------------- kinds -------- */

bool vsi_jobs_have_kind(const vestry_jobs *jobs, const char *name) {
  for (size_t i = 0; i < jobs->kinds_count; i++)
    if (strcmp(jobs->kinds[i].name, name) == 0) return true;
  return false;
}

static vestry_err add_kind(vestry_jobs *jobs, const char *function, const char *name, vsi_jobs_period period,
                           vestry_job_fn fn, void *app) {
  if (!fn || !vsi_jobs_is_name(name, VESTRY_JOB_KIND_MAX_BYTES))
    return vsi_mistake(jobs->host, function,
                       "fn is NULL, or the name is empty, is not UTF-8, or has more than VESTRY_JOB_KIND_MAX_BYTES");
  if (jobs->is_begun) return vsi_mistake(jobs->host, function, "set functions before the jobs are started or stepped");
  if (vsi_jobs_have_kind(jobs, name)) {
    (void)vsi_mistake(jobs->host, function, "this kind of job has a function already; choose another name");
    return VESTRY_EXISTS;
  }
  if (VSI_ARRAY_RESERVE(jobs->host, jobs->kinds, jobs->kinds_count, jobs->kinds_room, 1)) return VESTRY_NO_MEMORY;
  char *copy = vsi_strdup(jobs->host, name, strlen(name));
  if (!copy) return VESTRY_NO_MEMORY;
  jobs->kinds[jobs->kinds_count++] = (vsi_jobs_kind){.name = copy, .fn = fn, .app = app, .period = period};
  return VESTRY_OK;
}

vestry_err vestry_jobs_on(vestry_jobs *jobs, const char *kind, vestry_job_fn fn, void *app) {
  return jobs ? add_kind(jobs, "vestry_jobs_on", kind, (vsi_jobs_period){0, 0}, fn, app) : VESTRY_INVALID;
}

vestry_err vestry_jobs_every(vestry_jobs *jobs, const char *name, uint64_t period_ms, uint64_t offset_ms,
                             vestry_job_fn fn, void *app) {
  if (!jobs) return VESTRY_INVALID;
  if (!period_ms || period_ms > TEN_YEARS_MS || offset_ms >= period_ms)
    return vsi_mistake(jobs->host, "vestry_jobs_every",
                       "period_ms must be from 1 ms to 10 years, and offset_ms less than period_ms");
  const vsi_jobs_period period = {(int64_t)period_ms, (int64_t)offset_ms};
  vestry_err error = add_kind(jobs, "vestry_jobs_every", name, period, fn, app);
  if (error) return error;
  error = vsi_jobs_table_schedule(jobs, &jobs->kinds[jobs->kinds_count - 1]);
  if (error) vsi_free(jobs->host, jobs->kinds[--jobs->kinds_count].name);
  return error;
}

vestry_err vestry_jobs_retry(vestry_jobs *jobs, int64_t id) {
  if (!jobs) return VESTRY_INVALID;
  vestry_err error = vsi_jobs_table_retry(jobs, id);
  if (!error) vestry_jobs_wake(jobs);
  return error;
}
