/* SPDX-License-Identifier: MIT */
#include "postgres/oracle.h"

#define FILL "repeat(md5('@x'), 9)"

/* Run in a transaction, or alone. */
static const char *const changes[] = {
    "INSERT INTO a VALUES(nextval('ids'), @g, @n, 'T' || @i % 60, @i % 2 = 0, 0, " FILL ")",
    "INSERT INTO a VALUES(nextval('ids'), @g, @n, 'T' || @i % 60, @i % 2 = 0, 0, " FILL ")",
    ("INSERT INTO a SELECT nextval('ids'), @g, i, 'T' || i, i % 2 = 0, 0, repeat(md5(i::text), 9) FROM "
     "generate_series(@n, @n + 15) i"),
    "UPDATE a SET n = @n WHERE id = @i",
    "UPDATE a SET grp = @g WHERE grp = @i % 15 AND n BETWEEN @n AND @n + 4",
    "UPDATE a SET plain = plain + 1 WHERE id = @i",
    "UPDATE a SET plain = plain + 1 WHERE grp = @g AND n < @n / 5",
    "UPDATE a SET id = nextval('ids') WHERE id = @i",
    "DELETE FROM a WHERE id = @i",
    "DELETE FROM a WHERE grp = @g AND n BETWEEN @n AND @n + 3",
    "INSERT INTO b SELECT nextval('b_ids'), id, @n, " FILL " FROM a WHERE id >= @i ORDER BY id LIMIT 1",
    "INSERT INTO b SELECT nextval('b_ids'), id, @n, " FILL " FROM a WHERE id >= @i ORDER BY id LIMIT 3",
    "UPDATE b SET v = @n WHERE a_id = @i",
    "DELETE FROM b WHERE a_id BETWEEN @i AND @i + 2",
    "INSERT INTO c VALUES(@i % 26, 1) ON CONFLICT (k) DO UPDATE SET v = c.v + 1",
    "UPDATE c SET v = v + @n WHERE k = @i % 20",
    "DELETE FROM c WHERE k = 20 + @i % 6",
    "INSERT INTO p VALUES(@k, @n) ON CONFLICT DO NOTHING",
    "UPDATE p SET k = @i % 200 WHERE k = @k",
    "DELETE FROM p WHERE k = @k",
    "UPDATE a SET t = 'T' || @k % 60, flag = NOT flag WHERE id = @i",
    "UPDATE a SET fill = " FILL " WHERE id = @i",
    "SELECT 1 FROM a WHERE grp = @g FOR UPDATE",
    ("DO $$BEGIN BEGIN INSERT INTO p VALUES(@k, 7); EXCEPTION WHEN unique_violation THEN UPDATE p SET v = v + 1 "
     "WHERE k = @k; END; END$$"),
    ("DO $$BEGIN BEGIN UPDATE c SET v = v + 3 WHERE k = @g; RAISE EXCEPTION 'x'; EXCEPTION WHEN OTHERS THEN NULL; END; "
     "UPDATE a SET plain = 9 WHERE id = @i; END$$"),
    /* A leaf stays split when the inserts that split it are rolled back. No commit hits the pages that have read it,
     * so they depend on the new leaf, too. */
    ("DO $$BEGIN BEGIN INSERT INTO a SELECT nextval('ids'), @g, i, 'T', true, 0, " FILL " FROM "
     "generate_series(@n, @n + 25) i; PERFORM 1 / 0; EXCEPTION WHEN OTHERS THEN NULL; END; "
     "UPDATE a SET plain = 8 WHERE id = @i; END$$"),
};

/* Run alone. */
static const char *const commands[] = {
    "VACUUM a",
    "VACUUM (FREEZE) b",
    "VACUUM b, c, p, pg_class, pg_attribute",
    "VACUUM FULL c",
    "CLUSTER a USING a_pkey",
    "REINDEX INDEX a_grp",
    "CREATE INDEX extra ON a(plain, id)",
    "DROP INDEX IF EXISTS extra",
    "TRUNCATE b",
    "ALTER TABLE c ADD COLUMN x@x int DEFAULT 3",
    "ALTER TABLE c ALTER COLUMN v TYPE bigint",
    "ALTER TABLE c ALTER COLUMN v TYPE int",
    /* No other statement changes the result of a function that has read mv and caught an error since. */
    "REFRESH MATERIALIZED VIEW mv",
    "REFRESH MATERIALIZED VIEW mv",
    "REFRESH MATERIALIZED VIEW mv",
    "REFRESH MATERIALIZED VIEW mv",
    "REFRESH MATERIALIZED VIEW mv",
    "CREATE UNIQUE INDEX IF NOT EXISTS mv_grp ON mv(grp)",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY mv",
    "CREATE OR REPLACE VIEW va AS SELECT id, grp, n FROM a WHERE n > @n",
    ("CREATE OR REPLACE FUNCTION f(g int) RETURNS bigint LANGUAGE plpgsql AS "
     "$$BEGIN RETURN (SELECT sum(n) + @n FROM a WHERE grp = g); END$$"),
    "ANALYZE a, b, c, p",
    "CHECKPOINT",
    "CHECKPOINT",
    "DELETE FROM a WHERE id IN (SELECT id FROM a ORDER BY id DESC LIMIT 150) AND (SELECT count(*) FROM a) > 450",
    "SELECT brin_summarize_new_values('a_brin')",
};

static void note(oracle_world *w, const oracle_writer *by, const char *sql) {
  size_t len = strlen(w->history), more = strlen(sql) + 8;
  if (len + more < sizeof w->history)
    snprintf(w->history + len, sizeof w->history - len, "  [%td] %s\n", by - w->writers, sql);
}

/* Return whether the statement changed rows, or was another command; the effect of a DO block is unknown, so it
 * counts. */
static bool has_written(PGresult *result) {
  static const char *const others[] = {"SELECT", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET"};
  const char *tag = PQcmdStatus(result), *count = PQcmdTuples(result);
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (strncmp(tag, others[i], strlen(others[i])) == 0) return false;
  return !*count || strcmp(count, "0") != 0;
}

void oracle_count(oracle_world *w, oracle_writer *by) {
  w->commits += by->has_written;
  by->has_written = false;
}

bool oracle_run(oracle_world *w, oracle_writer *by, const char *sql) {
  note(w, by, sql);
  PGresult *result = PQexec(by->db, sql);
  ExecStatusType status = PQresultStatus(result);
  bool is_done = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
  if (is_done && has_written(result)) by->has_written = true;
  if (!is_done) note(w, by, PQresultErrorField(result, PG_DIAG_SQLSTATE) ? "-- failed" : "-- lost");
  PQclear(result);
  return is_done;
}

static bool run_random(oracle_world *w, oracle_writer *by, const char *const *forms, size_t count) {
  char sql[ORACLE_SQL_BYTES];
  oracle_write_sql(w, forms[oracle_random(w, (uint32_t)count)], sql);
  return oracle_run(w, by, sql);
}

static bool change(oracle_world *w, oracle_writer *by) {
  return run_random(w, by, changes, sizeof changes / sizeof *changes);
}

static void drain(PGconn *db) {
  for (PGresult *result; (result = PQgetResult(db));) PQclear(result);
}

static void end_late(oracle_world *w, oracle_writer *by) {
  char sql[64];
  note(w, by, "-- its commit is visible now");
  snprintf(sql, sizeof sql, "SELECT pg_cancel_backend(%d)", PQbackendPID(by->db));
  PQclear(PQexec(w->truth, sql));
  drain(by->db);
  by->is_late = false;
  oracle_count(w, by);
}

/* The commit waits for a standby that does not exist: it is in the WAL, but not visible. */
static void commit_late(oracle_world *w, oracle_writer *by) {
  char sql[ORACLE_SQL_BYTES];
  by->is_open = false;
  if (!oracle_run(w, by, "SET LOCAL synchronous_commit = on")) {
    oracle_run(w, by, "ROLLBACK");
    return;
  }
  note(w, by, "COMMIT -- is not visible yet");
  assert_int_equal(PQsendQuery(by->db, "COMMIT"), 1);
  snprintf(sql, sizeof sql, "EXECUTE waits(%d)", PQbackendPID(by->db));
  while (!by->is_late) {
    PQconsumeInput(by->db);
    if (!PQisBusy(by->db)) break; /* it has written nothing */
    PGresult *result = PQexec(w->truth, sql);
    by->is_late = PQntuples(result) == 1;
    PQclear(result);
  }
  if (by->is_late) return;
  drain(by->db);
  oracle_count(w, by);
}

static void commit_prepared(oracle_world *w, oracle_writer *by) {
  char sql[ORACLE_SQL_BYTES];
  unsigned name = (unsigned)++w->names;
  by->is_open = false;
  snprintf(sql, sizeof sql, "PREPARE TRANSACTION 'oracle%u'", name);
  if (!oracle_run(w, by, sql)) {
    oracle_run(w, by, "ROLLBACK");
    return;
  }
  bool is_commit = oracle_random(w, 4);
  snprintf(sql, sizeof sql, "%s PREPARED 'oracle%u'", is_commit ? "COMMIT" : "ROLLBACK", name);
  oracle_run(w, by, sql);
  if (is_commit) oracle_count(w, by);
}

static void savepoint(oracle_world *w, oracle_writer *by, const char *what) {
  char sql[64];
  snprintf(sql, sizeof sql, "%s s%u", what, *what == 'S' ? by->savepoints++ : --by->savepoints);
  oracle_run(w, by, sql);
}

/* Run the next step of a transaction. */
static void continue_transaction(oracle_world *w, oracle_writer *by) {
  uint32_t how = oracle_random(w, 20);
  if (how < 10) {
    if (change(w, by)) return;
    by->is_open = by->savepoints > 0;
    if (by->is_open)
      savepoint(w, by, "ROLLBACK TO");
    else
      oracle_run(w, by, "ROLLBACK");
  } else if (how < 12) {
    savepoint(w, by, "SAVEPOINT");
  } else if (how < 14) {
    if (by->savepoints) savepoint(w, by, how == 12 ? "ROLLBACK TO" : "RELEASE");
  } else if (how == 14) {
    by->is_open = false;
    oracle_run(w, by, "ROLLBACK");
  } else if (how == 15) {
    commit_late(w, by);
  } else if (how == 16) {
    commit_prepared(w, by);
  } else {
    by->is_open = false;
    if (oracle_run(w, by, "COMMIT")) oracle_count(w, by);
  }
}

void oracle_write(oracle_world *w) {
  static const char *const begins[] = {"BEGIN", "BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ",
                                       "BEGIN ISOLATION LEVEL SERIALIZABLE"};
  oracle_writer *by = &w->writers[oracle_random(w, ORACLE_WRITERS)];
  w->steps++;
  if (by->is_late) {
    end_late(w, by);
  } else if (by->is_open) {
    continue_transaction(w, by);
  } else if (oracle_random(w, 5) == 0) {
    by->savepoints = 0;
    by->has_written = false;
    by->is_open = oracle_run(w, by, begins[oracle_random(w, 4)]);
  } else {
    bool is_command = oracle_random(w, 40) == 0, is_done;
    by->has_written = false;
    is_done = is_command ? run_random(w, by, commands, sizeof commands / sizeof *commands) : change(w, by);
    if (is_done) oracle_count(w, by);
  }
}

void oracle_writers_open(oracle_world *w) {
  for (size_t i = 0; i < ORACLE_WRITERS; i++) {
    oracle_writer *by = &w->writers[i];
    by->db = postgres_server_connect(shop_server());
    assert_int_equal(PQstatus(by->db), CONNECTION_OK);
    PQclear(PQexec(by->db, "SET client_min_messages = error; SET lock_timeout = '3ms'; SET statement_timeout = '4s'"));
    if (oracle_random(w, 3) == 0) PQclear(PQexec(by->db, "SET synchronous_commit = off"));
    PQclear(PQexec(by->db, "SET enable_seqscan = off"));
  }
}

void oracle_writers_again(oracle_world *w) {
  char sql[96];
  for (size_t i = 0; i < ORACLE_WRITERS; i++) {
    PQfinish(w->writers[i].db);
    w->writers[i] = (oracle_writer){.db = NULL};
  }
  PGresult *left = PQexec(w->truth, "SELECT gid FROM pg_prepared_xacts");
  for (int i = 0; i < PQntuples(left); i++) {
    snprintf(sql, sizeof sql, "%s PREPARED '%.60s'", oracle_random(w, 2) ? "COMMIT" : "ROLLBACK",
             PQgetvalue(left, i, 0));
    PQclear(PQexec(w->truth, sql));
  }
  PQclear(left);
  oracle_writers_open(w);
}

void oracle_writers_rest(oracle_world *w) {
  for (size_t i = 0; i < ORACLE_WRITERS; i++) {
    oracle_writer *by = &w->writers[i];
    if (by->is_late) end_late(w, by);
    if (by->is_open) (void)oracle_run(w, by, "ROLLBACK");
    by->is_open = false;
  }
}

void oracle_writers_close(oracle_world *w) {
  oracle_writers_rest(w);
  for (size_t i = 0; i < ORACLE_WRITERS; i++) PQfinish(w->writers[i].db);
}
