/* SPDX-License-Identifier: MIT */
/* Jobs of one database, as the files of this folder see them, from the bottom up: table.c has their rows, order.c what
 * is done with them in transactions of the application's, run.c what a function may do and how its run ends, threads.c
 * the threads, jobs.c the life of all that. */
#ifndef VSI_JOBS_STATE_H
#define VSI_JOBS_STATE_H

#include <pthread.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "base/memory.h"
#include "base/mutex.h"
#include "base/utf8.h"
#include "base/wait.h"
#include "data/sql/sql.h"
#include "vestry/data/jobs.h"

/* A function for the jobs of a kind. */
typedef struct vsi_jobs_kind {
  char *name;
  vestry_job_fn fn;
  void *app;
} vsi_jobs_kind;

/* When a tick's periods begin. length_ms 0: it is none. */
typedef struct vsi_jobs_period {
  int64_t length_ms, offset_ms;
} vsi_jobs_period;

/* One taking of a job. */
typedef struct vsi_jobs_run {
  vestry_job job; /* what its function sees; the first member */
  vestry_jobs *jobs;
  const vsi_jobs_kind *kind;
  char *key;
  unsigned char *payload;
  vsi_jobs_period period;
  int64_t taken_ms;   /* when it was taken, by the table's clock */
  uint64_t taken_ns;  /* and by the monotonic one */
  bool is_over_taken; /* another one's lease had ended */
  bool is_buried;     /* it had had its attempts, and is dead: no function is called */
  bool is_hopeless;   /* the function's, and so for the next two */
  bool is_finished;   /* by vestry_job_finish, if that was committed */
  char why[VESTRY_JOB_SAID_MAX_BYTES + 1];
  bool is_lost;                /* guarded by jobs->lock: whatever it writes is refused */
  LIST_ENTRY(vsi_jobs_run) in; /* guarded by jobs->lock */
} vsi_jobs_run;

/* What a lease is told by. */
typedef struct vsi_jobs_lease {
  int64_t id, fence;
  bool is_lost;
} vsi_jobs_lease;

struct vestry_jobs {
  vestry_sql_pool *pool;
  void *ear; /* of the table, if the pool has ears */
  const vestry_host *host;
  vestry_jobs_options options; /* defaults filled in */
  uint32_t slow_poll_ms;       /* instead of poll_ms, while the table tells what others commit */
  vsi_jobs_kind *kinds;
  size_t kinds_count, kinds_room;
  pthread_t *threads; /* the last one looks; NULL: none were started */
  size_t threads_count;
  vsi_jobs_lease *leases;   /* the looking thread's */
  vsi_mutex lock;           /* guards all below */
  pthread_cond_t work;      /* workers wait for it */
  pthread_cond_t look;      /* the thread that looks waits for it, unless the table has it wait */
  bool is_begun;            /* kinds stay as they are */
  bool is_due;              /* a worker is to look */
  bool is_over, is_ended;   /* workers are to end; the thread that looks, too */
  bool is_roused;           /* the thread that looks is */
  size_t idle_count;        /* workers that wait */
  uint64_t paused_until_ns; /* after a failure; on the monotonic clock, and so for the next three */
  uint64_t look_at_ns;      /* when the table is to be asked again, if a worker waits then */
  uint64_t looked_ns;       /* when the thread that looks did so last */
  uint64_t rests_until_ns;  /* the thread that looks does */
  bool is_left_out;         /* it was time to ask, and no worker waited */
  LIST_HEAD(, vsi_jobs_run) runs;
  vestry_jobs_stats stats; /* of this process */
};

/* The time of the options' clock, or of this host's, in bounds within which sums of it fit. */
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

/* The time of the table's clock, as far as this process can know it: of a clock that is set while the function runs it
 * knows nothing. Whatever is written into the table is computed there. */
static inline int64_t vsi_jobs_run_now_ms(const vsi_jobs_run *run) {
  if (run->jobs->options.now_ms) return vsi_jobs_now_ms(run->jobs);
  return run->taken_ms + (int64_t)((vsi_monotonic_ns() - run->taken_ns) / 1000000);
}

/* Whether it has a byte, and at most so many. NULL: no. */
static inline bool vsi_jobs_is_name(const char *text, size_t most) {
  const size_t len = text ? strnlen(text, most + 1) : 0;
  return len > 0 && len <= most && vsi_is_utf8(text, len);
}

/* When the period began that holds a time. */
static inline int64_t vsi_jobs_period_of(vsi_jobs_period period, int64_t now_ms) {
  int64_t since = (now_ms - period.offset_ms) % period.length_ms;
  return now_ms - (since < 0 ? since + period.length_ms : since);
}

/* When the one after it begins. */
static inline int64_t vsi_jobs_period_after(vsi_jobs_period period, int64_t now_ms) {
  return vsi_jobs_period_of(period, now_ms) + period.length_ms;
}

/* Whatever it writes to its row from now on is refused. */
static inline void vsi_jobs_lose(vsi_jobs_run *run) {
  vsi_mutex_lock(&run->jobs->lock);
  run->is_lost = true;
  vsi_mutex_unlock(&run->jobs->lock);
}

/* CLOSED says so, too. */
static inline vestry_err vsi_jobs_note_lost(vsi_jobs_run *run, vestry_err error) {
  if (error == VESTRY_CLOSED) vsi_jobs_lose(run);
  return error;
}

#endif
