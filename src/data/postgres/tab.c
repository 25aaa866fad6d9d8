/* SPDX-License-Identifier: MIT */
/* States of tabs as rows, for all nodes.
 *
 * A state that is written again and again, as a draft is, takes one statement: an UPDATE that leaves `expires`
 * alone, and with it the index. When a tenth of its time has gone by, or there is no row yet, a longer way is gone:
 * the row is put, what is too much of its scope is removed, unless that is everybody's, some of what is over, and
 * now and then what is too much of all together, anonymous users' first, which a table beside it names. That a state is
 * read is noted when a tenth of its time has gone by. */
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "app/guard/tab_owner.h"
#include "base/options.h"
#include "data/postgres/bytea.h"
#include "data/postgres/loan.h"
#include "data/postgres/schema.h"
#include "vestry/data/postgres_tab.h"

enum {
  TTL_S = 30 * 86400,
  PER_SCOPE = 64,
  MAX_BYTES = 64 << 10,
  MAX_BYTES_MOST = 64 << 20,
  MAX_COUNT = 100000,
  COUNTED_EACH = 1024,
  EXPIRED_AT_ONCE = 64
};

struct vestry_postgres_tabs {
  vestry_pages *pages;
  vestry_postgres_pool *pool;
  vestry_postgres_tabs_options options;
  _Atomic(uint32_t) puts; /* relaxed: a mere count */
};

static const char *const steps[] = {
    "CREATE TABLE vestry_tab(scope bytea NOT NULL, tab bytea NOT NULL, data bytea NOT NULL, expires bigint NOT NULL,"
    " PRIMARY KEY(scope, tab));"
    "CREATE INDEX vestry_tab_expires ON vestry_tab(expires)"};
static const vsi_postgres_schema schema = {"tab", steps, sizeof steps / sizeof *steps};
/* A part of its own, so that nodes of before go on beside this one. A row of a state that is gone means nothing. */
static const char *const visitor_steps[] = {
    "CREATE TABLE vestry_tab_visitor(scope bytea NOT NULL, tab bytea NOT NULL, PRIMARY KEY(scope, tab))"};
static const vsi_postgres_schema visitor_schema = {"tab_visitor", visitor_steps, 1};

/* Of one state: scope and tab are the first two parameters. */
static const char read_sql[] =
    "SELECT " VSI_POSTGRES_BYTEA("data") ", expires FROM vestry_tab WHERE scope = $1 AND tab = $2 AND expires > $3";
static const char write_sql[] =
    "UPDATE vestry_tab SET data = $4 WHERE scope = $1 AND tab = $2 AND expires >= $3 RETURNING 1";
static const char touch_sql[] = "UPDATE vestry_tab SET expires = $3 WHERE scope = $1 AND tab = $2 AND expires < $3";
static const char put_sql[] = "INSERT INTO vestry_tab(scope, tab, expires, data) VALUES($1, $2, $3, $4)"
                              " ON CONFLICT(scope, tab) DO UPDATE SET expires = excluded.expires, data = excluded.data";
static const char remove_sql[] = "DELETE FROM vestry_tab WHERE scope = $1 AND tab = $2";
static const char evict_sql[] =
    "DELETE FROM vestry_tab WHERE scope = $1 AND tab IN (SELECT tab FROM vestry_tab WHERE scope = $1 AND tab <> $2"
    " ORDER BY expires DESC, tab OFFSET $3 FOR UPDATE SKIP LOCKED)";
static const char expire_sql[] =
    "DELETE FROM vestry_tab WHERE (scope, tab) IN (SELECT scope, tab FROM vestry_tab WHERE expires <= $1"
    " ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)";
static const char count_sql[] = "SELECT count(*) FROM vestry_tab";
static const char name_visitor_sql[] =
    "INSERT INTO vestry_tab_visitor(scope, tab) VALUES($1, $2) ON CONFLICT DO NOTHING";
static const char bound_visitors_sql[] =
    "WITH gone AS (DELETE FROM vestry_tab WHERE (scope, tab) IN (SELECT t.scope, t.tab FROM vestry_tab AS t"
    " JOIN vestry_tab_visitor AS v ON v.scope = t.scope AND v.tab = t.tab ORDER BY t.expires LIMIT $1"
    " FOR UPDATE OF t SKIP LOCKED) RETURNING 1) SELECT count(*) FROM gone";
static const char clear_visitors_sql[] =
    "DELETE FROM vestry_tab_visitor WHERE (scope, tab) IN (SELECT v.scope, v.tab FROM vestry_tab_visitor AS v"
    " WHERE NOT EXISTS (SELECT 1 FROM vestry_tab AS t WHERE t.scope = v.scope AND t.tab = v.tab)"
    " FOR UPDATE OF v SKIP LOCKED)";
static const char bound_sql[] =
    "DELETE FROM vestry_tab WHERE (scope, tab) IN (SELECT scope, tab FROM vestry_tab ORDER BY expires LIMIT $1"
    " FOR UPDATE SKIP LOCKED)";

static int64_t system_s(void *ctx) {
  (void)ctx;
  return (int64_t)time(NULL);
}

static int64_t now_s(const vestry_postgres_tabs *tabs) {
  return tabs->options.now_s(tabs->options.now_ctx);
}

/* ------------------------------------------------------------------------------------------------ a state --------- */

/* Whose it is, and the bytes of its scope, its tab, and its data, as PostgreSQL writes them. */
typedef struct state {
  vestry_postgres_tabs *tabs;
  vsi_tab_owner whose;
  char *scope, *data, tab[VSI_POSTGRES_BYTEA_BYTES(VSI_TAB_BYTES)];
} state;

static vestry_err find(vestry_postgres_tabs *tabs, const char *function, const vestry_request *req, const void *data,
                       size_t len, state *ret_state) {
  const vsi_call call = vsi_postgres_pool_call(tabs->pool, function);
  if (vsi_postgres_is_lent(tabs->pool))
    return vsi_refuse(&call, VESTRY_INVALID,
                      "this thread has a transaction: the state of a tab is read and written outside of it");
  ret_state->tabs = tabs;
  vestry_err error = vsi_tab_owner_find(req, tabs->options.ttl_s, tabs->options.anonymous_ttl_s, &ret_state->whose);
  if (error) return error;
  const vestry_scope scope = ret_state->whose.scope;
  ret_state->scope = vsi_alloc(tabs->pool->host, VSI_POSTGRES_BYTEA_BYTES(scope.len) + VSI_POSTGRES_BYTEA_BYTES(len));
  if (!ret_state->scope) return VESTRY_NO_MEMORY;
  vsi_postgres_bytea_write(ret_state->scope, scope.data, scope.len);
  ret_state->data = vsi_postgres_bytea_write(ret_state->scope + VSI_POSTGRES_BYTEA_BYTES(scope.len), data, len);
  vsi_postgres_bytea_write(ret_state->tab, ret_state->whose.tab, VSI_TAB_BYTES);
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------- reading -------- */

typedef struct reading {
  void *buffer;
  size_t capacity, len;
  int64_t expires_s;
  bool is_short; /* the state is longer than capacity */
} reading;

static void read_row(const vestry_postgres_row *row, void *ctx) {
  reading *into = ctx;
  const char *text = vestry_postgres_text(row, 0);
  into->expires_s = vestry_postgres_integer(row, 1);
  if (!vsi_postgres_bytea_is(text)) return;
  into->len = vsi_postgres_bytea_len(text);
  into->is_short = into->len > into->capacity;
  if (!into->is_short) vsi_postgres_bytea_read(into->buffer, text, into->len);
}

static vestry_err read_state(const state *of, reading *into) {
  vestry_postgres_pool *pool = of->tabs->pool;
  const int64_t now = now_s(of->tabs);
  vestry_err error =
      vsi_postgres_run_again(pool, read_sql, VESTRY_LIST(of->scope, (const char *)of->tab, now), read_row, into);
  if (error == VESTRY_NOT_FOUND) return VESTRY_OK;
  if (!error && into->expires_s < vsi_tab_owner_soon_s(&of->whose, now)) /* or else the next one notes it */
    (void)vsi_postgres_run_again(pool, touch_sql, VESTRY_LIST(of->scope, (const char *)of->tab, now + of->whose.ttl_s),
                                 NULL, NULL);
  return error;
}

vestry_err vestry_postgres_tab_get(vestry_postgres_tabs *tabs, const vestry_request *req, vestry_render *render,
                                   void *buffer, size_t capacity, size_t *ret_len) {
  state of;
  reading into = {.buffer = buffer, .capacity = capacity};
  char topic[VSI_TAB_TOPIC_BYTES];
  if (!tabs || !req || !ret_len || (!buffer && capacity)) return VESTRY_INVALID;
  if (render && render->share) return VESTRY_NOT_FOUND;
  vestry_err error = find(tabs, "vestry_postgres_tab_get", req, NULL, 0, &of);
  if (error) return error;
  vsi_tab_topic(of.whose.tab, topic);
  if (render) error = vestry_render_topic(render, topic); /* before it is read: what comes after is not missed */
  if (!error) error = read_state(&of, &into);
  vsi_free(tabs->pool->host, of.scope);
  if (error) return error;
  *ret_len = into.len;
  return into.is_short ? VESTRY_TOO_LARGE : VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------- writing -------- */

/* Of all scopes together. */
static vestry_err bound_all(vestry_postgres_loan *loan, vestry_postgres_tabs *tabs) {
  int64_t count = 0, gone = 0, most = tabs->options.max_count;
  if (atomic_fetch_add_explicit(&tabs->puts, 1, memory_order_relaxed) % COUNTED_EACH) return VESTRY_OK;
  vestry_err error = vestry_postgres_run(loan, clear_visitors_sql, NULL, NULL, NULL);
  if (!error) error = vestry_postgres_run(loan, count_sql, NULL, vestry_postgres_row_integer, &count);
  if (error || count <= most) return error;
  error = vestry_postgres_run(loan, bound_visitors_sql, VESTRY_LIST(count - most), vestry_postgres_row_integer, &gone);
  if (error || gone >= count - most) return error;
  return vestry_postgres_run(loan, bound_sql, VESTRY_LIST(count - most - gone), NULL, NULL);
}

static vestry_err put(vestry_postgres_loan *loan, void *ctx) {
  const state *of = ctx;
  const int64_t now = now_s(of->tabs);
  vestry_err error = vestry_postgres_run(
      loan, put_sql, VESTRY_LIST(of->scope, (const char *)of->tab, now + of->whose.ttl_s, of->data), NULL, NULL);
  if (!error && of->whose.is_anonymous)
    error = vestry_postgres_run(loan, name_visitor_sql, VESTRY_LIST(of->scope, (const char *)of->tab), NULL, NULL);
  if (!error && of->whose.scope.len) /* or else it is everybody's */
    error = vestry_postgres_run(loan, evict_sql,
                                VESTRY_LIST(of->scope, (const char *)of->tab, of->tabs->options.per_scope_count - 1),
                                NULL, NULL);
  if (!error) error = vestry_postgres_run(loan, expire_sql, VESTRY_LIST(now, EXPIRED_AT_ONCE), NULL, NULL);
  return error ? error : bound_all(loan, of->tabs);
}

static vestry_err write_state(state *of, size_t len) {
  vestry_postgres_pool *pool = of->tabs->pool;
  if (!len) return vsi_postgres_run_again(pool, remove_sql, VESTRY_LIST(of->scope, (const char *)of->tab), NULL, NULL);
  const int64_t soon = vsi_tab_owner_soon_s(&of->whose, now_s(of->tabs));
  vestry_err error = vsi_postgres_run_again(pool, write_sql,
                                            VESTRY_LIST(of->scope, (const char *)of->tab, soon, of->data), NULL, NULL);
  return error == VESTRY_NOT_FOUND ? vestry_postgres_act(pool, VESTRY_POSTGRES_READ_COMMITTED, put, of) : error;
}

vestry_err vestry_postgres_tab_set(vestry_postgres_tabs *tabs, const vestry_request *req, const void *data,
                                   size_t len) {
  state of;
  char topic[VSI_TAB_TOPIC_BYTES];
  if (!tabs || !req || (!data && len)) return VESTRY_INVALID;
  if (len > tabs->options.max_bytes) return VESTRY_TOO_LARGE;
  vestry_err error = find(tabs, "vestry_postgres_tab_set", req, data, len, &of);
  if (error) return error;
  error = write_state(&of, len);
  vsi_free(tabs->pool->host, of.scope);
  vsi_tab_topic(of.whose.tab, topic);
  const vestry_change change = {.kind = VESTRY_REFRESH_TABLE, .name = "vestry_tab"};
  return error ? error : vestry_refresh_for(tabs->pages, topic, &change, NULL);
}

/* --------------------------------------------------------------------------------------------------- making ------- */

vestry_err vestry_postgres_tabs_create(vestry_pages *pages, vestry_postgres_pool *pool,
                                       const vestry_postgres_tabs_options *given, vestry_postgres_tabs **ret_tabs) {
  vestry_postgres_tabs_options options;
  if (!pages || !pool || !ret_tabs || VSI_OPTIONS_TAKE(vestry_postgres_tabs_options, options, given))
    return VESTRY_INVALID;
  if (!options.ttl_s) options.ttl_s = TTL_S;
  if (!options.anonymous_ttl_s) options.anonymous_ttl_s = options.ttl_s / 2;
  if (!options.per_scope_count) options.per_scope_count = PER_SCOPE;
  if (!options.max_bytes) options.max_bytes = MAX_BYTES;
  if (!options.max_count) options.max_count = MAX_COUNT;
  if (!options.now_s) options.now_s = system_s;
  if (options.max_bytes > MAX_BYTES_MOST) return VESTRY_INVALID;
  vestry_err error = vsi_postgres_schema_bring(pool, "vestry_postgres_tabs_create", &schema);
  if (!error) error = vsi_postgres_schema_bring(pool, "vestry_postgres_tabs_create", &visitor_schema);
  if (error) return error;
  vestry_postgres_tabs *tabs = vsi_calloc(pool->host, 1, sizeof *tabs);
  if (!tabs) return VESTRY_NO_MEMORY;
  tabs->pages = pages;
  tabs->pool = pool;
  tabs->options = options;
  *ret_tabs = tabs;
  return VESTRY_OK;
}

void vestry_postgres_tabs_destroy(vestry_postgres_tabs *tabs) {
  if (tabs) vsi_free(tabs->pool->host, tabs);
}
