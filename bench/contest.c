/* SPDX-License-Identifier: MIT */
#include "contest.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS_MOST = 256, KEY_BYTES_LEAST = 8, KEY_BYTES_MOST = 1024 };

/* ------------------------------------------------------------------------------------------------ settings ---- */

int contest_parse(int argc, char **argv, const bench_option *more, int more_count, contest_settings *ret_settings) {
  const char *workload_text = NULL, *api = "get", *seconds = "2", *keys = "session";
  uint64_t capacity = 10000, threads = 2, key_bytes = 16, seed = 1, warm_ms = 500, idle_ms = 0, verbose = 0,
           latency = 0, objects = 0;
  bench_option options[16] = {{"--workload", &workload_text, NULL, 0, 0},
                              {"--api", &api, NULL, 0, 0},
                              {"--seconds", &seconds, NULL, 0, 0},
                              {"--capacity", NULL, &capacity, 1, 20000000},
                              {"--threads", NULL, &threads, 0, THREADS_MOST},
                              {"--key-bytes", NULL, &key_bytes, KEY_BYTES_LEAST, KEY_BYTES_MOST},
                              {"--seed", NULL, &seed, 0, UINT64_MAX},
                              {"--warm-ms", NULL, &warm_ms, 0, 60000},
                              {"--idle-ms", NULL, &idle_ms, 0, 3600000},
                              {"--verbose", NULL, &verbose, 0, 0},
                              {"--latency", NULL, &latency, 0, 0},
                              {"--keys", &keys, NULL, 0, 0},
                              {"--objects", NULL, &objects, 0, 0}};
  enum { OWN = 13 };
  for (int i = 0; i < more_count; i++) options[OWN + i] = more[i];
  int status = bench_options(argc, argv, options, OWN + more_count);
  if (status) return status;
  contest_settings settings = {.warm_ms = warm_ms, .idle_ms = idle_ms, .with = !strcmp(api, "with")};
  settings.verbose = verbose;
  settings.latency = latency;
  char *end;
  settings.seconds = strtod(seconds, &end);
  if (*end || !(settings.seconds > 0 && settings.seconds <= 3600)) {
    fprintf(stderr, "%s: --seconds: '%s' is not a number up to 3600\n", program_invocation_short_name, seconds);
    return 2;
  }
  if (!settings.with && strcmp(api, "get") != 0) {
    fprintf(stderr, "%s: --api: '%s' is not get or with\n", program_invocation_short_name, api);
    return 2;
  }
  if (!workload_text || !workload_named(workload_text, &settings.work.kind)) {
    fprintf(stderr, "%s: --workload: expected churn, zipf, hit, hot, mixed or idle\n", program_invocation_short_name);
    return 2;
  }
  if (objects && settings.work.kind != WORKLOAD_HIT) {
    fprintf(stderr, "%s: --objects: only for hit\n", program_invocation_short_name);
    return 2;
  }
  if (!threads && settings.work.kind != WORKLOAD_IDLE) {
    fprintf(stderr, "%s: --threads: only idle permits 0\n", program_invocation_short_name);
    return 2;
  }
  bool session = !strcmp(keys, "session");
  if (!session && strcmp(keys, "bytes") != 0) {
    fprintf(stderr, "%s: --keys: '%s' is not session or bytes\n", program_invocation_short_name, keys);
    return 2;
  }
  if (!session && key_bytes == WORKLOAD_SESSION_BYTES) {
    fprintf(stderr, "%s: --key-bytes: session keys have %d bytes\n", program_invocation_short_name,
            WORKLOAD_SESSION_BYTES);
    return 2;
  }
  settings.work.keys = session ? WORKLOAD_KEYS_SESSION : WORKLOAD_KEYS_BYTES;
  settings.work.capacity = capacity;
  settings.work.threads = threads;
  settings.work.key_bytes = session ? WORKLOAD_SESSION_BYTES : key_bytes;
  settings.work.seed = seed;
  settings.work.objects = objects;
  *ret_settings = settings;
  return 0;
}

/* ------------------------------------------------------------------------------------------------ workers ---- */

contest_worker *contest_workers_create(const contest_ops *ops, const contest_settings *settings,
                                       uint64_t *ret_checksum) {
  size_t count = settings->work.threads;
  workload_stream streams[THREADS_MOST];
  if (!workload_streams_create(&settings->work, streams, ret_checksum)) return NULL;
  contest_worker *workers = aligned_alloc(128, (count + 1) * sizeof *workers);
  histogram *latencies = calloc(count + 1, sizeof *latencies);
  if (!workers || !latencies) {
    workload_streams_destroy(&settings->work, streams);
    free(latencies);
    free(workers);
    return NULL;
  }
  memset(workers, 0, (count + 1) * sizeof *workers);
  workers[count].latency = latencies; /* the last element knows what to free */
  for (size_t i = 0; i < count; i++) {
    workers[i].ops = ops;
    workers[i].settings = settings;
    workers[i].stream = streams[i];
    workers[i].lag = settings->work.capacity / count + (i < settings->work.capacity % count);
    workers[i].latency = &latencies[i];
  }
  return workers;
}

void contest_workers_destroy(contest_worker *workers, const contest_settings *settings) {
  size_t count = settings->work.threads;
  workload_stream streams[THREADS_MOST];
  for (size_t i = 0; i < count; i++) streams[i] = workers[i].stream;
  workload_streams_destroy(&settings->work, streams);
  free(workers[count].latency);
  free(workers);
}

/* ------------------------------------------------------------------------------------------------ the line ---- */

static int complain(const contest_ops *ops, const char *what, uint64_t a, uint64_t b) {
  fprintf(stderr, "%s: %s: %" PRIu64 ", %" PRIu64 "\n", ops->name, what, a, b);
  return 1;
}

static int check_held(const contest_ops *ops, const contest_settings *settings, uint64_t put, uint64_t closed,
                      const contest_counts *counts) {
  int status = 0;
  if (counts->put != put) status = complain(ops, "it counts other puts than were made", counts->put, put);
  if (counts->removed != closed)
    status = complain(ops, "it counts other removals than closes", counts->removed, closed);
  if (counts->put != counts->removed + counts->size)
    status = complain(ops, "put is not removed and live", counts->put, counts->removed + counts->size);
  uint64_t capacity = settings->work.capacity;
  if (!ops->exact || settings->work.kind == WORKLOAD_IDLE) return status;
  if (counts->size > capacity) status = complain(ops, "more than its capacity", counts->size, capacity);
  if (settings->work.kind != WORKLOAD_MIXED && counts->size < capacity)
    status = complain(ops, "less than its capacity", counts->size, capacity);
  return status;
}

static int check_ended(const contest_ops *ops, uint64_t put, const connection_counts *counts) {
  int status = 0;
  if (counts->closed != put) status = complain(ops, "closed is not put after its end", counts->closed, put);
  if (counts->closed_twice) status = complain(ops, "closed twice", counts->closed_twice, 0);
  if (counts->freed_open) status = complain(ops, "dropped without a close", counts->freed_open, 0);
  if (counts->live) status = complain(ops, "references left", counts->live, 0);
  if (counts->early) status = complain(ops, "expired early", counts->early, 0);
  return status;
}

int contest_conclude(const contest_ops *ops, const contest_settings *settings, void *self,
                     const contest_worker *workers, const contest_result *result) {
  uint64_t gets = 0, hits = 0, ops_count = 0, elapsed_ns = 0, put = result->put, failures = 0;
  double mops = 0;
  for (size_t i = 0; i < settings->work.threads; i++) {
    const contest_worker *worker = &workers[i];
    gets += worker->gets;
    hits += worker->hits;
    put += worker->puts;
    failures += worker->failures;
    ops_count += worker->ops_count;
    elapsed_ns += worker->elapsed_ns;
    if (worker->elapsed_ns) mops += (double)worker->ops_count * 1e3 / (double)worker->elapsed_ns;
  }
  connection_counts held, ended;
  connections_count(&held, NULL);
  uint64_t closed = held.closed - failures;
  contest_counts counts = {.put = put, .removed = closed, .size = put - closed};
  ops->counts(self, &counts);
  int status = check_held(ops, settings, put, closed, &counts) || result->failed;
  if (failures) status = complain(ops, "operations failed", failures, 0);
  if (!ops->destroy(self)) status = complain(ops, "its counters are inconsistent", 0, 0);
  connections_count(&ended, NULL);
  uint64_t held_count = result->held ? result->held : counts.size;
  if (check_ended(ops, put + failures, &ended)) status = 1;
  printf("%s %s capacity=%zu threads=%zu mops=%.3f ns_per_op=%.1f cpu_ns_per_op=%.1f hit_ratio=%.4f size=%" PRIu64
         " put=%" PRIu64 " removed=%" PRIu64 " closed=%" PRIu64
         " bytes_per_entry=%.1f%s%s keys=%s key_bytes=%zu api=%s stream=%016" PRIx64 "\n",
         ops->name, workload_name(settings->work.kind), settings->work.capacity, settings->work.threads, mops,
         ops_count ? (double)elapsed_ns / (double)ops_count : 0,
         ops_count ? (double)result->cpu_ns / (double)ops_count : 0, gets ? (double)hits / (double)gets : 0,
         counts.size, counts.put, counts.removed, ended.closed - failures,
         held_count ? (double)result->memory_bytes / (double)held_count : 0, result->more, ops->variant,
         settings->work.keys == WORKLOAD_KEYS_SESSION ? "session" : "bytes", settings->work.key_bytes,
         settings->with ? "with" : "get", result->checksum);
  return status;
}

/* ------------------------------------------------------------------------------------------------ a contest ---- */

enum { PHASE_WARM, PHASE_TIMED, PHASE_OVER };

typedef struct contest {
  const contest_ops *ops;
  const contest_settings *settings;
  contest_worker *workers;
  void *self;
  pthread_barrier_t start;
  uint32_t phase; /* atomic, relaxed: a signal without data */
  pthread_t threads[THREADS_MOST];
  size_t next_worker; /* atomic */
} contest;

static uint32_t phase_of(const contest *c) {
  return __atomic_load_n(&c->phase, __ATOMIC_RELAXED);
}

static void *work(void *ctx) {
  contest *c = ctx;
  contest_worker *worker = &c->workers[__atomic_fetch_add(&c->next_worker, 1, __ATOMIC_RELAXED)];
  pthread_barrier_wait(&c->start);
  worker->self = c->self;
  while (phase_of(c) == PHASE_WARM) c->ops->batch(worker);
  worker->gets = worker->hits = worker->ops_count = 0;
  memset(worker->latency, 0, sizeof *worker->latency);
  uint64_t began_ns = bench_now_ns();
  do c->ops->batch(worker);
  while (phase_of(c) == PHASE_TIMED);
  worker->elapsed_ns = bench_now_ns() - began_ns;
  return NULL;
}

/* Run all phases. Returns the processor time of the timed phase. */
static uint64_t run_phases(contest *c) {
  bench_sleep_ms(c->settings->warm_ms);
  uint64_t before_ns = bench_cpu_ns(getpid());
  __atomic_store_n(&c->phase, PHASE_TIMED, __ATOMIC_RELAXED);
  bench_sleep_ms((uint64_t)(c->settings->seconds * 1e3));
  __atomic_store_n(&c->phase, PHASE_OVER, __ATOMIC_RELAXED);
  return bench_cpu_ns(getpid()) - before_ns;
}

static bool fill_one(contest *c, const unsigned char *key) {
  connection *conn = connection_take();
  if (conn && c->ops->put(c->self, key, c->settings->work.key_bytes, conn)) return true;
  fprintf(stderr, "%s: cannot fill the store\n", c->ops->name);
  return false;
}

/* Fill the store. A store without eviction begins with the keys that its threads remove first. */
static bool fill(contest *c) {
  const workload *keys = &c->settings->work;
  unsigned char key[KEY_BYTES_MOST];
  if (keys->kind != WORKLOAD_CHURN || c->ops->evicts) {
    for (size_t at = 0; at < keys->capacity; at++) {
      workload_fill_key(keys, at, key);
      if (!fill_one(c, key)) return false;
    }
    return true;
  }
  for (size_t i = 0; i < keys->threads; i++) {
    const contest_worker *worker = &c->workers[i];
    for (size_t lag = worker->lag; lag > 0; lag--)
      if (!fill_one(c, worker->stream.keys + (worker->stream.count - lag) * keys->key_bytes)) return false;
  }
  return true;
}

/* Spare connections for contestants that drop references late, after a reader that may still use them was
 * interrupted. */
enum { HELD_LATE = 65536 };

static size_t most_live(const contest_ops *ops, const contest_settings *settings) {
  bool grows = settings->work.kind == WORKLOAD_ZIPF || settings->work.kind == WORKLOAD_MIXED;
  size_t capacity = settings->work.capacity;
  return (!ops->evicts && grows ? capacity * WORKLOAD_ZIPF_TIMES : capacity + capacity / 8) + HELD_LATE;
}

static bool start(contest *c, uint64_t *ret_checksum) {
  size_t count = c->settings->work.threads;
  if (!connections_create(most_live(c->ops, c->settings), count)) return false;
  c->workers = contest_workers_create(c->ops, c->settings, ret_checksum);
  if (!c->workers) return false;
  pthread_barrier_init(&c->start, NULL, (unsigned)count + 1);
  for (size_t i = 0; i < count; i++)
    if (pthread_create(&c->threads[i], NULL, work, c)) return false;
  return true;
}

static int run(contest *c) {
  contest_result result = {0};
  if (!start(c, &result.checksum)) {
    fprintf(stderr, "%s: out of memory\n", c->ops->name);
    return 1;
  }
  /* Everything except the contestant is allocated now. */
  uint64_t before_bytes = bench_own_memory_bytes();
  if (!c->ops->create(c->settings, &c->self) || !fill(c)) exit(1); /* the threads would wait for ever */
  result.put = c->settings->work.capacity;
  pthread_barrier_wait(&c->start);
  result.cpu_ns = run_phases(c);
  histogram latency = {0};
  size_t count = c->settings->work.threads;
  for (size_t i = 0; i < count; i++) pthread_join(c->threads[i], NULL);
  /* any thread can take any worker */
  for (size_t i = 0; i < count; i++) histogram_merge(&latency, c->workers[i].latency);
  uint64_t after_bytes = bench_own_memory_bytes();
  result.memory_bytes = after_bytes > before_bytes ? after_bytes - before_bytes : 0;
  if (c->settings->work.kind == WORKLOAD_MIXED || c->settings->latency)
    snprintf(result.more, sizeof result.more, " p99_us=%.2f p999_us=%.2f",
             histogram_percentile_ns(&latency, 0.99) / 1e3, histogram_percentile_ns(&latency, 0.999) / 1e3);
  return contest_conclude(c->ops, c->settings, c->self, c->workers, &result);
}

int contest_run(const contest_ops *ops, const contest_settings *settings) {
  if (!(ops->workloads & 1u << settings->work.kind)) {
    fprintf(stderr, "%s: does not support %s\n", ops->name, workload_name(settings->work.kind));
    return 2;
  }
  if (ops->key_bytes && ops->key_bytes != settings->work.key_bytes) {
    fprintf(stderr, "%s: supports only keys of %zu bytes\n", ops->name, ops->key_bytes);
    return 2;
  }
  contest c = {.ops = ops, .settings = settings};
  if (settings->verbose)
    fprintf(stderr, "%s: seed %" PRIu64 ", warm for %" PRIu64 " ms, timed for %g s; a connection takes %zu bytes\n",
            ops->name, settings->work.seed, settings->warm_ms, settings->seconds, sizeof(connection));
  int status = run(&c);
  if (!c.workers) return status; /* and no thread was started */
  pthread_barrier_destroy(&c.start);
  contest_workers_destroy(c.workers, settings);
  connections_destroy();
  return status;
}

int contest_main(const contest_ops *ops, int argc, char **argv) {
  contest_settings settings;
  int status = contest_parse(argc - 1, argv + 1, NULL, 0, &settings);
  return status ? status : contest_run(ops, &settings);
}
