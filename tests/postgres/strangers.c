/* SPDX-License-Identifier: MIT */
#include "postgres/strangers.h"

#include "postgres/shop.h"
#include "support/test.h"

/* What another client holds until it begins something else, or does in passing. Begin NULL: a setting of new sessions,
 * and the end of those that exist. */
static const struct {
  const char *begin, *end;
} strange[] = {{"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM vestry_job", "COMMIT"},
               {"BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM vestry_job", "COMMIT"},
               {"BEGIN; INSERT INTO t VALUES(7)", "ROLLBACK"},
               {"BEGIN; INSERT INTO t VALUES(7); PREPARE TRANSACTION 'held'", "ROLLBACK PREPARED 'held'"},
               {"SELECT pg_advisory_lock(130178100785785), pg_advisory_lock(1)", "SELECT pg_advisory_unlock_all()"},
               {"ALTER TABLE vestry_job ADD COLUMN theirs int DEFAULT 3", "ALTER TABLE vestry_job DROP COLUMN theirs"},
               {"CREATE INDEX theirs ON vestry_job(ended)", "DROP INDEX theirs"},
               {"CREATE VIEW theirs AS SELECT id, state FROM vestry_job", "DROP VIEW theirs"},
               {"VACUUM FULL vestry_job", "ANALYZE vestry_job"},
               {"REINDEX TABLE vestry_job", "VACUUM vestry_job"},
               {NULL, "ALTER ROLE postgres IN DATABASE postgres RESET ALL"},
               {NULL, "ALTER ROLE postgres IN DATABASE postgres RESET ALL"},
               {NULL, "ALTER ROLE postgres IN DATABASE postgres RESET ALL"}};
enum { STRANGE = sizeof strange / sizeof *strange };
static const char *const settings[] = {"default_transaction_isolation = serializable",
                                       "default_transaction_read_only = on",
                                       "default_transaction_deferrable = on",
                                       "search_path = \"$user\", public, pg_catalog",
                                       "idle_session_timeout = 1000",
                                       "client_encoding = LATIN1",
                                       "standard_conforming_strings = off",
                                       "bytea_output = escape",
                                       "DateStyle = 'SQL, DMY'",
                                       "TimeZone = 'Asia/Tokyo'",
                                       "extra_float_digits = -15",
                                       "plan_cache_mode = force_generic_plan",
                                       "enable_seqscan = off",
                                       "synchronous_commit = off"};
static struct {
  PGconn *db; /* NULL: none */
  const char *end;
} stranger;

static void stranger_run(const char *sql) {
  PGresult *result;
  while ((result = PQgetResult(stranger.db))) PQclear(result); /* of locking */
  result = PQexec(stranger.db, sql);
  if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
    fail_msg("%s: %s", sql, PQerrorMessage(stranger.db));
  PQclear(result);
}

void strangers_rest(void) {
  if (stranger.db && stranger.end) stranger_run(stranger.end);
  PQfinish(stranger.db);
  stranger.db = NULL;
  stranger.end = NULL;
}

void strangers_cut(void) {
  postgres_server_run(shop_server(), "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE"
                                     " application_name = 'vestry'");
}

static void stranger_end(void) {
  if (!stranger.db) stranger.db = postgres_server_connect(shop_server());
  if (stranger.end) stranger_run(stranger.end);
  stranger.end = NULL;
}

void strangers_act(uint64_t chance) {
  char sql[128];
  stranger_end();
  const char *begin = strange[chance % STRANGE].begin;
  stranger.end = strange[chance % STRANGE].end;
  snprintf(sql, sizeof sql, "ALTER ROLE postgres IN DATABASE postgres SET %s",
           settings[chance / STRANGE % (sizeof settings / sizeof *settings)]);
  stranger_run(begin ? begin : sql);
  if (!begin) strangers_cut();
}

/* The lock is there before the nodes go on: else an open transaction of this thread could be in its way. */
void strangers_lock(void) {
  stranger_end();
  stranger_run("BEGIN; LOCK TABLE vestry_job, t IN ACCESS EXCLUSIVE MODE");
  assert_int_equal(PQsendQuery(stranger.db, "SELECT pg_sleep(0.01); COMMIT"), 1);
}
