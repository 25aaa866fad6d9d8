/* SPDX-License-Identifier: MIT */
/* Other clients of the server: a row of the table begins in one step, and another step ends it. Meanwhile pages render,
 * clients commit, the application restarts, and the server crashes. */
#include "postgres/oracle.h"
#include "postgres/strangers.h"
#include "support/until.h"

void oracle_end_sessions(oracle_world *w) {
  PQclear(PQexec(w->truth, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'site'"));
}

static void connect_stranger(oracle_writer *by) {
  by->db = postgres_server_connect(shop_server());
  assert_int_equal(PQstatus(by->db), CONNECTION_OK);
  PQclear(PQexec(by->db, "SET client_min_messages = error; SET lock_timeout = '50ms'"));
}

void oracle_strangers_open(oracle_world *w) {
  for (size_t i = ORACLE_WRITERS; i < ORACLE_WRITERS + ORACLE_STRANGERS; i++) {
    w->writers[i] = (oracle_writer){.db = NULL};
    connect_stranger(&w->writers[i]);
  }
}

/* Pages read while the row lasts. Those that fail would run again and again until the pages are settled. */
static void render_some(oracle_world *w) {
  char topic[16];
  uint64_t seq;
  for (int i = 0; i < 3; i++) {
    snprintf(topic, sizeof topic, "page%u", oracle_random(w, (uint32_t)w->pages_count));
    assert_int_equal(vestry_refresh(w->on.pages, topic, &seq), VESTRY_OK);
    site_pass_ms(&w->on, 1);
  }
}

static bool is_held(const oracle_world *w, unsigned is) {
  for (size_t i = ORACLE_WRITERS; i < ORACLE_WRITERS + ORACLE_STRANGERS; i++)
    if (w->writers[i].holds && w->writers[i].holds->is & is) return true;
  return false;
}

static void begin(oracle_world *w, oracle_writer *by) {
  char sql[ORACLE_SQL_BYTES];
  const stranger *row = &strangers[oracle_random(w, (uint32_t)strangers_count)];
  if (row->is & STRANGER_BRIEF || is_held(w, row->is & STRANGER_ALONE)) return;
  if (row->begin)
    oracle_write_sql(w, row->begin, sql);
  else
    snprintf(sql, sizeof sql, "ALTER ROLE site IN DATABASE postgres SET %s", strangers_setting(oracle_random(w, 1000)));
  by->has_written = false;
  bool has_begun = oracle_run(w, by, sql);
  if (!has_begun) { /* it has met a lock, of a writer or of the other stranger */
    (void)oracle_run(w, by, "ROLLBACK");
    oracle_writers_rest(w);
    has_begun = oracle_run(w, by, sql);
  }
  if (!has_begun) {
    (void)oracle_run(w, by, "ROLLBACK");
    return;
  }
  by->holds = row;
  if (strncmp(sql, "BEGIN", 5) != 0) oracle_count(w, by);
  if (row->is & STRANGER_SESSIONS) oracle_end_sessions(w);
  if (row->is & STRANGER_READS) render_some(w);
}

static void end(oracle_world *w, oracle_writer *by) {
  enum { TRIES = 5 };
  const stranger *row = by->holds;
  char sql[ORACLE_SQL_BYTES];
  by->holds = NULL;
  oracle_write_sql(w, row->end, sql);
  for (int i = 0; !oracle_run(w, by, sql); i++) {
    assert_true(i < TRIES);
    oracle_writers_rest(w); /* their locks are in the way */
    PQclear(PQexec(by->db, "SET lock_timeout = '5s'"));
    for (size_t k = ORACLE_WRITERS; k < ORACLE_WRITERS + ORACLE_STRANGERS; k++)
      if (w->writers[k].holds) end(w, &w->writers[k]);
  }
  PQclear(PQexec(by->db, "SET lock_timeout = '50ms'"));
  if (strncmp(row->end, "ROLLBACK", 8) != 0) oracle_count(w, by);
  by->has_written = false;
  if (row->is & STRANGER_SESSIONS) oracle_end_sessions(w);
  if (row->is & STRANGER_SESSIONS) UNTIL(vestry_postgres_level_get(w->database) == w->level);
}

void oracle_strangers_step(oracle_world *w) {
  oracle_writer *by = &w->writers[ORACLE_WRITERS + oracle_random(w, ORACLE_STRANGERS)];
  w->steps++;
  if (by->holds)
    end(w, by);
  else
    begin(w, by);
}

void oracle_strangers_rest(oracle_world *w) {
  for (size_t i = ORACLE_WRITERS; i < ORACLE_WRITERS + ORACLE_STRANGERS; i++)
    if (w->writers[i].holds && w->writers[i].holds->is & STRANGER_READS) end(w, &w->writers[i]);
}

/* Transactions have ended with the server, and the writers have ended those that were prepared. */
void oracle_strangers_again(oracle_world *w) {
  for (size_t i = ORACLE_WRITERS; i < ORACLE_WRITERS + ORACLE_STRANGERS; i++) {
    oracle_writer *by = &w->writers[i];
    const stranger *row = by->holds;
    char sql[ORACLE_SQL_BYTES];
    PQfinish(by->db);
    *by = (oracle_writer){.db = NULL};
    connect_stranger(by);
    if (row && row->begin && strncmp(row->begin, "BEGIN", 5) == 0) row = NULL;
    if (row) oracle_write_sql(w, row->end, sql);
    if (row) assert_true(oracle_run(w, by, sql));
  }
  oracle_end_sessions(w);
}

void oracle_strangers_close(oracle_world *w) {
  for (size_t i = ORACLE_WRITERS; i < ORACLE_WRITERS + ORACLE_STRANGERS; i++) {
    if (w->writers[i].holds) end(w, &w->writers[i]);
    PQfinish(w->writers[i].db);
  }
}
