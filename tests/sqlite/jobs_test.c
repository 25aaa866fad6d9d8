/* SPDX-License-Identifier: MIT */
/* Jobs in a database: what is committed is run, and by one process at a time. Real processes, which are killed, are in
 * tests/sqlite/jobs_process_test.c. */

#include "sqlite/jobs_shop.h"

/* ------------------------------------------------------------------------------------------------ running --- */

/* capability: L7 */
static void what_is_committed_is_run_and_what_is_rolled_back_never(void **state) {
  (void)state;
  shop s;
  shop_open(&s, (vestry_jobs_options){0});
  shop_node *n = &s.nodes[0];
  vestry_sqlite_loan *loan;
  int64_t id;
  assert_int_equal(vestry_sqlite_borrow(n->pool, VESTRY_SQLITE_WRITE, &loan), VESTRY_OK);
  const vestry_job_order order = {.kind = "work", .payload = {"rolled back", 11}};
  assert_int_equal(vestry_sqlite_jobs_enqueue(n->jobs, loan->db, &order, &id), VESTRY_OK);
  assert_int_equal(vestry_sqlite_give(loan, VESTRY_FAILED), VESTRY_FAILED);
  assert_false(shop_step(n));
  shop_enqueue(&s, (vestry_job_order){.payload = {"tea", 3}});
  assert_true(shop_step(n));
  assert_string_equal(s.seen, "tea");
  assert_false(shop_step(n));
  assert_int_equal(atomic_load(&s.calls), 1);
  assert_int_equal(s.outcomes[0], VESTRY_JOB_ENDED_DONE);
  /* On a connection of the application's own. */
  sqlite3 *db;
  assert_int_equal(sqlite3_open(s.path, &db), SQLITE_OK);
  ledger_run(db, "BEGIN IMMEDIATE");
  assert_int_equal(vestry_sqlite_jobs_enqueue(n->jobs, db, &order, &id), VESTRY_OK);
  ledger_run(db, "ROLLBACK");
  assert_false(shop_step(n));
  assert_int_equal(vestry_sqlite_jobs_enqueue(n->jobs, db, &(vestry_job_order){.kind = "work"}, &id), VESTRY_OK);
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
  assert_true(shop_step(&s.nodes[1]));
  assert_string_equal(s.seen, "");
  const shop_copy is = shop_look(n, id);
  assert_int_equal(is.row.state, VESTRY_JOB_DONE);
  assert_int_equal(is.row.attempts_count, 1);
  assert_true(is.row.progress == 1);
  assert_int_equal(shop_number(n, "SELECT count(*) FROM vestry_job WHERE state = 'done'"), 2);
  shop_close(&s);
}

/* capability: L7 */
static void jobs_wait_for_their_time_and_for_a_process_that_knows_them(void **state) {
  (void)state;
  shop s;
  shop_open(&s, (vestry_jobs_options){0});
  shop_node *n = &s.nodes[0];
  shop_enqueue(&s, (vestry_job_order){.payload = {"late", 4}, .delay_ms = 300});
  shop_enqueue(&s, (vestry_job_order){.payload = {"later", 5}, .not_before_ms = BEGIN_MS + 400, .delay_ms = 100});
  shop_enqueue(&s, (vestry_job_order){.payload = {"never", 5}, .delay_ms = UINT64_MAX});
  shop_enqueue(&s, (vestry_job_order){.kind = "unknown"});
  shop_pass(299);
  assert_false(shop_step(n));
  shop_pass(200);
  assert_true(shop_step(n));
  assert_string_equal(s.seen, "late"); /* the one that has been due for longest */
  assert_true(shop_step(n));
  assert_string_equal(s.seen, "later");
  assert_false(shop_step(n));
  shop_pass(INT64_C(1000) * 365 * 86400000);
  assert_false(shop_step(n));
  assert_int_equal(shop_number(n, "SELECT count(*) FROM vestry_job WHERE state = 'waiting'"), 2);
  shop_close(&s);
}

/* ------------------------------------------------------------------------------------------------ failing --- */

static void explain(shop *s, shop_node *n, vestry_job *job) {
  (void)s, (void)n;
  vestry_job_explain(job, "no route to host");
}

/* capability: L7 */
static void what_fails_waits_longer_each_time_and_is_dead_in_the_end(void **state) {
  (void)state;
  shop s;
  shop_open(&s, (vestry_jobs_options){.backoff_ms = 100, .backoff_most_ms = 350, .attempts_most = 5});
  shop_node *n = &s.nodes[0];
  static const int64_t most_ms[] = {100, 200, 350, 350};
  int64_t id = shop_enqueue(&s, (vestry_job_order){0});
  s.meanwhile = explain;
  for (int i = 0; i < 5; i++) s.answers[i] = VESTRY_IO;
  for (int i = 0; i < 4; i++) {
    assert_true(shop_step(n));
    const shop_copy is = shop_look(n, id);
    assert_int_equal(is.row.state, VESTRY_JOB_WAITING);
    assert_string_equal(is.error, "no route to host");
    assert_int_equal(s.outcomes[i], VESTRY_JOB_ENDED_AGAIN);
    assert_in_range(is.row.due_ms - atomic_load(&shop_clock_ms), most_ms[i] / 2, most_ms[i]);
    atomic_store(&shop_clock_ms, is.row.due_ms - 1);
    assert_false(shop_step(n));
    shop_pass(1);
  }
  assert_true(shop_step(n));
  assert_int_equal(s.outcomes[4], VESTRY_JOB_ENDED_DEAD);
  assert_int_equal(shop_look(n, id).row.state, VESTRY_JOB_DEAD);
  assert_non_null(strstr(s.th.last_log, "given up after 5 attempts: no route to host"));
  shop_pass(INT64_C(1000000000));
  assert_false(shop_step(n));
  /* By hand: again, from the first attempt. */
  assert_int_equal(vestry_jobs_retry(n->jobs, id), VESTRY_OK);
  assert_true(shop_step(n));
  assert_int_equal(s.attempt, 1);
  assert_int_equal(shop_look(n, id).row.state, VESTRY_JOB_DONE);
  assert_int_equal(vestry_jobs_retry(n->jobs, id), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_jobs_remove(n->jobs, id), VESTRY_OK);
  assert_int_equal(vestry_jobs_remove(n->jobs, id), VESTRY_NOT_FOUND);
  shop_close(&s);
}

static void give_up(shop *s, shop_node *n, vestry_job *job) {
  (void)s, (void)n;
  vestry_job_give_up(job);
}

/* capability: L7 */
static void what_is_hopeless_is_not_tried_again(void **state) {
  (void)state;
  shop s;
  shop_open(&s, (vestry_jobs_options){0});
  int64_t id = shop_enqueue(&s, (vestry_job_order){0});
  s.meanwhile = give_up;
  s.answers[0] = VESTRY_MALFORMED;
  assert_true(shop_step(&s.nodes[0]));
  assert_int_equal(s.outcomes[0], VESTRY_JOB_ENDED_DEAD);
  const shop_copy is = shop_look(&s.nodes[0], id);
  assert_int_equal(is.row.state, VESTRY_JOB_DEAD);
  assert_string_equal(is.error, vestry_strerror(VESTRY_MALFORMED));
  shop_close(&s);
}

/* ------------------------------------------------------------------------------------------------- unique --- */

/* capability: L7 */
static void a_key_is_one_job_at_a_time(void **state) {
  (void)state;
  shop s;
  shop_open(&s, (vestry_jobs_options){.keep_ms = 5000});
  shop_node *n = &s.nodes[0];
  const vestry_job_order kept = {.key = "a"};
  const vestry_job_order open = {.key = "a", .unique = VESTRY_JOB_UNIQUE_OPEN};
  int64_t first = shop_enqueue(&s, kept), id = 0;
  assert_int_equal(shop_enqueue_as(&s.nodes[1], kept, &id), VESTRY_EXISTS);
  assert_int_equal(id, first);
  assert_int_equal(shop_enqueue_as(n, open, &id), VESTRY_EXISTS);
  shop_enqueue(&s, (vestry_job_order){.key = "b"});
  shop_enqueue(&s, (vestry_job_order){.kind = "unknown", .key = "a"}); /* keys are of a kind */
  shop_enqueue(&s, (vestry_job_order){0});
  while (shop_step(n)) continue;
  assert_int_equal(shop_enqueue_as(n, kept, &id), VESTRY_EXISTS); /* done, and kept */
  assert_int_equal(id, first);
  assert_int_equal(shop_enqueue_as(n, open, &id), VESTRY_OK);
  assert_true(shop_step(n));
  shop_pass(5000);
  shop_enqueue(&s, (vestry_job_order){0});
  assert_true(shop_step(n)); /* removes what is old */
  assert_int_equal(shop_enqueue_as(n, kept, &id), VESTRY_OK);
  /* What was written beside it is committed though the key was taken. */
  vestry_sqlite_loan *loan;
  assert_int_equal(vestry_sqlite_borrow(n->pool, VESTRY_SQLITE_WRITE, &loan), VESTRY_OK);
  ledger_run(loan->db, "INSERT INTO t VALUES(1)");
  assert_int_equal(vestry_sqlite_jobs_enqueue(n->jobs, loan->db, &(vestry_job_order){.kind = "work", .key = "a"}, NULL),
                   VESTRY_EXISTS);
  assert_int_equal(vestry_sqlite_give(loan, VESTRY_OK), VESTRY_OK);
  assert_int_equal(shop_number(n, "SELECT count(*) FROM t"), 1);
  shop_close(&s);
}

static void ask_again(shop *s, shop_node *n, vestry_job *job) {
  int64_t id;
  assert_string_equal(job->key, "a");
  s->meanwhile = NULL;
  assert_int_equal(shop_enqueue_as(n, (vestry_job_order){.key = "a", .unique = VESTRY_JOB_UNIQUE_OPEN}, &id),
                   VESTRY_EXISTS);
  assert_int_equal(id, job->id);
  assert_int_equal(shop_enqueue_as(n, (vestry_job_order){.key = "a", .unique = VESTRY_JOB_UNIQUE_WAITING}, &id),
                   VESTRY_OK);
  assert_int_not_equal(id, job->id);
}

/* capability: L7 */
static void what_came_while_it_ran_is_done_after_it(void **state) {
  (void)state;
  shop s;
  shop_open(&s, (vestry_jobs_options){0});
  shop_enqueue(&s, (vestry_job_order){.key = "a"});
  s.meanwhile = ask_again;
  assert_true(shop_step(&s.nodes[0]));
  assert_true(shop_step(&s.nodes[0]));
  assert_false(shop_step(&s.nodes[0]));
  shop_close(&s);
}

/* ------------------------------------------------------------------------------------------------- leases --- */

/* capability: L7 */
static void a_lease_that_has_ended_is_taken_over_and_late_words_are_refused(void **state) {
  (void)state;
  static const vestry_err late[] = {VESTRY_OK, VESTRY_FAILED, VESTRY_CLOSED};
  for (int i = 0; i < 6; i++) {
    shop s;
    shop_open(&s, (vestry_jobs_options){0});
    int64_t id = shop_enqueue(&s, (vestry_job_order){0});
    s.meanwhile = shop_stand_still;
    s.answers[0] = late[i % 3];
    s.answers[1] = i < 3 ? VESTRY_OK : VESTRY_FAILED; /* of the one that took over */
    assert_true(shop_step(&s.nodes[0]));
    assert_int_equal(s.outcomes[0], i < 3 ? VESTRY_JOB_ENDED_DONE : VESTRY_JOB_ENDED_AGAIN);
    assert_int_equal(s.outcomes[1], VESTRY_JOB_ENDED_LOST);
    const shop_copy is = shop_look(&s.nodes[0], id);
    assert_int_equal(is.row.state, i < 3 ? VESTRY_JOB_DONE : VESTRY_JOB_WAITING);
    assert_int_equal(is.row.attempts_count, 2);
    assert_string_equal(is.said, "-");
    shop_close(&s);
  }
}

static void let_be_buried(shop *s, shop_node *n, vestry_job *job) {
  (void)n, (void)job;
  shop_pass(LEASE_MS);
  assert_false(shop_step(&s->nodes[1]));
}

/* It kills the process that runs it, say. */
/* capability: L7 */
static void a_job_whose_lease_ends_each_time_is_dead(void **state) {
  (void)state;
  shop s;
  shop_open(&s, (vestry_jobs_options){.attempts_most = 1});
  int64_t id = shop_enqueue(&s, (vestry_job_order){0});
  s.meanwhile = let_be_buried;
  assert_true(shop_step(&s.nodes[0]));
  assert_int_equal(s.outcomes[0], VESTRY_JOB_ENDED_DEAD);
  assert_int_equal(s.outcomes[1], VESTRY_JOB_ENDED_LOST);
  const shop_copy is = shop_look(&s.nodes[0], id);
  assert_int_equal(is.row.state, VESTRY_JOB_DEAD);
  assert_string_equal(is.error, "its process died, or lost its lease");
  vestry_jobs_stats stats = {0};
  assert_int_equal(vestry_jobs_stats_get(s.nodes[1].jobs, &stats), VESTRY_OK);
  assert_int_equal(stats.buried_count, 1);
  assert_int_equal(stats.begun_count, 0);
  shop_close(&s);
}

static void remove_it(shop *s, shop_node *n, vestry_job *job) {
  (void)s;
  assert_int_equal(vestry_jobs_remove(n->jobs, job->id), VESTRY_OK);
  assert_int_equal(vestry_job_progress(job, 1, NULL), VESTRY_CLOSED);
}

/* capability: L7 */
static void a_job_that_is_removed_while_it_runs_is_gone(void **state) {
  (void)state;
  shop s;
  shop_open(&s, (vestry_jobs_options){0});
  shop_enqueue(&s, (vestry_job_order){0});
  s.meanwhile = remove_it;
  assert_true(shop_step(&s.nodes[0]));
  assert_int_equal(s.outcomes[0], VESTRY_JOB_ENDED_LOST);
  assert_int_equal(shop_number(&s.nodes[0], "SELECT count(*) FROM vestry_job"), 0);
  shop_close(&s);
}

/* ---------------------------------------------------------------------------------------------- finishing --- */

static vestry_err of_transaction;

static void finish(shop *s, shop_node *n, vestry_job *job) {
  vestry_sqlite_loan *loan;
  (void)s;
  assert_int_equal(vestry_sqlite_borrow(n->pool, VESTRY_SQLITE_WRITE, &loan), VESTRY_OK);
  ledger_run(loan->db, "INSERT INTO t VALUES(1)");
  assert_int_equal(vestry_sqlite_job_finish(job, loan->db), VESTRY_OK);
  assert_int_equal(vestry_sqlite_give(loan, of_transaction), of_transaction);
}

/* capability: L7 */
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
    shop s;
    shop_open(&s, (vestry_jobs_options){0});
    shop_enqueue(&s, (vestry_job_order){0});
    s.meanwhile = finish;
    of_transaction = cases[i].of_transaction;
    s.answers[0] = cases[i].of_function;
    assert_true(shop_step(&s.nodes[0]));
    assert_int_equal(s.outcomes[0], cases[i].outcome);
    assert_int_equal(shop_number(&s.nodes[0], "SELECT count(*) FROM t"), cases[i].rows);
    assert_int_equal(shop_number(&s.nodes[0], "SELECT count(*) FROM vestry_job WHERE state = 'done'"),
                     cases[i].outcome == VESTRY_JOB_ENDED_DONE);
    shop_close(&s);
  }
}

/* ------------------------------------------------------------------------------------------------- adding --- */

static uint32_t chance(uint64_t *seed, uint32_t below) {
  *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
  return (uint32_t)(*seed >> 33) % below;
}

/* capability: L7 */
static void counters_add_up_whatever_happens(void **state) {
  (void)state;
  for (uint64_t round = 0; round < 6; round++) {
    shop s;
    uint64_t seed = round * 7919 + 1;
    shop_open(&s, (vestry_jobs_options){.attempts_most = 2, .backoff_ms = 40, .keep_ms = 400});
    uint64_t committed = 0;
    for (int i = 0; i < 150; i++) {
      shop_node *n = &s.nodes[chance(&seed, NODES)];
      char key[8];
      snprintf(key, sizeof key, "%u", chance(&seed, 10));
      for (int j = 0; j < 32; j++) s.answers[j] = chance(&seed, 3) ? VESTRY_OK : VESTRY_FAILED;
      s.meanwhile = chance(&seed, 8) == 0 ? shop_stand_still : NULL;
      switch (chance(&seed, 6)) {
      case 0:
      case 1:
        committed += shop_enqueue_as(n, (vestry_job_order){.key = chance(&seed, 2) ? key : NULL}, NULL) == VESTRY_OK;
        break;
      case 2: (void)vestry_jobs_remove(n->jobs, 1 + chance(&seed, (uint32_t)committed + 1)); break;
      case 3: (void)vestry_jobs_retry(n->jobs, 1 + chance(&seed, (uint32_t)committed + 1)); break;
      default: s.meanwhile = NULL; (void)shop_step(n);
      }
      shop_pass(chance(&seed, 60));
      for (int j = 0; j < NODES; j++) shop_add_up(&s.nodes[j]);
      vestry_jobs_stats is = {0};
      assert_int_equal(vestry_jobs_stats_get(n->jobs, &is), VESTRY_OK);
      assert_int_equal(is.enqueued_count, committed);
    }
    shop_close(&s);
  }
}

/* -------------------------------------------------------------------------------------------------- pages --- */

typedef struct desk {
  shop_node *n;
  vestry_pages *pages;
  vestry_sqlite *database;
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
  assert_int_equal(vestry_sqlite_sync(at_desk->database, &seq), VESTRY_OK);
  assert_int_equal(vestry_pages_settle(at_desk->pages, seq, 1000), VESTRY_OK);
  return at_desk->shown;
}

static void tell_progress(shop *s, shop_node *n, vestry_job *job) {
  (void)s, (void)n;
  assert_string_equal(shown(), "2 0.00 -");
  assert_int_equal(vestry_job_progress(job, 0.5, "half of it"), VESTRY_OK);
  assert_string_equal(shown(), "2 0.50 half of it");
  assert_int_equal(vestry_job_progress(job, 7, "all"), VESTRY_OK);
  assert_string_equal(shown(), "2 1.00 all");
  static char text[257];
  memset(text, 'x', 256);
  assert_int_equal(vestry_job_progress(job, 0, text), VESTRY_TOO_LARGE);
  const int renders = at_desk->renders;
  assert_int_equal(vestry_sqlite_run_alone(n->pool, "INSERT INTO t VALUES(1)", NULL, NULL, NULL), VESTRY_OK);
  assert_string_equal(shown(), "2 1.00 all");
  assert_int_equal(at_desk->renders, renders); /* it does not render for something else */
}

/* The page names no topic; the node that runs the job is another one, whose commits are those of a stranger. */
/* capability: L7 */
static void a_page_that_shows_a_job_renders_with_each_step_of_it(void **state) {
  (void)state;
  shop s;
  vestry *v;
  vestry_page *page;
  vestry_memory_exchange *tab;
  shop_open(&s, (vestry_jobs_options){0});
  desk d = {.n = &s.nodes[0]};
  at_desk = &d;
  assert_int_equal(vestry_create(&(vestry_options){.host = &s.th.host, .threads_count = VESTRY_THREADS_NONE}, &v),
                   VESTRY_OK);
  assert_int_equal(vestry_pages_create(v, NULL, &d.pages), VESTRY_OK);
  assert_int_equal(
      vestry_sqlite_create(d.pages, &(vestry_sqlite_options){.path = s.path, .poll_ms = 60000}, &d.database),
      VESTRY_OK);
  assert_int_equal(vestry_sqlite_pool_follow(d.n->pool, d.database), VESTRY_OK);
  assert_int_equal(vestry_page_create(d.pages, &(vestry_page_options){.render = render, .app = &d}, &page), VESTRY_OK);
  assert_int_equal(vestry_route(v, "GET", "/page", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_memory_request(v, &(vestry_memory_call){.path = "/page", .datastar = true}, NULL, NULL, &tab),
                   VESTRY_OK);
  assert_string_equal(shown(), "none");
  s.meanwhile = tell_progress;
  for (int i = 0; i < NODES; i++) {
    int64_t id = shop_enqueue(&s, (vestry_job_order){0});
    assert_string_equal(shown(), "1 0.00 -");
    assert_true(shop_step(&s.nodes[1 - i]));
    assert_string_equal(shown(), "3 1.00 all");
    assert_int_equal(vestry_jobs_remove(s.nodes[1].jobs, id), VESTRY_OK);
    assert_string_equal(shown(), "none");
  }
  vestry_memory_destroy(tab);
  vestry_memory_settle(v);
  assert_int_equal(vestry_sqlite_pool_follow(d.n->pool, NULL), VESTRY_OK);
  vestry_sqlite_destroy(d.database);
  vestry_stop(v, 0);
  vestry_pages_destroy(d.pages);
  vestry_destroy(v);
  shop_close(&s);
}

int main(void) {
  assert_int_equal(vestry_sqlite_record_pages(), VESTRY_OK);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_committed_is_run_and_what_is_rolled_back_never),
      cmocka_unit_test(jobs_wait_for_their_time_and_for_a_process_that_knows_them),
      cmocka_unit_test(what_fails_waits_longer_each_time_and_is_dead_in_the_end),
      cmocka_unit_test(what_is_hopeless_is_not_tried_again),
      cmocka_unit_test(a_key_is_one_job_at_a_time),
      cmocka_unit_test(what_came_while_it_ran_is_done_after_it),
      cmocka_unit_test(a_lease_that_has_ended_is_taken_over_and_late_words_are_refused),
      cmocka_unit_test(a_job_whose_lease_ends_each_time_is_dead),
      cmocka_unit_test(a_job_that_is_removed_while_it_runs_is_gone),
      cmocka_unit_test(what_a_job_writes_is_committed_with_its_end),
      cmocka_unit_test(counters_add_up_whatever_happens),
      cmocka_unit_test(a_page_that_shows_a_job_renders_with_each_step_of_it),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
