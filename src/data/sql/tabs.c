/* SPDX-License-Identifier: MIT */
/* essay: a state whose write costs one statement, and that expires */
/* States of tabs are rows that all nodes share.
 *
 * A state that is often written, for example a draft, costs one statement: an UPDATE that leaves `expires`, and so its
 * index, unchanged. If a tenth of the time to live has passed, or there is no row yet, `put` does more:
 * 1. It inserts or updates the row.
 * 2. It removes surplus states of the same scope, unless it is the empty scope, which all users share.
 * 3. It removes some expired states.
 * 4. It removes surplus states of all scopes, first those without a user, whose column `person` is not null: a hash of
 *    their address. Of these, all but the latest quarter of max_count of an address are removed first.
 *    The rows are counted only when the states written since the last count could exceed the bound, or after
 *    COUNTED_EACH of them, because other nodes write states, too. A few more than necessary are removed, so that counts
 *    stay rare.
 *
 * With SQLite, the key of a row is a number of 64 bits, the first bytes of the tab's random id. So a page that follows
 * the database depends on the row with this number alone, whether it exists or not. With PostgreSQL a write refreshes
 * the topic of the tab, because at level TABLES the writes of all tabs would render the page. A page that has the
 * snapshot of its render already reads the state in it, and follows the row like other data.
 *
 * The reader records that a state was read, when a tenth of its time to live has passed: at once, or after its
 * transaction for reading. One thread does this at a time, and after a failure none for a minute: while another program
 * keeps the database locked, one reader waits for it, and the others do not. */
#include <stdatomic.h>

#include "app/guard/person.h"
#include "app/guard/tab_owner.h"
#include "app/page/pages.h"
#include "base/processor.h"
#include "data/sql/pool.h"

enum {
  TTL_S = 30 * 86400,
  PER_SCOPE = 64,
  MAX_BYTES = 64 << 10,
  MAX_BYTES_MOST = 64 << 20,
  MAX_COUNT = 100000,
  COUNTED_EACH = 1024,
  EVICTED_AT_ONCE = 4096,
  TOUCHED_AGAIN_S = 60
};

#define TAB_STEP(bytes, integer, end)                                                                                  \
  "CREATE TABLE IF NOT EXISTS vestry_tab(scope " bytes " NOT NULL, tab " bytes " NOT NULL, data " bytes                \
  " NOT NULL, expires " integer " NOT NULL, PRIMARY KEY(scope, tab))" end                                              \
  ";CREATE INDEX IF NOT EXISTS vestry_tab_expires ON vestry_tab(expires)"
/* Rows get their numbers, which number_of computes for new ones. If the table has them already, it stays the same. */
#define NUMBER_STEP                                                                                                    \
  "CREATE TABLE vestry_tab_new(id INTEGER PRIMARY KEY, scope BLOB NOT NULL, tab BLOB NOT NULL, data BLOB NOT NULL,"    \
  " expires INTEGER NOT NULL) STRICT;"                                                                                 \
  "INSERT OR REPLACE INTO vestry_tab_new SELECT (WITH RECURSIVE digit(i, id) AS (VALUES(1, 0) UNION ALL SELECT i + 1," \
  " id << 4 | instr('123456789ABCDEF', substr(hex(tab), i, 1)) FROM digit WHERE i <= 16)"                              \
  " SELECT id FROM digit WHERE i = 17), scope, tab, data, expires FROM vestry_tab;"                                    \
  "DROP TABLE vestry_tab; ALTER TABLE vestry_tab_new RENAME TO vestry_tab;"                                            \
  "CREATE INDEX vestry_tab_expires ON vestry_tab(expires); CREATE INDEX vestry_tab_scope ON vestry_tab(scope, tab)"
/* A separate part, so that nodes with an earlier version keep running together with this one. They name the states of
 * their anonymous users in the table vestry_tab_visitor, which this version does not read. */
#define PERSON_STEP(unless, integer) "ALTER TABLE vestry_tab ADD COLUMN " unless "person " integer

enum { PARTS = 2 };
static const char *const steps[VSI_SQL_DIALECTS][PARTS][2] = {
    {{TAB_STEP("BLOB", "INTEGER", " STRICT, WITHOUT ROWID"), NUMBER_STEP}, {PERSON_STEP("", "INTEGER")}},
    {{TAB_STEP("bytea", "bigint", "")}, {PERSON_STEP("IF NOT EXISTS ", "bigint")}}};
static const vsi_sql_schema schemas[VSI_SQL_DIALECTS][PARTS] = {
    {{"tab", steps[0][0], 2, false}, {"tab_person", steps[0][1], 1, false}},
    {{"tab", steps[1][0], 1, false}, {"tab_person", steps[1][1], 1, false}}};

struct vestry_sql_tabs {
  vestry_pages *pages;
  vestry_sql_pool *pool;
  vestry_sql_tabs_options options;
  vsi_siphash_key key;             /* of hashes of addresses */
  _Atomic(int64_t) room;           /* new states before the next count; relaxed: a mere counter */
  _Atomic(int64_t) touches_from_s; /* no read is recorded before this time; relaxed: orders nothing */
};

#define SQLITE   VSI_SQL_SQLITE_NOW_S
#define POSTGRES VSI_SQL_POSTGRES_NOW_S
#define LOCKED   " FOR UPDATE SKIP LOCKED"

/* Parameters of one state: its scope and its key (KEY). Parameters of PUT and of statements for several states: its
 * scope and its tab (OF). */
#define SQLITE_KEY     "scope = $1 AND id = $2"
#define POSTGRES_KEY   "scope = $1 AND tab = $2"
#define READ(key, now) "SELECT data, expires, " now " FROM vestry_tab WHERE " key
static vsi_sql_texts read_sql = {READ(SQLITE_KEY, SQLITE("$3")), READ(POSTGRES_KEY, POSTGRES("$3"))};
#define WRITE(key, now) "UPDATE vestry_tab SET data = $3 WHERE " key " AND expires >= " now
static vsi_sql_texts write_sql = {WRITE(SQLITE_KEY, SQLITE("$5") " + $4"),
                                  WRITE(POSTGRES_KEY, POSTGRES("$5") " + $4::bigint RETURNING 1")};
#define TOUCH(key) "UPDATE vestry_tab SET expires = $3 WHERE " key " AND expires < $3"
static vsi_sql_texts touch_sql = {TOUCH(SQLITE_KEY), TOUCH(POSTGRES_KEY)};
#define PUT(more, value, now, seconds, conflict)                                                                       \
  "INSERT INTO vestry_tab(scope, tab, expires, data, person" more ") VALUES($1, $2, " now " + $5" seconds              \
  ", $4, $6" value ") ON CONFLICT(" conflict "expires = excluded.expires, data = excluded.data,"                       \
  " person = excluded.person RETURNING 1"
static vsi_sql_texts put_sql = {
    PUT(", id", ", $7", SQLITE("$3"), "", "id) DO UPDATE SET scope = excluded.scope, tab = excluded.tab, "),
    PUT("", "", POSTGRES("$3"), "::bigint", "scope, tab) DO UPDATE SET ")};
#define REMOVE(key) "DELETE FROM vestry_tab WHERE " key
static vsi_sql_texts remove_sql = {REMOVE(SQLITE_KEY), REMOVE(POSTGRES_KEY)};
#define EVICT(rest)                                                                                                    \
  "DELETE FROM vestry_tab WHERE scope = $1 AND tab IN (SELECT tab FROM vestry_tab WHERE scope = $1 AND tab <> $2"      \
  " ORDER BY expires DESC, tab " rest ")"
static vsi_sql_texts evict_sql = {EVICT("LIMIT -1 OFFSET $3"), EVICT("OFFSET $3" LOCKED)};
static vsi_sql_texts expire_sql =
    VSI_SQL_EXPIRE("vestry_tab", "scope, tab", "expires <= " SQLITE("$1"), "expires <= " POSTGRES("$1"));
static const char count_sql[] = "SELECT count(*) FROM vestry_tab";
#define BOUND(bigint, locked)                                                                                          \
  "DELETE FROM vestry_tab WHERE (scope, tab) IN (SELECT t.scope, t.tab FROM vestry_tab AS t JOIN (SELECT scope, tab,"  \
  " coalesce(person, 0" bigint ") <> 0" bigint " AND row_number() OVER (PARTITION BY person ORDER BY expires DESC,"    \
  " scope, tab) > $2" bigint " AS is_beyond FROM vestry_tab) AS v ON v.scope = t.scope AND v.tab = t.tab"              \
  " ORDER BY v.is_beyond DESC, t.person IS NULL, t.expires LIMIT $1" locked ") RETURNING 1"
static vsi_sql_texts bound_sql = {BOUND("", ""), BOUND("::bigint", " FOR UPDATE OF t SKIP LOCKED")};

/* A state, and the data to write. */
typedef struct state {
  vestry_sql_tabs *tabs;
  vsi_tab_owner whose;
  const void *data;
  size_t len;
  int64_t person; /* hash of the address, of all nodes; 0: it has a user or scope, or no known address */
} state;

/* Return whether a page follows the row of its state, and not a topic. */
static bool are_rows_followed(const vestry_sql_tabs *tabs) {
  return tabs->pool->ops->dialect == VSI_SQL_SQLITE;
}

static int64_t number_of(const vsi_tab_owner *whose) {
  uint64_t number = 0;
  for (size_t i = 0; i < sizeof number; i++) number = number << 8 | whose->tab[i];
  return (int64_t)number;
}

static vestry_value scope_of(const vsi_tab_owner *whose) {
  return vestry_value_bytes(whose->scope.data, whose->scope.len);
}

static vestry_value key_of(const vestry_sql_tabs *tabs, const vsi_tab_owner *whose) {
  return are_rows_followed(tabs) ? vestry_value_integer(number_of(whose))
                                 : vestry_value_bytes(whose->tab, VSI_TAB_BYTES);
}

#define KEY(state) scope_of(&(state)->whose), key_of((state)->tabs, &(state)->whose)
#define OF(state)  scope_of(&(state)->whose), vestry_value_bytes((state)->whose.tab, VSI_TAB_BYTES)

/* Find the owner of a state. If transactions for reading have a snapshot, reject a call inside of one, because it would
 * miss later writes. In a render whose reads are followed, such a write renders the page again.
 * render  NULL: none */
static VSI_SIDE_BY_SIDE vestry_err find(vestry_sql_tabs *tabs, const char *function, const vestry_request *req,
                                        const vestry_render *render, state *ret_state) {
  vestry_sql_pool *pool = tabs->pool;
  const vsi_call call = vsi_sql_call(pool, function);
  const vestry_sql_transaction *own = pool->ops->has_snapshots ? vsi_sql_own(pool) : NULL;
  if (own && (!render || vsi_sql_is_writing(own) || !pool->ops->is_recorded(pool)))
    return vsi_refuse(&call, VESTRY_INVALID,
                      "this thread has a transaction; read and write the state of a tab outside of transactions");
  *ret_state = (state){.tabs = tabs};
  return vsi_tab_owner_find(req, tabs->options.ttl_s, tabs->options.anonymous_ttl_s, &ret_state->whose);
}

/* ------------------------------------------------------------------------------------------------- reading -------- */

typedef struct reading {
  void *buffer;
  size_t capacity, len;
  int64_t expires_s, now_s;
} reading;

static void read_row(const vestry_sql_row *row, void *ctx) {
  reading *into = ctx;
  into->expires_s = vestry_sql_integer(row, 1);
  into->now_s = vestry_sql_integer(row, 2);
  if (into->expires_s > into->now_s) into->len = vestry_sql_bytes(row, 0, into->buffer, into->capacity);
}

/* A touch that waits for the end of a transaction, which cannot write. */
typedef struct touching {
  vsi_after after; /* first */
  vestry_sql_tabs *tabs;
  int64_t now_s;
  vsi_tab_owner whose;
  char scope[];
} touching;

/* Record that a state was read. If this fails, the next reader does it. */
static void touch_now(vestry_sql_tabs *tabs, const vsi_tab_owner *whose, int64_t now_s) {
  int64_t from_s = atomic_load_explicit(&tabs->touches_from_s, memory_order_relaxed);
  if (from_s > now_s ||
      !atomic_compare_exchange_strong_explicit(&tabs->touches_from_s, &from_s, now_s + TOUCHED_AGAIN_S,
                                               memory_order_relaxed, memory_order_relaxed))
    return;
  const vestry_value *values = VESTRY_LIST(scope_of(whose), key_of(tabs, whose), now_s + whose->ttl_s);
  if (!vsi_sql_by(tabs->pool, VSI_SQL_RUN_AGAIN, touch_sql, values, NULL, NULL))
    atomic_store_explicit(&tabs->touches_from_s, 0, memory_order_relaxed);
}

static void touch_after(vsi_after *self, bool is_committed) {
  touching *is = (touching *)self;
  (void)is_committed;
  touch_now(is->tabs, &is->whose, is->now_s);
  vsi_free(is->tabs->pool->host, is);
}

static void touch(const state *of, int64_t now_s) {
  vestry_sql_pool *pool = of->tabs->pool;
  const size_t len = of->whose.scope.len;
  vestry_sql_transaction *own = vsi_sql_own(pool);
  if (!own || vsi_sql_is_writing(own)) {
    touch_now(of->tabs, &of->whose, now_s);
    return;
  }
  touching *is = vsi_alloc(pool->host, sizeof *is + len);
  if (!is) return;
  *is = (touching){.after = {.fn = touch_after}, .tabs = of->tabs, .now_s = now_s, .whose = of->whose};
  if (len) is->whose.scope.data = memcpy(is->scope, of->whose.scope.data, len);
  vsi_after_add(&own->after, &is->after);
}

vestry_err vestry_sql_tab_get(vestry_sql_tabs *tabs, const vestry_request *req, vestry_render *render, void *buffer,
                              size_t capacity, size_t *ret_len) {
  state of;
  reading into = {.buffer = buffer, .capacity = capacity};
  char topic[VSI_TAB_TOPIC_BYTES];
  if (!tabs) return VESTRY_INVALID;
  if (!req || !ret_len || (!buffer && capacity))
    return vsi_mistake(tabs->pool->host, "vestry_sql_tab_get", "req, ret_len or buffer is NULL");
  if (render && render->share) return VESTRY_NOT_FOUND;
  vestry_err error = find(tabs, "vestry_sql_tab_get", req, render, &of);
  if (error) return error;
  if (render && !are_rows_followed(tabs)) {
    vsi_tab_topic(of.whose.tab, topic);
    error = vestry_render_topic(render, topic); /* before the read, so that no later write is missed */
  }
  if (error) return error;
  const bool is_followed =
      are_rows_followed(tabs) || (render && vsi_sql_own(tabs->pool) && tabs->pool->ops->is_recorded(tabs->pool));
  error = vsi_sql_by(tabs->pool, is_followed ? VSI_SQL_RUN_FOLLOWED : VSI_SQL_RUN_AGAIN, read_sql,
                     VESTRY_LIST(KEY(&of), vsi_sql_now_ms(tabs->pool)), read_row, &into);
  if (!error && into.expires_s > into.now_s && into.expires_s < vsi_tab_owner_soon_s(&of.whose, into.now_s))
    touch(&of, into.now_s);
  error = vsi_sql_if_any(error);
  if (error) return error;
  *ret_len = into.len;
  return into.len > capacity ? VESTRY_TOO_LARGE : VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------- writing -------- */

/* Remove surplus states of all scopes. */
static vestry_err bound_all(const state *of, vestry_sql_transaction *transaction) {
  vestry_sql_tabs *tabs = of->tabs;
  const int64_t most = tabs->options.max_count;
  int64_t count = 0, gone = 0;
  if (atomic_fetch_sub_explicit(&tabs->room, 1, memory_order_relaxed) > 0) return VESTRY_OK;
  vestry_err error = vestry_sql_run(transaction, count_sql, NULL, vestry_sql_row_integer, &count);
  int64_t surplus = count > most ? count - most + most / 64 : 0;
  if (surplus > EVICTED_AT_ONCE) surplus = EVICTED_AT_ONCE;
  if (!error && surplus) error = vsi_sql_remove(tabs->pool, bound_sql, VESTRY_LIST(surplus, most / 4), &gone);
  const int64_t left = most - (count - gone);
  if (!error) atomic_store_explicit(&tabs->room, left < COUNTED_EACH ? left : COUNTED_EACH, memory_order_relaxed);
  return error;
}

static vestry_err put(vestry_sql_transaction *transaction, void *ctx) {
  const state *of = ctx;
  vestry_sql_tabs *tabs = of->tabs;
  const bool is_visitor = of->whose.is_anonymous || of->person;
  vestry_value values =
      *VESTRY_LIST(OF(of), vsi_sql_now_ms(tabs->pool), vestry_value_bytes(of->data, of->len), of->whose.ttl_s,
                   is_visitor ? vestry_value_integer(of->person) : vestry_value_null(), number_of(&of->whose));
  if (!are_rows_followed(tabs)) values.count--;
  vestry_err error = vsi_sql_in(transaction, put_sql, &values, NULL, NULL);
  error = vsi_sql_if_written(tabs->pool, "vestry_sql_tab_set", "vestry_tab", error);
  if (!error && of->whose.scope.len) /* the empty scope is shared by all users */
    error = vsi_sql_remove(tabs->pool, evict_sql, VESTRY_LIST(OF(of), tabs->options.per_scope_count - 1), NULL);
  if (!error) error = vsi_sql_remove(tabs->pool, expire_sql, VESTRY_LIST(vsi_sql_now_ms(tabs->pool)), NULL);
  return error ? error : bound_all(of, transaction);
}

static VSI_SIDE_BY_SIDE vestry_err write_state(state *of) {
  vestry_sql_tabs *tabs = of->tabs;
  vestry_sql_pool *pool = tabs->pool;
  if (!of->len) return vsi_sql_by(pool, VSI_SQL_RUN_AGAIN, remove_sql, VESTRY_LIST(KEY(of)), NULL, NULL);
  vestry_err error = vsi_sql_by(pool, VSI_SQL_RUN_CHANGE, write_sql,
                                VESTRY_LIST(KEY(of), vestry_value_bytes(of->data, of->len),
                                            vsi_tab_owner_soon_s(&of->whose, 0), vsi_sql_now_ms(pool)),
                                NULL, NULL);
  if (error != VESTRY_NOT_FOUND) return error;
  vestry_sql_transaction *own = vsi_sql_own(pool);
  return own ? put(own, of) : vestry_sql_act(pool, VESTRY_SQL_WRITE, put, of);
}

VSI_SIDE_BY_SIDE vestry_err vestry_sql_tab_set(vestry_sql_tabs *tabs, const vestry_request *req, const void *data,
                                               size_t len) {
  state of;
  char topic[VSI_TAB_TOPIC_BYTES];
  if (!tabs) return VESTRY_INVALID;
  if (!req || (!data && len)) return vsi_mistake(tabs->pool->host, "vestry_sql_tab_set", "req or data is NULL");
  if (len > tabs->options.max_bytes) return VESTRY_TOO_LARGE;
  vestry_err error = find(tabs, "vestry_sql_tab_set", req, NULL, &of);
  if (error) return error;
  const vsi_person person = vsi_person_of(req);
  if (person.kind == VSI_PERSON_ADDRESS) of.person = (int64_t)vsi_person_hash(tabs->key, &person);
  of.data = data;
  of.len = len;
  error = write_state(&of);
  if (error || are_rows_followed(tabs)) return error;
  const vestry_change change = {.kind = VESTRY_REFRESH_TABLE, .name = "vestry_tab"};
  vsi_tab_topic(of.whose.tab, topic);
  return vestry_refresh_for(tabs->pages, topic, &change, NULL);
}

/* --------------------------------------------------------------------------------------------------- making ------- */

vestry_err vestry_sql_tabs_create(vestry_pages *pages, vestry_sql_pool *pool, const vestry_sql_tabs_options *given,
                                  vestry_sql_tabs **ret_tabs) {
  if (!pool) return VESTRY_INVALID;
  if (!pages || !ret_tabs) return vsi_mistake(pool->host, "vestry_sql_tabs_create", "pages or ret_tabs is NULL");
  vestry_sql_tabs_options options = given ? *given : (vestry_sql_tabs_options){0};
  if (!options.ttl_s) options.ttl_s = TTL_S;
  if (!options.anonymous_ttl_s) options.anonymous_ttl_s = options.ttl_s / 2;
  if (!options.per_scope_count) options.per_scope_count = PER_SCOPE;
  if (!options.max_bytes) options.max_bytes = MAX_BYTES;
  if (!options.max_count) options.max_count = MAX_COUNT;
  if (options.max_bytes > MAX_BYTES_MOST)
    return vsi_mistake(pool->host, "vestry_sql_tabs_create", "options.max_bytes is more than 64 MiB");
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < PARTS && !error; i++)
    error = pool->ops->bring(pool, "vestry_sql_tabs_create", &schemas[pool->ops->dialect][i]);
  if (error) return error;
  vestry_sql_tabs *tabs = vsi_calloc(pool->host, 1, sizeof *tabs);
  if (!tabs) return VESTRY_NO_MEMORY;
  tabs->pages = pages;
  tabs->pool = pool;
  tabs->options = options;
  error = vsi_person_key_make(pages->v, &tabs->key);
  if (error)
    vestry_sql_tabs_destroy(tabs);
  else
    *ret_tabs = tabs;
  return error;
}

void vestry_sql_tabs_destroy(vestry_sql_tabs *tabs) {
  if (tabs) vsi_free(tabs->pool->host, tabs);
}
