/* SPDX-License-Identifier: MIT */
/* essay: forms that a page follows, and what is typed into them, which it does not */
/* Forms as rows. A page depends on when its form was cleared, and not on what is typed into it. So that lies in a table
 * of its own, which typing does not write: another process knows of a commit only which pages of the file it wrote. A
 * render looks there as any statement of the application's does, by the number of the row; all else is read as the
 * library's own, which is not followed. For a page that is rendered before there is a row, the number has to be known
 * beforehand: it is made of the tab's id, which the server has drawn and sealed, and of the form's name. Two forms of
 * one tab whose names are chosen so that they have one number take each other's place, and no one else's.
 *
 * A letter changes one row, and of it no column that is in an index: `expires` is put off when a tenth of ttl has gone
 * by, and `room` goes up in steps, which the triggers add up. What has expired is removed, and what is too much, when a
 * row comes, is put off, or needs more room.
 *
 * All that is written is of the transaction of this thread, if it has one. What is told to pages, and counted, is told
 * after it. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "app/page/form_storage.h"
#include "base/hash.h"
#include "base/hex.h"
#include "data/sqlite/loan.h"
#include "data/sqlite/schema.h"
#include "data/sqlite/sqlite.h"
#include "vestry/data/sqlite_forms.h"

enum { STEP_BYTES = 512, ROW_BYTES = 256, EVICTED_AT_ONCE = 64 };

static const char *const steps[] = {
    "CREATE TABLE vestry_form(id INTEGER PRIMARY KEY, scope BLOB NOT NULL, tab TEXT NOT NULL, name TEXT NOT NULL,"
    " is_visitor INTEGER NOT NULL, generation INTEGER NOT NULL, number INTEGER NOT NULL, expires INTEGER NOT NULL,"
    " room INTEGER NOT NULL, pairs BLOB NOT NULL) STRICT;"
    "CREATE INDEX vestry_form_scope ON vestry_form(scope, expires);"
    "CREATE INDEX vestry_form_expires ON vestry_form(is_visitor, expires);"
    "CREATE TABLE vestry_form_total(is_visitor INTEGER PRIMARY KEY, forms INTEGER NOT NULL, bytes INTEGER NOT NULL)"
    " STRICT;"
    "CREATE TABLE vestry_form_cleared(id INTEGER PRIMARY KEY, generation INTEGER NOT NULL) STRICT;"
    "INSERT INTO vestry_form_total(is_visitor, forms, bytes) VALUES(0, 0, 0), (1, 0, 0);"
    "CREATE TRIGGER vestry_form_comes AFTER INSERT ON vestry_form BEGIN UPDATE vestry_form_total"
    " SET forms = forms + 1, bytes = bytes + new.room WHERE is_visitor = new.is_visitor; END;"
    "CREATE TRIGGER vestry_form_grows AFTER UPDATE OF room ON vestry_form WHEN old.room <> new.room BEGIN"
    " UPDATE vestry_form_total SET bytes = bytes + new.room - old.room WHERE is_visitor = new.is_visitor; END;"
    "CREATE TRIGGER vestry_form_goes AFTER DELETE ON vestry_form BEGIN UPDATE vestry_form_total"
    " SET forms = forms - 1, bytes = bytes - old.room WHERE is_visitor = old.is_visitor;"
    " DELETE FROM vestry_form_cleared WHERE id = old.id; END"};
static const vsi_sqlite_schema schema = {"form", steps, sizeof steps / sizeof *steps};

/* By which a page follows its form. */
static const char follow_sql[] = "SELECT generation FROM vestry_form_cleared WHERE id = ?1";
/* The time by SQLite's clock, in milliseconds since 1970, and the row, if there is one. */
static const char look_sql[] =
    "SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER), f.expires, f.generation, f.number, f.room,"
    " f.pairs FROM (SELECT 1) LEFT JOIN vestry_form AS f"
    " ON f.id = ?1 AND f.scope = ?2 AND f.tab = ?3 AND f.name = ?4";
static const char change_sql[] = "UPDATE vestry_form SET generation = ?2, number = ?3, room = ?4, pairs = ?5"
                                 " WHERE id = ?1";
static const char put_off_sql[] = "UPDATE vestry_form SET expires = ?2 WHERE id = ?1";
static const char clear_sql[] = "INSERT INTO vestry_form_cleared(id, generation) VALUES(?1, ?2)"
                                " ON CONFLICT DO UPDATE SET generation = excluded.generation";
static const char remove_sql[] = "DELETE FROM vestry_form WHERE id = ?1";
static const char insert_sql[] =
    "INSERT INTO vestry_form(id, scope, tab, name, generation, number, room, pairs, is_visitor, expires)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
static const char bound_sql[] = "DELETE FROM vestry_form WHERE id IN (SELECT id FROM vestry_form WHERE scope = ?2"
                                " AND id <> ?1 ORDER BY expires DESC LIMIT -1 OFFSET ?3)";
static const char expire_sql[] = "DELETE FROM vestry_form WHERE id IN (SELECT id FROM vestry_form"
                                 " WHERE is_visitor IN (0, 1) AND expires <= ?1 LIMIT ?2)";
static const char total_sql[] = "SELECT forms, bytes FROM vestry_form_total ORDER BY is_visitor";
static const char evict_sql[] = "DELETE FROM vestry_form WHERE id = (SELECT id FROM vestry_form WHERE is_visitor = ?2"
                                " AND id <> ?1 ORDER BY expires LIMIT 1)";
static const char forget_sql[] = "DELETE FROM vestry_form WHERE scope = ?1";

typedef struct stored {
  vestry_forms_storage storage; /* first */
  vestry_sqlite_pool *pool;
  atomic_uint_fast64_t evicted, expired; /* counters: nothing is ordered by them */
} stored;

/* A row, and when it was looked at. */
typedef struct row {
  int64_t now_ms, expires_ms;
  bool is_there; /* and not over */
  vsi_form_state state;
  int64_t room;
} row;

/* What one operation does, and what is said of it after its transaction. */
typedef struct operation {
  vsi_after after; /* first */
  stored *in;
  uint64_t evicted, expired;
  bool tells;
  char tab[VESTRY_TAB_ID_BYTES], name[VESTRY_FORM_NAME_MAX_BYTES + 1];
} operation;

/* -------------------------------------------------------------------------------------------- statements ---------- */

static int64_t id_of(const vsi_form_key *key) {
  unsigned char tab[8];
  vsi_hex_read(tab, key->tab, sizeof tab);
  return (int64_t)(vsi_hash_bytes(vsi_hash_word(tab, sizeof tab), key->name, strlen(key->name)) >> 1);
}

static vestry_err say(vestry_sqlite_loan *loan, const char *function, int result, const char *doing) {
  const vsi_sqlite_loan *own = (const vsi_sqlite_loan *)loan;
  const vsi_call call = vsi_sqlite_pool_call(own->pool, function);
  return vsi_sqlite_pool_fail(&call, own->lent.db, result, doing);
}

static vestry_err run(vestry_sqlite_loan *loan, sqlite3_stmt *statement, int result) {
  if (!result) result = sqlite3_step(statement);
  vestry_err error = say(loan, "vestry_forms", result == SQLITE_DONE ? SQLITE_OK : result, "a form is not kept");
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return error;
}

/* NULL would be no blob. */
static int bind_blob(sqlite3_stmt *statement, int at, const void *data, size_t len) {
  return sqlite3_bind_blob64(statement, at, len ? data : "", len, SQLITE_STATIC);
}

static int bind_key(sqlite3_stmt *statement, const vsi_form_key *key) {
  int result = sqlite3_bind_int64(statement, 1, id_of(key));
  if (!result) result = bind_blob(statement, 2, key->scope.data, key->scope.len);
  if (!result) result = sqlite3_bind_text(statement, 3, key->tab, VESTRY_TAB_ID_BYTES - 1, SQLITE_STATIC);
  return result ? result : sqlite3_bind_text(statement, 4, key->name, -1, SQLITE_STATIC);
}

/* What a row says of its form: four columns from there on. */
static int bind_state(sqlite3_stmt *statement, int at, const vsi_form_state *state, int64_t room) {
  int result = sqlite3_bind_int64(statement, at, (int64_t)state->generation);
  if (!result) result = sqlite3_bind_int64(statement, at + 1, (int64_t)state->number);
  if (!result) result = sqlite3_bind_int64(statement, at + 2, room);
  return result ? result : bind_blob(statement, at + 3, state->pairs, state->len);
}

/* Of one number or two. */
static vestry_err run_numbers(vestry_sqlite_loan *loan, const char *sql, const int64_t *numbers, int count) {
  sqlite3_stmt *statement;
  vestry_err error = vestry_sqlite_prepare(loan, sql, &statement);
  int result = SQLITE_OK;
  for (int i = 0; i < count && !error && !result; i++) result = sqlite3_bind_int64(statement, i + 1, numbers[i]);
  return error ? error : run(loan, statement, result);
}

/* ----------------------------------------------------------------------------------------------- reading ---------- */

/* host: of the copy of what is kept; NULL: none is wanted. */
static int read_row(sqlite3_stmt *statement, const vestry_host *host, row *ret) {
  *ret = (row){.now_ms = sqlite3_column_int64(statement, 0), .expires_ms = sqlite3_column_int64(statement, 1)};
  ret->is_there = ret->expires_ms > ret->now_ms;
  if (!ret->is_there) return SQLITE_OK;
  ret->room = sqlite3_column_int64(statement, 4);
  const void *pairs = sqlite3_column_blob(statement, 5);
  ret->state = (vsi_form_state){.generation = (uint64_t)sqlite3_column_int64(statement, 2),
                                .number = (uint64_t)sqlite3_column_int64(statement, 3),
                                .len = (size_t)sqlite3_column_bytes(statement, 5)};
  if (!host || !ret->state.len) return SQLITE_OK;
  ret->state.pairs = pairs ? vsi_alloc(host, ret->state.len) : NULL;
  if (!ret->state.pairs) return SQLITE_NOMEM;
  memcpy(ret->state.pairs, pairs, ret->state.len);
  return SQLITE_OK;
}

static vestry_err look(vestry_sqlite_loan *loan, const vsi_form_key *key, const vestry_host *host, row *ret) {
  sqlite3_stmt *statement;
  vestry_err error = vestry_sqlite_prepare(loan, look_sql, &statement);
  if (error) return error;
  int result = bind_key(statement, key);
  if (!result) result = sqlite3_step(statement);
  if (result == SQLITE_ROW) result = read_row(statement, host, ret);
  error = say(loan, "vestry_forms", result, "a form cannot be read");
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  return error;
}

static vestry_err follow(vestry_sqlite_loan *loan, const vsi_form_key *key) {
  return run_numbers(loan, follow_sql, (const int64_t[]){id_of(key)}, 1);
}

/* The generation first: what is committed between the two renders the page again. */
static vestry_err find(vestry_forms_storage *storage, const vsi_form_key *key, vsi_form_state *ret_state) {
  vestry_sqlite_loan *loan;
  row found = {0};
  vestry_err error = vestry_sqlite_borrow(((stored *)storage)->pool, VESTRY_SQLITE_READ, &loan);
  if (error) return error;
  if (loan->connection) {
    error = follow(loan, key);
    bool was_own = vsi_sqlite_reader_pause(&loan->connection->reader, true);
    if (!error) error = look(loan, key, storage->host, &found);
    vsi_sqlite_reader_pause(&loan->connection->reader, was_own);
  } else {
    error = look(loan, key, storage->host, &found);
  }
  error = vestry_sqlite_give(loan, error);
  if (!error) *ret_state = found.state;
  return error;
}

/* ----------------------------------------------------------------------------------------------- writing ---------- */

static void end_operation(vsi_after *self, bool is_committed) {
  operation *now = (operation *)self;
  vestry_forms_storage *storage = &now->in->storage;
  if (is_committed) {
    atomic_fetch_add_explicit(&now->in->evicted, now->evicted, memory_order_relaxed);
    atomic_fetch_add_explicit(&now->in->expired, now->expired, memory_order_relaxed);
    if (now->tells) storage->on_cleared(storage->forms, now->tab, now->name);
  }
  vsi_free(now->in->pool->host, now);
}

/* In the transaction of this thread, or in one of its own. */
static vestry_err begin(stored *in, const vsi_form_key *key, vestry_sqlite_loan **ret_loan, operation **ret_now) {
  const vestry_sqlite_use use = vsi_sqlite_pool_is_writing(in->pool) ? VESTRY_SQLITE_READ : VESTRY_SQLITE_WRITE;
  operation *now = vsi_calloc(in->pool->host, 1, sizeof *now);
  vestry_err error = now ? vestry_sqlite_borrow(in->pool, use, ret_loan) : VESTRY_NO_MEMORY;
  if (error) {
    vsi_free(in->pool->host, now);
    return error;
  }
  now->after.fn = end_operation;
  now->in = in;
  if (key) snprintf(now->tab, sizeof now->tab, "%s", key->tab);
  if (key) snprintf(now->name, sizeof now->name, "%s", key->name);
  vsi_after_add(&((vsi_sqlite_loan *)*ret_loan)->after, &now->after);
  *ret_now = now;
  return VESTRY_OK;
}

static int64_t changes(const vestry_sqlite_loan *loan) {
  return sqlite3_changes(loan->db);
}

static vestry_err read_totals(vestry_sqlite_loan *loan, uint64_t forms[2], uint64_t bytes[2]) {
  sqlite3_stmt *statement;
  vestry_err error = vestry_sqlite_prepare(loan, total_sql, &statement);
  if (error) return error;
  int result = SQLITE_ROW;
  for (int i = 0; i < 2 && (result = sqlite3_step(statement)) == SQLITE_ROW; i++) {
    forms[i] = (uint64_t)sqlite3_column_int64(statement, 0);
    bytes[i] = (uint64_t)sqlite3_column_int64(statement, 1);
  }
  error = say(loan, "vestry_forms", result, "what is kept cannot be counted");
  sqlite3_reset(statement);
  return error;
}

/* The oldest make room, but for this one: anonymous users' beyond their half, then anonymous users' before users'. */
static vestry_err bound_all(operation *now, vestry_sqlite_loan *loan, int64_t id) {
  const uint64_t most = now->in->storage.bounds.max_bytes;
  uint64_t forms[2] = {0, 0}, bytes[2] = {0, 0};
  for (int i = 0; i < EVICTED_AT_ONCE; i++) {
    vestry_err error = read_totals(loan, forms, bytes);
    if (error) return error;
    bool is_too_much = bytes[0] + bytes[1] > most;
    if (!is_too_much && bytes[1] <= most / 2) return VESTRY_OK;
    error = run_numbers(loan, evict_sql, (const int64_t[]){id, 1}, 2);
    if (!error && !changes(loan) && is_too_much) error = run_numbers(loan, evict_sql, (const int64_t[]){id, 0}, 2);
    if (error) return error;
    if (!changes(loan)) return VESTRY_OK; /* it is the only one */
    now->evicted += (uint64_t)changes(loan);
  }
  return VESTRY_OK; /* the next one goes on */
}

static vestry_err bound_scope(operation *now, vestry_sqlite_loan *loan, const vsi_form_key *key) {
  sqlite3_stmt *statement;
  if (!key->scope.len) return VESTRY_OK; /* it is everybody's */
  vestry_err error = vestry_sqlite_prepare(loan, bound_sql, &statement);
  if (error) return error;
  int result = sqlite3_bind_int64(statement, 1, id_of(key));
  if (!result) result = bind_blob(statement, 2, key->scope.data, key->scope.len);
  if (!result) result = sqlite3_bind_int64(statement, 3, (int64_t)now->in->storage.bounds.max_per_scope_count - 1);
  error = run(loan, statement, result);
  if (!error) now->evicted += (uint64_t)changes(loan);
  return error;
}

static vestry_err insert(vestry_sqlite_loan *loan, const vsi_form_key *key, const vsi_form_state *state, int64_t room,
                         int64_t expires_ms) {
  sqlite3_stmt *statement;
  vestry_err error = vestry_sqlite_prepare(loan, insert_sql, &statement);
  if (error) return error;
  int result = bind_key(statement, key);
  if (!result) result = bind_state(statement, 5, state, room);
  if (!result) result = sqlite3_bind_int(statement, 9, key->is_anonymous);
  if (!result) result = sqlite3_bind_int64(statement, 10, expires_ms);
  return run(loan, statement, result);
}

static vestry_err change(vestry_sqlite_loan *loan, const vsi_form_key *key, const vsi_form_state *state, int64_t room) {
  sqlite3_stmt *statement;
  vestry_err error = vestry_sqlite_prepare(loan, change_sql, &statement);
  if (error) return error;
  int result = sqlite3_bind_int64(statement, 1, id_of(key));
  if (!result) result = bind_state(statement, 2, state, room);
  return run(loan, statement, result);
}

static vestry_err bound(operation *now, vestry_sqlite_loan *loan, const vsi_form_key *key, const row *former) {
  vestry_err error = bound_scope(now, loan, key);
  if (!error) error = run_numbers(loan, expire_sql, (const int64_t[]){former->now_ms, EVICTED_AT_ONCE}, 2);
  if (error) return error;
  now->expired += (uint64_t)changes(loan);
  return bound_all(now, loan, id_of(key));
}

/* Of what is there, which the new one takes the place of. */
static vestry_err replace(operation *now, vestry_sqlite_loan *loan, const vsi_form_key *key, const row *former,
                          const vsi_form_state *state) {
  const int64_t id = id_of(key), ttl_ms = (int64_t)now->in->storage.bounds.ttl_ms, until_ms = former->now_ms + ttl_ms;
  const size_t bytes = ROW_BYTES + key->scope.len + state->len;
  const int64_t room = (int64_t)((bytes + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES);
  vestry_err error;
  if (former->is_there) {
    /* One that would last longer than it may is of a clock that was set back. */
    bool is_due = former->expires_ms > until_ms || former->expires_ms <= until_ms - ttl_ms / 10;
    error = change(loan, key, state, room);
    if (!error && is_due) error = run_numbers(loan, put_off_sql, (const int64_t[]){id, until_ms}, 2);
    return error || (!is_due && room <= former->room) ? error : bound(now, loan, key, former);
  }
  error = run_numbers(loan, remove_sql, (const int64_t[]){id}, 1);
  if (!error) now->expired += (uint64_t)changes(loan);
  if (!error) error = insert(loan, key, state, room, until_ms);
  return error ? error : bound(now, loan, key, former);
}

static vsi_form_state brief(const vsi_form_state *state) {
  return (vsi_form_state){.generation = state->generation, .number = state->number, .len = state->len};
}

static vestry_err put(vestry_forms_storage *storage, const vsi_form_key *key, const vsi_form_state *state,
                      vsi_form_state *ret_state) {
  vestry_sqlite_loan *loan;
  operation *now;
  row former;
  vestry_err error = begin((stored *)storage, key, &loan, &now);
  if (error) return error;
  error = look(loan, key, NULL, &former);
  bool is_late = !error && former.is_there && vsi_form_is_late(state, &former.state);
  if (!error && !is_late) error = replace(now, loan, key, &former, state);
  error = vestry_sqlite_give(loan, error);
  if (!error) *ret_state = brief(is_late ? &former.state : state);
  return error ? error : is_late ? VESTRY_EXISTS : VESTRY_OK;
}

/* Later than what is there, and than what was forgotten. */
static uint64_t next_generation(const row *former, uint64_t of_another) {
  uint64_t least = former->state.generation > of_another ? former->state.generation : of_another;
  return least >= (uint64_t)former->now_ms ? least + 1 : (uint64_t)former->now_ms;
}

static vestry_err clear(vestry_forms_storage *storage, const vsi_form_key *key, bool tells, vsi_form_state *ret_state) {
  vestry_sqlite_loan *loan;
  operation *now;
  row former;
  vsi_form_state none = {.len = 0};
  vestry_err error = begin((stored *)storage, key, &loan, &now);
  if (error) return error;
  now->tells = tells;
  error = look(loan, key, NULL, &former);
  if (!error) {
    none.generation = next_generation(&former, 0);
    error = replace(now, loan, key, &former, &none);
  }
  if (!error) error = run_numbers(loan, clear_sql, (const int64_t[]){id_of(key), (int64_t)none.generation}, 2);
  if (error) now->tells = false;
  error = vestry_sqlite_give(loan, error);
  if (!error) *ret_state = none;
  return error;
}

static vestry_err copy_from(operation *now, vestry_sqlite_loan *loan, const vsi_form_key *key, const char *tab,
                            row *former) {
  const vestry_host *host = now->in->storage.host;
  const vsi_form_key other = {key->scope, tab, key->name, key->is_anonymous};
  row from = {0};
  vestry_err error = look(loan, &other, host, &from);
  if (!error && !from.state.len) error = VESTRY_NOT_FOUND;
  if (!error) {
    const vsi_form_state copied = {
        .generation = next_generation(former, from.state.generation), .len = from.state.len, .pairs = from.state.pairs};
    error = replace(now, loan, key, former, &copied);
    if (!error) former->state = brief(&copied);
  }
  vsi_free(host, from.state.pairs);
  return error;
}

static vestry_err copy(vestry_forms_storage *storage, const vsi_form_key *key, const char *tab,
                       vsi_form_state *ret_state) {
  vestry_sqlite_loan *loan;
  operation *now;
  row former;
  vestry_err error = begin((stored *)storage, key, &loan, &now);
  if (error) return error;
  error = look(loan, key, NULL, &former);
  if (!error) error = former.is_there ? VESTRY_EXISTS : copy_from(now, loan, key, tab, &former);
  error = vestry_sqlite_give(loan, error);
  if (!error || error == VESTRY_EXISTS || error == VESTRY_NOT_FOUND) *ret_state = brief(&former.state);
  return error;
}

static vestry_err forget(vestry_forms_storage *storage, vestry_scope scope) {
  vestry_sqlite_loan *loan;
  operation *now;
  sqlite3_stmt *statement;
  vestry_err error = begin((stored *)storage, NULL, &loan, &now);
  if (error) return error;
  error = vestry_sqlite_prepare(loan, forget_sql, &statement);
  if (!error) error = run(loan, statement, bind_blob(statement, 1, scope.data, scope.len));
  return vestry_sqlite_give(loan, error);
}

static void count(vestry_forms_storage *storage, vestry_forms_stats *stats) {
  stored *in = (stored *)storage;
  vestry_sqlite_loan *loan;
  uint64_t forms[2] = {0, 0}, bytes[2] = {0, 0};
  if (!vestry_sqlite_borrow(in->pool, VESTRY_SQLITE_READ, &loan))
    (void)vestry_sqlite_give(loan, read_totals(loan, forms, bytes));
  stats->forms_count = (size_t)(forms[0] + forms[1]);
  stats->bytes = (size_t)(bytes[0] + bytes[1]);
  stats->evicted_count = atomic_load_explicit(&in->evicted, memory_order_relaxed);
  stats->expired_count = atomic_load_explicit(&in->expired, memory_order_relaxed);
}

/* -------------------------------------------------------------------------------------------------- life ---------- */

static const vsi_form_storage_ops ops = {find, put, clear, copy, forget, count};

static vestry_err make_table(vestry_sqlite_pool *pool) {
  const vsi_call call = vsi_sqlite_pool_call(pool, "vestry_sqlite_forms_create");
  vestry_sqlite_loan *loan;
  vestry_err error = vestry_sqlite_borrow(pool, VESTRY_SQLITE_READ, &loan);
  if (error) return error;
  return vestry_sqlite_give(loan, vsi_sqlite_schema_bring(&call, loan->db, &schema));
}

vestry_err vestry_sqlite_forms_create(vestry_sqlite_pool *pool, vestry_forms_storage **ret_storage) {
  if (!pool || !ret_storage) return VESTRY_INVALID;
  vestry_err error = make_table(pool);
  if (error) return error;
  stored *in = vsi_calloc(pool->host, 1, sizeof *in);
  if (!in) return VESTRY_NO_MEMORY;
  in->storage.ops = &ops;
  in->pool = pool;
  *ret_storage = &in->storage;
  return VESTRY_OK;
}

void vestry_sqlite_forms_destroy(vestry_forms_storage *storage) {
  stored *in = (stored *)storage;
  if (in) vsi_free(in->pool->host, in);
}
