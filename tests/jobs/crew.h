/* SPDX-License-Identifier: MIT */
/* Two nodes that do the jobs of one database, whichever that is: each has a pool of its own. Time is turned by hand. */
#ifndef TESTS_JOBS_CREW_H
#define TESTS_JOBS_CREW_H

#include <stdatomic.h>

#include "support/test_host.h"
#include "support/until.h"
#include "vestry/app/page.h"
#include "vestry/data/jobs.h"

enum { CREW_NODES = 2, CREW_LEASE_MS = 1000, CREW_ENDS = 64, CREW_JOBS = 128, CREW_SEEN_BYTES = 300 };
#define CREW_BEGIN_MS INT64_C(1700000000000)

typedef struct crew crew;
typedef struct crew_node {
  crew *of;
  void *pool; /* the database's */
  vestry_jobs *jobs;
} crew_node;

/* What a database does for the tests. */
typedef struct crew_database {
  int kinds_count;    /* of transactions that write, from 0 on */
  bool does_without;  /* where memory is missing it may do the same again, and succeed */
  void (*make)(void); /* an empty one with a table t(x), for all nodes that open until it is removed */
  void (*remove)(void);
  /* A pool, and jobs. close: also after a failure. */
  vestry_err (*open)(crew_node *n, const vestry_host *host, const vestry_jobs_options *options);
  void (*close)(crew_node *n);
  /* A transaction of that kind; what else is to be done in it. */
  vestry_err (*begin)(crew_node *n, int kind, void **ret_loan);
  vestry_err (*end)(void *loan, vestry_err end);
  vestry_err (*run)(void *loan, const char *sql);
  vestry_err (*enqueue)(crew_node *n, void *loan, const vestry_job_order *order, int64_t *ret_id);
  vestry_err (*finish)(vestry_job *job, void *loan);
  int64_t (*number)(crew_node *n, const char *sql); /* that a query finds */
  /* Pages follow the node's database. settle: all that was committed has been told to them; returns up to where. */
  void *(*follow)(crew_node *n, vestry_pages *pages);
  uint64_t (*settle)(void *followed);
  void (*unfollow)(crew_node *n, void *followed);
  /* A connection of the node's pool, that this thread has, and how many there are. */
  int connections_count;
  vestry_err (*hold)(crew_node *n, void **ret_loan);
  void (*let_go)(void *loan);
  /* For the model: the node's connections are lost, or it cannot write until it is calm. calm: returns whether it could
   * not since. No transaction is open. */
  void (*disturb)(crew_node *n);
  bool (*calm)(crew_node *n);
} crew_database;

struct crew {
  test_host th;
  crew_node nodes[CREW_NODES];
  vestry_err answers[32]; /* of the function "work", by its calls; OK at first */
  atomic_int calls;
  void (*meanwhile)(crew *c, crew_node *n, vestry_job *job); /* called by the function */
  int64_t fence, period_at_ms;                               /* of the last call, and so for the next three */
  uint32_t attempt;
  unsigned char seen[CREW_SEEN_BYTES]; /* the payload, or its beginning */
  size_t seen_len;
  atomic_int told, ends;
  _Atomic(vestry_job_outcome) outcomes[CREW_ENDS];
  atomic_bool is_held;        /* the function waits until it is not, or is over */
  atomic_int runs[CREW_JOBS]; /* of the function "count", by the job's number */
};

/* A job's row, with copies of its texts; "-": it has none. */
typedef struct crew_row {
  vestry_job_row row;
  char said[300], error[300], key[300];
  unsigned char payload[CREW_SEEN_BYTES];
  int count;
} crew_row;

extern _Atomic(int64_t) crew_clock_ms; /* since 1970 */

/* The database of all crews from now on. */
void crew_use(const crew_database *database);
const crew_database *crew_of(void);

int64_t crew_now_ms(void *ctx);
void crew_pass(int64_t ms);

/* The function of the kind "work". */
vestry_err crew_work(vestry_job *job, void *app);

/* A crew without nodes, over an empty database. */
void crew_begin(crew *c);
/* Open one, with the clock that is turned by hand unless has_own_clock. It does jobs of the kinds "work" and
 * "count". */
vestry_err crew_open_node(crew *c, crew_node *n, const vestry_host *host, vestry_jobs_options options,
                          bool has_own_clock);
void crew_close_node(crew_node *n);
/* All of it: a crew, and its nodes. */
void crew_open(crew *c, vestry_jobs_options options);
/* All nodes end; their counters add up, nothing is left, and the database is removed. */
void crew_close(crew *c);
/* The counters of a node, which add up. */
vestry_jobs_stats crew_stats(crew_node *n);

/* In a transaction that also writes a row of t, 1, and ends with `end`, or with the error of the order. */
vestry_err crew_enqueue_as(crew_node *n, int kind, vestry_job_order order, vestry_err end, int64_t *ret_id);
vestry_err crew_try(crew_node *n, vestry_job_order order, int64_t *ret_id);
/* By the first node; it succeeds. order.kind: NULL is "work", here and in the two before. */
int64_t crew_enqueue(crew *c, vestry_job_order order);
/* A transaction writes a row of t, 2, and finishes the job; it ends with `end`, or with the error of that. */
vestry_err crew_finish(crew_node *n, vestry_job *job, vestry_err end);
/* A transaction with one statement. */
void crew_do(crew_node *n, const char *sql);
int64_t crew_number(crew_node *n, const char *sql);
/* Whether a job was run. */
bool crew_step(crew_node *n);
crew_row crew_look(crew_node *n, int64_t id);

/* For `meanwhile`: this node stands still while its lease ends. The other one takes the job over, and no late word of
 * the former counts. */
void crew_stand_still(crew *c, crew_node *n, vestry_job *job);

#endif
