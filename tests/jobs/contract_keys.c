/* SPDX-License-Identifier: MIT */
/* Jobs with a key: at most one per key at a time. */
#include <pthread.h>

#include "jobs/contract.h"

/* capability: L7, M3 */
TEST_CASE(key_has_one_job_at_a_time) {
  crew c;
  crew_open(&c, (vestry_jobs_options){.keep_ms = 5000});
  crew_node *n = &c.nodes[0];
  const vestry_job_order kept = {.key = "a"}, open = {.key = "a", .unique = VESTRY_JOB_UNIQUE_OPEN};
  int64_t first = crew_enqueue(&c, kept), id = 0;
  assert_int_equal(crew_try(&c.nodes[1], kept, &id), VESTRY_EXISTS);
  assert_int_equal(id, first);
  /* The transaction was committed despite VESTRY_EXISTS. */
  assert_int_equal(crew_number(n, "SELECT count(*) FROM t"), 2);
  assert_int_equal(crew_try(n, open, &id), VESTRY_EXISTS);
  crew_enqueue(&c, (vestry_job_order){.key = "b"});
  crew_enqueue(&c, (vestry_job_order){.kind = "unknown", .key = "a"}); /* a key is unique within its kind */
  crew_enqueue(&c, (vestry_job_order){0});
  while (crew_step(&c.nodes[1])) continue;
  assert_int_equal(crew_try(n, kept, &id), VESTRY_EXISTS); /* done, and not yet deleted */
  assert_int_equal(id, first);
  assert_int_equal(crew_try(n, open, &id), VESTRY_OK);
  assert_true(crew_step(n));
  crew_pass(5000);
  crew_enqueue(&c, (vestry_job_order){0});
  assert_true(crew_step(n)); /* deletes expired rows */
  assert_int_equal(crew_try(n, kept, &id), VESTRY_OK);
  assert_int_not_equal(id, first);
  crew_close(&c);
}

static void enqueue_again(crew *c, crew_node *n, vestry_job *job) {
  int64_t id;
  assert_string_equal(job->key, "a");
  c->meanwhile = NULL;
  assert_int_equal(crew_try(n, (vestry_job_order){.key = "a", .unique = VESTRY_JOB_UNIQUE_OPEN}, &id), VESTRY_EXISTS);
  assert_int_equal(id, job->id);
  assert_int_equal(crew_try(n, (vestry_job_order){.key = "a", .unique = VESTRY_JOB_UNIQUE_WAITING}, &id), VESTRY_OK);
  assert_int_not_equal(id, job->id);
}

/* capability: L7, M3 */
CREW_CASE(order_during_a_run_runs_after_it) {
  crew_enqueue(c, (vestry_job_order){.key = "a"});
  c->meanwhile = enqueue_again;
  assert_true(crew_step(&c->nodes[0]));
  assert_true(crew_step(&c->nodes[0]));
  assert_false(crew_step(&c->nodes[0]));
}

typedef struct rival {
  crew_node *n;
  int kind, made;
} rival;

static void *enqueue_keys(void *ctx) {
  rival *r = ctx;
  for (int i = 0; i < 20; i++) {
    char key[8];
    snprintf(key, sizeof key, "%d", i);
    vestry_err error;
    do error = crew_enqueue_as(r->n, r->kind, (vestry_job_order){.key = key}, VESTRY_OK, NULL);
    while (error == VESTRY_BUSY);
    r->made += error == VESTRY_OK;
  }
  return NULL;
}

/* capability: L7, M3 */
TEST_CASE(concurrent_orders_of_a_key_make_one_job) {
  for (int kind = 0; kind < crew_of()->kinds_count; kind++) {
    crew c;
    pthread_t threads[CREW_NODES];
    rival rivals[CREW_NODES];
    crew_open(&c, (vestry_jobs_options){0});
    for (int i = 0; i < CREW_NODES; i++) {
      rivals[i] = (rival){&c.nodes[i], kind, 0};
      assert_int_equal(pthread_create(&threads[i], NULL, enqueue_keys, &rivals[i]), 0);
    }
    for (int i = 0; i < CREW_NODES; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(rivals[0].made + rivals[1].made, 20);
    assert_int_equal(crew_number(&c.nodes[0], "SELECT count(DISTINCT key) FROM vestry_job"), 20);
    assert_int_equal(crew_number(&c.nodes[0], "SELECT count(*) FROM vestry_job"), 20);
    crew_close(&c);
  }
}

int jobs_contract_run_keys(void) {
  return cases_run("jobs_contract_keys", NULL, NULL);
}
