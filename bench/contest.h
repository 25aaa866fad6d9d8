/* SPDX-License-Identifier: MIT */
/* A contest: one contender, one workload, one line. vestry's stores and the peers each fill a contest_ops, and this
 * runs them alike: connections and keys made ahead, threads that start together, counts that must add up. */
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

/* What a contender holds and held. */
typedef struct contest_counts {
  uint64_t put, removed, size;
} contest_counts;

typedef struct contest_worker contest_worker;

/* A contender. Everything but create, counts and destroy is called by all threads at once. */
typedef struct contest_ops {
  const char *name;
  const char *variant; /* for the line: " store=lru", or "" */
  unsigned workloads;  /* 1 << kind: those it takes part in */
  size_t key_bytes;    /* the only length of key it takes; 0: any */
  bool evicts;         /* it holds its capacity at most; otherwise CHURN removes a key for each it puts */
  bool exact;          /* a failure if it holds more, or, once full, less */
  bool (*create)(const contest_settings *settings, void **ret_self);
  /* Everything leaves, then it is freed. False: its own counts do not add up then. */
  bool (*destroy)(void *self);
  /* Correct those that it knows by itself. */
  void (*counts)(void *self, contest_counts *counts);
  /* A reference is taken on success; whatever leaves is closed and dropped. */
  bool (*put)(void *self, const void *key, size_t len, connection *conn);
  /* Look up, count as a use, read what was found into *sink. get holds a reference meanwhile, if need be with
   * connection_ref; with does what is cheapest. */
  bool (*get)(void *self, const void *key, size_t len, uint64_t *sink);
  bool (*with)(void *self, const void *key, size_t len, uint64_t *sink);
  bool (*drop)(void *self, const void *key, size_t len);
  /* contest_batch with these very ops, so that the compiler sees them. */
  void (*batch)(contest_worker *worker);
} contest_ops;

/* One thread of a contest. */
struct contest_worker {
  void *self;
  const contest_ops *ops;
  const contest_settings *settings;
  workload_stream stream;
  size_t at;
  size_t lag; /* CHURN without eviction: how many keys behind the removal is */
  uint64_t gets, hits, puts, failures, ops_count, elapsed_ns;
  uint64_t sink; /* so that what is found is read */
  histogram *latency;
} __attribute__((aligned(128)));

enum { CONTEST_BATCH = 256, CONTEST_TIMED = 32, CONTEST_ALL_BUT_IDLE = (1 << WORKLOAD_IDLE) - 1 };

#define CONTEST_INLINE static inline __attribute__((always_inline))

CONTEST_INLINE const unsigned char *contest_next_key(contest_worker *worker) {
  const unsigned char *key = worker->stream.keys + worker->at * worker->settings->work.key_bytes;
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

/* CONTEST_BATCH operations. */
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

/* Parse the arguments that all contenders share, and more_count others: 0 or the exit status. */
int contest_parse(int argc, char **argv, const bench_option *more, int more_count, contest_settings *ret_settings);

/* Run, print the line: 0, or 1 when something failed or does not add up, 2 when the contender takes no part. */
int contest_run(const contest_ops *ops, const contest_settings *settings);

/* The main of a contender without options of its own. */
int contest_main(const contest_ops *ops, int argc, char **argv);

/* -------------------------------------------------------------------------------------- contests of one's own ---- */

/* Workers with their streams, not yet with a contender. NULL: out of memory. */
contest_worker *contest_workers_create(const contest_ops *ops, const contest_settings *settings,
                                       uint64_t *ret_checksum);
void contest_workers_destroy(contest_worker *workers, const contest_settings *settings);

typedef struct contest_result {
  uint64_t put; /* puts that succeeded, of the filling too */
  uint64_t checksum;
  uint64_t memory_bytes; /* grown by, while it held `held` entries */
  uint64_t held;         /* 0: as many as at the end */
  uint64_t cpu_ns;       /* of the whole process while the clock ran; 0: not measured */
  bool failed;
  char more[256]; /* further " name=value" for the line */
} contest_result;

/* Count, destroy the contender, count again, print the line: the exit status. */
int contest_conclude(const contest_ops *ops, const contest_settings *settings, void *self,
                     const contest_worker *workers, const contest_result *result);

#ifdef __cplusplus
}
#endif
#endif
