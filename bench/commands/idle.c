/* SPDX-License-Identifier: MIT */
/* The contest IDLE. Entries are put at a constant rate for half of the idle time, and expire at this rate afterwards
 * without being used. Some threads use a few other keys meanwhile; the times of their operations are recorded
 * separately for a period without expiry and for the period of the expiry. A driver performs the expiry. */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "store.h"

enum { KEY_BYTES_MOST = 1024 };

/* Nothing is recorded while the store is filled, and in the pause before the first entry is due. */
enum { PHASE_FILL, PHASE_QUIET, PHASE_PAUSE, PHASE_EXPIRY, PHASE_OVER };

#define PATIENCE_NS UINT64_C(30000000000) /* time limit for expiry after the last due time */

typedef struct foreground {
  pthread_t thread;
  contest_worker *worker;
  const uint32_t *phase; /* atomic, relaxed: a signal without data */
  histogram quiet, expiry;
} foreground;

typedef struct idle_contest {
  const contest_ops *ops;
  const contest_settings *settings;
  contest_worker *workers;
  foreground *foregrounds;
  void *self;
  vestry_runtime *runtime;
  bool is_driven;
  uint32_t phase; /* atomic */
  uint64_t idle_ns, began_ns, filled_ns;
} idle_contest;

static void enter(idle_contest *c, uint32_t phase) {
  __atomic_store_n(&c->phase, phase, __ATOMIC_RELAXED);
}

/* ------------------------------------------------------------------------------------------------ foreground ---- */

static void *use(void *ctx) {
  foreground *own = ctx;
  contest_worker *worker = own->worker;
  const contest_ops *ops = worker->ops;
  for (uint32_t phase; (phase = __atomic_load_n(own->phase, __ATOMIC_RELAXED)) != PHASE_OVER;) {
    histogram *to = phase == PHASE_QUIET ? &own->quiet : phase == PHASE_EXPIRY ? &own->expiry : NULL;
    uint64_t began_ns = bench_now_ns(), at_ns = began_ns;
    for (int i = 0; i < CONTEST_BATCH; i++) {
      contest_mixed_op(ops, worker);
      uint64_t now_ns = bench_now_ns();
      if (to) histogram_add(to, now_ns - at_ns);
      at_ns = now_ns;
    }
    if (!to) continue;
    worker->ops_count += CONTEST_BATCH;
    worker->elapsed_ns += at_ns - began_ns;
  }
  return NULL;
}

static bool start_foreground(idle_contest *c) {
  const workload *keys = &c->settings->work;
  for (size_t i = 0; i < keys->threads; i++) {
    foreground *own = &c->foregrounds[i];
    own->worker = &c->workers[i];
    own->worker->self = c->self;
    own->phase = &c->phase;
    if (pthread_create(&own->thread, NULL, use, own)) return false;
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------ the silent ---- */

static bool put_one(idle_contest *c, const unsigned char *key, bool awaited) {
  connection *conn = connection_take();
  if (!conn) return false;
  if (awaited) conn->due_ns = bench_now_ns() + c->idle_ns;
  return c->ops->put(c->self, key, c->settings->work.key_bytes, conn);
}

static bool put_active(idle_contest *c, uint64_t *ret_put) {
  const workload *keys = &c->settings->work;
  unsigned char key[KEY_BYTES_MOST];
  size_t count = keys->threads ? workload_active_count(keys) : 0;
  for (size_t at = 0; at < count; at++) {
    workload_active_key(keys, at, key);
    if (!put_one(c, key, false)) return false;
  }
  *ret_put += count;
  return true;
}

static bool fill(idle_contest *c, uint64_t *ret_put) {
  const workload *keys = &c->settings->work;
  unsigned char key[KEY_BYTES_MOST];
  c->began_ns = bench_now_ns();
  for (size_t at = 0; at < keys->capacity; at++) {
    if (at % 64 == 0)
      bench_sleep_until_ns(c->began_ns + (uint64_t)((double)c->idle_ns / 2 * (double)at / (double)keys->capacity));
    workload_fill_key(keys, at, key);
    if (!put_one(c, key, true)) return false;
  }
  c->filled_ns = bench_now_ns();
  *ret_put += keys->capacity;
  return true;
}

/* Wait until all expected entries have left, up to PATIENCE_NS. */
static void await_expiry(idle_contest *c) {
  vestry_store_stats stats = {0};
  do {
    bench_sleep_until_ns(bench_now_ns() + 1000000);
    vestry_store_stats_get(store_of(c->self), &stats);
  } while (stats.removed_by_cause[VESTRY_CAUSE_IDLE] < c->settings->work.capacity &&
           bench_now_ns() < c->filled_ns + c->idle_ns + PATIENCE_NS);
}

/* ------------------------------------------------------------------------------------------------ all of it ---- */

static bool create(idle_contest *c, uint64_t *ret_checksum) {
  const workload *keys = &c->settings->work;
  c->foregrounds = calloc(keys->threads + 1, sizeof *c->foregrounds);
  c->workers = contest_workers_create(c->ops, c->settings, ret_checksum);
  return c->foregrounds && c->workers &&
         connections_create(keys->capacity + workload_active_count(keys), keys->threads);
}

static bool create_store(idle_contest *c) {
  vestry_runtime_options options = {.threads_count = 1};
  c->is_driven = c->ops->create(c->settings, &c->self) && !vestry_runtime_create(&options, &c->runtime) &&
                 !vestry_store_drive(store_of(c->self), c->runtime);
  return c->is_driven;
}

static void finish(idle_contest *c, contest_result *result) {
  histogram quiet = {0}, expiry = {0}, lateness;
  for (size_t i = 0; i < c->settings->work.threads; i++) {
    pthread_join(c->foregrounds[i].thread, NULL);
    histogram_merge(&quiet, &c->foregrounds[i].quiet);
    histogram_merge(&expiry, &c->foregrounds[i].expiry);
  }
  (void)vestry_store_drive(store_of(c->self), NULL);
  vestry_runtime_destroy(c->runtime);
  connection_counts counts;
  connections_count(&counts, &lateness);
  uint64_t awaited = c->settings->work.capacity, expired = counts.late_count + counts.early;
  if (expired != awaited)
    fprintf(stderr, "%s: %" PRIu64 " of %" PRIu64 " streams expired\n", c->ops->name, expired, awaited);
  result->failed = expired != awaited;
  snprintf(result->more, sizeof result->more,
           " idle_ms=%" PRIu64 " lateness_p50_ms=%.3f lateness_p99_ms=%.3f lateness_max_ms=%.3f foreground_p99_us=%.2f"
           " foreground_quiet_p99_us=%.2f",
           c->settings->idle_ms, histogram_percentile_ns(&lateness, 0.5) / 1e6,
           histogram_percentile_ns(&lateness, 0.99) / 1e6, (double)lateness.max_ns / 1e6,
           histogram_percentile_ns(&expiry, 0.99) / 1e3, histogram_percentile_ns(&quiet, 0.99) / 1e3);
}

static int run(idle_contest *c) {
  contest_result result = {0};
  if (!create(c, &result.checksum)) return 1;
  uint64_t before_bytes = bench_own_memory_bytes();
  if (!create_store(c) || !put_active(c, &result.put) || !start_foreground(c) || !fill(c, &result.put)) return 1;
  uint64_t after_bytes = bench_own_memory_bytes();
  result.memory_bytes = after_bytes > before_bytes ? after_bytes - before_bytes : 0;
  result.held = result.put;
  if (c->filled_ns > c->began_ns + c->idle_ns / 4 * 3) {
    fprintf(stderr, "%s: filling took longer than the idle time; raise --idle-ms\n", c->ops->name);
    return 1;
  }
  enter(c, PHASE_QUIET);
  bench_sleep_until_ns(c->began_ns + c->idle_ns / 16 * 15);
  enter(c, PHASE_PAUSE);
  bench_sleep_until_ns(c->began_ns + c->idle_ns);
  enter(c, PHASE_EXPIRY);
  await_expiry(c);
  enter(c, PHASE_OVER);
  uint64_t emptied_bytes = bench_own_memory_bytes();
  finish(c, &result);
  if (c->settings->verbose)
    fprintf(stderr, "%s: %.1f MB more than before when full, %.1f MB when expired\n", c->ops->name,
            (double)result.memory_bytes / 1e6, ((double)emptied_bytes - (double)before_bytes) / 1e6);
  return contest_conclude(c->ops, c->settings, c->self, c->workers, &result);
}

int idle_run(const contest_ops *ops, const contest_settings *settings) {
  contest_settings own = *settings;
  if (!own.idle_ms) own.idle_ms = (uint64_t)(own.seconds * 4000) + 1;
  idle_contest c = {.ops = ops, .settings = &own, .idle_ns = own.idle_ms * 1000000};
  int status = run(&c);
  if (!c.is_driven || status) exit(status); /* threads could wait for ever */
  contest_workers_destroy(c.workers, &own);
  free(c.foregrounds);
  connections_destroy();
  return status;
}
