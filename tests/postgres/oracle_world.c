/* SPDX-License-Identifier: MIT */
#include "postgres/oracle.h"

#include <signal.h>
#include <stdlib.h>

enum { WAIT_MS = 20000, PASSES_MOST = 200 };

uint32_t oracle_random(oracle_world *w, uint32_t below) {
  w->random ^= w->random << 13;
  w->random ^= w->random >> 7;
  w->random ^= w->random << 17;
  return (uint32_t)(w->random >> 24) % below;
}

/* --------------------------------------------------------------------------------------------------- results ------ */

static uint64_t hash_text(uint64_t hash, const char *text) {
  for (text = text ? text : "\1"; *text; text++) hash = (hash ^ (unsigned char)*text) * 1099511628211ULL;
  return (hash ^ 2) * 1099511628211ULL;
}

/* In whatever order rows come. */
static void add_row(const vestry_postgres_row *row, void *ctx) {
  uint64_t hash = 14695981039346656037ULL;
  for (size_t i = 0; i < vestry_postgres_columns_count(row); i++) hash = hash_text(hash, vestry_postgres_text(row, i));
  *(uint64_t *)ctx += hash;
}

static uint64_t hash_result(const PGresult *result) {
  uint64_t sum = 0;
  for (int i = 0; i < PQntuples(result); i++) {
    uint64_t hash = 14695981039346656037ULL;
    for (int k = 0; k < PQnfields(result); k++)
      hash = hash_text(hash, PQgetisnull(result, i, k) ? NULL : PQgetvalue(result, i, k));
    sum += hash;
  }
  return sum;
}

static PGresult *next_result(oracle_world *w, ExecStatusType wanted) {
  PGresult *result = PQgetResult(w->truth);
  if (PQresultStatus(result) != wanted) fail_msg("the truth is not to be had: %s", PQerrorMessage(w->truth));
  return result;
}

void oracle_world_ask(oracle_world *w, uint64_t ret_is[ORACLE_PAGES]) {
  enum { ALL_BYTES = ORACLE_PAGES * 2 * (ORACLE_SQL_BYTES + 2) + 100 };
  static char all[ALL_BYTES];
  size_t len = (size_t)snprintf(all, ALL_BYTES, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  for (size_t i = 0; i < ORACLE_PAGES; i++) {
    for (size_t k = 0; k < 2; k++)
      if (*w->all[i].sql[k]) len += (size_t)snprintf(all + len, ALL_BYTES - len, "; %s", w->all[i].sql[k]);
  }
  snprintf(all + len, ALL_BYTES - len, "; COMMIT");
  assert_int_equal(PQsendQuery(w->truth, all), 1);
  PQclear(next_result(w, PGRES_COMMAND_OK));
  for (size_t i = 0; i < ORACLE_PAGES; i++) {
    ret_is[i] = 0;
    for (size_t k = 0; k < 2; k++) {
      if (!*w->all[i].sql[k]) continue;
      PGresult *result = next_result(w, PGRES_TUPLES_OK);
      ret_is[i] = ret_is[i] * 31 + hash_result(result);
      PQclear(result);
    }
  }
  for (PGresult *result; (result = PQgetResult(w->truth));) PQclear(result);
}

/* ----------------------------------------------------------------------------------------------------- pages ------ */

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  oracle_world *w = app;
  oracle_page *page = &w->all[strtoul(render->request->query, NULL, 10)];
  uint64_t shown = 0;
  vestry_err error = vestry_render_topicf(render, "page%td", page - w->all);
  page->renders++;
  page->has_failed = true;
  for (size_t i = 0; i < 2 && !error; i++) {
    if (!*page->sql[i]) continue;
    uint64_t found = 0;
    error = vestry_postgres_read(w->database, page->sql[i], NULL, add_row, &found);
    if (error == VESTRY_NOT_FOUND) error = VESTRY_OK;
    shown = shown * 31 + found;
    bool is_inside = w->is_inside;
    w->is_inside = false;
    if (is_inside) oracle_write(w);
  }
  if (error) return error;
  page->has_failed = false;
  page->shown = shown;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%llu</b>", (unsigned long long)shown);
  return vestry_render_end(render, html);
}

static uint64_t count_renders(const oracle_world *w, bool *ret_has_failed) {
  uint64_t sum = 0;
  *ret_has_failed = false;
  for (size_t i = 0; i < ORACLE_PAGES; i++) {
    sum += w->all[i].renders;
    *ret_has_failed |= w->all[i].has_failed;
  }
  return sum;
}

/* What failed is tried again after a time. */
bool oracle_world_settle(oracle_world *w) {
  bool has_failed;
  for (int i = 0; i < PASSES_MOST; i++) {
    uint64_t before = count_renders(w, &has_failed);
    vestry_err error = vestry_postgres_settle(w->database, WAIT_MS, NULL);
    if (error && error != VESTRY_LIMIT) return false;
    if (vestry_pages_settle(w->on.pages, UINT64_MAX, 1000)) return false;
    bool is_same = count_renders(w, &has_failed) == before;
    if (has_failed)
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
  const int pid = follower_process(w);
  if (!pid) return;
  kill(pid, SIGSTOP);
  for (int i = 0; i < 12; i++) {
    oracle_write(w);
    snprintf(topic, sizeof topic, "page%u", oracle_random(w, ORACLE_PAGES));
    if (oracle_random(w, 2)) site_refresh(&w->on, topic);
  }
  kill(pid, SIGCONT);
}

/* ------------------------------------------------------------------------------------------------------ life ------ */

/* Plans of the connections that are made from now on. */
static void choose_plans(oracle_world *w) {
  static const char *const switches[] = {"enable_seqscan", "enable_bitmapscan", "enable_indexonlyscan",
                                         "enable_hashjoin"};
  char sql[128];
  bool is_by_index = oracle_random(w, 2);
  for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
    bool is_on = !(is_by_index && i < 2) && oracle_random(w, 3);
    snprintf(sql, sizeof sql, "ALTER ROLE postgres SET %s = %s", switches[i], is_on ? "on" : "off");
    postgres_server_run(shop_server(), sql);
  }
  bool is_fine = oracle_random(w, 4);
  snprintf(sql, sizeof sql, "ALTER SYSTEM SET max_pred_locks_per_relation = %d", is_fine ? 2000 : -2);
  postgres_server_run(shop_server(), sql);
  snprintf(sql, sizeof sql, "ALTER SYSTEM SET max_pred_locks_per_page = %d", is_fine ? 200 : 2);
  postgres_server_run(shop_server(), sql);
  postgres_server_run(shop_server(), "SELECT pg_reload_conf()");
}

static void open_pages(oracle_world *w, vestry_postgres_level level) {
  vestry_page *page;
  const vestry_postgres_pool_options of_pool = {.host = &w->on.th.host, .url = shop_server()->url};
  assert_int_equal(vestry_page_create(w->on.pages, &(vestry_page_options){.render = render, .app = w}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(w->on.v, "GET", "/page", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_postgres_pool_create(&of_pool, &w->pool), VESTRY_OK);
  const vestry_postgres_options options = {.level = level, .connect_ms = WAIT_MS};
  assert_int_equal(vestry_postgres_create(w->on.pages, w->pool, &options, &w->database), VESTRY_OK);
  if (vestry_postgres_level_get(w->database) != level)
    fail_msg("it does not follow, level %d: %s", (int)vestry_postgres_level_get(w->database), w->on.th.last_log);
  for (size_t i = 0; i < ORACLE_PAGES; i++) {
    char query[8];
    snprintf(query, sizeof query, "%zu", i);
    oracle_make_query(w, w->all[i].sql[0]);
    if (i % 3 == 0) oracle_make_query(w, w->all[i].sql[1]);
    const vestry_memory_call call = {.path = "/page", .query = query, .datastar = true};
    w->all[i].stream = site_request(&w->on, &call);
  }
}

void oracle_world_open(oracle_world *w, uint64_t seed, vestry_postgres_level level) {
  memset(w, 0, sizeof *w);
  w->random = seed * 0x9E3779B97F4A7C15ULL + 1;
  choose_plans(w);
  shop_clear();
  postgres_server_run(shop_server(), oracle_schema);
  w->truth = PQconnectdb(shop_server()->url);
  assert_int_equal(PQstatus(w->truth), CONNECTION_OK);
  oracle_writers_open(w);
  for (int i = 0; i < 20; i++) oracle_write(w); /* some stay open over the start */
  site_begin_pages(&w->on, (vestry_options){0}, NULL);
  open_pages(w, level);
  assert_true(oracle_world_settle(w));
  for (size_t i = 0; i < ORACLE_PAGES; i++) {
    w->all[i].is = w->all[i].shown;
    w->all[i].renders = 0;
  }
}

void oracle_world_close(oracle_world *w) {
  oracle_writers_close(w);
  for (size_t i = 0; i < ORACLE_PAGES; i++) vestry_memory_destroy(w->all[i].stream);
  site_settle(&w->on);
  vestry_postgres_destroy(w->database);
  site_close(&w->on);
  vestry_postgres_pool_destroy(w->pool);
  PQfinish(w->truth);
  test_host_assert_clean(&w->on.th);
}
