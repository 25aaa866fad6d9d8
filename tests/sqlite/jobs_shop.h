/* SPDX-License-Identifier: MIT */
/* Two processes over one database of jobs, which are played by two pools; time is turned by hand. */
#ifndef TESTS_SQLITE_JOBS_SHOP_H
#define TESTS_SQLITE_JOBS_SHOP_H

#include <stdatomic.h>

#include "sqlite/ledger.h"
#include "support/until.h"
#include "vestry/sqlite_jobs.h"

enum { NODES = 2, LEASE_MS = 1000 };
#define BEGIN_MS INT64_C(1700000000000)

typedef struct shop shop;
/* One process. */
typedef struct shop_node {
  shop *s;
  vestry_sqlite_pool *pool;
  vestry_jobs *jobs;
} shop_node;
struct shop {
  test_host th;
  char folder[FOLDER_BYTES], path[96];
  shop_node nodes[NODES];
  vestry_err answers[32]; /* of the function, by its calls; OK at first */
  atomic_int calls;
  void (*meanwhile)(shop *s, shop_node *n, vestry_job *job); /* called by the function */
  int64_t fence, period_at_ms;                               /* of the last call */
  uint32_t attempt;
  char seen[64]; /* the last payload */
  vestry_job_outcome outcomes[64];
  atomic_int ends;
  atomic_bool is_held; /* the function waits until it is not, or is over */
};

typedef struct shop_copy {
  vestry_job_row row;
  char said[300], error[300];
  int count;
} shop_copy;

extern _Atomic(int64_t) shop_clock_ms; /* since 1970 */
extern uint32_t shop_busy_ms;          /* of pools that are opened */

int64_t shop_now_ms(void *ctx);
void shop_note_end(const vestry_job *job, vestry_job_outcome outcome, vestry_err error, void *app);
/* The function of that kind. */
vestry_err shop_work(vestry_job *job, void *app);
vestry_err shop_open_node(shop *s, shop_node *n, vestry_jobs_options options);
void shop_close_node(shop_node *n);
/* A folder, and two nodes that do jobs of the kind "work". */
void shop_open(shop *s, vestry_jobs_options options);
/* Counters do. */
void shop_add_up(shop_node *n);
void shop_close(shop *s);
vestry_err shop_enqueue_as(shop_node *n, vestry_job_order order, int64_t *ret_id);
int64_t shop_enqueue(shop *s, vestry_job_order order);
bool shop_step(shop_node *n);
int64_t shop_number(shop_node *n, const char *sql);
shop_copy shop_look(shop_node *n, int64_t id);
void shop_pass(int64_t ms);
/* For `meanwhile`: this process stands still while its lease ends. The other one takes the job over, and no late word
 * of the former counts. */
void shop_stand_still(shop *s, shop_node *n, vestry_job *job);

#endif
