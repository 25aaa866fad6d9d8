/* SPDX-License-Identifier: MIT */
/* vestry's tables: their versions, and objects that the role may not create. */
#include <pthread.h>

#include "postgres/shop.h"
#include "support/test.h"
#include "vestry/data/jobs.h"

static void create_all(shop *s) {
  vestry_sql_sessions *sessions;
  vestry_sql_once *once;
  vestry_forms_storage *forms;
  vestry_jobs *jobs;
  assert_int_equal(vestry_sql_sessions_create(s->pool, NULL, &sessions), VESTRY_OK);
  vestry_sql_sessions_destroy(sessions);
  assert_int_equal(vestry_sql_once_create(s->pool, NULL, &once), VESTRY_OK);
  vestry_sql_once_destroy(once);
  assert_int_equal(vestry_sql_forms_create(s->pool, &forms), VESTRY_OK);
  vestry_sql_forms_destroy(forms);
  assert_int_equal(vestry_jobs_create(s->pool, NULL, &jobs), VESTRY_OK);
  vestry_jobs_destroy(jobs);
}

/* For example by a script that empties all tables. */
TEST_CASE(versions_are_written_again_after_vestry_schema_was_emptied) {
  shop s;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  create_all(&s);
  const int64_t versions = shop_number(&s, "SELECT sum(version)::bigint FROM vestry_schema");
  shop_do(&s, "INSERT INTO vestry_session(hash, name, created, used) VALUES('h', 'u', 1, 1)");
  shop_do(&s, "TRUNCATE vestry_schema");
  create_all(&s);
  assert_int_equal(s.th.log_lines, 0);
  assert_int_equal(shop_number(&s, "SELECT sum(version)::bigint FROM vestry_schema"), versions);
  assert_int_equal(shop_number(&s, "SELECT count(*) FROM vestry_session"), 1);
  shop_end(&s);
}

static void as_owner(const char *sql) {
  char all[512];
  snprintf(all, sizeof all, "SET client_min_messages = error; %s", sql);
  postgres_server_run(shop_server(), all);
}

/* Create all tables, and open the pool again for a role that may use them. */
static void begin_as_clerk(shop *s) {
  shop_begin(s, (vestry_postgres_pool_options){.connections_count = 1});
  create_all(s);
  shop_end(s);
  as_owner("DROP ROLE IF EXISTS clerk; CREATE ROLE clerk; GRANT USAGE ON SCHEMA public TO clerk; "
           "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk");
  test_host_init(&s->th);
  assert_int_equal(shop_open(s, (vestry_postgres_pool_options){.connections_count = 1, .setup = "SET ROLE clerk"}),
                   VESTRY_OK);
}

static void end_as_clerk(shop *s) {
  shop_end(s);
  as_owner("DROP OWNED BY clerk; DROP ROLE clerk");
}

/* The role may not create objects in the schema; then it may, but does not own the table. */
TEST_CASE(role_without_create_needs_only_what_is_not_an_index) {
  shop s;
  begin_as_clerk(&s);
  create_all(&s); /* reading the versions suffices */
  assert_int_equal(s.th.log_lines, 0);
  as_owner("DROP INDEX vestry_job_open; DELETE FROM vestry_schema WHERE part = 'job_open'"); /* of an earlier version */
  for (int i = 0; i < 2; i++) {
    create_all(&s);
    assert_int_equal(s.th.log_lines, i + 1);
    assert_non_null(strstr(s.th.last_log, "run: CREATE INDEX IF NOT EXISTS vestry_job_open ON vestry_job(kind, key"));
    as_owner("GRANT CREATE ON SCHEMA public TO clerk");
  }
  as_owner("REVOKE CREATE ON SCHEMA public FROM clerk; DELETE FROM vestry_schema WHERE part = 'session'");
  vestry_sql_sessions *sessions = NULL;
  assert_int_equal(vestry_sql_sessions_create(s.pool, NULL, &sessions), VESTRY_IO);
  assert_null(sessions);
  assert_int_equal(s.th.log_lines, 3);
  assert_non_null(strstr(s.th.last_log, "grant the privilege to the pool's user"));
  end_as_clerk(&s);
}

typedef struct create_jobs_thread {
  shop *s;
  vestry_err error;
  atomic_bool is_over;
} create_jobs_thread;

static void *create_jobs(void *ctx) {
  create_jobs_thread *of = ctx;
  vestry_jobs *jobs = NULL;
  of->error = vestry_jobs_create(of->s->pool, NULL, &jobs);
  vestry_jobs_destroy(jobs);
  atomic_store(&of->is_over, true);
  return NULL;
}

/* Another client has written to the table, and its transaction is open: a start waits for the lock only briefly, so
 * other writers pass. Without the index, the start succeeds. */
TEST_CASE(start_does_not_stop_other_writers) {
  shop s;
  create_jobs_thread with = {.error = VESTRY_IO};
  pthread_t thread;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 2});
  create_all(&s);
  PGconn *holder = postgres_server_connect(shop_server()), *writer = postgres_server_connect(shop_server());
  shop_do(&s, "DROP INDEX vestry_job_open");
  shop_do(&s, "DELETE FROM vestry_schema WHERE part = 'job_open'");
  PQclear(
      PQexec(holder, "BEGIN; INSERT INTO vestry_job(kind, state, attempts_most, created) VALUES('k', 'done', 1, 1)"));
  with.s = &s;
  assert_int_equal(pthread_create(&thread, NULL, create_jobs, &with), 0);
  PQclear(PQexec(writer, "SET lock_timeout = '5s'"));
  for (bool is_over = false; !is_over; is_over = atomic_load(&with.is_over)) {
    PGresult *result =
        PQexec(writer, "INSERT INTO vestry_job(kind, state, attempts_most, created) VALUES('k', 'done', 1, 1)");
    assert_int_equal(PQresultStatus(result), PGRES_COMMAND_OK);
    PQclear(result);
  }
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_int_equal(with.error, VESTRY_OK);
  assert_non_null(strstr(s.th.last_log, "an index of vestry's is missing"));
  PQclear(PQexec(holder, "ROLLBACK"));
  create_all(&s);
  assert_int_equal(shop_number(&s, "SELECT count(*) FROM pg_class WHERE relname = 'vestry_job_open'"), 1);
  PQfinish(holder);
  PQfinish(writer);
  shop_end(&s);
}

/* Each kind of text and comment contains a semicolon, of which only those between statements end one. */
static const char script[] =
    "CREATE TABLE one(a text DEFAULT 'it''s; one'); -- a; comment\n"
    "/* another; /* nested; */ one */ CREATE TABLE \"t;wo\"(b text DEFAULT E'\\';');\n"
    "CREATE FUNCTION three() RETURNS integer LANGUAGE plpgsql AS $of$ BEGIN PERFORM $$;$$; RETURN 3; END $of$;\n"
    "CREATE RULE four AS ON DELETE TO one DO ALSO (SELECT 1; SELECT 2);\n"
    "INSERT INTO one DEFAULT VALUES;\n;  \n";

static void *open_one(void *ctx) {
  shop *s = ctx;
  assert_int_equal(shop_open(s, (vestry_postgres_pool_options){.schema = script, .schema_version = 2}), VESTRY_OK);
  return NULL;
}

TEST_CASE(nodes_that_start_at_once_create_the_tables_once) {
  enum { NODES = 4 };
  shop nodes[NODES] = {0};
  pthread_t threads[NODES];
  shop_clear();
  for (int i = 0; i < NODES; i++) {
    test_host_init(&nodes[i].th);
    assert_int_equal(pthread_create(&threads[i], NULL, open_one, &nodes[i]), 0);
  }
  for (int i = 0; i < NODES; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  assert_int_equal(shop_number(&nodes[0], "SELECT count(*) FROM one WHERE a = 'it''s; one'"), 1);
  assert_int_equal(shop_number(&nodes[0], "SELECT count(*) + three() FROM \"t;wo\""), 3);
  assert_int_equal(shop_number(&nodes[0], "SELECT version FROM vestry_schema WHERE part = 'application'"), 2);
  for (int i = 0; i < NODES; i++) shop_end(&nodes[i]);
}

TEST_CASE(tables_are_brought_to_a_version_or_left_alone) {
  static const struct {
    const char *schema;
    int version;
    vestry_err error;
    const char *says;
  } rows[] = {{"CREATE TABLE a(x integer)", 1, VESTRY_OK, NULL},
              {"CREATE TABLE wrong(", 1, VESTRY_OK, NULL}, /* it has this version */
              {"ALTER TABLE a ADD y integer; ALTER TABLE nowhere ADD z integer", 2, VESTRY_IO, "ALTER TABLE nowhere"},
              {"ALTER TABLE a ADD y integer", 2, VESTRY_OK, NULL}, /* the failed one has left nothing */
              {"", 1, VESTRY_IO, "have version 2, but this program supports at most version 1"},
              {"CREATE TABLE b()", 0, VESTRY_INVALID, "requires a schema_version"}};
  shop_clear();
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    shop s = {0};
    test_host_init(&s.th);
    assert_int_equal(
        shop_open(&s, (vestry_postgres_pool_options){.schema = rows[i].schema, .schema_version = rows[i].version}),
        rows[i].error);
    if (rows[i].says) assert_non_null(strstr(s.th.last_log, rows[i].says));
    if (rows[i].error)
      test_host_assert_clean(&s.th);
    else
      shop_end(&s);
  }
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/schema", shop_open_server, shop_close_server);
}
