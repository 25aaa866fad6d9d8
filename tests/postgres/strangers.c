/* SPDX-License-Identifier: MIT */
#include "postgres/strangers.h"

#include "postgres/shop.h"
#include "support/test.h"
#include "support/until.h"

enum { READS = STRANGER_READS, WRITES = STRANGER_WRITES, FAILS = READS | WRITES, SESSIONS = STRANGER_SESSIONS };
enum { ALONE = STRANGER_ALONE, HIDES = STRANGER_HIDES, BRIEF = STRANGER_BRIEF, ORACLE = STRANGER_ORACLE };

/* How the role `site` logs in. */
#define LOGIN_BY(method)                                                                                               \
  "DO $$ BEGIN EXECUTE format('COPY (VALUES (''local all site " method "''), (''local replication site " method        \
  "''), (''local all all trust''), (''local replication all trust''), (''host all all all trust''), "                  \
  "(''host replication all all trust'')) TO %L', current_setting('hba_file')); END $$; SELECT pg_reload_conf()"

const stranger strangers[] = {
    {"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM @t", "COMMIT", 0},
    {"BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM @t", "COMMIT", 0},
    {"BEGIN; LOCK TABLE @t IN ROW EXCLUSIVE MODE; SELECT txid_current()", "ROLLBACK", 0},
    {"BEGIN; LOCK TABLE @t IN ROW EXCLUSIVE MODE; SELECT txid_current(); PREPARE TRANSACTION 'held'",
     "ROLLBACK PREPARED 'held'", ALONE},
    {"SELECT pg_advisory_lock(130178100785785), pg_advisory_lock(1)", "SELECT pg_advisory_unlock_all()", 0},
    {"BEGIN; LOCK TABLE @t IN ACCESS EXCLUSIVE MODE", "SELECT pg_sleep(0.01); COMMIT", BRIEF},
    {"ALTER TABLE @t ADD COLUMN theirs int DEFAULT 3", "ALTER TABLE @t DROP COLUMN theirs", ALONE},
    {"CREATE INDEX theirs ON @t((1))", "DROP INDEX theirs", ALONE},
    {"CREATE VIEW theirs AS SELECT * FROM @t", "DROP VIEW theirs", ALONE},
    {"CREATE PUBLICATION theirs FOR ALL TABLES", "DROP PUBLICATION theirs", ALONE},
    {"VACUUM FULL @t", "ANALYZE @t", 0},
    {"REINDEX TABLE @t", "VACUUM @t", 0},
    {"SELECT 1", "SELECT 1", SESSIONS},
    {NULL, "ALTER ROLE site IN DATABASE postgres RESET ALL", SESSIONS},
    {NULL, "ALTER ROLE site IN DATABASE postgres RESET ALL", SESSIONS},
    /* locks */
    {"BEGIN; LOCK TABLE @t IN SHARE ROW EXCLUSIVE MODE", "COMMIT", WRITES},
    {"BEGIN; LOCK TABLE @t IN ACCESS EXCLUSIVE MODE", "COMMIT", FAILS},
    {"BEGIN; LOCK TABLE pg_class, pg_attribute IN SHARE ROW EXCLUSIVE MODE", "ROLLBACK", 0},
    {"BEGIN; ALTER TABLE @t ADD COLUMN vain int", "ROLLBACK", FAILS},
    /* definitions */
    {"ALTER TABLE @t RENAME TO theirs", "ALTER TABLE theirs RENAME TO @t", FAILS | ALONE},
    {"ALTER TABLE @t SET SCHEMA aside", "ALTER TABLE aside.@t SET SCHEMA public", FAILS | ALONE},
    {"ALTER TABLE @t ADD CONSTRAINT theirs CHECK (false) NOT VALID", "ALTER TABLE @t DROP CONSTRAINT theirs",
     WRITES | ALONE},
    {"CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER theirs "
     "BEFORE INSERT OR UPDATE ON @t FOR EACH ROW EXECUTE FUNCTION theirs()",
     "DROP FUNCTION theirs CASCADE", WRITES | ALONE},
    /* rights */
    {"REVOKE ALL ON @t FROM site", "GRANT ALL ON @t TO site", FAILS},
    {"REVOKE INSERT, UPDATE ON @t FROM site", "GRANT INSERT, UPDATE ON @t TO site", WRITES},
    {"REVOKE USAGE ON SCHEMA public FROM site", "GRANT USAGE ON SCHEMA public TO site", FAILS | SESSIONS},
    {"ALTER TABLE @t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
     "ALTER TABLE @t DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY", FAILS | HIDES},
    {"ALTER ROLE site SET row_security = off; ALTER TABLE @t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
     "ALTER ROLE site RESET row_security; ALTER TABLE @t DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY",
     FAILS | SESSIONS},
    /* logins */
    {"ALTER ROLE site NOLOGIN", "ALTER ROLE site LOGIN", FAILS | SESSIONS},
    {"ALTER ROLE site CONNECTION LIMIT 0", "ALTER ROLE site CONNECTION LIMIT -1", FAILS | SESSIONS},
    {"ALTER DATABASE postgres CONNECTION LIMIT 0", "ALTER DATABASE postgres CONNECTION LIMIT -1", FAILS | SESSIONS},
    {"REVOKE CONNECT ON DATABASE postgres FROM public", "GRANT CONNECT ON DATABASE postgres TO public",
     FAILS | SESSIONS},
    {"ALTER ROLE site PASSWORD 'another'; " LOGIN_BY("scram-sha-256"),
     "ALTER ROLE site PASSWORD '" STRANGERS_PASSWORD "'; " LOGIN_BY("trust"), FAILS | SESSIONS},
    {"ALTER ROLE site VALID UNTIL '2001-01-01'; " LOGIN_BY("scram-sha-256"),
     "ALTER ROLE site VALID UNTIL 'infinity'; " LOGIN_BY("trust"), FAILS | SESSIONS},
    {LOGIN_BY("reject"), LOGIN_BY("trust"), FAILS | SESSIONS},
    {"ALTER ROLE site NOREPLICATION", "ALTER ROLE site REPLICATION", READS | SESSIONS | ORACLE},
    /* of the oracle */
    {"BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(n) FROM a; UPDATE c SET v = v + 1 WHERE k = @g", "COMMIT", ORACLE},
    {"BEGIN; INSERT INTO c VALUES(@x + 1000, 1)", "ROLLBACK", ORACLE},
    {"BEGIN; SELECT 1 FROM a WHERE grp = @g FOR UPDATE; SELECT 1 FROM c FOR KEY SHARE", "COMMIT", ORACLE},
    {"BEGIN; UPDATE c SET v = v + 1 WHERE k = @g; PREPARE TRANSACTION 'kept'", "COMMIT PREPARED 'kept'", ORACLE},
    {"BEGIN; DELETE FROM p WHERE k < @n; PREPARE TRANSACTION 'vain'", "ROLLBACK PREPARED 'vain'", ORACLE},
    {"REVOKE SELECT ON a FROM site", "GRANT SELECT ON a TO site", READS | ALONE | ORACLE},
    {"BEGIN; ALTER TABLE a ADD COLUMN y@x int DEFAULT 3", "COMMIT", READS | ORACLE},
    {"ALTER TABLE c RENAME COLUMN v TO w", "ALTER TABLE c RENAME COLUMN w TO v", READS | ALONE | ORACLE},
    {"BEGIN; ALTER TABLE b RENAME COLUMN v TO w; UPDATE b SET w = w + 1", "ROLLBACK", READS | ORACLE},
    {"ALTER TABLE p DETACH PARTITION p0; UPDATE p0 SET v = v + 1",
     "ALTER TABLE p ATTACH PARTITION p0 FOR VALUES FROM (0) TO (100)", ORACLE},
    {"ALTER TABLE c SET SCHEMA aside; CREATE TABLE c (LIKE aside.c INCLUDING ALL); INSERT INTO c SELECT k, v + 1 FROM "
     "aside.c; GRANT SELECT ON c TO site",
     "DROP TABLE c; ALTER TABLE aside.c SET SCHEMA public", ALONE | ORACLE}};
const size_t strangers_count = sizeof strangers / sizeof *strangers;
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
  const stranger *holds;
  char table[32];
} holder;

const char *strangers_setting(uint64_t chance) {
  return settings[chance % (sizeof settings / sizeof *settings)];
}

/* A new connection has what the server has loaded. */
static int64_t loaded(void) {
  return postgres_server_number(shop_server(), "SELECT (extract(epoch FROM pg_conf_load_time()) * 1000000)::bigint");
}

/* Run a statement with the table for @t. */
static void run(const char *form) {
  char sql[640];
  const bool reloads = strstr(form, "pg_reload_conf");
  const int64_t before = reloads ? loaded() : 0;
  size_t len = 0;
  PGresult *result;
  for (; *form; form++) {
    const bool is_table = form[0] == '@' && form[1] == 't';
    len += (size_t)snprintf(sql + len, sizeof sql - len, is_table ? "%s" : "%.1s", is_table ? holder.table : form);
    form += is_table;
  }
  while ((result = PQgetResult(holder.db))) PQclear(result); /* of what it did meanwhile */
  result = PQexec(holder.db, sql);
  if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
    fail_msg("%s: %s", sql, PQerrorMessage(holder.db));
  PQclear(result);
  if (reloads) UNTIL(loaded() != before);
}

static void end(void) {
  if (!holder.holds) return;
  if (!(holder.holds->is & STRANGER_BRIEF)) run(holder.holds->end);
  if (holder.holds->is & STRANGER_SESSIONS) strangers_cut();
  holder.holds = NULL;
}

void strangers_rest(void) {
  end();
  PQfinish(holder.db);
  holder.db = NULL;
}

void strangers_cut(void) {
  UNTIL(postgres_server_number(shop_server(), "SELECT coalesce(bool_and(pg_terminate_backend(pid, 10000)), true)::int"
                                              " FROM pg_stat_activity WHERE application_name = 'vestry'"));
}

unsigned strangers_act(const char *table, uint64_t chance, unsigned except) {
  char sql[128];
  size_t at = chance % strangers_count;
  while (strangers[at].is & (except | STRANGER_ORACLE)) at = (at + 1) % strangers_count;
  if (!holder.db) holder.db = postgres_server_connect(shop_server());
  end();
  holder.holds = &strangers[at];
  snprintf(holder.table, sizeof holder.table, "%s", table);
  snprintf(sql, sizeof sql, "ALTER ROLE site IN DATABASE postgres SET %s", strangers_setting(chance / strangers_count));
  run(holder.holds->begin ? holder.holds->begin : sql);
  if (holder.holds->is & STRANGER_SESSIONS) strangers_cut();
  if (holder.holds->is & STRANGER_BRIEF) assert_int_equal(PQsendQuery(holder.db, holder.holds->end), 1);
  return holder.holds->is;
}
