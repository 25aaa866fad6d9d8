/* SPDX-License-Identifier: MIT */
/* The follower of commits over broken networks, a promoted standby and large transactions. */
#include "data/postgres/follower.h"
#include "data/sql/sql.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "postgres/shown.h"
#include "support/folder.h"
#include "support/relay.h"
#include "support/until.h"

static const char channels[] =
    "CREATE TABLE message(channel int, id int, body text, likes int DEFAULT 0, PRIMARY KEY(channel, id));"
    "INSERT INTO message SELECT i / 400, i % 400, repeat('x', 40) FROM generate_series(0, 3999) i; ANALYZE";
static const char first[] = "SELECT id FROM message WHERE channel = 1 ORDER BY id DESC LIMIT 2";
static const char eighth[] = "SELECT id, likes FROM message WHERE channel = 8 ORDER BY id DESC LIMIT 2";

/* Counts of log lines. */
static atomic_uint levels_count, again_count, silences_count, begins_count, others_count, lost_count, rights_count,
    explained_count, overs_count;
/* The follower waits in its log line about a transaction with too many keys. */
static atomic_bool is_stopped;

static void look_at_log(void *ctx, vestry_log_level level, const char *line) {
  if (strstr(line, "the level is READS, with PostgreSQL")) levels_count++;
  if (strstr(line, "commits are followed again, with PostgreSQL")) again_count++;
  if (strstr(line, "the server has sent nothing for 300 ms")) silences_count++;
  if (strstr(line, "restarting, and then all pages are rendered again")) begins_count++;
  if (strstr(line, "and the pool have reached two different servers")) others_count++;
  if (strstr(line, "follower of commits") && strstr(line, "cannot connect")) lost_count++;
  if (strstr(line, "to start walsender") || strstr(line, "to start WAL sender")) rights_count++;
  if (strstr(line, "the level is TOPICS")) explained_count += rights_count;
  if (strstr(line, "more parts of tables and indexes than max_transaction_keys")) overs_count++;
  WAIT_WHILE(overs_count && is_stopped);
}

static void open_logged(shown_site *s, const char *url, const vestry_postgres_options *options) {
  levels_count = again_count = silences_count = begins_count = others_count = 0;
  lost_count = rights_count = explained_count = overs_count = 0;
  shown_open_with(s, channels, (vestry_postgres_pool_options){.url = url, .statement_ms = 60000}, look_at_log, options);
  assert_int_equal(levels_count, 1);
}

/* ------------------------------------------------------------------------------------------------ networks -------- */

/* No bytes arrive, and no end of the connection. */
TEST_CASE(silent_network_ends_following_and_is_logged) {
  shown_site s;
  char url[160];
  relay *network = relay_open(shop_server()->port);
  snprintf(url, sizeof url, "host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=disable gssencmode=disable",
           relay_port(network));
  open_logged(&s, url, &(vestry_postgres_options){.silence_ms = 300});
  size_t eight = shown_watch(&s, eighth, NULL);
  relay_hold(network, true);
  UNTIL(!shown_stats(&s).is_following);
  assert_true(silences_count > 0 && begins_count > 0);
  assert_int_equal(vestry_postgres_level_get(s.database), VESTRY_POSTGRES_READS); /* pages stay unchanged */
  shown_run(&s, "INSERT INTO message VALUES(8, 1000, 'x', 0)");
  relay_hold(network, false);
  shown_settle_again(&s, eight);
  assert_string_equal(s.all[eight].text, "1000 0 399 0 ");
  assert_true(shown_stats(&s).starts_count >= 2 && again_count > 0);
  (void)shown_renders(&s, eight);
  shown_run(&s, "INSERT INTO message VALUES(8, 1001, 'x', 0)");
  shown_settle_again(&s, eight);
  assert_string_equal(s.all[eight].text, "1001 0 1000 0 ");
  shown_close(&s);
  relay_close(network);
}

static const char last_told[] =
    "SELECT (extract(epoch FROM max(reply_time)) * 1000000)::bigint FROM pg_stat_replication";

/* An idle server is sent a request, and answers. */
TEST_CASE(idle_server_is_not_taken_for_dead) {
  shown_site s;
  open_logged(&s, NULL, &(vestry_postgres_options){.silence_ms = 1000});
  size_t eight = shown_watch(&s, eighth, NULL);
  for (int i = 0; i < 2; i++) {
    const int64_t told_us = postgres_server_number(shop_server(), last_told);
    UNTIL(postgres_server_number(shop_server(), last_told) > told_us);
  }
  assert_int_equal(silences_count, 0);
  shown_run(&s, "INSERT INTO message VALUES(8, 1000, 'x', 0)");
  assert_int_equal(shown_renders(&s, eight), 1);
  shown_close(&s);
}

TEST_CASE(lost_connection_is_followed_again) {
  shown_site s;
  char url[160];
  relay *network = relay_open(shop_server()->port);
  snprintf(url, sizeof url, "host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=disable gssencmode=disable",
           relay_port(network));
  open_logged(&s, url, NULL);
  size_t eight = shown_watch(&s, eighth, NULL), one = shown_watch(&s, first, NULL);
  relay_cut(network);
  shown_run(&s, "INSERT INTO message VALUES(8, 1000, 'x', 0)");
  shown_settle_again(&s, eight);
  assert_string_equal(s.all[eight].text, "1000 0 399 0 ");
  assert_int_equal(shown_stats(&s).starts_count, 2);
  assert_int_equal(begins_count, 1);
  assert_int_equal(again_count, 1);
  assert_int_equal(levels_count, 1);
  assert_int_equal(shown_renders(&s, one), 1); /* commits during the gap are unknown */
  shown_close(&s);
  relay_close(network);
}

/* The server restarts, and the role has lost its privilege meanwhile: first there is no server, then the server
 * refuses. The log has both reasons, the second one before the new level. */
TEST_CASE(another_reason_is_logged_before_the_level) {
  shown_site s;
  char url[256];
  const char role[] = "DROP ROLE IF EXISTS pages; CREATE ROLE pages LOGIN SUPERUSER REPLICATION";
  postgres_server_run(shop_server(), role);
  snprintf(url, sizeof url, "host=%s dbname=postgres user=pages port=%d", shop_server()->folder, shop_server()->port);
  open_logged(&s, url, NULL);
  postgres_server_run(shop_server(), "ALTER ROLE pages NOSUPERUSER NOREPLICATION");
  postgres_server_kill(shop_server());
  UNTIL(lost_count > 0 && !shown_stats(&s).is_following);
  postgres_server_start(shop_server(), NULL);
  UNTIL(vestry_postgres_level_get(s.database) == VESTRY_POSTGRES_TOPICS);
  UNTIL(explained_count > 0);
  shown_close(&s);
  postgres_server_run(shop_server(), "DROP ROLE pages");
}

/* ----------------------------------------------------------------------------------------------- a standby -------- */

/* The primary is lost, and its standby replaces it, on another timeline. */
TEST_CASE(promoted_standby_is_followed) {
  shown_site s;
  postgres_server standby;
  char url[200];
  shop_clear();
  postgres_server_init_standby(&standby, shop_server());
  postgres_server_start(&standby, NULL);
  snprintf(url, sizeof url,
           "postgresql://postgres@127.0.0.1:%d,127.0.0.1:%d/"
           "postgres?sslmode=disable&gssencmode=disable&target_session_attrs=primary",
           standby.port, shop_server()->port);
  open_logged(&s, url, NULL);
  size_t eight = shown_watch(&s, eighth, NULL), one = shown_watch(&s, first, NULL);
  shown_run(&s, "INSERT INTO message VALUES(8, 1000, 'x', 0)");
  assert_int_equal(shown_renders(&s, eight), 1);
  UNTIL(postgres_server_number(&standby, "SELECT count(*) FROM pg_class WHERE relname = 'message'") == 1);
  UNTIL(postgres_server_number(&standby, "SELECT count(*) FROM message WHERE id = 1000") == 1);
  postgres_server_kill(shop_server());
  postgres_server_run(&standby, "SELECT pg_promote()");
  PQfinish(s.writer);
  s.writer = postgres_server_connect(&standby);
  shown_run(&s, "INSERT INTO message VALUES(8, 1001, 'x', 0)");
  shown_settle_again(&s, eight);
  assert_string_equal(s.all[eight].text, "1001 0 1000 0 ");
  /* Each start renders all pages once. A server under load can end the first stream after the promotion. */
  size_t renders = 0;
  UNTIL((renders += shown_renders(&s, one)) == shown_stats(&s).starts_count - 1);
  postgres_server_run(&standby, "CHECKPOINT");
  assert_int_equal(postgres_server_number(&standby, "SELECT timeline_id FROM pg_control_checkpoint()"), 2);
  (void)shown_renders(&s, eight);
  shown_run(&s, "INSERT INTO message VALUES(8, 1002, 'x', 0)");
  assert_int_equal(shown_renders(&s, eight), 1);
  assert_int_equal(shown_renders(&s, one), 0);
  shown_close(&s);
  postgres_server_finish(&standby);
  postgres_server_start(shop_server(), NULL);
}

/* -------------------------------------------------------------------------------------------------- servers ------- */

TEST_CASE(another_server_than_that_of_the_pool_is_not_followed) {
  shown_site s;
  postgres_server other;
  char folder[FOLDER_BYTES], url[160];
  postgres_server_init(&other, 0);
  postgres_server_start(&other, NULL);
  folder_make(folder, "name");
  snprintf(url, sizeof url, "host=%s port=1 user=postgres dbname=postgres", folder);
  postgres_server_lead(folder, shop_server());
  open_logged(&s, url, &(vestry_postgres_options){.silence_ms = 1000});
  const size_t eight = shown_watch(&s, eighth, NULL);
  /* The follower comes to the other server, and the pool keeps its connection. */
  postgres_server_lead(folder, &other);
  postgres_server_run(shop_server(), "SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
  UNTIL(others_count > 0);
  assert_false(shown_stats(&s).is_following);
  postgres_server_lead(folder, shop_server());
  shown_run(&s, "INSERT INTO message VALUES(8, 1000, 'x', 0)");
  UNTIL(shown_stats(&s).is_following);
  shown_settle_again(&s, eight);
  assert_string_equal(s.all[eight].text, "1000 0 399 0 ");
  shown_close(&s);
  folder_remove(folder);
  postgres_server_finish(&other);
}

/* A thread that holds a connection of the pool. */
typedef struct borrower {
  vestry_sql_pool *pool;
  pthread_t thread;
  atomic_bool has_begun, is_over;
  int64_t port; /* of its server */
} borrower;

static const char port_sql[] = "SELECT current_setting('port')::int";

static void *borrow(void *ctx) {
  borrower *of = ctx;
  vestry_sql_transaction *transaction;
  if (!vestry_sql_begin(of->pool, VESTRY_SQL_READ, &transaction)) {
    (void)vestry_sql_run(transaction, port_sql, NULL, vestry_sql_row_integer, &of->port);
    of->has_begun = true;
    WAIT_WHILE(!of->is_over);
    (void)vestry_sql_end(transaction, VESTRY_OK);
  }
  return NULL;
}

static void borrow_from(borrower *of, vestry_sql_pool *pool) {
  *of = (borrower){.pool = pool};
  assert_int_equal(pthread_create(&of->thread, NULL, borrow, of), 0);
  UNTIL(of->has_begun);
}

static void give_back(borrower *of) {
  of->is_over = true;
  pthread_join(of->thread, NULL);
}

static int64_t port_aside(const shown_site *s) {
  int64_t port = 0;
  assert_int_equal(s->pool->ops->run_by(s->pool, VSI_SQL_RUN_ASIDE, port_sql, NULL, vestry_sql_row_integer, &port),
                   VESTRY_OK);
  return port;
}

/* A new connection of the pool comes to another server. Following begins again when a free one comes to the right
 * one. */
TEST_CASE(following_resumes_without_connections_to_another_server) {
  shown_site s;
  postgres_server other;
  borrower one, two;
  char folder[FOLDER_BYTES], url[160];
  postgres_server_init(&other, 0);
  postgres_server_start(&other, NULL);
  folder_make(folder, "name");
  snprintf(url, sizeof url, "host=%s port=1 user=postgres dbname=postgres", folder);
  postgres_server_lead(folder, shop_server());
  open_logged(&s, url, NULL);
  /* A free connection. */
  postgres_server_lead(folder, &other);
  assert_int_equal(port_aside(&s), other.port);
  postgres_server_lead(folder, shop_server());
  UNTIL(begins_count == 1 && shown_stats(&s).is_following);
  assert_int_equal(port_aside(&s), shop_server()->port);
  assert_int_equal(others_count, 0);
  /* One that a thread has. */
  borrow_from(&one, s.pool);
  postgres_server_lead(folder, &other);
  borrow_from(&two, s.pool);
  postgres_server_lead(folder, shop_server());
  assert_int_equal(two.port, other.port);
  UNTIL(shown_stats(&s).starts_count >= 3 && shown_stats(&s).is_following);
  give_back(&two);
  borrow_from(&two, s.pool);
  assert_int_equal(two.port, shop_server()->port);
  give_back(&two);
  give_back(&one);
  shown_close(&s);
  folder_remove(folder);
  postgres_server_finish(&other);
}

/* A thread has a connection to the server's former life, and does not notice its end. Following need not wait. */
TEST_CASE(following_resumes_although_a_thread_has_a_lost_connection) {
  shown_site s;
  borrower one;
  open_logged(&s, NULL, NULL);
  borrow_from(&one, s.pool);
  postgres_server_kill(shop_server());
  postgres_server_start(shop_server(), NULL);
  UNTIL(begins_count > 0 && shown_stats(&s).is_following);
  give_back(&one);
  borrow_from(&one, s.pool);
  assert_int_equal(one.port, shop_server()->port);
  give_back(&one);
  PQfinish(s.writer);
  s.writer = postgres_server_connect(shop_server());
  shown_close(&s);
}

#define CHANNELS_CASE(name) TEST_CASE_WITH(name, shown_site, s, shown_open(s, channels, NULL), shown_close(s))

/* The follower has no slot, confirms nothing, and is not a standby for which a commit could wait. */
CHANNELS_CASE(follower_holds_back_no_wal_and_no_commit) {
  size_t eight = shown_watch(s, eighth, NULL);
  shown_run(s, "INSERT INTO message VALUES(8, 1000, 'x', 0)");
  assert_int_equal(shown_renders(s, eight), 1);
  assert_int_equal(postgres_server_number(shop_server(), "SELECT count(*) FROM pg_replication_slots"), 0);
  shown_run(s, "ALTER SYSTEM SET synchronous_standby_names = '*'");
  shown_run(s, "SELECT pg_reload_conf()");
  UNTIL(postgres_server_number(shop_server(), "SELECT count(*) FROM pg_stat_replication WHERE application_name = "
                                              "'vestry' AND write_lsn IS NOT NULL AND flush_lsn IS NULL AND "
                                              "replay_lsn IS NULL AND sync_state = 'async'") == 1);
  shown_run(s, "ALTER SYSTEM RESET synchronous_standby_names");
  shown_run(s, "SELECT pg_reload_conf()");
}

/* A transaction with many rows takes some bytes for each, and is followed exactly. */
CHANNELS_CASE(large_transaction_takes_little_memory) {
  shown_run(s, "CREATE TABLE large(id int PRIMARY KEY, n int); CREATE TABLE beside(n int);"
               "INSERT INTO large SELECT i, 0 FROM generate_series(1, 300000) i; ANALYZE large");
  size_t row = shown_watch(s, "SELECT n FROM large WHERE id = 7", NULL), eight = shown_watch(s, eighth, NULL);
  const size_t before = atomic_load(&s->on.th.bytes);
  atomic_store(&s->on.th.max_bytes, before);
  shown_run(s, "UPDATE large SET n = 1");
  assert_int_equal(shown_renders(s, row), 1);
  assert_string_equal(s->all[row].text, "1 ");
  assert_int_equal(shown_renders(s, eight), 0);
  assert_true(atomic_load(&s->on.th.max_bytes) - before < 24 << 20);
  assert_int_equal(shown_stats(s).starts_count, 1);
}

/* The same for a transaction with a subtransaction for each row, as a client that sets savepoints has it. */
CHANNELS_CASE(many_subtransactions_use_bounded_memory) {
  shown_run(s, "CREATE TABLE large(id int PRIMARY KEY, n int); INSERT INTO large SELECT i, 0 FROM generate_series(1, "
               "20000) i; ANALYZE large");
  size_t row = shown_watch(s, "SELECT n FROM large WHERE id = 7", NULL), eight = shown_watch(s, eighth, NULL);
  const size_t before = atomic_load(&s->on.th.bytes);
  atomic_store(&s->on.th.max_bytes, before);
  shown_run(s, "DO $$ BEGIN FOR i IN 1..20000 LOOP BEGIN UPDATE large SET n = 1 WHERE id = i;"
               "EXCEPTION WHEN unique_violation THEN NULL; END; END LOOP; END $$");
  assert_int_equal(shown_renders(s, row), 1);
  assert_string_equal(s->all[row].text, "1 ");
  assert_int_equal(shown_renders(s, eight), 0);
  assert_true(atomic_load(&s->on.th.max_bytes) - before < 2 << 20);
  assert_int_equal(shown_stats(s).starts_count, 1);
}

/* The follower is stopped while clients write tens of megabytes. A page that is rendered meanwhile shows all commits,
 * so none of them renders it again; other pages show the last state after one render. */
TEST_CASE(follower_far_behind_catches_up) {
  static const char lag[] =
      "SELECT pg_wal_lsn_diff(pg_current_wal_flush_lsn(), sent_lsn)::bigint FROM pg_stat_replication";
  shown_site s;
  is_stopped = true;
  open_logged(&s, NULL, &(vestry_postgres_options){.max_transaction_keys = 20});
  shown_run(&s, "CREATE TABLE aside(t text); INSERT INTO aside SELECT repeat('x', 1000) FROM generate_series(1, 1000)");
  const size_t eight = shown_watch(&s, eighth, NULL), one = shown_watch(&s, first, NULL),
               newer = shown_watch_as(&s, "SELECT max(id) FROM message WHERE channel = 8", SHOWN_READS, true);
  shown_run(&s, "DELETE FROM aside");
  UNTIL(overs_count == 1);
  const size_t before = atomic_load(&s.on.th.bytes);
  for (int i = 0; i < 20; i++)
    shown_run(&s, "INSERT INTO aside SELECT repeat('x', 1000) FROM generate_series(1, 2000);"
                  "INSERT INTO message SELECT 8, max(id) + 1, 'x', 0 FROM message WHERE channel = 8");
  UNTIL(postgres_server_number(shop_server(), lag) > 16 << 20);
  site_refresh(&s.on, "own");
  assert_string_equal(s.all[newer].text, "419 ");
  atomic_store(&s.on.th.max_bytes, before);
  is_stopped = false;
  assert_int_equal(shown_renders(&s, eight), 1);
  assert_string_equal(s.all[eight].text, "419 0 418 0 ");
  assert_int_equal(shown_renders(&s, one), 1); /* the DELETE has too many keys */
  assert_int_equal(shown_renders(&s, newer), 1);
  UNTIL(shown_stats(&s).lag_bytes == 0);
  assert_true(atomic_load(&s.on.th.max_bytes) - before < 4 << 20);
  assert_int_equal(shown_stats(&s).starts_count, 1);
  shown_close(&s);
}

/* The record of the rewrite may be in the page of the WAL with which the next start begins. */
CHANNELS_CASE(rewritten_system_table_does_not_restart_again_and_again) {
  size_t eight = shown_watch(s, eighth, NULL);
  for (int i = 0; i < 4; i++) {
    const uint64_t starts_count = shown_stats(s).starts_count;
    shown_run(s, "VACUUM FULL pg_auth_members");
    UNTIL(shown_stats(s).starts_count > starts_count);
    shown_settle_again(s, eight);
    assert_in_range(shown_stats(s).starts_count - starts_count, 1, 2);
  }
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/follower", shop_open_server, shop_close_server);
}
