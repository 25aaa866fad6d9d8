/* SPDX-License-Identifier: MIT */
/* A contest: one contestant and one workload give one line of output. vestry's stores and the peers each implement
 * contest_ops, and run in the same way: connections and keys are made in advance, threads start together, and counts
 * must be consistent. */
#ifndef BENCH_CONTEST_H
#define BENCH_CONTEST_H

#include "bench.h"
#include "connection.h"
#include "workload.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct contest_settings {
  workload work;
  double seconds;
  uint64_t warm_ms, idle_ms; /* idle_ms: of IDLE; 0: four times `seconds` */
  bool with;                 /* look up with a callback instead of a reference */
  bool latency;              /* CHURN: time one in CONTEST_TIMED, as MIXED always does */
  bool verbose;
} contest_settings;

/* Counts of a contestant. */
typedef struct contest_counts {
  uint64_t put, removed, size;
} contest_counts;

typedef struct contest_worker contest_worker;

/* A contestant. All threads call its functions concurrently, except create, counts and destroy. */
typedef struct contest_ops {
  const char *name;
  const char *variant; /* for the output: " store=lru", or "" */
  unsigned workloads;  /* 1 << kind: the workloads that it supports */
  size_t key_bytes;    /* the only supported key length; 0: any */
  bool evicts;         /* holds at most its capacity; otherwise CHURN removes a key for each put */
  bool exact;          /* fails if it holds more, or, when full, less */
  bool (*create)(const contest_settings *settings, void **ret_self);
  /* Remove everything, then free it. False: its own counts are inconsistent. */
  bool (*destroy)(void *self);
  /* Correct the counts that the contestant knows itself. */
  void (*counts)(void *self, contest_counts *counts);
  /* Takes a reference on success; evicted values are closed and dropped. */
  bool (*put)(void *self, const void *key, size_t len, connection *conn);
  /* Look up, count as a use, and read the value into *sink. get holds a reference meanwhile, by connection_ref if
   * necessary; with uses the cheapest way. */
  bool (*get)(void *self, const void *key, size_t len, uint64_t *sink);
  bool (*with)(void *self, const void *key, size_t len, uint64_t *sink);
  bool (*drop)(void *self, const void *key, size_t len);
  /* contest_batch with these ops as constants for the compiler. */
  void (*batch)(contest_worker *worker);
} contest_ops;

/* One thread of a contest. */
struct contest_worker {
  void *self;
  const contest_ops *ops;
  const contest_settings *settings;
  workload_stream stream;
  size_t at;
  size_t lag; /* CHURN without eviction: distance of the removal, in keys */
  uint64_t gets, hits, puts, failures, ops_count, elapsed_ns;
  uint64_t sink; /* so that found values are read */
  histogram *latency;
} __attribute__((aligned(128)));

enum { CONTEST_BATCH = 256, CONTEST_TIMED = 32, CONTEST_ALL_BUT_IDLE = (1 << WORKLOAD_IDLE) - 1 };

#define CONTEST_INLINE static inline __attribute__((always_inline))

CONTEST_INLINE const unsigned char *contest_next_key(contest_worker *worker) {
  const size_t number = worker->stream.objects ? worker->stream.objects[worker->at] : worker->at;
  const unsigned char *key = worker->stream.keys + number * worker->settings->work.key_bytes;
  worker->at = worker->at + 1 == worker->stream.count ? 0 : worker->at + 1;
  return key;
}

CONTEST_INLINE void contest_put(const contest_ops *ops, contest_worker *worker, const unsigned char *key) {
  connection *conn = connection_take();
  bool put = conn && ops->put(worker->self, key, worker->settings->work.key_bytes, conn);
  worker->puts += put;
  worker->failures += !put;
  if (conn && !put) connection_close(conn);
}

CONTEST_INLINE bool contest_get(const contest_ops *ops, contest_worker *worker, const unsigned char *key, bool with) {
  size_t len = worker->settings->work.key_bytes;
  bool found =
      with ? ops->with(worker->self, key, len, &worker->sink) : ops->get(worker->self, key, len, &worker->sink);
  worker->gets++;
  worker->hits += found;
  return found;
}

CONTEST_INLINE void contest_mixed_op(const contest_ops *ops, contest_worker *worker) {
  unsigned char op = worker->stream.ops[worker->at];
  const unsigned char *key = contest_next_key(worker);
  if (op == WORKLOAD_GET)
    contest_get(ops, worker, key, worker->settings->with);
  else if (op == WORKLOAD_PUT)
    contest_put(ops, worker, key);
  else
    ops->drop(worker->self, key, worker->settings->work.key_bytes);
}

CONTEST_INLINE void contest_churn_op(const contest_ops *ops, contest_worker *worker) {
  if (!ops->evicts) {
    size_t length = worker->stream.count, old = (worker->at + length - worker->lag) % length;
    size_t len = worker->settings->work.key_bytes;
    worker->failures += !ops->drop(worker->self, worker->stream.keys + old * len, len);
  }
  contest_put(ops, worker, contest_next_key(worker));
}

/* Perform CONTEST_BATCH operations. */
CONTEST_INLINE void contest_batch(const contest_ops *ops, contest_worker *worker) {
  bool with = worker->settings->with;
  switch (worker->settings->work.kind) {
  case WORKLOAD_CHURN:
    for (int i = 0; i < CONTEST_BATCH; i++) {
      bool timed = worker->settings->latency && i % CONTEST_TIMED == 0;
      uint64_t began_ns = timed ? bench_now_ns() : 0;
      contest_churn_op(ops, worker);
      if (timed) histogram_add(worker->latency, bench_now_ns() - began_ns);
    }
    break;
  case WORKLOAD_ZIPF:
    for (int i = 0; i < CONTEST_BATCH; i++) {
      const unsigned char *key = contest_next_key(worker);
      if (!contest_get(ops, worker, key, with)) contest_put(ops, worker, key);
    }
    break;
  case WORKLOAD_HIT:
  case WORKLOAD_HOT:
    if (with)
      for (int i = 0; i < CONTEST_BATCH; i++) contest_get(ops, worker, contest_next_key(worker), true);
    else
      for (int i = 0; i < CONTEST_BATCH; i++) contest_get(ops, worker, contest_next_key(worker), false);
    break;
  case WORKLOAD_MIXED:
  case WORKLOAD_IDLE:
    for (int i = 0; i < CONTEST_BATCH; i++) {
      uint64_t began_ns = i % CONTEST_TIMED == 0 ? bench_now_ns() : 0;
      contest_mixed_op(ops, worker);
      if (i % CONTEST_TIMED == 0) histogram_add(worker->latency, bench_now_ns() - began_ns);
    }
    break;
  }
  worker->ops_count += CONTEST_BATCH;
}

/* Parse the common arguments of all contestants, and more_count others. Returns 0 or the exit status. */
int contest_parse(int argc, char **argv, const bench_option *more, int more_count, contest_settings *ret_settings);

/* Run the contest and print its line. Returns 0; 1: a failure, or inconsistent counts; 2: the contestant does not
 * support the workload. */
int contest_run(const contest_ops *ops, const contest_settings *settings);

/* The main function of a contestant without further options. */
int contest_main(const contest_ops *ops, int argc, char **argv);

/* ------------------------------------------------------------------------------------------ separate contests ---- */

/* Create workers with their streams, without a contestant. NULL: out of memory. */
contest_worker *contest_workers_create(const contest_ops *ops, const contest_settings *settings,
                                       uint64_t *ret_checksum);
void contest_workers_destroy(contest_worker *workers, const contest_settings *settings);

typedef struct contest_result {
  uint64_t put; /* successful puts, including those that fill the store */
  uint64_t checksum;
  uint64_t memory_bytes; /* growth of the memory while it held `held` entries */
  uint64_t held;         /* 0: the number at the end */
  uint64_t cpu_ns;       /* of the whole process during the measurement; 0: not measured */
  bool failed;
  char more[256]; /* further " name=value" for the output */
} contest_result;

/* Count, destroy the contestant, count again, and print the line. Returns the exit status. */
int contest_conclude(const contest_ops *ops, const contest_settings *settings, void *self,
                     const contest_worker *workers, const contest_result *result);

#ifdef __cplusplus
}
#endif
#endif
