/* SPDX-License-Identifier: MIT */
/* Jobs in PostgreSQL: what is committed is run, by one node at a time, while others enqueue, die, and lose the server.
 * Two nodes are two pools; time is turned by hand, where it is not said otherwise. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "postgres/shop.h"
#include "support/until.h"
#include "vestry/memory.h"
#include "vestry/postgres.h"
#include "vestry/postgres_jobs.h"
#include "vestry/vestry.h"

enum { NODES = 2, LEASE_MS = 1000, MANY = 120 };
#define BEGIN_MS INT64_C(1700000000000)

static _Atomic(int64_t) clock_ms;

static int64_t now_ms(void *ctx) {
  (void)ctx;
  return atomic_load(&clock_ms);
}

static void pass(int64_t ms) {
  atomic_fetch_add(&clock_ms, ms);
}

typedef struct world world;
typedef struct node {
  world *w;
  vestry_postgres_pool *pool;
  vestry_jobs *jobs;
} node;
struct world {
  test_host th;
  node nodes[NODES];
  void (*meanwhile)(world *w, node *n, vestry_job *job); /* called by the function, once */
  vestry_err answers[8];                                 /* of the function, by its calls; OK at first */
  atomic_int calls, ends, runs[MANY + 8];                /* runs: by the job's number */
  vestry_job_outcome outcomes[8];
  uint32_t attempt;
  int64_t fence, period_at_ms;
  char seen[32];
};

static void note_end(const vestry_job *job, vestry_job_outcome outcome, vestry_err error, void *app) {
  world *w = app;
  (void)job, (void)error;
  w->outcomes[atomic_load(&w->ends) % 8] = outcome;
  atomic_fetch_add(&w->ends, 1);
}

static vestry_err work(vestry_job *job, void *app) {
  node *n = app;
  world *w = n->w;
  void (*meanwhile)(world *, node *, vestry_job *) = w->meanwhile;
  w->meanwhile = NULL;
  w->attempt = job->attempt;
  w->fence = job->fence;
  w->period_at_ms = job->period_at_ms;
  snprintf(w->seen, sizeof w->seen, "%s", (const char *)job->payload.data);
  const int call = atomic_fetch_add(&w->calls, 1);
  if (meanwhile) meanwhile(w, n, job);
  return w->answers[call % 8];
}

static vestry_err open_node(world *w, node *n, const vestry_host *host, vestry_jobs_options options) {
  n->w = w;
  options.on_end = note_end;
  options.app = w;
  if (!options.lease_ms) options.lease_ms = LEASE_MS;
  vestry_err error = vestry_postgres_pool_create(
      &(vestry_postgres_pool_options){
          .host = host, .url = shop_server()->url, .connections_count = 4, .wait_ms = 60000, .retry_ms = 1},
      &n->pool);
  if (!error) error = vestry_postgres_jobs_create(n->pool, &options, &n->jobs);
  return error ? error : vestry_jobs_on(n->jobs, "work", work, n);
}

static void close_node(node *n) {
  vestry_jobs_destroy(n->jobs);
  vestry_postgres_pool_destroy(n->pool);
  n->jobs = NULL;
  n->pool = NULL;
}

static void open_world(world *w, vestry_jobs_options options) {
  memset(w, 0, sizeof *w);
  test_host_init(&w->th);
  atomic_store(&clock_ms, BEGIN_MS);
  shop_clear();
  postgres_server_run(shop_server(), "CREATE TABLE t(x integer)");
  for (int i = 0; i < NODES; i++) assert_int_equal(open_node(w, &w->nodes[i], &w->th.host, options), VESTRY_OK);
}

static void begin(world *w, vestry_jobs_options options) {
  options.now_ms = now_ms;
  open_world(w, options);
}

static vestry_jobs_stats stats_of(node *n) {
  vestry_jobs_stats is = {0};
  assert_int_equal(vestry_jobs_stats_get(n->jobs, &is), VESTRY_OK);
  assert_int_equal(is.enqueued_count,
                   is.waiting_count + is.running_count + is.done_count + is.dead_count + is.removed_count);
  assert_int_equal(is.begun_count, is.succeeded_count + is.again_count + is.died_count + is.put_back_count +
                                       is.lost_count + is.under_way_count);
  return is;
}

static void end(world *w) {
  for (int i = 0; i < NODES; i++) {
    (void)stats_of(&w->nodes[i]);
    close_node(&w->nodes[i]);
  }
  test_host_assert_clean(&w->th);
}

/* In a transaction that writes a row of t, too, and ends with `end`, or with the error of the order. */
static vestry_err enqueue_as(node *n, vestry_postgres_kind kind, vestry_job_order order, vestry_err end_with,
                             int64_t *ret_id) {
  vestry_postgres_loan *loan;
  vestry_err error = vestry_postgres_begin(n->pool, kind, &loan);
  if (error) return error;
  if (!order.kind) order.kind = "work";
  error = vestry_postgres_run(loan, "INSERT INTO t VALUES(1)", NULL, NULL, NULL);
  if (!error) error = vestry_postgres_jobs_enqueue(n->jobs, loan, &order, ret_id);
  vestry_err ended = vestry_postgres_end(loan, error && error != VESTRY_EXISTS ? error : end_with);
  return error ? error : ended;
}

static vestry_err try_enqueue(node *n, vestry_job_order order, int64_t *ret_id) {
  return enqueue_as(n, VESTRY_POSTGRES_READ_COMMITTED, order, VESTRY_OK, ret_id);
}

static int64_t enqueue(world *w, vestry_job_order order) {
  int64_t id = 0;
  assert_int_equal(try_enqueue(&w->nodes[0], order, &id), VESTRY_OK);
  return id;
}

static bool step(node *n) {
  bool has_run = false;
  assert_int_equal(vestry_jobs_step(n->jobs, &has_run), VESTRY_OK);
  return has_run;
}

static int64_t number(const char *sql) {
  return postgres_server_number(shop_server(), sql);
}

typedef struct copied {
  vestry_job_row row;
  char said[64], error[300], payload[32];
} copied;

static void copy_row(const vestry_job_row *row, void *ctx) {
  copied *to = ctx;
  to->row = *row;
  snprintf(to->said, sizeof to->said, "%s", row->said ? row->said : "-");
  snprintf(to->error, sizeof to->error, "%s", row->error ? row->error : "-");
  snprintf(to->payload, sizeof to->payload, "%.*s", (int)row->payload.len, (const char *)row->payload.data);
}

static copied look(node *n, int64_t id) {
  copied is;
  memset(&is, 0, sizeof is);
  assert_int_equal(vestry_jobs_list(n->jobs, NULL, VESTRY_JOB_ANY, id - 1, 1, copy_row, &is), VESTRY_OK);
  assert_int_equal(is.row.id, id);
  return is;
}

/* ------------------------------------------------------------------------------------------------- running --- */

/* By the server's clock. */
/* capability: L7, M3 */
static void what_is_committed_is_run_by_any_node_and_what_is_rolled_back_never(void **state) {
  (void)state;
  world w;
  open_world(&w, (vestry_jobs_options){0});
  int64_t id;
  const vestry_job_order order = {.payload = {"rolled back", 11}};
  assert_int_equal(enqueue_as(&w.nodes[0], VESTRY_POSTGRES_SERIALIZABLE, order, VESTRY_FAILED, &id), VESTRY_FAILED);
  for (int i = 0; i < NODES; i++) assert_false(step(&w.nodes[i]));
  for (int i = 0; i < NODES; i++) {
    id = enqueue(&w, (vestry_job_order){.payload = {"tea\0!", 5}});
    assert_string_equal(look(&w.nodes[1 - i], id).payload, "tea");
    assert_true(step(&w.nodes[i]));
    assert_string_equal(w.seen, "tea");
    assert_false(step(&w.nodes[1 - i]));
    const copied is = look(&w.nodes[i], id);
    assert_int_equal(is.row.state, VESTRY_JOB_DONE);
    assert_int_equal(is.row.payload.len, 5);
    assert_int_equal(is.row.attempts_count, 1);
    assert_true(is.row.progress == 1 && is.row.ended_ms >= is.row.created_ms && is.row.created_ms > BEGIN_MS);
  }
  assert_int_equal(number("SELECT count(*) FROM t"), 2);
  assert_int_equal(stats_of(&w.nodes[0]).enqueued_count, 2);
  end(&w);
}

/* capability: L7, M3 */
static void jobs_wait_for_their_time_and_what_fails_is_dead_in_the_end(void **state) {
  (void)state;
  world w;
  begin(&w, (vestry_jobs_options){.backoff_ms = 100, .backoff_most_ms = 100, .attempts_most = 2});
  node *n = &w.nodes[0];
  int64_t id = enqueue(&w, (vestry_job_order){.delay_ms = 300, .not_before_ms = BEGIN_MS + 200});
  enqueue(&w, (vestry_job_order){.delay_ms = UINT64_MAX, .attempts_most = UINT32_MAX});
  enqueue(&w, (vestry_job_order){.kind = "unknown \"\\{,}"});
  pass(299);
  assert_false(step(n));
  pass(1);
  w.answers[0] = w.answers[1] = VESTRY_IO;
  assert_true(step(n));
  copied is = look(n, id);
  assert_int_equal(is.row.state, VESTRY_JOB_WAITING);
  assert_in_range(is.row.due_ms - atomic_load(&clock_ms), 50, 100);
  assert_int_equal(w.outcomes[0], VESTRY_JOB_ENDED_AGAIN);
  pass(100);
  assert_true(step(&w.nodes[1]));
  assert_int_equal(w.outcomes[1], VESTRY_JOB_ENDED_DEAD);
  is = look(n, id);
  assert_int_equal(is.row.state, VESTRY_JOB_DEAD);
  assert_string_equal(is.error, vestry_strerror(VESTRY_IO));
  pass(1000000);
  assert_false(step(n));
  assert_int_equal(vestry_jobs_retry(n->jobs, id), VESTRY_OK);
  assert_true(step(n));
  assert_int_equal(w.attempt, 1);
  assert_int_equal(vestry_jobs_retry(n->jobs, id), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_jobs_remove(n->jobs, id), VESTRY_OK);
  assert_int_equal(vestry_jobs_remove(n->jobs, id), VESTRY_NOT_FOUND);
  assert_int_equal(stats_of(n).removed_count, 1);
  end(&w);
}

/* capability: L7, M3 */
static void a_key_is_one_job_at_a_time(void **state) {
  (void)state;
  world w;
  begin(&w, (vestry_jobs_options){.keep_ms = 5000});
  const vestry_job_order kept = {.key = "a"}, open = {.key = "a", .unique = VESTRY_JOB_UNIQUE_OPEN};
  int64_t first = enqueue(&w, kept), id = 0;
  assert_int_equal(try_enqueue(&w.nodes[1], kept, &id), VESTRY_EXISTS);
  assert_int_equal(id, first);
  assert_int_equal(number("SELECT count(*) FROM t"), 2); /* that transaction went on */
  enqueue(&w, (vestry_job_order){.key = "b"});
  enqueue(&w, (vestry_job_order){.kind = "unknown", .key = "a"});
  while (step(&w.nodes[1])) continue;
  assert_int_equal(try_enqueue(&w.nodes[0], kept, &id), VESTRY_EXISTS); /* done, and kept */
  assert_int_equal(try_enqueue(&w.nodes[0], open, &id), VESTRY_OK);
  assert_true(step(&w.nodes[0]));
  pass(5000);
  enqueue(&w, (vestry_job_order){0});
  assert_true(step(&w.nodes[0])); /* removes what is old */
  assert_int_equal(try_enqueue(&w.nodes[0], kept, &id), VESTRY_OK);
  end(&w);
}

typedef struct rival {
  node *n;
  vestry_postgres_kind kind;
  int made;
} rival;

static void *enqueue_keys(void *ctx) {
  rival *r = ctx;
  for (int i = 0; i < 20; i++) {
    char key[8];
    snprintf(key, sizeof key, "%d", i);
    vestry_err error;
    do error = enqueue_as(r->n, r->kind, (vestry_job_order){.key = key}, VESTRY_OK, NULL);
    while (error == VESTRY_BUSY);
    r->made += error == VESTRY_OK;
  }
  return NULL;
}

/* capability: L7, M3 */
static void nodes_that_enqueue_a_key_at_once_make_one_job(void **state) {
  (void)state;
  for (int kind = VESTRY_POSTGRES_SERIALIZABLE; kind <= VESTRY_POSTGRES_READ_COMMITTED; kind++) {
    world w;
    pthread_t threads[NODES];
    rival rivals[NODES];
    begin(&w, (vestry_jobs_options){0});
    for (int i = 0; i < NODES; i++) {
      rivals[i] = (rival){&w.nodes[i], (vestry_postgres_kind)kind, 0};
      assert_int_equal(pthread_create(&threads[i], NULL, enqueue_keys, &rivals[i]), 0);
    }
    for (int i = 0; i < NODES; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(rivals[0].made + rivals[1].made, 20);
    assert_int_equal(number("SELECT count(DISTINCT key) FROM vestry_job"), 20);
    assert_int_equal(number("SELECT count(*) FROM vestry_job"), 20);
    end(&w);
  }
}

/* -------------------------------------------------------------------------------------------------- leases --- */

static vestry_err finish(node *n, vestry_job *job, vestry_err end_with) {
  vestry_postgres_loan *loan;
  assert_int_equal(vestry_postgres_begin(n->pool, VESTRY_POSTGRES_READ_COMMITTED, &loan), VESTRY_OK);
  vestry_err error = vestry_postgres_run(loan, "INSERT INTO t VALUES(2)", NULL, NULL, NULL);
  if (!error) error = vestry_postgres_job_finish(job, loan);
  return vestry_postgres_end(loan, error ? error : end_with);
}

static void stand_still(world *w, node *n, vestry_job *job) {
  const int64_t fence = job->fence;
  assert_false(step(&w->nodes[1]));
  pass(LEASE_MS - 1);
  assert_int_equal(vestry_job_progress(job, 0.25, "a quarter"), VESTRY_OK); /* which renews the lease */
  const copied is = look(&w->nodes[1], job->id);
  assert_true(is.row.progress == 0.25);
  assert_string_equal(is.said, "a quarter");
  assert_int_equal(vestry_job_progress(job, 0.25, "\xff"), VESTRY_INVALID);
  pass(LEASE_MS - 1);
  assert_false(step(&w->nodes[1]));
  pass(1);
  assert_true(step(&w->nodes[1]));
  assert_int_equal(w->fence, fence + 1);
  assert_int_equal(vestry_job_progress(job, 0.5, "half"), VESTRY_CLOSED);
  assert_true(vestry_job_is_over(job));
  assert_int_equal(finish(n, job, VESTRY_OK), VESTRY_CLOSED);
}

/* capability: L7, M3 */
static void a_lease_that_has_ended_is_taken_over_and_late_words_are_refused(void **state) {
  (void)state;
  world w;
  begin(&w, (vestry_jobs_options){0});
  int64_t id = enqueue(&w, (vestry_job_order){0});
  w.meanwhile = stand_still;
  assert_true(step(&w.nodes[0]));
  assert_int_equal(w.outcomes[0], VESTRY_JOB_ENDED_DONE);
  assert_int_equal(w.outcomes[1], VESTRY_JOB_ENDED_LOST);
  assert_int_equal(look(&w.nodes[0], id).row.attempts_count, 2);
  assert_int_equal(number("SELECT count(*) FROM t WHERE x = 2"), 0);
  end(&w);
}

static vestry_err of_transaction;

static void finish_it(world *w, node *n, vestry_job *job) {
  (void)w;
  assert_int_equal(finish(n, job, of_transaction), of_transaction);
}

/* capability: L7, M3 */
static void what_a_job_writes_is_committed_with_its_end(void **state) {
  (void)state;
  static const struct {
    vestry_err of_transaction, of_function;
    vestry_job_outcome outcome;
    int rows;
  } cases[] = {{VESTRY_OK, VESTRY_OK, VESTRY_JOB_ENDED_DONE, 1},
               {VESTRY_OK, VESTRY_FAILED, VESTRY_JOB_ENDED_DONE, 1}, /* the commit says it */
               {VESTRY_FAILED, VESTRY_OK, VESTRY_JOB_ENDED_DONE, 0}, /* the function says it */
               {VESTRY_FAILED, VESTRY_FAILED, VESTRY_JOB_ENDED_AGAIN, 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    world w;
    begin(&w, (vestry_jobs_options){0});
    enqueue(&w, (vestry_job_order){0});
    w.meanwhile = finish_it;
    of_transaction = cases[i].of_transaction;
    w.answers[0] = cases[i].of_function;
    assert_true(step(&w.nodes[0]));
    assert_int_equal(w.outcomes[0], cases[i].outcome);
    assert_int_equal(number("SELECT count(*) FROM t WHERE x = 2"), cases[i].rows);
    end(&w);
  }
}

/* The transaction that finishes it outlasts the lease: no node takes the job, and none waits. */
static void finish_slowly(world *w, node *n, vestry_job *job) {
  vestry_postgres_loan *loan;
  assert_int_equal(vestry_postgres_begin(n->pool, VESTRY_POSTGRES_READ_COMMITTED, &loan), VESTRY_OK);
  assert_int_equal(vestry_job_progress(job, 0.5, NULL), VESTRY_INVALID); /* a connection of its own */
  assert_int_equal(vestry_postgres_job_finish(job, loan), VESTRY_OK);
  pass(2 * LEASE_MS);
  assert_false(step(&w->nodes[1]));
  assert_int_equal(vestry_postgres_end(loan, VESTRY_OK), VESTRY_OK);
}

/* capability: L7, M3 */
static void a_job_that_is_being_finished_is_not_taken_over(void **state) {
  (void)state;
  world w;
  begin(&w, (vestry_jobs_options){0});
  enqueue(&w, (vestry_job_order){0});
  w.meanwhile = finish_slowly;
  assert_true(step(&w.nodes[0]));
  assert_int_equal(w.outcomes[0], VESTRY_JOB_ENDED_DONE);
  assert_int_equal(atomic_load(&w.calls), 1);
  end(&w);
}

static void die(world *w, node *n, vestry_job *job) {
  (void)w, (void)n, (void)job;
  raise(SIGKILL);
}

/* capability: L7, M3 */
static void a_process_that_is_killed_loses_its_job_to_another_one_after_its_lease(void **state) {
  (void)state;
  world w;
  int status;
  begin(&w, (vestry_jobs_options){0});
  int64_t id = enqueue(&w, (vestry_job_order){0});
  const pid_t child = fork();
  if (!child) {
    world own;
    memset(&own, 0, sizeof own);
    own.meanwhile = die;
    if (!open_node(&own, &own.nodes[0], NULL, (vestry_jobs_options){.now_ms = now_ms}))
      (void)vestry_jobs_step(own.nodes[0].jobs, NULL);
    _exit(1);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  assert_false(step(&w.nodes[0]));
  pass(LEASE_MS);
  assert_true(step(&w.nodes[0]));
  assert_int_equal(w.attempt, 2);
  assert_int_equal(look(&w.nodes[1], id).row.state, VESTRY_JOB_DONE);
  assert_int_equal(stats_of(&w.nodes[0]).taken_over_count, 1);
  end(&w);
}

/* capability: L7, M3 */
static void a_tick_is_performed_by_one_node_in_each_period(void **state) {
  (void)state;
  world w;
  begin(&w, (vestry_jobs_options){0});
  atomic_store(&clock_ms, BEGIN_MS + 500);
  for (int i = 0; i < NODES; i++)
    assert_int_equal(vestry_jobs_every(w.nodes[i].jobs, "tick", 10000, 2000, work, &w.nodes[i]), VESTRY_OK);
  for (int64_t period = 0; period < 6; period++) {
    atomic_store(&clock_ms, BEGIN_MS + 2000 + period * 10000 - 1);
    for (int i = 0; i < NODES; i++) assert_false(step(&w.nodes[i]));
    pass(1 + period * 997);
    assert_true(step(&w.nodes[period % 2]));
    assert_int_equal(w.period_at_ms, BEGIN_MS + 2000 + period * 10000);
    for (int i = 0; i < NODES; i++) assert_false(step(&w.nodes[i]));
  }
  assert_int_equal(number("SELECT count(*) FROM vestry_job"), 1);
  end(&w);
}

/* ------------------------------------------------------------------------------------------------- threads --- */

static vestry_err count_run(vestry_job *job, void *app) {
  node *n = app;
  atomic_fetch_add(&n->w->runs[job->id], 1);
  return VESTRY_OK;
}

/* capability: L7, M3 */
static void nodes_at_once_run_each_job_once(void **state) {
  (void)state;
  world w;
  open_world(&w, (vestry_jobs_options){.threads_count = 3, .poll_ms = 1, .lease_ms = 600000});
  for (int i = 0; i < NODES; i++) {
    assert_int_equal(vestry_jobs_on(w.nodes[i].jobs, "count", count_run, &w.nodes[i]), VESTRY_OK);
    assert_int_equal(vestry_jobs_start(w.nodes[i].jobs), VESTRY_OK);
  }
  for (int i = 0; i < MANY; i++) {
    int64_t id = 0;
    assert_int_equal(try_enqueue(&w.nodes[i % NODES], (vestry_job_order){.kind = "count"}, &id), VESTRY_OK);
    assert_in_range(id, 1, MANY);
  }
  UNTIL(atomic_load(&w.ends) == MANY);
  for (int i = 0; i < NODES; i++) vestry_jobs_stop(w.nodes[i].jobs);
  for (int id = 1; id <= MANY; id++) assert_int_equal(atomic_load(&w.runs[id]), 1);
  assert_int_equal(number("SELECT count(*) FROM vestry_job WHERE state <> 'done' OR attempts <> 1"), 0);
  end(&w);
}

static atomic_bool is_killed;

static void lose_server(world *w, node *n, vestry_job *job) {
  (void)w, (void)n, (void)job;
  postgres_server_kill(shop_server());
  atomic_store(&is_killed, true);
}

static uint64_t failed_count(node *n) {
  vestry_postgres_pool_stats is = {0};
  vestry_postgres_pool_stats_get(n->pool, &is);
  return is.failed_count;
}

/* The server is away when a function ends: that is written when it is back, and jobs go on. */
/* capability: L7, M3 */
static void jobs_go_on_after_the_server_is_back(void **state) {
  (void)state;
  world w;
  open_world(&w, (vestry_jobs_options){.poll_ms = 1, .lease_ms = 600000});
  w.meanwhile = lose_server;
  int64_t id = enqueue(&w, (vestry_job_order){0});
  assert_int_equal(vestry_jobs_start(w.nodes[0].jobs), VESTRY_OK);
  UNTIL(atomic_load(&is_killed) && failed_count(&w.nodes[0]) >= 3);
  postgres_server_start(shop_server(), NULL);
  UNTIL(atomic_load(&w.ends) == 1);
  assert_int_equal(w.outcomes[0], VESTRY_JOB_ENDED_DONE);
  /* What each of its connections met; that the server is away is said once, however often it is asked for. */
  assert_in_range(atomic_load(&w.th.log_lines), 1, 4);
  vestry_err error;
  do error = try_enqueue(&w.nodes[0], (vestry_job_order){0}, NULL);
  while (error == VESTRY_LIMIT);
  assert_int_equal(error, VESTRY_OK);
  UNTIL(atomic_load(&w.ends) == 2);
  vestry_jobs_stop(w.nodes[0].jobs);
  assert_int_equal(look(&w.nodes[0], id).row.attempts_count, 1);
  end(&w);
}

/* --------------------------------------------------------------------------------------------------- pages --- */

typedef struct desk {
  node *n;
  vestry_pages *pages;
  vestry_postgres *database;
  char shown[80];
  int renders;
} desk;

static void show_row(const vestry_job_row *row, void *ctx) {
  desk *d = ctx;
  snprintf(d->shown, sizeof d->shown, "%d %.2f %s", (int)row->state, row->progress, row->said ? row->said : "-");
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  desk *d = app;
  snprintf(d->shown, sizeof d->shown, "none");
  assert_int_equal(vestry_jobs_list(d->n->jobs, "work", VESTRY_JOB_ANY, 0, 10, show_row, d), VESTRY_OK);
  d->renders++;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%s</b>", d->shown);
  return vestry_render_end(render, html);
}

static desk *at_desk;

static const char *shown(void) {
  uint64_t seq;
  assert_int_equal(vestry_postgres_settle(at_desk->database, PATIENCE_S * 1000, &seq), VESTRY_OK);
  assert_int_equal(vestry_pages_settle(at_desk->pages, seq, PATIENCE_S * 1000), VESTRY_OK);
  return at_desk->shown;
}

static void tell_progress(world *w, node *n, vestry_job *job) {
  (void)w;
  assert_string_equal(shown(), "2 0.00 -");
  assert_int_equal(vestry_job_progress(job, 0.5, "half of it"), VESTRY_OK);
  assert_string_equal(shown(), "2 0.50 half of it");
  const int renders = at_desk->renders;
  assert_int_equal(vestry_postgres_run_alone(n->pool, "INSERT INTO t VALUES(3)", NULL, NULL, NULL), VESTRY_OK);
  assert_string_equal(shown(), "2 0.50 half of it");
  assert_int_equal(at_desk->renders, renders); /* it does not render for something else */
}

/* The page names no topic; another node runs the job. */
/* capability: L7, M3 */
static void a_page_that_shows_a_job_renders_with_each_step_of_it(void **state) {
  (void)state;
  world w;
  vestry *v;
  vestry_page *page;
  vestry_memory_exchange *tab;
  begin(&w, (vestry_jobs_options){0});
  desk d = {.n = &w.nodes[0]};
  at_desk = &d;
  assert_int_equal(vestry_create(&(vestry_options){.host = &w.th.host, .threads_count = VESTRY_THREADS_NONE}, &v),
                   VESTRY_OK);
  assert_int_equal(vestry_pages_create(v, NULL, &d.pages), VESTRY_OK);
  assert_int_equal(vestry_postgres_create(d.pages, d.n->pool, NULL, &d.database), VESTRY_OK);
  assert_int_equal(vestry_page_create(d.pages, &(vestry_page_options){.render = render, .app = &d}, &page), VESTRY_OK);
  assert_int_equal(vestry_route(v, "GET", "/page", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_memory_request(v, &(vestry_memory_call){.path = "/page", .datastar = true}, NULL, NULL, &tab),
                   VESTRY_OK);
  assert_string_equal(shown(), "none");
  int64_t id = enqueue(&w, (vestry_job_order){0});
  assert_string_equal(shown(), "1 0.00 -");
  w.meanwhile = tell_progress;
  assert_true(step(&w.nodes[1]));
  assert_string_equal(shown(), "3 1.00 half of it");
  assert_int_equal(vestry_jobs_remove(w.nodes[1].jobs, id), VESTRY_OK);
  assert_string_equal(shown(), "none");
  vestry_memory_destroy(tab);
  vestry_memory_settle(v);
  vestry_stop(v, 0);
  vestry_postgres_destroy(d.database);
  vestry_pages_destroy(d.pages);
  vestry_destroy(v);
  end(&w);
}

/* -------------------------------------------------------------------------------------------------- faults --- */

static vestry_err live(test_host *th, void *ctx) {
  static world w;
  (void)ctx;
  memset(&w, 0, sizeof w);
  atomic_store(&clock_ms, BEGIN_MS);
  node *n = &w.nodes[0];
  bool has_run = false;
  copied is;
  vestry_err error = open_node(&w, n, &th->host, (vestry_jobs_options){.now_ms = now_ms, .poll_ms = 60000});
  if (!error) error = vestry_jobs_every(n->jobs, "tick", 10000, 0, work, n);
  if (!error) error = try_enqueue(n, (vestry_job_order){.key = "k", .payload = {"bytes", 5}}, NULL);
  if (!error) error = vestry_jobs_step(n->jobs, &has_run);
  if (!error) {
    assert_true(has_run);
    if (w.outcomes[0] == VESTRY_JOB_ENDED_LOST) { /* no memory to write the end with, and no thread that could wait */
      pass(LEASE_MS);
      assert_true(step(n));
    }
    assert_int_equal(w.outcomes[atomic_load(&w.ends) - 1], VESTRY_JOB_ENDED_DONE);
    error = vestry_jobs_list(n->jobs, "work", VESTRY_JOB_DONE, 0, 1, copy_row, &is);
  }
  close_node(n);
  /* What was made without memory is no hindrance once there is some. */
  postgres_server_run(shop_server(), "DO $$ BEGIN IF to_regclass('vestry_job') IS NOT NULL THEN"
                                     " DELETE FROM vestry_job WHERE kind = 'work'; END IF; END $$");
  return error;
}

/* capability: L7, M3 */
static void without_memory_it_is_an_error_and_nothing_is_lost(void **state) {
  (void)state;
  static test_host th;
  shop_clear();
  postgres_server_run(shop_server(), "CREATE TABLE t(x integer)");
  test_host_init(&th);
  test_host_fail_each(live, &th, true);
}

static void explain_badly(world *w, node *n, vestry_job *job) {
  (void)w, (void)n;
  char text[300];
  memset(text, 'x', sizeof text);
  memcpy(text + 253, "\xe2\x82\xac", 4); /* cut in the middle */
  text[3] = '\xff';
  vestry_job_explain(job, text);
}

/* capability: L7, M3 */
static void hostile_texts_sizes_and_transactions_are_refused(void **state) {
  (void)state;
  world w;
  begin(&w, (vestry_jobs_options){.max_payload_bytes = 10});
  node *n = &w.nodes[0];
  assert_int_equal(try_enqueue(n, (vestry_job_order){.payload = {"01234567890", 11}}, NULL), VESTRY_TOO_LARGE);
  assert_int_equal(try_enqueue(n, (vestry_job_order){.key = ""}, NULL), VESTRY_INVALID);
  assert_int_equal(enqueue_as(n, VESTRY_POSTGRES_RENDER, (vestry_job_order){0}, VESTRY_OK, NULL), VESTRY_IO);
  vestry_postgres_loan *loan;
  const vestry_job_order order = {.kind = "work"};
  assert_int_equal(vestry_postgres_begin(n->pool, VESTRY_POSTGRES_RENDER, &loan), VESTRY_OK);
  assert_int_equal(vestry_postgres_jobs_enqueue(n->jobs, loan, &order, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_jobs_step(n->jobs, NULL), VESTRY_INVALID); /* this thread has a transaction */
  assert_int_equal(vestry_postgres_end(loan, VESTRY_OK), VESTRY_OK);
  assert_int_equal(vestry_postgres_begin(n->pool, VESTRY_POSTGRES_SERIALIZABLE, &loan), VESTRY_OK);
  assert_int_equal(vestry_postgres_jobs_enqueue(w.nodes[1].jobs, loan, &order, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_postgres_end(loan, VESTRY_OK), VESTRY_OK);
  assert_int_equal(vestry_postgres_jobs_enqueue(NULL, NULL, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_postgres_job_finish(NULL, NULL), VESTRY_INVALID);
  int64_t id = enqueue(&w, (vestry_job_order){.payload = {"\0\xff\0", 3}, .not_before_ms = INT64_MIN});
  w.meanwhile = explain_badly;
  w.answers[0] = VESTRY_IO;
  assert_true(step(n));
  assert_int_equal(w.outcomes[0], VESTRY_JOB_ENDED_AGAIN);
  const copied is = look(n, id);
  assert_int_equal(strlen(is.error), 253);
  assert_int_equal(is.error[3], '?');
  vestry_jobs *jobs = NULL;
  postgres_server_run(shop_server(), "UPDATE vestry_schema SET version = 9 WHERE part = 'job'");
  assert_int_equal(vestry_postgres_jobs_create(n->pool, NULL, &jobs), VESTRY_IO);
  assert_non_null(strstr(w.th.last_log, "of version 9"));
  end(&w);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_committed_is_run_by_any_node_and_what_is_rolled_back_never),
      cmocka_unit_test(jobs_wait_for_their_time_and_what_fails_is_dead_in_the_end),
      cmocka_unit_test(a_key_is_one_job_at_a_time),
      cmocka_unit_test(nodes_that_enqueue_a_key_at_once_make_one_job),
      cmocka_unit_test(a_lease_that_has_ended_is_taken_over_and_late_words_are_refused),
      cmocka_unit_test(what_a_job_writes_is_committed_with_its_end),
      cmocka_unit_test(a_job_that_is_being_finished_is_not_taken_over),
      cmocka_unit_test(a_process_that_is_killed_loses_its_job_to_another_one_after_its_lease),
      cmocka_unit_test(a_tick_is_performed_by_one_node_in_each_period),
      cmocka_unit_test(nodes_at_once_run_each_job_once),
      cmocka_unit_test(a_page_that_shows_a_job_renders_with_each_step_of_it),
      cmocka_unit_test(jobs_go_on_after_the_server_is_back),
      cmocka_unit_test(without_memory_it_is_an_error_and_nothing_is_lost),
      cmocka_unit_test(hostile_texts_sizes_and_transactions_are_refused),
  };
  return cmocka_run_group_tests(tests, shop_open_server, shop_close_server);
}
