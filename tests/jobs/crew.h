/* SPDX-License-Identifier: MIT */
/* Two nodes that run the jobs of one database of any kind, each with its own pool. The clock is manual. */
#ifndef TESTS_JOBS_CREW_H
#define TESTS_JOBS_CREW_H

#include <stdatomic.h>

#include "support/test_host.h"
#include "support/until.h"
#include "vestry/app/page.h"
#include "vestry/data/jobs.h"
#include "vestry/data/sql.h"

enum { CREW_NODES = 2, CREW_LEASE_MS = 1000, CREW_ENDS = 64, CREW_JOBS = 128, CREW_SEEN_BYTES = 300 };
#define CREW_BEGIN_MS INT64_C(1700000000000)

typedef struct crew crew;
typedef struct crew_node {
  crew *of;
  vestry_sql_pool *pool;
  vestry_jobs *jobs;
} crew_node;

/* The operations that a database provides for the tests. */
typedef struct crew_database {
  const vestry_sql_kind *kinds; /* of writing transactions */
  int kinds_count;
  unsigned fail_step; /* each allocation of this distance fails; 1: each */
  void (*make)(void); /* make an empty database with a table t(x), for all nodes until it is removed */
  void (*remove)(void);
  vestry_err (*open)(crew_node *n, const vestry_host *host, const vestry_jobs_options *options); /* a pool and jobs */
  /* Let pages follow the node's database. settle: publish all commits to the pages; returns the last published
   * number. */
  void *(*follow)(crew_node *n, vestry_pages *pages);
  uint64_t (*settle)(void *followed);
  void (*unfollow)(crew_node *n, void *followed);
  int connections_count; /* of the node's pool */
  /* For the model, while no transaction is open: disturb cuts the node's connections, or blocks its writes until
   * calm. calm returns whether a write has failed since. */
  void (*disturb)(crew_node *n);
  bool (*calm)(crew_node *n);
} crew_database;

struct crew {
  test_host th;
  crew_node nodes[CREW_NODES];
  vestry_err answers[32]; /* results of the calls of the function "work"; initially OK */
  atomic_int calls;
  void (*meanwhile)(crew *c, crew_node *n, vestry_job *job); /* called by the function */
  int64_t fence, period_at_ms;                               /* fence to seen_len: of the last call */
  uint32_t attempt;
  unsigned char seen[CREW_SEEN_BYTES]; /* the payload, or its beginning */
  size_t seen_len;
  atomic_int reported, ends;
  _Atomic(vestry_job_outcome) outcomes[CREW_ENDS];
  atomic_bool is_held;        /* the function waits until false, or until its job is over */
  atomic_int runs[CREW_JOBS]; /* calls of the function "count", by job id */
};

/* A job's row, with copies of its texts; "-": none. */
typedef struct crew_row {
  vestry_job_row row;
  char said[300], error[300], key[300];
  unsigned char payload[CREW_SEEN_BYTES];
  int count;
} crew_row;

extern _Atomic(int64_t) crew_clock_ms; /* since 1970 */

/* Set the database of all crews from now on. */
void crew_use(const crew_database *database);
const crew_database *crew_of(void);

int64_t crew_now_ms(void *ctx);
void crew_pass(int64_t ms);

/* The function of the kind "work". */
vestry_err crew_work(vestry_job *job, void *app);

/* Begin a crew without nodes, over an empty database. */
void crew_begin(crew *c);
/* Open a node with functions for the kinds "work" and "count". It uses the manual clock unless has_own_clock. */
vestry_err crew_open_node(crew *c, crew_node *n, const vestry_host *host, vestry_jobs_options options,
                          bool has_own_clock);
void crew_close_node(crew_node *n);
/* Begin a crew, and open its nodes. */
void crew_open(crew *c, vestry_jobs_options options);
/* Close all nodes, check memory, and remove the database. */
void crew_close(crew *c);

/* Enqueue in a transaction that also inserts 1 into t, and ends with `end` or with the error of the order. */
vestry_err crew_enqueue_as(crew_node *n, int kind, vestry_job_order order, vestry_err end, int64_t *ret_id);
vestry_err crew_try(crew_node *n, vestry_job_order order, int64_t *ret_id);
/* Enqueue on the first node, and expect success. order.kind: NULL is "work", here and in the two functions above. */
int64_t crew_enqueue(crew *c, vestry_job_order order);
/* Finish the job in a transaction that inserts 2 into t, and ends with `end` or with an earlier error. */
vestry_err crew_finish(crew_node *n, vestry_job *job, vestry_err end);
/* Begin a transaction of one of the kinds, numbered from 0, and run a statement in it. */
vestry_err crew_transact(crew_node *n, int kind, vestry_sql_transaction **ret_transaction);
vestry_err crew_run(vestry_sql_transaction *transaction, const char *sql);
/* Run one statement in a transaction. */
void crew_do(crew_node *n, const char *sql);
int64_t crew_number(crew_node *n, const char *sql); /* the result of a query */
/* Run one step; returns whether a job ran. */
bool crew_step(crew_node *n);
crew_row crew_look(crew_node *n, int64_t id);

/* For `meanwhile`: this node stalls until its lease ends, and the other node takes the job over. Later reports of
 * this node are rejected. */
void crew_stand_still(crew *c, crew_node *n, vestry_job *job);

/* A case with a crew of default options. */
#define CREW_CASE(name) TEST_CASE_WITH(name, crew, c, crew_open(c, (vestry_jobs_options){0}), crew_close(c))

#endif
