/* SPDX-License-Identifier: MIT */
/** Jobs: work that outlives the request that asks for it, and the process. A job is a row of a table that vestry makes
 *  in the application's database (vestry/data/sql.h), vestry_job: of SQLite, for all processes of a file, or of
 *  PostgreSQL, for all nodes.
 *
 *      vestry_jobs_create(pool, NULL, &jobs);
 *      vestry_jobs_on(jobs, "mail", send_mail, app);                // what this process can do
 *      vestry_jobs_every(jobs, "digest", 86400000, 0, send_digest, app); // once a day, by one process of all
 *      vestry_jobs_start(jobs);
 *
 *      static vestry_err post(vestry_sql_transaction *transaction, void *ctx) { // a handler's, by vestry_sql_act
 *        vestry_err err =
 *            vestry_sql_run(transaction, "INSERT INTO message(text) VALUES($1)", VESTRY_LIST(text), NULL, NULL);
 *        const vestry_job_order mail = {.kind = "mail", .payload = {text, strlen(text)}};
 *        return err ? err : vestry_jobs_enqueue(jobs, transaction, &mail, NULL);
 *      }                                                            // both are committed, or neither
 *
 *  What is promised:
 *  - A job that was committed is run at least once; one that was rolled back never. It is run again after a failure,
 *    and after its process died or lost its lease. So a function does what may be done twice, or writes to this
 *    database and calls vestry_job_finish in the same transaction: once.
 *  - A process has a job by a lease, with a number that each taking increments (fencing). The lease is renewed while
 *    the function runs. When the lease ends, because the process was killed or stood still, any process may take the
 *    job over: from then on whatever the former one writes of it is refused (CLOSED).
 *  - A job that fails waits before it is run again: backoff_ms, twice as long each time, at most backoff_most_ms, and
 *    of that between a half and all of it by chance. After the last attempt it is dead, and stays to be looked at
 *    (vestry_jobs_list), run again (vestry_jobs_retry) or removed. A job whose process dies at each attempt, too.
 *  - Jobs of one kind begin in the order in which they are due; several run at once if there are several threads or
 *    processes, so they may end in another order.
 *  - A tick (vestry_jobs_every): each period is begun by one process of all. See there.
 *
 *  Times are milliseconds since 1970, since processes and restarts share them. If the clock is set forward, leases end
 *  early and jobs run twice; the number keeps late writers out all the same. If it is set back, all waits last longer.
 *
 *  A page that shows a job reads its row, by vestry_jobs_list or by SQL (columns id, kind, key, state, attempts,
 *  progress, said, error, created, ended; state is 'waiting', 'running', 'done' or 'dead'). Each step of the job is a
 *  commit to that row, so the page renders again as for any other write; nothing else is needed.
 *
 *  SQLite: while a transaction writes no lease can be renewed, because there is one writer. So a function whose
 *  transaction lasts longer than its lease calls vestry_job_finish in that transaction.
 *
 *  PostgreSQL: where pages of the pool follow commits (vestry/data/postgres.h: at the levels TABLES and READS), a job
 *  that any node enqueues is found with its commit, within some milliseconds; elsewhere each node asks every poll_ms.
 *  No node waits for another one's job. While the server is away nothing is begun. A function that runs meanwhile goes
 *  on, and its end is written when the server is back, unless its lease has ended before and another node has taken the
 *  job over. A function runs with no connection; what is written beside it needs one of the pool's.
 *
 *  The errors of the database, of the functions here that use it, are those of vestry/data/sql.h. */
#ifndef VESTRY_JOBS_H
#define VESTRY_JOBS_H

#include "vestry/data/sql.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The jobs of one database. */
typedef struct vestry_jobs vestry_jobs;

/** A kind, and a tick's name, are UTF-8 of so many bytes at most, and at least one; else INVALID. */
#define VESTRY_JOB_KIND_MAX_BYTES 64
/** A key is UTF-8 of so many bytes at most, and at least one; else INVALID. */
#define VESTRY_JOB_KEY_MAX_BYTES 255
/** What a job says has so many bytes at most. */
#define VESTRY_JOB_SAID_MAX_BYTES 255
/** A payload, whatever max_payload_bytes is. */
#define VESTRY_JOB_PAYLOAD_MAX_BYTES (16 << 20)

/** How far a job is. */
typedef enum vestry_job_state {
  VESTRY_JOB_ANY, /**< for vestry_jobs_list */
  VESTRY_JOB_WAITING,
  VESTRY_JOB_RUNNING, /**< or its process died, and the lease lasts yet */
  VESTRY_JOB_DONE,
  VESTRY_JOB_DEAD /**< it is not run again, unless by vestry_jobs_retry */
} vestry_job_state;

/* --------------------------------------------------------------------------------------------- functions --------- */

/** A job that is being run. To be read. */
typedef struct vestry_job {
  int64_t id;
  const char *kind;
  const char *key;        /**< NULL: it has none */
  vestry_slice payload;   /**< followed by a NUL, which is not counted */
  uint32_t attempt;       /**< from 1; one whose process died counts */
  uint32_t attempts_most; /**< after this one it is dead */
  int64_t fence;          /**< the number of this taking: a larger one is a later one. For what is written elsewhere */
  int64_t period_at_ms;   /**< of a tick: when its period began, since 1970; also when it is run again. Else 0 */
} vestry_job;

/** Does the job. May block and take long.
 *  job      until it returns
 *  Returns  OK: it is done | CLOSED, if vestry_job_is_over: it is put back, and this attempt does not count | anything
 *           else: it has failed, and is run again after a while
 *  Threads  one of the jobs' own, or that of vestry_jobs_step; no lock is held, and no connection is lent to it */
typedef vestry_err (*vestry_job_fn)(vestry_job *job, void *app);

/** Say how far it is, which also renews its lease. It is a commit: say it as often as a person wants to read it.
 *  fraction  0 to 1; what is no number counts as 0, what lies outside as the nearer end
 *  text      at most VESTRY_JOB_SAID_MAX_BYTES bytes of UTF-8, copied; NULL: none
 *  Returns   OK | CLOSED (it was taken over, or removed: stop) | TOO_LARGE | INVALID (no UTF-8) | the errors of the
 *            database
 *  Threads   the function's; blocks on the disk */
VESTRY_API vestry_err vestry_job_progress(vestry_job *job, double fraction, const char *text);
/** Whether the function should end soon: the jobs are being stopped, or this one was taken over, or removed. A long
 *  function asks now and then, and returns VESTRY_CLOSED. Threads any; does not block. */
VESTRY_API bool vestry_job_is_over(const vestry_job *job);
/** Why it fails, for the column `error`: a text of which VESTRY_JOB_SAID_MAX_BYTES bytes are kept. Otherwise that is
 *  the name of what the function returns. Threads the function's; does not block. */
VESTRY_API void vestry_job_explain(vestry_job *job, const char *text);
/** If the function fails now, it is no use to try again: the job is dead; a tick waits for its next period.
 *  Threads the function's; does not block. */
VESTRY_API void vestry_job_give_up(vestry_job *job);

/** How a run of a function has ended. */
typedef enum vestry_job_outcome {
  VESTRY_JOB_ENDED_DONE = 1,
  VESTRY_JOB_ENDED_AGAIN,    /**< failed; it waits to be run again */
  VESTRY_JOB_ENDED_DEAD,     /**< failed for the last time; a tick: for the last time in this period */
  VESTRY_JOB_ENDED_PUT_BACK, /**< the jobs are being stopped */
  VESTRY_JOB_ENDED_LOST      /**< it was taken over or removed meanwhile, or its end could not be written (the log says
                                  why): in the latter case it is run again when its lease has ended */
} vestry_job_outcome;

/** Is told of each run that has ended, after the commit that says so. On the thread that ran it; no lock is held. A job
 *  that is dead because its process died each time has no run that ends so: it is told of with `job->attempt` as it is,
 *  by the process that finds it. error: what the function returned. */
typedef void (*vestry_job_end_fn)(const vestry_job *job, vestry_job_outcome outcome, vestry_err error, void *app);

/* -------------------------------------------------------------------------------------------------- life --------- */

/** How jobs are run. Zero is the default, in brackets. */
typedef struct vestry_jobs_options {
  size_t size;                  /**< sizeof(vestry_jobs_options), or 0 */
  uint32_t threads_count;       /**< so many jobs run at once in this process [1]; at most 256. There is one more
                                     thread, which looks for jobs and renews leases */
  uint32_t lease_ms;            /**< a job whose process died is taken over after this [30,000]; at least 10. Leases are
                                     renewed after a third of it */
  uint32_t poll_ms;             /**< what other processes enqueue is found after this at the latest [50; over
                                     PostgreSQL 1,000 while pages of the pool follow commits: it is found with its
                                     commit there]; at most 60,000. What is committed by a connection of the pool is
                                     found at once, and what comes due when it does */
  uint32_t backoff_ms;          /**< before the second attempt [1,000] */
  uint32_t backoff_most_ms;     /**< before any attempt [an hour] */
  uint32_t attempts_most;       /**< if an order says nothing [20] */
  uint32_t max_payload_bytes;   /**< [64 KiB]; at most VESTRY_JOB_PAYLOAD_MAX_BYTES */
  uint64_t keep_ms;             /**< done jobs are removed so long after their end, when others end [a day].
                                     VESTRY_NEVER_MS: they stay. Dead ones stay */
  vestry_job_end_fn on_end;     /**< NULL: none */
  void *app;                    /**< handed to on_end */
  int64_t (*now_ms)(void *ctx); /**< milliseconds since 1970; NULL: the database's, over PostgreSQL the
                                     server's, which is one for all nodes. For tests */
  void *now_ctx;                /**< handed to it */
} vestry_jobs_options;

/** Make the table, unless it is there: vestry_job, and over PostgreSQL vestry_job_slot and vestry_job_total, too. A
 *  process that only enqueues needs nothing else.
 *  pool      borrowed; must not be destroyed before
 *  options   NULL: the defaults. Copied
 *  ret_jobs  owned by the caller. Untouched on failure
 *  Returns  OK | INVALID | the errors of vestry/data/sql.h (IO also: the table is of a later version of vestry; nothing
 *           was changed). The log says why, and what helps
 *  Threads  any; blocks on the network or the disk */
VESTRY_API vestry_err vestry_jobs_create(vestry_sql_pool *pool, const vestry_jobs_options *options,
                                         vestry_jobs **ret_jobs);
/** Stop, and free. No transaction with an enqueued job may be open. NULL is accepted. Threads as vestry_jobs_stop. */
VESTRY_API void vestry_jobs_destroy(vestry_jobs *jobs);

/** This process runs jobs of a kind. Others wait for a process that runs them.
 *  kind     copied
 *  app      handed to fn
 *  Returns  OK | INVALID (no kind; the jobs were started) | EXISTS (it has a function) | NO_MEMORY
 *  Threads  before vestry_jobs_start and vestry_jobs_step */
VESTRY_API vestry_err vestry_jobs_on(vestry_jobs *jobs, const char *kind, vestry_job_fn fn, void *app);
/** A tick: fn is called once in each period, by one of all processes that say this. Periods begin at offset_ms after
 *  1970 and each period_ms after that (so 86,400,000 and 3,600,000: daily at one o'clock, UTC), the first one after
 *  the tick was made.
 *  - A period is never begun twice, also if the clock is set back, unless it fails or its process dies or loses its
 *    lease: then it is begun again, as a job is, until it succeeds, has had its attempts, or the next period begins. So
 *    it is performed at least once if the function ever succeeds and a process lives; job->period_at_ms tells which
 *    one it is.
 *  - Periods do not overlap. Those that pass while fn runs, or while no process lives, are left out but for the last
 *    one, which is performed late.
 *  A tick is a row of the kind `name` that never ends; remove it by vestry_jobs_remove if no process performs it any
 *  more. If a process gives other times, they hold from then on, for all.
 *  name       a kind, with no other function
 *  period_ms  1 to 10 years
 *  offset_ms  less than period_ms
 *  Returns    OK | INVALID | EXISTS | NO_MEMORY | the errors of the database
 *  Threads    as vestry_jobs_on; blocks on the disk */
VESTRY_API vestry_err vestry_jobs_every(vestry_jobs *jobs, const char *name, uint64_t period_ms, uint64_t offset_ms,
                                        vestry_job_fn fn, void *app);
/** Start the threads.
 *  Returns  OK | INVALID (they were started, or stopped) | NO_MEMORY | IO (a thread cannot be started; none is left)
 *  Threads  one */
VESTRY_API vestry_err vestry_jobs_start(vestry_jobs *jobs);
/** Instead of threads: run one job that is due, on this thread. Leases are renewed by vestry_job_progress alone. For
 *  tests, and for programs that have a loop of their own.
 *  ret_has_run  whether there was one. NULL: not wanted
 *  Returns  OK, however the job has ended | INVALID (threads were started) | CLOSED (stopped) | the errors of
 *           vestry_sql_begin: nothing was run
 *  Threads  any, with no connection of the pool's; blocks as the function does */
VESTRY_API vestry_err vestry_jobs_step(vestry_jobs *jobs, bool *ret_has_run);
/** Begin no job any more, and wait for those that run; vestry_job_is_over tells them. Idempotent.
 *  Threads  not from a job's function; blocks */
VESTRY_API void vestry_jobs_stop(vestry_jobs *jobs);
/** Have the threads look for jobs at once: after a commit by a connection that is not the pool's. Threads any. */
VESTRY_API void vestry_jobs_wake(vestry_jobs *jobs);

/* ------------------------------------------------------------------------------------------------ orders --------- */

/** Which jobs of the same kind and key stand in the way of a new one. */
typedef enum vestry_job_unique {
  VESTRY_JOB_UNIQUE_KEPT,   /**< any that is there: also done ones for keep_ms, and dead ones */
  VESTRY_JOB_UNIQUE_OPEN,   /**< one that waits or runs */
  VESTRY_JOB_UNIQUE_WAITING /**< one that waits: one that runs may have begun too early to see what this is about. If
                                 the order reports EXISTS, that job begins after the order's transaction has ended, so
                                 it sees what that has committed. The other two look at jobs as they are at the order:
                                 one that is in the way may begin, and end, before the transaction does */
} vestry_job_unique;

/** What is to be done. Zero is the default, in brackets. */
typedef struct vestry_job_order {
  size_t size;              /**< sizeof(vestry_job_order), or 0 */
  const char *kind;         /**< which function does it */
  vestry_slice payload;     /**< what the function needs: any bytes [none] */
  const char *key;          /**< of its kind; there is one such job at a time [none: any number] */
  vestry_job_unique unique; /**< [VESTRY_JOB_UNIQUE_KEPT] */
  int64_t not_before_ms;    /**< since 1970 [now] */
  uint64_t delay_ms;        /**< not before this has gone by, either [0] */
  uint32_t attempts_most;   /**< [that of the options] */
} vestry_job_order;

/** Enqueue a job in a transaction.
 *  transaction  of the jobs' pool, to write with
 *  order        copied; its texts are UTF-8
 *  ret_id       receives the job's number, which no other job gets; with EXISTS that of the job that is there. NULL:
 *               not wanted
 *  Returns  OK | EXISTS (the key is taken: nothing was written, and the transaction may go on) | INVALID (also: a
 *           transaction that only reads, or of another pool) | TOO_LARGE (the payload) | the errors of vestry_sql_run
 *           (BUSY also: another transaction has enqueued a job of this key meanwhile)
 *  Threads  the transaction's; blocks on the network or the disk. PostgreSQL: with a key for other transactions that
 *           have enqueued one of it; a job of which VESTRY_JOB_UNIQUE_WAITING reports EXISTS is not begun, nor removed,
 *           until the transaction is over: keep it short. Once a worker was to begin that job, other orders of its key
 *           make another one */
VESTRY_API vestry_err vestry_jobs_enqueue(vestry_jobs *jobs, vestry_sql_transaction *transaction,
                                          const vestry_job_order *order, int64_t *ret_id);
/** Make it done in a transaction of the function's own, together with what that writes: both are committed, or neither.
 *  Commit before the function returns. If the transaction is rolled back, what the function returns counts.
 *  transaction  of the jobs' pool, to write with
 *  Returns  OK | CLOSED (it was taken over, or removed: roll back) | INVALID (a transaction that only reads, or of
 *           another pool; a tick, whose row stays) | the errors of vestry_sql_run
 *  Threads  the function's; blocks on the network or the disk */
VESTRY_API vestry_err vestry_job_finish(vestry_job *job, vestry_sql_transaction *transaction);

/* --------------------------------------------------------------------------------------------- management -------- */

/** A job, as it is. Until the function returns that it is given to. */
typedef struct vestry_job_row {
  int64_t id;
  const char *kind;
  const char *key; /**< NULL: none */
  vestry_job_state state;
  vestry_slice payload;
  uint32_t attempts_count; /**< begun so far */
  uint32_t attempts_most;
  double progress;    /**< 0 to 1 */
  const char *said;   /**< by vestry_job_progress, in this attempt; NULL: nothing */
  const char *error;  /**< why it failed the last time; NULL: it has not */
  int64_t created_ms; /**< since 1970, and so for the next ones */
  int64_t due_ms;     /**< WAITING: not before; RUNNING: its lease ends; else 0 */
  int64_t ended_ms;   /**< DONE, DEAD; else 0 */
  uint64_t period_ms; /**< of a tick: its length; else 0 */
} vestry_job_row;

/** Is given a job. On the thread that lists; it runs no statement of the pool's that writes. */
typedef void (*vestry_job_row_fn)(const vestry_job_row *row, void *ctx);

/** Go through jobs by their numbers. In a render the page renders again when one of them changes.
 *  kind      NULL: all
 *  state     VESTRY_JOB_ANY: all
 *  after_id  those with larger numbers; 0: all
 *  count     at most so many
 *  Returns  OK (also: none) | INVALID | the errors of the database
 *  Threads  any; blocks on the disk */
VESTRY_API vestry_err vestry_jobs_list(vestry_jobs *jobs, const char *kind, vestry_job_state state, int64_t after_id,
                                       uint32_t count, vestry_job_row_fn fn, void *ctx);
/** Have a dead job wait again, with all its attempts. Also one that waits: it is due now.
 *  Its key stands in the way of none that was enqueued since.
 *  Returns  OK | NOT_FOUND (there is none, or it runs, or is done) | INVALID | the errors of the database
 *  Threads  any, with no connection of the pool's; blocks on the disk */
VESTRY_API vestry_err vestry_jobs_retry(vestry_jobs *jobs, int64_t id);
/** Remove a job, however far it is. A function that runs it goes on, and is told by CLOSED and vestry_job_is_over.
 *  Returns  OK | NOT_FOUND | INVALID | the errors of the database
 *  Threads  as vestry_jobs_retry */
VESTRY_API vestry_err vestry_jobs_remove(vestry_jobs *jobs, int64_t id);

/** What there is in the table, and what this process has done since its jobs were created. */
typedef struct vestry_jobs_stats {
  size_t size;             /**< sizeof(vestry_jobs_stats), or 0 */
  uint64_t enqueued_count; /**< ever, by all processes, ticks included: the sum of the next five */
  uint64_t waiting_count;  /**< now, and so for the next three */
  uint64_t running_count;
  uint64_t done_count;
  uint64_t dead_count;
  uint64_t removed_count; /**< ever: by hand, and done ones after keep_ms */
  uint64_t begun_count;   /**< runs, by this process: the sum of the next five, and under_way_count */
  uint64_t succeeded_count;
  uint64_t again_count; /**< failed, and tried again */
  uint64_t died_count;  /**< failed for the last time */
  uint64_t put_back_count;
  uint64_t lost_count;
  uint64_t under_way_count;  /**< now */
  uint64_t taken_over_count; /**< of begun_count: after another one's lease had ended */
  uint64_t buried_count;     /**< dead, found so: the process of each attempt had died. No run */
} vestry_jobs_stats;

/** A snapshot; the table's numbers take time in proportion to its rows.
 *  Returns  OK | INVALID | the errors of the database
 *  Threads  any; blocks on the disk */
VESTRY_API vestry_err vestry_jobs_stats_get(vestry_jobs *jobs, vestry_jobs_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
