/* SPDX-License-Identifier: MIT */
/* Forms in PostgreSQL: the contract of forms in a database, at all nodes; and a server that is killed. */
#include <pthread.h>
#include <stdlib.h>

#include "data/sql/sql.h"
#include "page/form_database_contract.h"
#include "postgres/shop.h"
#include "postgres/strangers.h"
#include "vestry/data/postgres.h"
#include "vestry/data/sql.h"

static _Atomic(int64_t) clock_ms = 1700000000000;
static bool is_made;          /* several suites share the database */
static uint64_t opened_count; /* another client holds something else beside each */

static int64_t now_ms(void *ctx) {
  return clock_ms;
}

static void make(void) {
  shop_clear();
  postgres_server_run(shop_server(), "CREATE TABLE report(title text); GRANT ALL ON report TO site");
  is_made = true;
}

static void remove_it(void) {
  is_made = false;
}

typedef struct node {
  vestry_sql_pool *pool;
  vestry_forms_storage *stored;
  vestry_postgres *database;
} node;

static vestry_err open_pool(const vestry_host *host, vestry_sql_pool **ret_pool) {
  return vestry_postgres_pool_create(
      &(vestry_postgres_pool_options){
          .host = host, .url = shop_site_url(), .connections_count = 4, .wait_ms = 60000, .retry_ms = 1},
      ret_pool);
}

static vestry_err open_forms(vestry_sql_pool *pool, vestry_forms_storage **ret_stored) {
  pool->now_ms = now_ms;
  return vestry_sql_forms_create(pool, ret_stored);
}

static vestry_forms_storage *open_node(form_suite *s) {
  node *n = calloc(1, sizeof *n);
  assert_non_null(n);
  s->world = n;
  if (!is_made) {
    make();
    is_made = false;
  }
  assert_int_equal(open_pool(&s->on.th.host, &n->pool), VESTRY_OK);
  assert_int_equal(open_forms(n->pool, &n->stored), VESTRY_OK);
  (void)strangers_act("vestry_form", ++opened_count, STRANGER_READS | STRANGER_WRITES);
  return n->stored;
}

static void close_node(form_suite *s) {
  node *n = s->world;
  strangers_rest();
  vestry_sql_forms_destroy(n->stored);
  vestry_sql_pool_destroy(n->pool);
  free(n);
}

static void pass_s(form_suite *s, int seconds) {
  clock_ms += INT64_C(1000) * seconds;
}

static vestry_sql_pool *pool_of(const form_suite *s) {
  return ((const node *)s->world)->pool;
}

static int64_t number_of(const form_suite *s, const char *sql) {
  int64_t number = -1;
  assert_int_equal(vestry_sql_run_alone(pool_of(s), sql, NULL, vestry_sql_row_integer, &number), VESTRY_OK);
  return number;
}

/* Each row for the clear counters exists, and no other. */
static void check(const form_suite *s) {
  assert_int_equal(number_of(s, "SELECT count(*) FROM vestry_form_cleared WHERE slot BETWEEN 0 AND 4095"), 4096);
}

static void empty(void) {
  postgres_server_run(shop_server(), "TRUNCATE vestry_form_cleared");
}

static vestry_err clear_in(vestry_sql_pool *pool, vestry_sql_kind kind, vestry_forms *forms,
                           const vestry_request *req) {
  vestry_sql_transaction *transaction;
  vestry_err error = vestry_sql_begin(pool, kind, &transaction);
  return error ? error : vestry_sql_end(transaction, vestry_forms_clear(forms, req, "report:7"));
}

static vestry_err clear_reading(form_suite *s, const vestry_request *req) {
  return clear_in(pool_of(s), VESTRY_SQL_READ, s->forms, req);
}

typedef struct submitted {
  form_suite *s;
  const vestry_request *req;
  vestry_err end;
} submitted;

/* Called in the next submit; NULL: not called. */
static void (*before_clear)(void), (*before_end)(void);

static void call(void (**of)(void)) {
  void (*fn)(void) = *of;
  if (!fn) return; /* threads may call this concurrently */
  *of = NULL;
  fn();
}

static vestry_err insert_and_clear(vestry_sql_transaction *transaction, void *ctx) {
  const submitted *of = ctx;
  vestry_err error = vestry_sql_run(transaction, "INSERT INTO report(title) VALUES('typed')", NULL, NULL, NULL);
  call(&before_clear);
  if (!error) error = vestry_forms_clear(of->s->forms, of->req, "report:7");
  call(&before_end);
  return error ? error : of->end;
}

static vestry_err submit(form_suite *s, const vestry_request *req, vestry_err end) {
  submitted of = {s, req, end};
  return vestry_sql_act(pool_of(s), VESTRY_SQL_SERIALIZABLE, insert_and_clear, &of);
}

static vestry_err open_alone(const vestry_host *host, void **ret_world, vestry_forms_storage **ret_storage) {
  vestry_sql_pool *pool = NULL;
  vestry_err error = open_pool(host, &pool);
  *ret_world = pool;
  return error ? error : open_forms(pool, ret_storage);
}

static void close_alone(void *world, vestry_forms_storage *storage) {
  vestry_sql_forms_destroy(storage);
  vestry_sql_pool_destroy(world);
}

/* Create the tables on a separate connection, because an index creation counts as a scan of the table by its
 * connection. */
static void make_tables(const vestry_host *host) {
  vestry_sql_pool *pool;
  vestry_forms_storage *stored;
  assert_int_equal(open_pool(host, &pool), VESTRY_OK);
  assert_int_equal(open_forms(pool, &stored), VESTRY_OK);
  close_alone(pool, stored);
}

static void open_live(form_live *l, int level) {
  node *n = calloc(1, sizeof *n);
  assert_non_null(n);
  l->world = n;
  make_tables(&l->on.th.host);
  assert_int_equal(open_pool(&l->on.th.host, &n->pool), VESTRY_OK);
  const vestry_postgres_options follow = {.level = (vestry_postgres_level)level};
  assert_int_equal(vestry_postgres_create(l->on.pages, n->pool, &follow, &n->database), VESTRY_OK);
  assert_int_equal(vestry_postgres_level_get(n->database), level);
  assert_int_equal(open_forms(n->pool, &l->stored), VESTRY_OK);
}

static void close_live(form_live *l) {
  node *n = l->world;
  vestry_sql_forms_destroy(l->stored);
  vestry_postgres_destroy(n->database);
  vestry_sql_pool_destroy(n->pool);
  free(n);
}

static vestry_err clear_live(form_live *l, const vestry_request *req) {
  return clear_in(((const node *)l->world)->pool, VESTRY_SQL_WRITE, l->forms, req);
}

static void settle_live(form_live *l) {
  assert_int_equal(vestry_postgres_settle(((const node *)l->world)->database, 20000, NULL), VESTRY_OK);
}

static const form_level levels[] = {{VESTRY_POSTGRES_READS, true, true, true, true},
                                    {VESTRY_POSTGRES_TABLES, true, true, false, false}};
static const form_database in_postgres = {.world = {open_node, close_node, pass_s},
                                          .make = make,
                                          .remove = remove_it,
                                          .empty = empty,
                                          .number = number_of,
                                          .check = check,
                                          .submit = submit,
                                          .clear_reading = clear_reading,
                                          .open_alone = open_alone,
                                          .close_alone = close_alone,
                                          .open_live = open_live,
                                          .close_live = close_live,
                                          .clear_live = clear_live,
                                          .settle_live = settle_live,
                                          .does_without = true,
                                          .levels = levels,
                                          .levels_count = sizeof levels / sizeof *levels};

/* ------------------------------------------------------------------------------------------------- faults --------- */

static void kill_server(void) {
  strangers_rest();
  postgres_server_kill(shop_server());
}

/* capability: M3 */
TEST_CASE(server_killed_during_submit_keeps_the_input) {
  form_suite s;
  form_tab t = {.cookie = ""};
  form_begin_submit(&s);
  form_load(&s, &t);
  assert_int_equal(form_send(&s, &t, 1, "v.title=typed"), 200);
  before_end = kill_server;
  assert_true(form_call(&s, &t, "POST", "/submit", "x=1", NULL) >= 500);
  assert_int_equal(form_stats(&s).cleared_count, 0);
  assert_int_equal(form_send(&s, &t, 2, "v.title=more"), 503);
  assert_int_equal(form_send(&s, &t, 3, "clear=1"), 503);
  assert_int_equal(form_stats(&s).refused_count, 2);
  postgres_server_start(shop_server(), NULL);
  form_shows(&s, &t, "value=\"typed\"");
  assert_int_equal(number_of(&s, "SELECT count(*) FROM report"), 0);
  assert_int_equal(form_send(&s, &t, 4, "v.title=more"), 200);
  assert_int_equal(form_call(&s, &t, "POST", "/submit", "x=1", NULL), 303);
  form_shows(&s, &t, "value=\"first\"");
  assert_int_equal(number_of(&s, "SELECT count(*) FROM report"), 1);
  check(&s);
  form_end(&s);
}

/* capability: M3 */
TEST_CASE(tables_of_a_later_version_are_rejected) {
  shop s;
  vestry_forms_storage *stored = NULL;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 2});
  for (int i = 0; i < 2; i++) { /* again, with the tables present */
    assert_int_equal(vestry_sql_forms_create(s.pool, &stored), VESTRY_OK);
    vestry_sql_forms_destroy(stored);
  }
  assert_int_equal(shop_number(&s, "SELECT version FROM vestry_schema WHERE part = 'form'"), 2);
  /* the tables of vestry 0.3.0 */
  shop_do(&s, "ALTER TABLE vestry_form DROP COLUMN person");
  shop_do(&s, "UPDATE vestry_schema SET version = 1 WHERE part = 'form'");
  assert_int_equal(vestry_sql_forms_create(s.pool, &stored), VESTRY_OK);
  vestry_sql_forms_destroy(stored);
  assert_int_equal(shop_number(&s, "SELECT version FROM vestry_schema WHERE part = 'form'"), 2);
  assert_int_equal(shop_number(&s, "SELECT count(person) FROM vestry_form"), 0);
  shop_do(&s, "UPDATE vestry_schema SET version = 9 WHERE part = 'form'");
  stored = NULL;
  assert_int_equal(vestry_sql_forms_create(s.pool, &stored), VESTRY_IO);
  assert_null(stored);
  assert_non_null(strstr(s.th.last_log, "(form) have version 9"));
  assert_int_equal(vestry_sql_forms_create(NULL, &stored), VESTRY_INVALID);
  assert_int_equal(vestry_sql_forms_create(s.pool, NULL), VESTRY_INVALID);
  vestry_sql_forms_destroy(NULL);
  shop_end(&s);
}

/* By the server's clock; the tests above set a manual one. */
TEST_CASE(form_expiry_uses_the_servers_clock) {
  shop s;
  vestry_forms_storage *stored;
  vsi_form_state now, typed = {.generation = 1, .number = 1, .pairs = (char[]){"a\0b"}, .len = 4};
  const vsi_form_key key = {{"ada", 3}, "0123456789abcdef0123456789abcdef", "form", false, 0};
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 2});
  assert_int_equal(vestry_sql_forms_create(s.pool, &stored), VESTRY_OK);
  stored->host = &s.th.host;
  stored->bounds = (vestry_forms_options){.ttl_ms = 100000, .max_bytes = 20480, .max_per_scope_count = 3};
  assert_int_equal(stored->ops->put(stored, &key, &typed, &now), VESTRY_OK);
  assert_in_range(
      shop_number(&s, "SELECT expires - (extract(epoch FROM now())::float8 * 1000::float8)::bigint FROM vestry_form"),
      1, 100000);
  assert_int_equal(stored->ops->clear(stored, &key, false, &now), VESTRY_OK);
  assert_true(now.generation > UINT64_C(1700000000000));
  vestry_sql_forms_destroy(stored);
  shop_end(&s);
}

/* -------------------------------------------------------------------------------------------- transactions -------- */

static vestry_err open_inside(const vestry_request *req, vestry_reply *reply, void *app) {
  form_suite *s = app;
  vestry_sql_transaction *transaction;
  vestry_html html;
  vestry_form *form;
  vestry_html_init(&html, &s->on.th.host);
  assert_int_equal(vestry_sql_begin(pool_of(s), VESTRY_SQL_READ, &transaction), VESTRY_OK);
  assert_int_equal(vestry_form_open(s->forms, req, NULL, &html, "report:7", &form), VESTRY_INVALID);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  assert_int_equal(vestry_sql_begin(pool_of(s), VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  assert_int_equal(vestry_form_open(s->forms, req, NULL, &html, "report:7", &form), VESTRY_OK);
  vestry_form_close(form);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  vestry_html_finish(&html);
  return vestry_reply_status(reply, 204);
}

/* capability: M3 */
TEST_CASE(opening_a_form_within_a_read_transaction_is_invalid) {
  form_suite s;
  form_tab t = {.cookie = ""};
  form_begin_submit(&s);
  assert_int_equal(vestry_route(s.on.v, "POST", "/inside", open_inside, &s), VESTRY_OK);
  form_load(&s, &t);
  assert_int_equal(form_call(&s, &t, "POST", "/inside", "x=1", NULL), 204);
  assert_non_null(strstr(s.on.th.last_log, "this thread has a read transaction"));
  form_end(&s);
}

static form_suite *other_suite;
static form_tab other_tab;

static void submit_other(void) {
  assert_int_equal(form_call(other_suite, &other_tab, "POST", "/submit", "x=1", NULL), 303);
}

/* Two nodes run a serializable submit each, one within the other, without a conflict. */
/* capability: M3 */
TEST_CASE(concurrent_submits_of_two_tabs_do_not_conflict) {
  form_suite s, other;
  form_tab t = {.cookie = ""};
  make();
  form_begin_submit(&s);
  form_begin_submit(&other);
  other_suite = &other;
  form_load(&s, &t);
  for (int i = 0; i < 2; i++) { /* the second time the rows exist */
    other_tab = (form_tab){.cookie = ""};
    snprintf(other_tab.cookie, sizeof other_tab.cookie, "%s", t.cookie);
    form_load(&s, &other_tab);
    before_end = submit_other;
    assert_int_equal(form_call(&s, &t, "POST", "/submit", "x=1", NULL), 303);
  }
  assert_int_equal(number_of(&s, "SELECT count(*) FROM report"), 4);
  vestry_sql_pool_stats stats = {0};
  vestry_sql_pool_stats_get(pool_of(&s), &stats);
  assert_int_equal(stats.conflicts_count, 0);
  vestry_sql_pool_stats_get(pool_of(&other), &stats);
  assert_int_equal(stats.conflicts_count, 0);
  assert_int_equal(form_stats(&s).cleared_count, 2);
  assert_int_equal(form_stats(&other).cleared_count, 2);
  form_end(&other);
  form_end(&s);
  remove_it();
}

/* The other node clears the same form within the submit. This transaction is retried, and notifies once. */
/* capability: M3 */
TEST_CASE(retried_submit_clears_once) {
  form_suite s, other;
  form_tab t = {.cookie = ""};
  make();
  form_begin_submit(&s);
  form_begin_submit(&other);
  form_load(&s, &t);
  assert_int_equal(form_send(&s, &t, 1, "v.title=typed"), 200);
  other_suite = &other;
  other_tab = t;
  before_clear = submit_other;
  assert_int_equal(form_call(&s, &t, "POST", "/submit", "x=1", NULL), 303);
  assert_int_equal(form_stats(&s).cleared_count, 1);
  assert_int_equal(number_of(&s, "SELECT count(*) FROM report"), 2);
  form_shows(&s, &t, "value=\"first\"");
  form_end(&other);
  form_end(&s);
  remove_it();
}

/* ------------------------------------------------------------------------------------------------- nodes ---------- */

enum { LETTERS = 100, WRITERS = 4 };

typedef struct writer {
  form_person person;
  int at;
} writer;

static void *type_all(void *ctx) {
  writer *w = ctx;
  char letter[100];
  for (int i = 0; i < LETTERS; i++) {
    int number = 1 + (i * WRITERS + w->at);
    snprintf(letter, sizeof letter, "form=report:7&generation=0&number=%d&v.title=%d", number, number);
    w->person.is_wrong |= form_ask_alone(&w->person, "/kept", letter) != 200;
  }
  return NULL;
}

/* Inputs of one tab reach two nodes in any order; the last one is stored. */
/* capability: M3 */
TEST_CASE(last_input_wins_at_any_node) {
  form_suite suites[2];
  form_tab t = {.cookie = ""};
  static writer writers[WRITERS];
  pthread_t threads[WRITERS];
  char last[40];
  make();
  for (int i = 0; i < 2; i++) form_begin_submit(&suites[i]);
  form_load(&suites[0], &t);
  for (int i = 0; i < WRITERS; i++) {
    writers[i] = (writer){{&suites[i % 2], t, false}, i};
    assert_int_equal(pthread_create(&threads[i], NULL, type_all, &writers[i]), 0);
  }
  for (int i = 0; i < WRITERS; i++) {
    assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_false(writers[i].person.is_wrong);
  }
  snprintf(last, sizeof last, "value=\"%d\"", LETTERS * WRITERS);
  for (int i = 0; i < 2; i++) form_shows(&suites[i], &t, last);
  assert_int_equal(number_of(&suites[0], "SELECT count(*) FROM vestry_form"), 1);
  for (int i = 0; i < 2; i++) form_end(&suites[i]);
  remove_it();
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  (void)shop_open_server(NULL);
  const int failed = form_database_run("forms in PostgreSQL", &in_postgres);
  return failed + cases_run("postgres/forms", NULL, shop_close_server);
}
