/* SPDX-License-Identifier: MIT */
/** Jobs: work that continues after its request, and after a restart of its process. A job is a row of the table
 *  vestry_job, which vestry creates in the application's database: SQLite, for all processes that use the file, or
 *  PostgreSQL, for all nodes.
 *
 *      vestry_jobs_on(jobs, "mail", send_mail, app);                // jobs of a kind that this process runs
 *      vestry_jobs_start(jobs);
 *
 *      static vestry_err post(vestry_sql_transaction *transaction, void *ctx) { // a handler's, by vestry_sql_act
 *        vestry_err err =
 *            vestry_sql_run(transaction, "INSERT INTO message(text) VALUES($1)", VESTRY_LIST(text), NULL, NULL);
 *        const vestry_job_order mail = {.kind = "mail", .payload = {text, strlen(text)}};
 *        return err ? err : vestry_jobs_enqueue(jobs, transaction, &mail, NULL);
 *      }                                                            // both are committed, or neither */
#ifndef VESTRY_JOBS_H
#define VESTRY_JOBS_H

#include "vestry/data/sql.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The jobs of one database.
 *  - At least once: a job whose transaction was committed runs at least once, and a job whose transaction was rolled
 *    back never runs. A job runs again after a failure, and after its process died or lost its lease. Therefore, a
 *    function must be safe to repeat, unless it writes to this database only and calls vestry_job_finish in the same
 *    transaction: then its effect occurs exactly once.
 *  - Lease: a process holds a job by a lease, which is renewed while the function runs. Each time that a process takes
 *    the job, the job's fencing number (fence) increases. If the lease ends because the process was killed or
 *    suspended, another process may take the job over; later writes of the former process to the job are rejected
 *    (CLOSED). A vestry_jobs never takes over a job that it runs itself: if the lease of such a job has ended, it is
 *    renewed.
 *  - Backoff: a failed job waits before its next attempt. The wait begins with backoff_ms, doubles each time up to
 *    max_backoff_ms, and is shortened by a random part of up to half. After the last attempt the job is dead. It stays
 *    in the table for inspection (vestry_jobs_list), another run (vestry_jobs_retry) or removal. A job whose process
 *    dies in each attempt is dead, too.
 *  - Order: jobs of one kind begin in the order in which they are due. Several run at once if there are several threads
 *    or processes, so they may end in another order.
 *  - Scheduled jobs (vestry_jobs_every): in each period, one of the processes runs the job.
 *
 *  Times are milliseconds since 1970, because processes and restarts share them. If the clock is set forward, leases
 *  end early and jobs run twice, but the fencing number still rejects late writers. If the clock is set back, all waits
 *  last longer.
 *
 *  A page that shows a job reads its row, by vestry_jobs_list or by SQL. The columns are `id`, `kind`, `key`, `state`,
 *  `attempts`, `progress`, `said` (the text of vestry_job_progress), `error`, `created` and `ended`; state is
 *  'waiting', 'running', 'done' or 'dead'. Each step of a job is a commit to its row, so the page renders again as for
 *  any other write.
 *
 *  SQLite: while a transaction writes, no lease can be renewed, because there is one writer. Therefore, a function
 *  whose transaction lasts longer than its lease must call vestry_job_finish in that transaction.
 *
 *  PostgreSQL:
 *  - To take a job, a node locks only the row of that job, and passes over rows that other nodes have locked. So nodes
 *    take jobs at the same time, without waiting for each other.
 *  - While the server is away, no job begins. A running function continues, and its end is written when the server is
 *    back, unless its lease has ended and another node has taken the job over.
 *  - A function runs without a connection. If it writes to the database itself, it needs one from the pool.
 *
 *  Functions that use the database return the errors of vestry/data/sql.h. */
typedef struct vestry_jobs vestry_jobs;

/** Maximum length of a kind, or of the name of a scheduled job, in bytes of UTF-8. An empty or longer name: INVALID. */
#define VESTRY_JOB_KIND_MAX_BYTES 64
/** Maximum length of a key, in bytes of UTF-8. An empty or longer key: INVALID. */
#define VESTRY_JOB_KEY_MAX_BYTES 255
/** Maximum length of a job's progress text, and of the reason of its failure, in bytes. */
#define VESTRY_JOB_TEXT_MAX_BYTES 255
/** Maximum size of a payload in bytes, whatever max_payload_bytes is. */
#define VESTRY_JOB_PAYLOAD_MAX_BYTES (16 << 20)

/** State of a job. */
typedef enum vestry_job_state {
  VESTRY_JOB_ANY, /**< for vestry_jobs_list */
  VESTRY_JOB_WAITING,
  VESTRY_JOB_RUNNING, /**< its function runs; or its process died, and the lease has not ended */
  VESTRY_JOB_DONE,
  VESTRY_JOB_DEAD /**< it runs again only after vestry_jobs_retry */
} vestry_job_state;

/* --------------------------------------------------------------------------------------------- functions --------- */

/** A running job. Read only. */
typedef struct vestry_job {
  int64_t id;
  const char *kind;
  const char *key;       /**< NULL: none */
  vestry_slice payload;  /**< followed by a NUL, which is not counted */
  uint32_t attempt;      /**< from 1; an attempt whose process died counts */
  uint32_t max_attempts; /**< after this attempt the job is dead */
  int64_t fence;         /**< the fencing number; it increases each time that the job is taken. Store it with
                              writes to other systems to reject late writers */
  int64_t period_at_ms;  /**< of a scheduled job: when its period began, since 1970, also in a repeated attempt.
                              Otherwise 0 */
} vestry_job;

/** Runs the job. May block and take long.
 *  job      valid until the function returns
 *  Returns  OK: the job is done | CLOSED while vestry_job_is_over is true: the job waits again, and this attempt does
 *           not count | any other error: the attempt has failed, and the job runs again later
 *  Threads  a thread of the jobs, or that of vestry_jobs_step; no lock is held, and it has no connection of the pool */
typedef vestry_err (*vestry_job_fn)(vestry_job *job, void *app);

/** Report the progress of a job, and renew its lease. This is a commit, so report as often as a reader needs it.
 *  fraction  0 to 1; NaN counts as 0, a value outside as the nearer end
 *  text      at most VESTRY_JOB_TEXT_MAX_BYTES bytes of UTF-8, copied; NULL: none
 *  Returns   OK | CLOSED (the job was taken over or removed: stop) | TOO_LARGE | INVALID (no UTF-8; this thread has a
 *            transaction of the pool) | the errors of the database
 *  Threads   that of the job's function; blocks on the network or the disk */
VESTRY_API vestry_err vestry_job_progress(vestry_job *job, double fraction, const char *text);
/** Return whether the function should end soon, because the jobs are being stopped, or because this job was taken over
 *  or removed. A long function checks this from time to time, and then returns VESTRY_CLOSED. Threads any; does not
 *  block. */
VESTRY_API bool vestry_job_is_over(const vestry_job *job);
/** Set the reason of a failure, for the column `error`; a text longer than VESTRY_JOB_TEXT_MAX_BYTES is truncated.
 *  Default: the text of vestry_strerror for the error that the function returns. Threads that of the job's function;
 *  does not block. */
VESTRY_API void vestry_job_explain(vestry_job *job, const char *text);
/** Declare that another attempt is useless. If the function then fails, the job is dead; a scheduled job waits for its
 *  next period. Threads that of the job's function; does not block. */
VESTRY_API void vestry_job_give_up(vestry_job *job);

/** How a run of a function ended. */
typedef enum vestry_job_outcome {
  VESTRY_JOB_ENDED_DONE = 1,
  VESTRY_JOB_ENDED_AGAIN,    /**< it failed, and waits for another attempt */
  VESTRY_JOB_ENDED_DEAD,     /**< its last attempt failed; a scheduled job: the last one of this period */
  VESTRY_JOB_ENDED_PUT_BACK, /**< it waits again, because the jobs are being stopped */
  VESTRY_JOB_ENDED_LOST      /**< it was taken over or removed, or its end could not be written (the log has the
                                  reason). In the latter case it runs again when its lease has ended */
} vestry_job_outcome;

/** Called for each run that has ended, after the commit of its end, on the thread that ran it; no lock is held. If the
 *  process died in every attempt of a job, there is no run whose end could be reported. Then the process that finds the
 *  job makes the call with VESTRY_JOB_ENDED_DEAD, and job->attempt is the number of the last attempt. error: the result
 *  of the function. */
typedef void (*vestry_job_end_fn)(const vestry_job *job, vestry_job_outcome outcome, vestry_err error, void *app);

/* -------------------------------------------------------------------------------------------------- life --------- */

/** Options of jobs. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_jobs_options {
  uint32_t threads_count;       /**< number of jobs that run at once in this process [1]; at most 256. One more thread
                                     looks for jobs and renews leases */
  uint32_t lease_ms;            /**< a job whose process died is taken over after this time [30,000]; at least 10.
                                     Leases are renewed after a third of it */
  uint32_t poll_ms;             /**< time between two queries for jobs that other processes have enqueued [50]; at most
                                     60,000. Independently of it, a job that a connection of this pool commits is found
                                     at once, and a job that waits for its time is found when it is due */
  uint32_t backoff_ms;          /**< wait before the second attempt [1,000] */
  uint32_t max_backoff_ms;      /**< maximum wait before an attempt [an hour] */
  uint32_t max_attempts;        /**< maximum number of attempts, if the order of the job does not set it [20] */
  uint32_t max_payload_bytes;   /**< maximum size of a payload [64 KiB]; at most VESTRY_JOB_PAYLOAD_MAX_BYTES */
  uint64_t keep_ms;             /**< a done job is removed this long after its end, when other jobs end [a day].
                                     VESTRY_NEVER_MS: done jobs stay. Dead jobs stay */
  vestry_job_end_fn on_end;     /**< NULL: none */
  void *app;                    /**< passed to on_end */
  int64_t (*now_ms)(void *ctx); /**< milliseconds since 1970; NULL: the database's clock, which with PostgreSQL is that
                                     of the server, the same for all nodes. For tests */
  void *now_ctx;                /**< passed to now_ms */
} vestry_jobs_options;

/** Create jobs, and their table vestry_job if it does not exist. A process that only enqueues needs no other call.
 *  pool      borrowed; must not be destroyed before the jobs
 *  options   NULL: the defaults. Copied
 *  ret_jobs  owned by the caller. Untouched on failure
 *  Returns  OK | INVALID | the errors of vestry/data/sql.h (IO also: a later version of vestry has made the table;
 *           nothing was changed). The log has the reason and a remedy
 *  Threads  any; blocks on the network or the disk */
VESTRY_API vestry_err vestry_jobs_create(vestry_sql_pool *pool, const vestry_jobs_options *options,
                                         vestry_jobs **ret_jobs);
/** Stop and free jobs. No transaction with an enqueued job may be open. NULL is accepted. Threads as
 *  vestry_jobs_stop. */
VESTRY_API void vestry_jobs_destroy(vestry_jobs *jobs);

/** Let this process run jobs of a kind. Jobs of other kinds wait for a process that runs them.
 *  kind     copied
 *  app      passed to fn
 *  Returns  OK | INVALID (no kind; the jobs were started) | EXISTS (the kind has a function; logged) | NO_MEMORY
 *  Threads  before vestry_jobs_start and vestry_jobs_step */
VESTRY_API vestry_err vestry_jobs_on(vestry_jobs *jobs, const char *kind, vestry_job_fn fn, void *app);
/** Schedule a job: fn is called once in each period, by one of all processes that make this call. A period begins at
 *  offset_ms after 1970, and every period_ms after that; for example, period_ms 86,400,000 and offset_ms 3,600,000 mean
 *  daily at one o'clock UTC. The first period is the first one that begins after the scheduled job was created.
 *  - A period that was begun is not begun again, even if the clock is set back, unless its attempt fails, or its
 *    process dies or loses its lease. Then it is tried again like any job, until it succeeds, has used its attempts, or
 *    the next period begins. So each period is completed at least once if the function ever succeeds and a process
 *    lives; job->period_at_ms identifies the period.
 *  - Periods do not overlap. Of the periods that pass while fn runs, or while no process lives, only the last one is
 *    run, later than it began.
 *  A scheduled job is a row of the kind `name`, which never ends; remove it with vestry_jobs_remove if no process runs
 *  it any more. If a process makes this call with other times, these apply to all processes from then on. If the row is
 *  deleted while processes run it, for example by TRUNCATE, the next process that makes this call creates it again.
 *  name       a kind that has no other function
 *  period_ms  1 to 10 years
 *  offset_ms  less than period_ms
 *  Returns    OK | INVALID | EXISTS | NO_MEMORY | the errors of the database
 *  Threads    as vestry_jobs_on, without a connection of the pool; blocks on the network or the disk */
VESTRY_API vestry_err vestry_jobs_every(vestry_jobs *jobs, const char *name, uint64_t period_ms, uint64_t offset_ms,
                                        vestry_job_fn fn, void *app);
/** Start the threads.
 *  Returns  OK | INVALID (they were started, stepped or stopped before) | NO_MEMORY | IO (a thread cannot be started;
 *           none is left)
 *  Threads  one */
VESTRY_API vestry_err vestry_jobs_start(vestry_jobs *jobs);
/** Run one job that is due, on this thread, instead of starting threads. Only vestry_job_progress renews its lease. For
 *  tests, and for programs that have an event loop.
 *  ret_has_run  whether a job was run. May be NULL
 *  Returns  OK, however the job ended | INVALID (threads were started) | CLOSED (stopped) | the errors of
 *           vestry_sql_begin: nothing was run
 *  Threads  any, without a connection of the pool; blocks as the function does */
VESTRY_API vestry_err vestry_jobs_step(vestry_jobs *jobs, bool *ret_has_run);
/** Begin no more jobs, and wait for the running ones, for whose functions vestry_job_is_over now returns true.
 *  Idempotent.
 *  Threads  not that of a job's function; blocks */
VESTRY_API void vestry_jobs_stop(vestry_jobs *jobs);
/** Let the threads look for jobs at once. Use this after a commit by a connection that does not belong to the pool.
 *  Threads any. */
VESTRY_API void vestry_jobs_wake(vestry_jobs *jobs);

/* ------------------------------------------------------------------------------------------------ orders --------- */

/** Which jobs of the same kind and key prevent a new one (EXISTS). An order is a call of vestry_jobs_enqueue. KEPT and
 *  OPEN examine the jobs at the time of that call: the job that prevents the new one may begin, and even end, before
 *  the transaction of the order ends. */
typedef enum vestry_job_unique {
  VESTRY_JOB_UNIQUE_KEPT,   /**< any job in the table, also a done one during keep_ms, and a dead one */
  VESTRY_JOB_UNIQUE_OPEN,   /**< a job that waits or runs */
  VESTRY_JOB_UNIQUE_WAITING /**< a job that waits. A running job does not count, because it may have begun before the
                                 data of this order was committed. With EXISTS, the waiting job begins after the
                                 transaction of the order has ended, so it sees the data that this transaction
                                 commits */
} vestry_job_unique;

/** A job to enqueue. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_job_order {
  const char *kind;         /**< selects the function */
  vestry_slice payload;     /**< input of the function: any bytes [none] */
  const char *key;          /**< key within the kind; `unique` determines which jobs with the same key prevent this one
                                 [none: no job does] */
  vestry_job_unique unique; /**< [VESTRY_JOB_UNIQUE_KEPT] */
  int64_t not_before_ms;    /**< the job begins at this time or later, since 1970 [now] */
  uint64_t delay_ms;        /**< the job begins at least this long after it was enqueued; if not_before_ms is set, too,
                                 the later time counts [0] */
  uint32_t max_attempts;    /**< maximum number of attempts [that of the options] */
} vestry_job_order;

/** Enqueue a job in a transaction.
 *  transaction  of the jobs' pool, for writing
 *  order        copied; its texts are UTF-8
 *  ret_id       receives the job's number, which no other job gets; with EXISTS the number of the existing job. May be
 *               NULL
 *  Returns  OK | EXISTS (another job has the key: nothing was written, and the transaction may continue) | INVALID
 *           (also: a transaction for reading, or of another pool) | TOO_LARGE (the payload) | the errors of
 *           vestry_sql_run (BUSY also: another transaction has enqueued a job with this key meanwhile)
 *  Threads  that of the transaction; blocks on the network or the disk. PostgreSQL: with a key, it also waits for other
 *           transactions that have enqueued a job with this key
 *
 *  PostgreSQL: if this returns EXISTS for VESTRY_JOB_UNIQUE_WAITING, the waiting job is locked until the transaction
 *  ends, and is neither begun nor removed before. Therefore keep the transaction short. If a node would have begun the
 *  job meanwhile, later orders with its key do not count it as waiting, and create another job; otherwise a series of
 *  orders could delay the job for ever. */
VESTRY_API vestry_err vestry_jobs_enqueue(vestry_jobs *jobs, vestry_sql_transaction *transaction,
                                          const vestry_job_order *order, int64_t *ret_id);
/** Mark a job as done in a transaction of its function, together with the function's writes: both are committed, or
 *  neither. Commit before the function returns. If the transaction is rolled back, the result of the function counts.
 *
 *  The transaction may take longer than the lease. With SQLite no other process can take the job over while the
 *  transaction writes. PostgreSQL: from this call on, the job's row is locked until the transaction ends, so no other
 *  node can take the job over. A transaction REPEATABLE_READ or SERIALIZABLE begins with this call, because it returns
 *  BUSY if the lease was renewed, or another thread has called vestry_job_progress, since the transaction's first
 *  statement.
 *
 *  transaction  of the jobs' pool, for writing
 *  Returns  OK | CLOSED (the job was taken over or removed: roll back) | INVALID (a transaction for reading, or of
 *           another pool; a scheduled job, whose row stays) | the errors of vestry_sql_run
 *  Threads  that of the job's function; blocks on the network or the disk */
VESTRY_API vestry_err vestry_job_finish(vestry_job *job, vestry_sql_transaction *transaction);

/* --------------------------------------------------------------------------------------------- management -------- */

/** A listed job. Valid during the call. */
typedef struct vestry_job_row {
  int64_t id;
  const char *kind;
  const char *key; /**< NULL: none */
  vestry_job_state state;
  vestry_slice payload;
  uint32_t attempts_count; /**< attempts begun so far */
  uint32_t max_attempts;
  double progress;           /**< 0 to 1 */
  const char *progress_text; /**< text of vestry_job_progress in this attempt; NULL: none */
  const char *error;         /**< why the last attempt failed; NULL: none failed */
  int64_t created_ms;        /**< since 1970; likewise the next two members */
  int64_t due_ms;            /**< WAITING: earliest time of the next attempt; RUNNING: end of the lease; otherwise 0 */
  int64_t ended_ms;          /**< DONE, DEAD; otherwise 0 */
  uint64_t period_ms;        /**< of a scheduled job: length of its period; otherwise 0 */
} vestry_job_row;

/** Receives a job, on the thread that lists. It must not run a statement of the pool that writes. */
typedef void (*vestry_job_row_fn)(const vestry_job_row *row, void *ctx);

/** List jobs in the order of their numbers. In a render, the page renders again when one of them changes.
 *  kind      NULL: all
 *  state     VESTRY_JOB_ANY: all
 *  after_id  jobs with larger numbers; 0: all
 *  count     maximum number of jobs
 *  Returns  OK (also: no job) | INVALID | the errors of the database
 *  Threads  any; blocks on the network or the disk */
VESTRY_API vestry_err vestry_jobs_list(vestry_jobs *jobs, const char *kind, vestry_job_state state, int64_t after_id,
                                       uint32_t count, vestry_job_row_fn fn, void *ctx);
/** Let a dead job wait again, with all its attempts. A waiting job becomes due now. A job with the same key that was
 *  enqueued since does not prevent this; both are then in the table.
 *  Returns  OK | NOT_FOUND (no such job, or it runs, or it is done) | INVALID | the errors of the database
 *  Threads  any, without a connection of the pool; blocks on the network or the disk */
VESTRY_API vestry_err vestry_jobs_retry(vestry_jobs *jobs, int64_t id);
/** Remove a job in any state. If its function runs, the function continues; the functions that it calls with this job
 *  return CLOSED, and vestry_job_is_over returns true.
 *  Returns  OK | NOT_FOUND | INVALID | the errors of the database
 *  Threads  as vestry_jobs_retry */
VESTRY_API vestry_err vestry_jobs_remove(vestry_jobs *jobs, int64_t id);

#ifdef __cplusplus
}
#endif
#endif
