/* SPDX-License-Identifier: MIT */
#include "data/sql/sql.h"
#include "postgres/oracle.h"

#include <signal.h>
#include <stdlib.h>

#include "support/until.h"

#define HASH_FIRST 14695981039346656037ULL

enum { WAIT_MS = 20000, PASSES_MOST = 200 };

/* The settings make unusual plans expensive, commits visible at once unless they request a standby, and vacuum
 * frequent. */
#define SETTINGS                                                                                                       \
  "jit=off", "synchronous_standby_names=nobody", "synchronous_commit=local", "autovacuum_naptime=1",                   \
      "autovacuum_vacuum_threshold=20", "autovacuum_vacuum_scale_factor=0", "deadlock_timeout=20ms",                   \
      "wal_writer_delay=10ms", "max_connections=24", "max_pred_locks_per_transaction=128"
const char *const oracle_settings[] = {SETTINGS, NULL};
const char *const oracle_settings_refusing[] = {SETTINGS, "max_wal_senders=0", NULL};

uint32_t oracle_random(oracle_world *w, uint32_t below) {
  w->random ^= w->random << 13;
  w->random ^= w->random >> 7;
  w->random ^= w->random << 17;
  return (uint32_t)(w->random >> 24) % below;
}

/* --------------------------------------------------------------------------------------------------- results ------ */

/* Add a text to the hash. NULL hashes as an empty text, as the server writes it. */
static uint64_t hash_text(uint64_t hash, const char *text) {
  for (; text && *text; text++) hash = (hash ^ (unsigned char)*text) * 1099511628211ULL;
  return hash;
}

/* Add a row, as the server writes it as a composite value; no text here needs quotes. The order of rows does not
 * matter. */
static void add_row(const vestry_sql_row *row, void *ctx) {
  uint64_t hash = hash_text(HASH_FIRST, "(");
  for (size_t i = 0; i < row->ops->columns_count(row); i++) {
    if (i) hash = hash_text(hash, ",");
    hash = hash_text(hash, vestry_sql_text(row, i));
  }
  *(uint64_t *)ctx += hash_text(hash, ")");
}

static void run_for_truth(oracle_world *w, const char *sql) {
  PGresult *result = PQexec(w->truth, sql);
  if (PQresultStatus(result) != PGRES_COMMAND_OK) fail_msg("the truth is not to be had: %s", PQerrorMessage(w->truth));
  PQclear(result);
}

/* All queries form one statement in one snapshot; each row names its query. */
static void prepare_truth(oracle_world *w) {
  enum { ALL_BYTES = ORACLE_PAGES * 2 * (ORACLE_SQL_BYTES + 64) };
  static char all[ALL_BYTES];
  size_t len = (size_t)snprintf(all, ALL_BYTES, "PREPARE truth AS SELECT -1, ''");
  for (size_t i = 0; i < w->pages_count * 2; i++) {
    const char *sql = w->all[i / 2].sql[i % 2];
    if (*sql) len += (size_t)snprintf(all + len, ALL_BYTES - len, " UNION ALL SELECT %zu, q::text FROM (%s) q", i, sql);
  }
  run_for_truth(w, all);
}

void oracle_world_ask(oracle_world *w, uint64_t ret_is[ORACLE_PAGES]) {
  uint64_t found[ORACLE_PAGES * 2] = {0};
  PGresult *result = PQexec(w->truth, "EXECUTE truth");
  if (PQresultStatus(result) != PGRES_TUPLES_OK) fail_msg("the truth is not to be had: %s", PQerrorMessage(w->truth));
  for (int i = 0; i < PQntuples(result); i++) {
    long of = strtol(PQgetvalue(result, i, 0), NULL, 10);
    if (of >= 0) found[of] += hash_text(HASH_FIRST, PQgetvalue(result, i, 1));
  }
  PQclear(result);
  for (size_t i = 0; i < w->pages_count; i++)
    ret_is[i] = *w->all[i].sql[1] ? found[2 * i] * 31 + found[2 * i + 1] : found[2 * i];
}

/* ----------------------------------------------------------------------------------------------------- pages ------ */

static vestry_err read_one(oracle_world *w, const oracle_page *page, vestry_sql_transaction *transaction,
                           const char *sql, uint64_t *ret_found) {
  vestry_err error = transaction && page->runs ? vestry_sql_run(transaction, sql, NULL, add_row, ret_found)
                                               : vestry_sql_read(w->pool, sql, NULL, add_row, ret_found);
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : error;
}

static vestry_err read_all(oracle_world *w, oracle_page *page, uint64_t *ret_shown) {
  vestry_sql_transaction *transaction = NULL;
  vestry_err error = page->kind ? vestry_sql_begin(w->pool, page->kind, &transaction) : VESTRY_OK;
  for (size_t i = 0; i < 2 && !error; i++) {
    const bool is_last = !*page->sql[1] || i == 1, is_cut = is_last && w->is_cut;
    uint64_t found = 0, none = 0;
    if (!*page->sql[i]) continue;
    if (is_last) w->is_cut = false;
    if (is_cut) (void)read_one(w, page, transaction, "SELECT pg_terminate_backend(pg_backend_pid())", &none);
    error = read_one(w, page, transaction, page->sql[i], &found);
    *ret_shown = *ret_shown * 31 + found;
    bool is_inside = w->is_inside;
    w->is_inside = false;
    if (is_inside) oracle_write(w);
  }
  return transaction ? vestry_sql_end(transaction, error) : error;
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  oracle_world *w = app;
  oracle_page *page = &w->all[strtoul(render->request->query, NULL, 10)];
  uint64_t shown = 0;
  vestry_err error = vestry_render_topicf(render, "page%td", page - w->all);
  page->renders++;
  page->has_failed = true;
  if (!error) error = read_all(w, page, &shown);
  if (error && !page->catches) return error;
  page->has_failed = error;
  page->shown = error ? 0 : shown;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%llu</b>", (unsigned long long)page->shown);
  return vestry_render_end(render, html);
}

static bool has_failed(const oracle_world *w) {
  for (size_t i = 0; i < w->pages_count; i++)
    if (w->all[i].has_failed) return true;
  return false;
}

/* Failed renders are tried again after a delay. The loop also waits for a client's step within a render. */
bool oracle_world_settle(oracle_world *w) {
  oracle_strangers_rest(w);
  for (int i = 0; i < PASSES_MOST; i++) {
    uint64_t before = w->steps;
    vestry_err error = vestry_postgres_settle(w->database, WAIT_MS, NULL);
    if (error && error != VESTRY_LIMIT && error != VESTRY_IO && error != VESTRY_TIMEOUT) return false;
    if (vestry_pages_settle(w->on.pages, UINT64_MAX, 1000)) return false;
    bool is_same = w->steps == before;
    if (has_failed(w))
      site_pass_ms(&w->on, 1000);
    else if (!error && is_same)
      return true;
  }
  return false;
}

/* -------------------------------------------------------------------------------------------------- follower ------ */

static int follower_process(const oracle_world *w) {
  PGresult *result = PQexec(w->truth, "SELECT pid FROM pg_stat_replication");
  int pid = PQntuples(result) == 1 ? (int)strtol(PQgetvalue(result, 0, 0), NULL, 10) : 0;
  PQclear(result);
  return pid;
}

void oracle_world_cut(oracle_world *w) {
  PQclear(PQexec(w->truth, "SELECT pg_terminate_backend(pid) FROM pg_stat_replication"));
}

void oracle_world_pause(oracle_world *w) {
  char topic[16];
  oracle_strangers_rest(w);
  const int pid = follower_process(w);
  if (!pid) return;
  kill(pid, SIGSTOP);
  for (int i = 0; i < 12; i++) {
    oracle_write(w);
    snprintf(topic, sizeof topic, "page%u", oracle_random(w, (uint32_t)w->pages_count));
    if (oracle_random(w, 2)) site_refresh(&w->on, topic);
  }
  kill(pid, SIGCONT);
}

static void open_truth(oracle_world *w) {
  w->truth = postgres_server_connect(shop_server());
  assert_int_equal(PQstatus(w->truth), CONNECTION_OK);
  run_for_truth(
      w,
      "SET client_min_messages = error; SET default_transaction_isolation = 'repeatable read'; SET enable_seqscan = on;"
      "SET enable_bitmapscan = on; SET enable_indexonlyscan = on; SET enable_hashjoin = on");
  run_for_truth(w, "PREPARE waits AS SELECT 1 FROM pg_stat_get_activity($1) WHERE wait_event = 'SyncRep'");
}

static void start_again(oracle_world *w, const char *const *settings) {
  PQfinish(w->truth);
  postgres_server_kill(shop_server());
  postgres_server_start(shop_server(), settings);
  open_truth(w);
  oracle_writers_again(w);
  oracle_strangers_again(w);
  prepare_truth(w);
}

void oracle_world_crash(oracle_world *w) {
  start_again(w, oracle_settings);
}

static bool is_shown(oracle_world *w) {
  uint64_t is[ORACLE_PAGES];
  oracle_world_ask(w, is);
  for (size_t i = 0; i < w->pages_count; i++)
    if (w->all[i].shown != is[i]) return false;
  return true;
}

bool oracle_world_refuse(oracle_world *w) {
  start_again(w, oracle_settings_refusing);
  for (int i = 0; i < 8; i++) oracle_write(w);
  UNTIL(vestry_postgres_level_get(w->database) == VESTRY_POSTGRES_TOPICS);
  bool is_true = false;
  for (int i = 0; i < PASSES_MOST && !is_true; i++) {
    (void)vestry_pages_settle(w->on.pages, UINT64_MAX, 1000);
    site_pass_ms(&w->on, 1000);
    is_true = is_shown(w);
  }
  start_again(w, oracle_settings);
  UNTIL(vestry_postgres_level_get(w->database) == w->level);
  return is_true;
}

/* ----------------------------------------------------------------------------------------------- application ------ */

/* Choose the plans of new connections, and the number of row locks per relation. */
static void choose_plans(oracle_world *w) {
  static const char *const switches[] = {"enable_seqscan", "enable_bitmapscan", "enable_indexonlyscan",
                                         "enable_hashjoin"};
  char sql[128];
  bool is_by_index = oracle_random(w, 2);
  for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
    bool is_on = !(is_by_index && i < 2) && oracle_random(w, 3);
    snprintf(sql, sizeof sql, "ALTER ROLE site SET %s = %s", switches[i], is_on ? "on" : "off");
    run_for_truth(w, sql);
  }
  bool is_fine = oracle_random(w, 8);
  snprintf(sql, sizeof sql, "ALTER SYSTEM SET max_pred_locks_per_relation = %d", is_fine ? 2000 : -2);
  run_for_truth(w, sql);
  snprintf(sql, sizeof sql, "ALTER SYSTEM SET max_pred_locks_per_page = %d", is_fine ? 200 : 2);
  run_for_truth(w, sql);
  postgres_server_run(shop_server(), "SELECT pg_reload_conf()");
}

/* Choose small bounds, so that some reads and writes exceed them, and others do not. */
static void choose_bounds(oracle_world *w, vestry_postgres_options *options) {
  options->max_bytes = (size_t)1 << (10 + oracle_random(w, 6));
  options->max_render_keys = 4 + oracle_random(w, 40);
  options->max_transaction_keys = 4 + oracle_random(w, 40);
}

static void follow(oracle_world *w) {
  const vestry_postgres_pool_options of_pool = {.host = &w->on.th.host, .url = shop_site_url()};
  vestry_postgres_options options = {.level = w->level, .connect_ms = WAIT_MS};
  if (w->is_bounded) choose_bounds(w, &options);
  assert_int_equal(vestry_postgres_pool_create(&of_pool, &w->pool), VESTRY_OK);
  assert_int_equal(vestry_postgres_create(w->on.pages, w->pool, &options, &w->database), VESTRY_OK);
  if (vestry_postgres_level_get(w->database) != w->level)
    fail_msg("it does not follow, level %d: %s", (int)vestry_postgres_level_get(w->database), w->on.th.last_log);
}

/* Choose the way in which a page reads. Few pages use writing transactions, because every commit renders them. A
 * serializable one would fail as long as a conflicting commit waits. */
static void choose_way(oracle_world *w, oracle_page *page) {
  static const vestry_sql_kind kinds[] = {VESTRY_SQL_READ, VESTRY_SQL_READ, VESTRY_SQL_READ, VESTRY_SQL_REPEATABLE_READ,
                                          VESTRY_SQL_WRITE};
  const uint32_t how = oracle_random(w, 12);
  if (how < sizeof kinds / sizeof *kinds) page->kind = kinds[how];
  page->runs = page->kind == VESTRY_SQL_READ && oracle_random(w, 2);
  page->catches = oracle_random(w, 2);
}

static void open_pages(oracle_world *w) {
  vestry_page *page;
  assert_int_equal(vestry_page_create(w->on.pages, &(vestry_page_options){.render = render, .app = w}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(w->on.v, "GET", "/page", vestry_page_handler, page), VESTRY_OK);
  for (size_t i = 0; i < w->pages_count; i++) {
    char query[8];
    snprintf(query, sizeof query, "%zu", i);
    oracle_make_query(w, w->all[i].sql[0]);
    if (i % 3 == 0) oracle_make_query(w, w->all[i].sql[1]);
    if (i % 6 == 5 || i % 12 == 6) memcpy(w->all[i].sql[0], w->all[i - 1].sql[0], ORACLE_SQL_BYTES); /* equal reads */
    choose_way(w, &w->all[i]);
    const vestry_memory_call call = {.path = "/page", .query = query, .datastar = true};
    w->all[i].stream = site_request(&w->on, &call);
  }
  prepare_truth(w);
}

static void open_application(oracle_world *w) {
  memset(w->all, 0, sizeof w->all);
  choose_plans(w);
  site_begin_pages(&w->on, (vestry_options){0}, NULL);
  follow(w);
  open_pages(w);
  assert_true(oracle_world_settle(w));
  for (size_t i = 0; i < w->pages_count; i++) {
    w->all[i].is = w->all[i].shown;
    w->all[i].renders = 0;
  }
}

static void close_application(oracle_world *w) {
  w->is_inside = w->is_cut = false;
  for (size_t i = 0; i < w->pages_count; i++) vestry_memory_destroy(w->all[i].stream);
  site_settle(&w->on);
  vestry_postgres_destroy(w->database);
  site_close(&w->on);
  vestry_sql_pool_destroy(w->pool);
  test_host_assert_clean(&w->on.th);
  run_for_truth(w, "DEALLOCATE truth");
}

void oracle_world_restart(oracle_world *w) {
  oracle_strangers_rest(w);
  close_application(w);
  open_application(w);
}

/* ----------------------------------------------------------------------------------------------- open and close --- */

void oracle_world_open(oracle_world *w, uint64_t seed, vestry_postgres_level level, bool is_bounded) {
  memset(w, 0, sizeof *w);
  w->is_bounded = is_bounded;
  w->random = seed * 0x9E3779B97F4A7C15ULL + 1;
  w->level = level;
  w->pages_count = level == VESTRY_POSTGRES_READS ? ORACLE_PAGES : ORACLE_PAGES_BY_TABLES;
  shop_clear();
  postgres_server_run(shop_server(), oracle_schema);
  open_truth(w);
  oracle_writers_open(w);
  oracle_strangers_open(w);
  for (int i = 0; i < 20; i++) oracle_write(w); /* some stay open during the start */
  open_application(w);
}

void oracle_world_close(oracle_world *w) {
  oracle_writers_close(w);
  oracle_strangers_close(w);
  close_application(w);
  PQfinish(w->truth);
}
