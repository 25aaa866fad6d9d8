/* SPDX-License-Identifier: MIT */
/** Jobs in a database of PostgreSQL (libvestry-postgres): what vestry/data/jobs.h promises, for all nodes that use it.
 *
 *      vestry_postgres_jobs_create(pool, NULL, &jobs);              // and so on, as in vestry/data/jobs.h
 *
 *      static vestry_err post(vestry_postgres_loan *loan, void *ctx) { // a handler's, by vestry_postgres_act
 *        vestry_err err = vestry_postgres_run(loan, "INSERT INTO message VALUES($1)", VESTRY_LIST(text), NULL, NULL);
 *        const vestry_job_order mail = {.kind = "mail", .payload = {text, strlen(text)}};
 *        return err ? err : vestry_postgres_jobs_enqueue(jobs, loan, &mail, NULL);
 *      }                                                            // both are committed, or neither
 *
 *  Where pages of the pool follow commits (vestry/data/postgres.h: at the levels TABLES and READS), a job that any node
 *  enqueues is found with its commit, within some milliseconds; elsewhere each node asks every poll_ms.
 *
 *  Leases, waits and periods go by the server's clock, which is one for all nodes. No node waits for another one's job.
 *  While the server is away nothing is begun. A function that runs meanwhile goes on, and its end is written when the
 *  server is back, unless its lease has ended before and another node has taken the job over. A function runs with no
 *  connection; what is written beside it needs one of the pool's. */
#ifndef VESTRY_POSTGRES_JOBS_H
#define VESTRY_POSTGRES_JOBS_H

#include "vestry/data/jobs.h"
#include "vestry/data/postgres_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Make the tables vestry_job, vestry_job_slot and vestry_job_total, unless they are there. A process that only
 *  enqueues needs nothing else.
 *  pool      borrowed; must not be destroyed before
 *  options   NULL: the defaults, with the server's clock. Copied
 *  ret_jobs  owned by the caller. Untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY | the errors of vestry/data/postgres_pool.h (IO also: the tables are of a later
 *  version
 *           of vestry; nothing was changed). The log says why, and what helps
 *  Threads  any; blocks on the network */
VESTRY_API vestry_err vestry_postgres_jobs_create(vestry_postgres_pool *pool, const vestry_jobs_options *options,
                                                  vestry_jobs **ret_jobs);

/** Enqueue a job in a transaction.
 *  loan    of the jobs' pool, to write with
 *  order   copied; its texts are UTF-8
 *  ret_id  receives the job's number, which no other job gets; with EXISTS that of the job that is there. NULL: not
 *          wanted
 *  Returns  OK | EXISTS (the key is taken: nothing was written, and the transaction may go on) | INVALID (also: a
 *           transaction that only reads, or of another pool) | TOO_LARGE (the payload) | NO_MEMORY | the errors of
 *           vestry_postgres_run (BUSY also: another transaction has enqueued a job of this key meanwhile)
 *  Threads  the loan's; blocks on the network, and with a key for other transactions that have enqueued one of it.
 *           A job of which VESTRY_JOB_UNIQUE_WAITING reports EXISTS is not begun, nor removed, until the transaction is
 *           over: keep it short. Once a worker was to begin that job, other orders of its key make another one */
VESTRY_API vestry_err vestry_postgres_jobs_enqueue(vestry_jobs *jobs, vestry_postgres_loan *loan,
                                                   const vestry_job_order *order, int64_t *ret_id);
/** Make it done in a transaction of the function's own, together with what that writes: both are committed, or neither.
 *  Commit before the function returns. If the transaction is rolled back, what the function returns counts.
 *  loan     of the jobs' pool, to write with
 *  Returns  OK | CLOSED (it was taken over, or removed: roll back) | INVALID (a transaction that only reads, or of
 *           another pool; a tick, whose row stays) | the errors of vestry_postgres_run
 *  Threads  the function's; blocks on the network */
VESTRY_API vestry_err vestry_postgres_job_finish(vestry_job *job, vestry_postgres_loan *loan);

#ifdef __cplusplus
}
#endif
#endif
