/* SPDX-License-Identifier: MIT */
#include "postgres/strangers.h"

#include "postgres/shop.h"
#include "support/test.h"

/* What another client begins with the table @, does meanwhile, and ends. The nodes go on when it has begun. Begin NULL:
 * a setting of new sessions, and the end of those that exist. */
static const struct {
  const char *begin, *meanwhile, *end;
} strange[] = {
    {"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM @", NULL, "COMMIT"},
    {"BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM @", NULL, "COMMIT"},
    {"BEGIN; LOCK TABLE @ IN ROW EXCLUSIVE MODE; SELECT txid_current()", NULL, "ROLLBACK"},
    {"BEGIN; LOCK TABLE @ IN ROW EXCLUSIVE MODE; SELECT txid_current(); PREPARE TRANSACTION 'held'", NULL,
     "ROLLBACK PREPARED 'held'"},
    {"SELECT pg_advisory_lock(130178100785785), pg_advisory_lock(1)", NULL, "SELECT pg_advisory_unlock_all()"},
    {"BEGIN; LOCK TABLE @ IN ACCESS EXCLUSIVE MODE", "SELECT pg_sleep(0.01); COMMIT", "SELECT 1"},
    {"ALTER TABLE @ ADD COLUMN theirs int DEFAULT 3", NULL, "ALTER TABLE @ DROP COLUMN theirs"},
    {"CREATE INDEX theirs ON @((1))", NULL, "DROP INDEX theirs"},
    {"CREATE VIEW theirs AS SELECT * FROM @", NULL, "DROP VIEW theirs"},
    {"VACUUM FULL @", NULL, "ANALYZE @"},
    {"REINDEX TABLE @", NULL, "VACUUM @"},
    {NULL, NULL, "ALTER DATABASE postgres RESET ALL"},
    {NULL, NULL, "ALTER DATABASE postgres RESET ALL"}};
enum { STRANGE = sizeof strange / sizeof *strange };
static const char *const settings[] = {"default_transaction_isolation = serializable",
                                       "default_transaction_read_only = on",
                                       "default_transaction_deferrable = on",
                                       "client_encoding = LATIN1",
                                       "standard_conforming_strings = off",
                                       "bytea_output = escape",
                                       "exit_on_error = on",
                                       "idle_session_timeout = 1000",
                                       "search_path = \"$user\", public, pg_catalog",
                                       "quote_all_identifiers = on",
                                       "transform_null_equals = on",
                                       "array_nulls = off",
                                       "extra_float_digits = -15",
                                       "DateStyle = 'SQL, DMY'",
                                       "TimeZone = 'Asia/Tokyo'",
                                       "row_security = off",
                                       "plan_cache_mode = force_generic_plan",
                                       "client_min_messages = debug1",
                                       "synchronous_commit = off",
                                       "work_mem = 64",
                                       "min_parallel_table_scan_size = 0",
                                       "statement_timeout = 2000",
                                       "wal_sender_timeout = 0",
                                       "jit_above_cost = 0"};
static struct {
  PGconn *db; /* NULL: none */
  const char *end;
  char table[32];
} stranger;

const char *strangers_setting(uint64_t chance) {
  return settings[chance % (sizeof settings / sizeof *settings)];
}

/* Run a statement with the table for @. */
static void stranger_run(const char *form) {
  char sql[200];
  size_t len = 0;
  PGresult *result;
  for (; *form; form++)
    len += (size_t)snprintf(sql + len, sizeof sql - len, *form == '@' ? "%s" : "%.1s",
                            *form == '@' ? stranger.table : form);
  while ((result = PQgetResult(stranger.db))) PQclear(result); /* of what it did meanwhile */
  result = PQexec(stranger.db, sql);
  if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
    fail_msg("%s: %s", sql, PQerrorMessage(stranger.db));
  PQclear(result);
}

void strangers_rest(void) {
  if (stranger.end) stranger_run(stranger.end);
  PQfinish(stranger.db);
  stranger.db = NULL;
  stranger.end = NULL;
}

void strangers_cut(void) {
  postgres_server_run(shop_server(), "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE"
                                     " application_name = 'vestry'");
}

void strangers_act(const char *table, uint64_t chance) {
  char sql[128];
  const size_t at = chance % STRANGE;
  if (!stranger.db) stranger.db = postgres_server_connect(shop_server());
  if (stranger.end) stranger_run(stranger.end);
  snprintf(stranger.table, sizeof stranger.table, "%s", table);
  snprintf(sql, sizeof sql, "ALTER DATABASE postgres SET %s", strangers_setting(chance / STRANGE));
  stranger_run(strange[at].begin ? strange[at].begin : sql);
  stranger.end = strange[at].end;
  if (!strange[at].begin) strangers_cut();
  if (strange[at].meanwhile) assert_int_equal(PQsendQuery(stranger.db, strange[at].meanwhile), 1);
}
