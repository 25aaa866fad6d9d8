/* SPDX-License-Identifier: MIT */
/** Jobs in a database of SQLite (libvestry-sqlite): what vestry/data/jobs.h promises, for all processes that use the
 *  file.
 *
 *      vestry_sqlite_jobs_create(pool, NULL, &jobs);                // and so on, as in vestry/data/jobs.h
 *
 *      vestry_sqlite_borrow(pool, VESTRY_SQLITE_WRITE, &loan);      // a handler
 *      err = vestry_sqlite_run(loan, "INSERT INTO message(text) VALUES(?)", VESTRY_LIST(text), NULL, NULL);
 *      const vestry_job_order mail = {.kind = "mail", .payload = {text, strlen(text)}};
 *      if (!err) err = vestry_sqlite_jobs_enqueue(jobs, loan->db, &mail, NULL);
 *      err = vestry_sqlite_give(loan, err);                         // both are committed, or neither
 *
 *  While a transaction writes no lease can be renewed, because SQLite has one writer. So a function whose transaction
 *  lasts longer than its lease calls vestry_sqlite_job_finish in that transaction. */
#ifndef VESTRY_SQLITE_JOBS_H
#define VESTRY_SQLITE_JOBS_H

#include "vestry/data/jobs.h"
#include "vestry/data/sqlite_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Make the table, unless it is there. A process that only enqueues needs nothing else.
 *  pool      borrowed; must not be destroyed before
 *  options   NULL: the defaults. Copied
 *  ret_jobs  owned by the caller. Untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY | BUSY | LIMIT (the disk is full; no connection) | IO (also: the table is of a
 *           later version of vestry; nothing was changed). The log says why, and what helps
 *  Threads  any; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_jobs_create(vestry_sqlite_pool *pool, const vestry_jobs_options *options,
                                                vestry_jobs **ret_jobs);
/** Enqueue a job, in the transaction that the connection is in, or in one of its own.
 *  db      a connection to the jobs' database: of a loan, or the application's own (then vestry_jobs_wake after the
 *          commit spares poll_ms)
 *  order   copied
 *  ret_id  receives the job's number, which no other job gets; with EXISTS that of the job that is there. NULL: not
 *          wanted
 *  Returns  OK | EXISTS (the key is taken: nothing was written, and the transaction may go on) | INVALID | TOO_LARGE
 *           (the payload) | NO_MEMORY | BUSY | LIMIT (the disk is full) | IO. Of the last three the log says why
 *  Threads  the connection's; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_jobs_enqueue(vestry_jobs *jobs, sqlite3 *db, const vestry_job_order *order,
                                                 int64_t *ret_id);

/** Make it done in a transaction of the function's own, together with what that writes: both are committed, or neither.
 *  Commit before the function returns. If the transaction is rolled back, what the function returns counts.
 *  db       a connection to the jobs' database, in a transaction
 *  Returns  OK | CLOSED (it was taken over, or removed: roll back) | INVALID (no transaction; a tick, whose row stays)
 *           | NO_MEMORY | BUSY | LIMIT (the disk is full) | IO
 *  Threads  the function's; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_job_finish(vestry_job *job, sqlite3 *db);

#ifdef __cplusplus
}
#endif
#endif
