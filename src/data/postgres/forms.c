/* SPDX-License-Identifier: MIT */
/* essay: forms of all nodes, which pages follow, and what is typed into them, which they do not */
/* A form is a row. A letter that changes it is one UPDATE, of no column that is in an index; where that finds no row,
 * for there is none, or it needs more room, or its end is to be put off, a longer way is gone. Which of two letters is
 * the later one is decided by the statement that writes, at whichever node.
 *
 * A page depends on when its form was cleared, and not on what is typed. So a render reads another table for that, in
 * which clearing changes one row, and the table of forms is left out of what it depends on. The other table has all its
 * rows from the beginning: what is inserted beside a row would concern those that have read around it. A form has the
 * row that its tab and name give; two forms that have one row render each other's pages now and then.
 *
 * A submit clears in the application's own transaction, which may be serializable: by one statement, that reads nothing
 * but its own row, and counts nothing. Bounds are looked after when something is typed, by statements that each commit
 * alone. All rows are counted when this node has added an eighth of what was free when they were counted last: eight
 * nodes cannot pass the bound. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "app/page/form_storage.h"
#include "base/hash.h"
#include "base/options.h"
#include "data/postgres/bytea.h"
#include "data/postgres/clock.h"
#include "data/postgres/loan.h"
#include "data/postgres/recorded.h"
#include "data/postgres/schema.h"
#include "vestry/data/postgres_forms.h"

enum { STEP_BYTES = 512, ROW_BYTES = 256, EXPIRED_AT_ONCE = 64, SLOTS = 4096, NODES = 8, MADE_FREE = 32 };

static const char *const steps[] = {
    "CREATE TABLE vestry_form(scope bytea NOT NULL, tab text NOT NULL, name text NOT NULL, generation bigint NOT NULL,"
    " number bigint NOT NULL, pairs bytea NOT NULL, room bigint NOT NULL, expires bigint NOT NULL,"
    " is_visitor boolean NOT NULL, PRIMARY KEY(scope, tab, name)) WITH (fillfactor = 70);"
    "CREATE INDEX vestry_form_expires ON vestry_form(expires);"
    "CREATE TABLE vestry_form_cleared(slot integer PRIMARY KEY, changes bigint NOT NULL) WITH (fillfactor = 50);"
    "INSERT INTO vestry_form_cleared(slot, changes) SELECT slot, 0 FROM generate_series(0, 4095) AS slot"};
static const vsi_postgres_schema schema = {"form", steps, sizeof steps / sizeof *steps};

#define NOW VSI_POSTGRES_NOW_MS
/* When the statement runs: a generation is later than all that pages have. */
#define MOMENT(parameter)                                                                                              \
  "(CASE " parameter "::bigint WHEN 0 THEN (extract(epoch FROM clock_timestamp()) * 1000)::bigint ELSE " parameter     \
  "::bigint END)"
#define COLUMNS   "(scope, tab, name, generation, number, pairs, room, expires, is_visitor)"
#define COUNT(of) "WITH gone AS (" of " RETURNING 1) SELECT count(*) FROM gone"

#define PAIRS VSI_POSTGRES_BYTEA("f.pairs")
static const char follow_sql[] = "SELECT changes FROM vestry_form_cleared WHERE slot = $1";
static const char find_sql[] = "SELECT 'vestry_form'::regclass::oid, f.generation, f.number, " PAIRS
                               " FROM (SELECT 1) AS one LEFT JOIN vestry_form"
                               " AS f ON f.scope = $1 AND f.tab = $2 AND f.name = $3 AND f.expires > " NOW("$4");
static const char type_sql[] =
    "UPDATE vestry_form SET generation = $4, number = $5, pairs = $6, room = $7 WHERE scope = $1 AND tab = $2"
    " AND name = $3 AND (generation, number) < ($4, $5) AND room >= $7 AND expires > " NOW(
        "$8") " + $9::bigint - $9::bigint / 10 AND expires <= " NOW("$8") " + $9::bigint RETURNING 1";
static const char put_sql[] = "INSERT INTO vestry_form AS old" COLUMNS " VALUES($1, $2, $3, $4, $5, $6, $7, " NOW(
    "$8") " + $9::bigint, $10) ON CONFLICT(scope, tab, name) DO UPDATE SET generation = excluded.generation,"
          " number = excluded.number, pairs = excluded.pairs, room = excluded.room, expires = excluded.expires"
          " WHERE old.expires <= " NOW("$8") " OR (old.generation, old.number) <"
                                             " (excluded.generation, excluded.number) RETURNING 1";
static const char clear_sql[] =
    "WITH followed AS (UPDATE vestry_form_cleared SET changes = changes + 1 WHERE slot = $4)"
    " INSERT INTO vestry_form AS old" COLUMNS " VALUES($1, $2, $3, " MOMENT("$5") ", 0, '', $6, " NOW(
        "$5") " + $7::bigint, $8) ON CONFLICT(scope, tab, name) DO UPDATE SET number = 0, pairs = '',"
              " generation = greatest(old.generation + 1, excluded.generation), room = excluded.room,"
              " expires = excluded.expires RETURNING generation";
static const char copy_sql[] =
    "INSERT INTO vestry_form AS old" COLUMNS
    " SELECT $1::bytea, $2::text, $3::text, greatest(f.generation + 1, " MOMENT("$5") "), 0, f.pairs, f.room, " NOW(
        "$5") " + $6::bigint, f.is_visitor FROM vestry_form AS f WHERE f.scope = $1"
              " AND f.tab = $4 AND f.name = $3 AND f.pairs <> '' AND f.expires > " NOW(
                  "$5") " ON CONFLICT(scope, tab, name) DO UPDATE SET number = 0, pairs = excluded.pairs,"
                        " generation = greatest(old.generation + 1, excluded.generation), room = excluded.room,"
                        " expires = excluded.expires WHERE old.expires <= " NOW(
                            "$5") " RETURNING generation, octet_length(pairs), room";
static const char forget_sql[] = "DELETE FROM vestry_form WHERE scope = $1";
/* That form, and some of the others, if they are over. */
static const char expire_sql[] =
    COUNT("DELETE FROM vestry_form WHERE (scope, tab, name) IN (SELECT * FROM (SELECT scope, tab, name FROM vestry_form"
          " WHERE scope = $1 AND tab = $2 AND name = $3 AND expires <= " NOW(
              "$4") " FOR UPDATE SKIP LOCKED) AS own UNION ALL SELECT * FROM (SELECT scope, tab, name FROM vestry_form"
                    " WHERE expires <= " NOW("$4") " ORDER BY expires LIMIT $5 FOR UPDATE SKIP LOCKED) AS others)");
/* The next ones leave that form alone. */
static const char bound_sql[] = COUNT(
    "DELETE FROM vestry_form WHERE (scope, tab, name) IN (SELECT scope, tab, name FROM vestry_form WHERE scope = $1"
    " AND (tab, name) <> ($2, $3) ORDER BY expires DESC, tab, name OFFSET $4 FOR UPDATE SKIP LOCKED)");
static const char evict_sql[] =
    "WITH gone AS (DELETE FROM vestry_form WHERE (scope, tab, name) IN (SELECT f.scope, f.tab, f.name FROM vestry_form"
    " AS f JOIN (SELECT scope, tab, name, sum(room) OVER (ORDER BY expires, tab, name, scope) - room AS earlier"
    " FROM vestry_form WHERE is_visitor = $4 AND (scope, tab, name) <> ($1, $2, $3)) AS o USING (scope, tab, name)"
    " WHERE o.earlier < $5::bigint FOR UPDATE OF f SKIP LOCKED) RETURNING room)"
    " SELECT count(*), coalesce(sum(room), 0) FROM gone";
static const char total_sql[] = "SELECT count(*), coalesce(sum(room), 0), coalesce(sum(room) FILTER (WHERE is_visitor),"
                                " 0) FROM vestry_form";

typedef struct stored {
  vestry_forms_storage storage; /* first */
  vestry_postgres_pool *pool;
  vestry_postgres_forms_options options;
  _Atomic(int64_t) left_bytes;           /* until all are counted; relaxed: a mere count */
  atomic_uint_fast64_t evicted, expired; /* counters: nothing is ordered by them */
} stored;

/* What is said of a form that was cleared, after its transaction. */
typedef struct cleared {
  vsi_after after; /* first */
  stored *in;
  char tab[VESTRY_TAB_ID_BYTES], name[VESTRY_FORM_NAME_MAX_BYTES + 1];
} cleared;

/* -------------------------------------------------------------------------------------------- statements ---------- */

static int64_t now_ms(const stored *in) {
  return in->options.now_ms ? in->options.now_ms(in->options.now_ctx) : 0;
}

static int64_t slot_of(const vsi_form_key *key) {
  unsigned char tab[8];
  vsi_hex_read(tab, key->tab, sizeof tab);
  return (int64_t)(vsi_hash_bytes(vsi_hash_word(tab, sizeof tab), key->name, strlen(key->name)) % SLOTS);
}

static int64_t room_of(const vsi_form_key *key, size_t len) {
  return (int64_t)((ROW_BYTES + key->scope.len + len + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES);
}

typedef char scope_text[VSI_POSTGRES_BYTEA_BYTES(VESTRY_SCOPE_MAX_BYTES)];

static const char *write_scope(scope_text text, vestry_scope scope) {
  return vsi_postgres_bytea_write(text, scope.data, scope.len);
}

/* A thread that has a transaction to read with can write nothing. */
static vestry_err check_writes(const stored *in, vestry_postgres_loan *loan) {
  const vsi_call call = vsi_postgres_pool_call(in->pool, "vestry_forms");
  if (((const vsi_postgres_loan *)loan)->kind > VESTRY_POSTGRES_RENDER) return VESTRY_OK;
  return vsi_refuse(&call, VESTRY_INVALID,
                    "this thread has a transaction that only reads: end it, and then clear the form");
}

/* In the transaction of this thread, or alone. */
static vestry_err change(const stored *in, const char *sql, const vestry_value *values, vestry_postgres_row_fn row,
                         void *ctx) {
  vestry_postgres_loan *loan;
  if (!vsi_postgres_is_lent(in->pool)) return vsi_postgres_run_again(in->pool, sql, values, row, ctx);
  vestry_err error = vestry_postgres_begin(in->pool, VESTRY_POSTGRES_RENDER, &loan);
  if (error) return error;
  error = check_writes(in, loan);
  if (!error) error = vestry_postgres_run(loan, sql, values, row, ctx);
  return vestry_postgres_end(loan, error);
}

/* ----------------------------------------------------------------------------------------------- reading ---------- */

typedef struct reading {
  const vestry_host *host; /* of the copy of what is kept; NULL: none is wanted */
  uint32_t table;          /* its oid */
  bool is_there;           /* and not over */
  vsi_form_state state;
  vestry_err error;
} reading;

static void read_row(const vestry_postgres_row *row, void *ctx) {
  reading *into = ctx;
  const char *pairs = vestry_postgres_text(row, 3);
  into->table = (uint32_t)vestry_postgres_integer(row, 0);
  into->is_there = pairs != NULL;
  into->state = (vsi_form_state){.generation = (uint64_t)vestry_postgres_integer(row, 1),
                                 .number = (uint64_t)vestry_postgres_integer(row, 2)};
  if (!vsi_postgres_bytea_is(pairs)) return;
  into->state.len = vsi_postgres_bytea_len(pairs);
  if (!into->host || !into->state.len) return;
  into->state.pairs = vsi_alloc(into->host, into->state.len);
  if (into->state.pairs)
    vsi_postgres_bytea_read(into->state.pairs, pairs, into->state.len);
  else
    into->error = VESTRY_NO_MEMORY;
}

static vestry_err look(const stored *in, const vsi_form_key *key, reading *into) {
  scope_text scope;
  vestry_err error = vsi_postgres_run_again(
      in->pool, find_sql, VESTRY_LIST(write_scope(scope, key->scope), key->tab, key->name, now_ms(in)), read_row, into);
  return error ? error : into->error;
}

static vestry_err look_recorded(const stored *in, const vsi_form_key *key, reading *into) {
  scope_text scope;
  vestry_err error = vsi_postgres_read_recorded(in->pool, follow_sql, VESTRY_LIST(slot_of(key)), NULL, NULL);
  if (!error)
    error = vsi_postgres_read_recorded(in->pool, find_sql,
                                       VESTRY_LIST(write_scope(scope, key->scope), key->tab, key->name, now_ms(in)),
                                       read_row, into);
  if (error) return error;
  vsi_postgres_leave_out(in->pool, into->table);
  return into->error;
}

/* A page that was rendered by an older snapshot, and is not followed, would not know what was cleared since. */
static vestry_err check_reads(const stored *in) {
  const vsi_call call = vsi_postgres_pool_call(in->pool, "vestry_form_open");
  vestry_postgres_loan *loan;
  if (!vsi_postgres_is_lent(in->pool)) return VESTRY_OK;
  vestry_err error = vestry_postgres_begin(in->pool, VESTRY_POSTGRES_RENDER, &loan);
  if (error) return error;
  if (((const vsi_postgres_loan *)loan)->kind == VESTRY_POSTGRES_RENDER)
    error = vsi_refuse(&call, VESTRY_INVALID,
                       "this thread has begun a transaction to read with: open the form before it, or after "
                       "it, or read by vestry_postgres_read");
  return vestry_postgres_end(loan, error);
}

static vestry_err find(vestry_forms_storage *storage, const vsi_form_key *key, vsi_form_state *ret_state) {
  const stored *in = (stored *)storage;
  reading into = {.host = storage->host};
  vestry_err error = VESTRY_OK;
  if (vsi_postgres_is_recorded(in->pool)) {
    error = look_recorded(in, key, &into);
  } else {
    error = check_reads(in);
    if (!error) error = look(in, key, &into);
  }
  if (!error) *ret_state = into.state;
  return error;
}

/* ------------------------------------------------------------------------------------------------ bounds ---------- */

typedef struct totals {
  int64_t forms, bytes, of_visitors; /* bytes, both */
} totals;

static void read_totals(const vestry_postgres_row *row, void *ctx) {
  *(totals *)ctx =
      (totals){vestry_postgres_integer(row, 0), vestry_postgres_integer(row, 1), vestry_postgres_integer(row, 2)};
}

/* The oldest, of so many bytes together. Returns how many those that are gone had. */
static int64_t evict(stored *in, const vsi_form_key *key, bool of_visitors, int64_t bytes) {
  scope_text scope;
  totals gone = {0, 0, 0};
  if (bytes <= 0) return 0;
  (void)change(in, evict_sql, VESTRY_LIST(write_scope(scope, key->scope), key->tab, key->name, of_visitors, bytes),
               read_totals, &gone);
  atomic_fetch_add_explicit(&in->evicted, (uint64_t)gone.forms, memory_order_relaxed);
  return gone.bytes;
}

/* So much is over a bound, and a bit more; 0: it is kept. */
static int64_t beyond(int64_t bytes, int64_t most) {
  return bytes > most ? bytes - (most - most / MADE_FREE) : 0;
}

/* The oldest make room, but for this one: anonymous users' beyond their half, then anonymous users' before users'. */
static void bound_all(stored *in, const vsi_form_key *key) {
  const int64_t most = (int64_t)in->storage.bounds.max_bytes, half = most / 2;
  totals all = {0, 0, 0};
  if (change(in, total_sql, NULL, read_totals, &all)) return;
  int64_t of_visitors = beyond(all.of_visitors, half), of_all = beyond(all.bytes, most);
  int64_t gone = evict(in, key, true, of_visitors > of_all ? of_visitors : of_all);
  all.of_visitors -= gone;
  all.bytes -= gone;
  all.bytes -= evict(in, key, false, beyond(all.bytes, most));
  int64_t left = most - all.bytes < half - all.of_visitors ? most - all.bytes : half - all.of_visitors;
  atomic_store_explicit(&in->left_bytes, left / NODES, memory_order_relaxed);
}

static void count_gone(atomic_uint_fast64_t *counter, int64_t count) {
  atomic_fetch_add_explicit(counter, (uint64_t)count, memory_order_relaxed);
}

/* That form has taken so much more, at most. It is kept, whatever this says. */
static void bound(stored *in, const vsi_form_key *key, int64_t bytes) {
  scope_text scope;
  int64_t count = 0, most = (int64_t)in->storage.bounds.max_per_scope_count;
  if (key->scope.len && /* or else it is everybody's */
      !change(in, bound_sql, VESTRY_LIST(write_scope(scope, key->scope), key->tab, key->name, most - 1),
              vestry_postgres_row_integer, &count))
    count_gone(&in->evicted, count);
  if (atomic_fetch_sub_explicit(&in->left_bytes, bytes, memory_order_relaxed) < bytes) bound_all(in, key);
}

static vestry_err expire(stored *in, const vsi_form_key *key) {
  scope_text scope;
  int64_t count = 0;
  vestry_err error =
      change(in, expire_sql,
             VESTRY_LIST(write_scope(scope, key->scope), key->tab, key->name, now_ms(in), (int64_t)EXPIRED_AT_ONCE),
             vestry_postgres_row_integer, &count);
  count_gone(&in->expired, count);
  return error;
}

/* ----------------------------------------------------------------------------------------------- writing ---------- */

static vsi_form_state brief(const vsi_form_state *state) {
  return (vsi_form_state){.generation = state->generation, .number = state->number, .len = state->len};
}

/* The longer way. OK | NOT_FOUND (what is there is later) */
static vestry_err put_row(stored *in, const vsi_form_key *key, const char *scope, const vsi_form_state *state,
                          const char *pairs) {
  const int64_t ttl_ms = (int64_t)in->storage.bounds.ttl_ms, room = room_of(key, state->len);
  vestry_err error = expire(in, key);
  if (!error)
    error = change(in, put_sql,
                   VESTRY_LIST(scope, key->tab, key->name, (int64_t)state->generation, (int64_t)state->number, pairs,
                               room, now_ms(in), ttl_ms, key->is_anonymous),
                   NULL, NULL);
  if (!error) bound(in, key, room);
  return error;
}

static vestry_err put_text(stored *in, const vsi_form_key *key, const vsi_form_state *state, const char *pairs) {
  scope_text scope;
  vestry_err error = change(in, type_sql,
                            VESTRY_LIST(write_scope(scope, key->scope), key->tab, key->name, (int64_t)state->generation,
                                        (int64_t)state->number, pairs, room_of(key, state->len), now_ms(in),
                                        (int64_t)in->storage.bounds.ttl_ms),
                            NULL, NULL);
  return error == VESTRY_NOT_FOUND ? put_row(in, key, scope, state, pairs) : error;
}

static vestry_err put(vestry_forms_storage *storage, const vsi_form_key *key, const vsi_form_state *state,
                      vsi_form_state *ret_state) {
  stored *in = (stored *)storage;
  reading there = {.host = NULL};
  char *pairs = vsi_alloc(storage->host, VSI_POSTGRES_BYTEA_BYTES(state->len));
  if (!pairs) return VESTRY_NO_MEMORY;
  vestry_err error = put_text(in, key, state, vsi_postgres_bytea_write(pairs, state->pairs, state->len));
  vsi_free(storage->host, pairs);
  if (!error) *ret_state = brief(state);
  if (error != VESTRY_NOT_FOUND) return error;
  error = look(in, key, &there);
  if (!error) *ret_state = there.state;
  return error ? error : VESTRY_EXISTS;
}

static void tell(const stored *in, const char *tab, const char *name) {
  in->storage.on_cleared(in->storage.forms, tab, name);
}

static void end_transaction(vsi_after *self, bool is_committed) {
  cleared *now = (cleared *)self;
  if (is_committed) tell(now->in, now->tab, now->name);
  vsi_free(now->in->pool->host, now);
}

/* In this thread's transaction, if it has one: then it is told after that. */
static vestry_err tell_then(stored *in, const vsi_form_key *key) {
  vestry_postgres_loan *loan;
  if (!vsi_postgres_is_lent(in->pool)) {
    tell(in, key->tab, key->name);
    return VESTRY_OK;
  }
  cleared *now = vsi_calloc(in->pool->host, 1, sizeof *now);
  vestry_err error = now ? vestry_postgres_begin(in->pool, VESTRY_POSTGRES_RENDER, &loan) : VESTRY_NO_MEMORY;
  if (error) {
    vsi_free(in->pool->host, now);
    return error;
  }
  now->after.fn = end_transaction;
  now->in = in;
  snprintf(now->tab, sizeof now->tab, "%s", key->tab);
  snprintf(now->name, sizeof now->name, "%s", key->name);
  vsi_after_add(&((vsi_postgres_loan *)loan)->after, &now->after);
  return vestry_postgres_end(loan, VESTRY_OK);
}

static vestry_err clear(vestry_forms_storage *storage, const vsi_form_key *key, bool tells, vsi_form_state *ret_state) {
  stored *in = (stored *)storage;
  scope_text scope;
  int64_t generation = 0, room = room_of(key, 0);
  vestry_err error = change(in, clear_sql,
                            VESTRY_LIST(write_scope(scope, key->scope), key->tab, key->name, slot_of(key), now_ms(in),
                                        room, (int64_t)storage->bounds.ttl_ms, key->is_anonymous),
                            vestry_postgres_row_integer, &generation);
  if (!error && tells) error = tell_then(in, key);
  if (error) return error;
  atomic_fetch_sub_explicit(&in->left_bytes, room, memory_order_relaxed);
  if (!vsi_postgres_is_lent(in->pool)) bound(in, key, 0);
  *ret_state = (vsi_form_state){.generation = (uint64_t)generation};
  return VESTRY_OK;
}

typedef struct copied {
  vsi_form_state state;
  int64_t room;
} copied;

static void read_copied(const vestry_postgres_row *row, void *ctx) {
  *(copied *)ctx = (copied){
      {.generation = (uint64_t)vestry_postgres_integer(row, 0), .len = (size_t)vestry_postgres_integer(row, 1)},
      vestry_postgres_integer(row, 2)};
}

static vestry_err copy(vestry_forms_storage *storage, const vsi_form_key *key, const char *tab,
                       vsi_form_state *ret_state) {
  stored *in = (stored *)storage;
  scope_text scope;
  copied now = {.room = 0};
  reading there = {.host = NULL};
  vestry_err error = change(in, copy_sql,
                            VESTRY_LIST(write_scope(scope, key->scope), key->tab, key->name, tab, now_ms(in),
                                        (int64_t)storage->bounds.ttl_ms),
                            read_copied, &now);
  if (!error) bound(in, key, now.room);
  if (!error) *ret_state = now.state;
  if (error != VESTRY_NOT_FOUND) return error;
  error = look(in, key, &there);
  if (error) return error;
  *ret_state = there.state;
  return there.is_there ? VESTRY_EXISTS : VESTRY_NOT_FOUND;
}

static vestry_err forget(vestry_forms_storage *storage, vestry_scope of) {
  scope_text scope;
  return change((stored *)storage, forget_sql, VESTRY_LIST(write_scope(scope, of)), NULL, NULL);
}

static void count(vestry_forms_storage *storage, vestry_forms_stats *stats) {
  stored *in = (stored *)storage;
  totals all = {0, 0, 0};
  (void)vsi_postgres_run_again(in->pool, total_sql, NULL, read_totals, &all);
  stats->forms_count = (size_t)all.forms;
  stats->bytes = (size_t)all.bytes;
  stats->evicted_count = atomic_load_explicit(&in->evicted, memory_order_relaxed);
  stats->expired_count = atomic_load_explicit(&in->expired, memory_order_relaxed);
}

/* -------------------------------------------------------------------------------------------------- life ---------- */

static const vsi_form_storage_ops ops = {find, put, clear, copy, forget, count};

vestry_err vestry_postgres_forms_create(vestry_postgres_pool *pool, const vestry_postgres_forms_options *given,
                                        vestry_forms_storage **ret_storage) {
  vestry_postgres_forms_options options;
  if (!pool || !ret_storage || VSI_OPTIONS_TAKE(vestry_postgres_forms_options, options, given)) return VESTRY_INVALID;
  vestry_err error = vsi_postgres_schema_bring(pool, "vestry_postgres_forms_create", &schema);
  if (error) return error;
  stored *in = vsi_calloc(pool->host, 1, sizeof *in);
  if (!in) return VESTRY_NO_MEMORY;
  in->storage.ops = &ops;
  in->pool = pool;
  in->options = options;
  *ret_storage = &in->storage;
  return VESTRY_OK;
}

void vestry_postgres_forms_destroy(vestry_forms_storage *storage) {
  stored *in = (stored *)storage;
  if (in) vsi_free(in->pool->host, in);
}
