/* SPDX-License-Identifier: MIT */
/* essay: forms of all nodes: pages follow their generation, but not the typed text */
/* The storage of forms in a database, with the rules of the storage in memory (app/page/form_kept.c): a form has a
 * generation, and each message with typed text has the generation of its form and a number.
 *
 * Each form is a row. Its `pairs` are its fields and their values (form_storage.h). is_visitor means that it belongs to
 * an anonymous user, and person is the hash of the address that has sent it (form_storage.h). A message that changes
 * the form is one UPDATE of columns that are in no index. If it finds no row, because there is none, or because the row
 * needs more room or a later expiry, put_row does the full work. (`room` is the size of a row, rounded up, so that
 * typing a little more does not change it.) The statement that writes compares generation and number, so the later of
 * two messages stays, whichever nodes received them.
 *
 * A page must be rendered again when its form was cleared, but not when text is typed. Therefore a render reads a
 * second table, vestry_form_cleared, in which each clearing changes one row. This read is recorded: it is a part of the
 * page's read set, the data whose changes refresh the page. The read of the table of forms is not
 * (VSI_SQL_RUN_UNFOLLOWED in data/sql/sql.h). The row of vestry_form_cleared is selected by a number that is computed
 * from the tab's id and the form's name, below 4,096. So a render can read the row before the form exists. Two forms
 * that share a row sometimes refresh pages of each other. PostgreSQL: all rows exist from the beginning, because an
 * insert next to a row would refresh renders that have read the range around it. A clearing inserts a row only if a
 * script has deleted it, for example by TRUNCATE of all tables. A transaction has the lock of its rows until its end;
 * one of 4,096 forms that others clear meanwhile waits for it.
 *
 * A submit clears the form in the application's own transaction, which may be serializable. Therefore, its statements
 * read nothing but the form's own row, and count nothing. Bounds are checked when text is stored. A process counts all
 * rows again when it has added an eighth of the room that was free at the last count, so eight processes together
 * cannot exceed the bound.
 *
 * Any client can invent anonymous users and tabs. In memory, an address without a user has at most a quarter of their
 * bytes. Here it may have more until they are needed, so that no statement has to count the bytes of each address. Then
 * addresses that have more than a quarter lose their oldest text, before any other text is evicted. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "app/page/form_storage.h"
#include "base/hash.h"
#include "base/hex.h"
#include "data/sql/pool.h"

enum { STEP_BYTES = 512, ROW_BYTES = 256, SLOTS = 4096, NODES = 8, MADE_FREE = 32 };

#define FORM(name, blob, text, integer, boolean, end)                                                                  \
  "CREATE TABLE IF NOT EXISTS " name "(scope " blob " NOT NULL, tab " text " NOT NULL, name " text                     \
  " NOT NULL, generation " integer " NOT NULL, number " integer " NOT NULL, pairs " blob " NOT NULL, room " integer    \
  " NOT NULL, expires " integer " NOT NULL, is_visitor " boolean " NOT NULL, person " integer                          \
  " NOT NULL DEFAULT 0, PRIMARY KEY(scope, tab, name))" end ";"
#define SQLITE_FORM(name) FORM(name, "BLOB", "TEXT", "INTEGER", "INTEGER", " STRICT")
#define EXPIRES_INDEX     "CREATE INDEX IF NOT EXISTS vestry_form_expires ON vestry_form(expires);"
#define CLEARED                                                                                                        \
  "CREATE TABLE IF NOT EXISTS vestry_form_cleared(slot integer PRIMARY KEY, "                                          \
  "changes bigint NOT NULL)"
/* The forms of 0.3.0 had numbers, and triggers counted them. */
#define FROM_EARLIER                                                                                                   \
  "INSERT INTO vestry_form_new SELECT scope, tab, name, generation, number, pairs, room, expires, is_visitor, person"  \
  " FROM vestry_form; DROP TABLE vestry_form; ALTER TABLE vestry_form_new RENAME TO vestry_form;"                      \
  " DROP TABLE IF EXISTS vestry_form_total; DROP TABLE IF EXISTS vestry_form_cleared;"
#define ALL_SLOTS                                                                                                      \
  "INSERT INTO vestry_form_cleared(slot, changes) SELECT slot, 0 FROM generate_series(0, 4095) AS slot"                \
  " ON CONFLICT DO NOTHING"
static const char *const of_sqlite[] = {SQLITE_FORM("vestry_form"),
                                        "ALTER TABLE vestry_form ADD COLUMN person INTEGER NOT NULL DEFAULT 0",
                                        SQLITE_FORM("vestry_form_new") FROM_EARLIER EXPIRES_INDEX CLEARED};
static const char *const of_postgres[] = {
    FORM("vestry_form", "bytea", "text", "bigint", "boolean", " WITH (fillfactor = 70)") EXPIRES_INDEX CLEARED
    " WITH (fillfactor = 50);" ALL_SLOTS,
    "ALTER TABLE vestry_form ADD COLUMN IF NOT EXISTS person bigint NOT NULL DEFAULT 0"};
static const vsi_sql_schema schemas[VSI_SQL_DIALECTS] = {{"form", of_sqlite, 3, false},
                                                         {"form", of_postgres, 2, false}};

#define SQLITE(parameter) parameter
#define POSTGRES          VSI_SQL_POSTGRES_NOW
#define MS                "::bigint" /* the type of a parameter with a time in ms, which PostgreSQL cannot infer */
/* The time when the statement runs, not when its transaction began (now()), because a clearing must have a later
 * generation than all pages that were rendered before it. */
#define MOMENT(parameter) VSI_SQL_POSTGRES_BY("clock_timestamp()", parameter)

/* Parameters of one form: $1 scope, $2 tab, $3 name. */
#define KEY(row) row "scope = $1 AND " row "tab = $2 AND " row "name = $3"
#define LOCKED   " FOR UPDATE SKIP LOCKED"

static vsi_sql_texts follow_sql = VSI_SQL_BOTH("SELECT changes FROM vestry_form_cleared WHERE slot = $1");
#define FIND(now, more)                                                                                                \
  "SELECT f.pairs IS NOT NULL, f.generation, f.number, f.pairs" more                                                   \
  " FROM (SELECT 1) AS one LEFT JOIN vestry_form AS f ON " KEY("f.") " AND f.expires > " now
static vsi_sql_texts find_sql = {FIND(SQLITE("$4"), ""), FIND(POSTGRES("$4"), ", 'vestry_form'::regclass::oid")};
/* The UPDATE that a message usually needs. It leaves these rows to put_row:
 * - rows that are later than the message;
 * - rows with too little room;
 * - rows of which more than a tenth of the time to live has passed;
 * - rows that expire later than the time to live allows, because they were stored before the clock was set back. */
#define TYPE(now, ms)                                                                                                  \
  "UPDATE vestry_form SET generation = $4, number = $5, pairs = $6, room = $7 WHERE " KEY(                             \
      "") " AND (generation, number) < ($4, $5) AND room >= $7 AND expires > " now " + $9" ms " - $9" ms               \
          " / 10 AND expires <= " now " + $9" ms " RETURNING 1"
static vsi_sql_texts type_sql = {TYPE(SQLITE("$8"), ""), TYPE(POSTGRES("$8"), MS)};
#define INSERT                                                                                                         \
  "INSERT INTO vestry_form AS old(scope, tab, name, generation, number, pairs, room, expires, is_visitor, person)"
#define UPDATE " ON CONFLICT(scope, tab, name) DO UPDATE SET "
#define PUT(now, ms)                                                                                                   \
  INSERT " VALUES($1, $2, $3, $4, $5, $6, $7, " now " + $9" ms ", $10, $11)" UPDATE                                    \
         "generation = excluded.generation, number = excluded.number, pairs = excluded.pairs, room = excluded.room,"   \
         " expires = excluded.expires, person = excluded.person WHERE old.expires <= " now                             \
         " OR (old.generation, old.number) < (excluded.generation, excluded.number) RETURNING 1"
static vsi_sql_texts put_sql = {PUT(SQLITE("$8"), ""), PUT(POSTGRES("$8"), MS)};
#define CLEAR(now, moment, ms, greatest)                                                                               \
  INSERT " VALUES($1, $2, $3, " moment ", 0, $7, $5, " now " + $6" ms ", $8, $9)" UPDATE                               \
         "number = 0, pairs = excluded.pairs, generation = " greatest                                                  \
         "(old.generation + 1, excluded.generation), room = excluded.room, expires = excluded.expires"                 \
         " RETURNING generation"
static vsi_sql_texts clear_sql = {CLEAR(SQLITE("$4"), SQLITE("$4"), "", "max"),
                                  CLEAR(POSTGRES("$4"), MOMENT("$4"), MS, "greatest")};
static vsi_sql_texts cleared_sql = VSI_SQL_BOTH("INSERT INTO vestry_form_cleared AS old(slot, changes) VALUES($1, 1)"
                                                " ON CONFLICT(slot) DO UPDATE SET changes = old.changes + 1");
/* $4: tab of the other form. */
#define COPY(key, now, moment, ms, greatest)                                                                           \
  INSERT " SELECT " key ", " greatest "(f.generation + 1, " moment "), 0, f.pairs, f.room, " now " + $6" ms            \
         ", f.is_visitor, f.person FROM vestry_form AS f WHERE f.scope = $1 AND f.tab = $4 AND f.name = $3"            \
         " AND length(f.pairs) > 0 AND f.expires > " now UPDATE                                                        \
         "number = 0, pairs = excluded.pairs, generation = " greatest "(old.generation + 1, excluded.generation),"     \
         " room = excluded.room, expires = excluded.expires WHERE old.expires <= " now                                 \
         " RETURNING 1, generation, number, pairs"
static vsi_sql_texts copy_sql = {COPY("$1, $2, $3", SQLITE("$5"), SQLITE("$5"), "", "max"),
                                 COPY("$1::bytea, $2::text, $3::text", POSTGRES("$5"), MOMENT("$5"), MS, "greatest")};
static vsi_sql_texts forget_sql = VSI_SQL_BOTH("DELETE FROM vestry_form WHERE scope = $1");
static vsi_sql_texts expire_sql =
    VSI_SQL_EXPIRE("vestry_form", "scope, tab, name", "expires <= " SQLITE("$1"), "expires <= " POSTGRES("$1"));
/* The following statements do not touch this form. */
#define BOUND(rest)                                                                                                    \
  "DELETE FROM vestry_form WHERE (scope, tab, name) IN (SELECT scope, tab, name FROM vestry_form WHERE scope = $1"     \
  " AND (tab, name) <> ($2, $3) ORDER BY expires DESC, tab, name " rest ") RETURNING 1"
static vsi_sql_texts bound_sql = {BOUND("LIMIT -1 OFFSET $4"), BOUND("OFFSET $4" LOCKED)};
/* The oldest forms, which together have at least this number of bytes, $4: first those of anonymous users, and of both
 * kinds of users first those of addresses that have more than $5 bytes, or half as many if anonymous: all but the
 * youngest forms of such an address, which have no more. */
#define EVICT(ms, locked)                                                                                              \
  "DELETE FROM vestry_form WHERE (scope, tab, name) IN (SELECT f.scope, f.tab, f.name FROM vestry_form AS f JOIN"      \
  " (SELECT scope, tab, name, (sum(room) OVER (ORDER BY is_visitor DESC, is_beyond DESC, expires, tab, name, "         \
  "scope))" ms " - room AS earlier FROM (SELECT scope, tab, name, room, expires, is_visitor, person <> 0" ms           \
  " AND (sum(room) OVER (PARTITION BY is_visitor, person ORDER BY expires DESC, tab, name, scope))" ms " > $5" ms      \
  " / CASE WHEN is_visitor THEN 2 ELSE 1 END AS is_beyond FROM vestry_form WHERE (scope, tab, name) <> ($1, $2, $3))"  \
  " AS one) AS o USING (scope, tab, name) WHERE o.earlier < $4" ms locked ") RETURNING room, is_visitor"
static vsi_sql_texts evict_sql = {EVICT("", ""), EVICT(MS, " FOR UPDATE OF f SKIP LOCKED")};
static vsi_sql_texts total_sql = VSI_SQL_BOTH(
    "SELECT count(*), coalesce(sum(room), 0), coalesce(sum(room) FILTER (WHERE is_visitor), 0) FROM vestry_form");

typedef struct stored {
  vestry_forms_storage storage; /* first */
  vestry_sql_pool *pool;
  _Atomic(int64_t) left_bytes;           /* until the next count; relaxed: a mere counter */
  atomic_uint_fast64_t evicted, expired; /* counters: nothing is ordered by them */
} stored;

/* The notification that a form was cleared, sent after its transaction. */
typedef struct cleared {
  vsi_after after; /* first */
  stored *in;
  bool notifies;
  char tab[VESTRY_TAB_ID_BYTES], name[VESTRY_FORM_NAME_MAX_BYTES + 1];
} cleared;

/* -------------------------------------------------------------------------------------------- statements ---------- */

/* Return the row of vestry_form_cleared by which pages follow a form. */
static int64_t slot_of(const char *tab, const char *name) {
  unsigned char bytes[8];
  vsi_hex_read(bytes, tab, sizeof bytes);
  return (int64_t)(vsi_hash_bytes(vsi_hash_word(bytes, sizeof bytes), name, strlen(name)) % SLOTS);
}

static int64_t room_of(const vsi_form_key *key, size_t len) {
  return (int64_t)((ROW_BYTES + key->scope.len + len + STEP_BYTES - 1) / STEP_BYTES * STEP_BYTES);
}

#define KEY_VALUES(key) vestry_value_bytes((key)->scope.data, (key)->scope.len), (key)->tab, (key)->name

/* Run a statement in the transaction of this thread, or else alone. */
static vestry_err change(const stored *in, vsi_sql_texts texts, const vestry_value *values, vestry_sql_row_fn row,
                         void *ctx) {
  const vestry_sql_transaction *own = vsi_sql_own(in->pool);
  const vsi_call call = vsi_sql_call(in->pool, "vestry_forms");
  if (!own || vsi_sql_is_writing(own)) return vsi_sql_by(in->pool, VSI_SQL_RUN_AGAIN, texts, values, row, ctx);
  return vsi_refuse(&call, VESTRY_INVALID, "this thread has a read transaction; end it before clearing the form");
}

/* A change of a form, with the checks of bounds. */
typedef struct changing {
  stored *in;
  const vsi_form_key *key;
  const vsi_form_state *state; /* to be stored */
  const char *tab;             /* the tab whose form is copied */
  bool notifies;
  vsi_form_state ret; /* the stored state afterwards */
  int64_t evicted, expired;
} changing;

static void count_gone(const changing *of) {
  atomic_fetch_add_explicit(&of->in->evicted, (uint64_t)of->evicted, memory_order_relaxed);
  atomic_fetch_add_explicit(&of->in->expired, (uint64_t)of->expired, memory_order_relaxed);
}

/* Change a form and check the bounds, in the transaction of this thread or a new one. */
static vestry_err change_by(changing *of, vestry_sql_act_fn fn) {
  vestry_sql_pool *pool = of->in->pool;
  vestry_err error = vsi_sql_own(pool) ? fn(NULL, of) : vestry_sql_act(pool, VESTRY_SQL_WRITE, fn, of);
  if (!error) count_gone(of); /* otherwise it is rolled back */
  return error;
}

/* ----------------------------------------------------------------------------------------------- reading ---------- */

typedef struct reading {
  const vestry_host *host; /* allocates the copy of the pairs; NULL: no copy */
  bool is_there;           /* and has not expired */
  vsi_form_state state;
  vestry_err error;
} reading;

static void read_row(const vestry_sql_row *row, void *ctx) {
  reading *into = ctx;
  into->is_there = vestry_sql_integer(row, 0);
  into->state = (vsi_form_state){.generation = (uint64_t)vestry_sql_integer(row, 1),
                                 .number = (uint64_t)vestry_sql_integer(row, 2),
                                 .len = vestry_sql_bytes(row, 3, NULL, 0)};
  if (!into->host || !into->state.len) return;
  into->state.pairs = vsi_alloc(into->host, into->state.len);
  if (into->state.pairs)
    (void)vestry_sql_bytes(row, 3, into->state.pairs, into->state.len);
  else
    into->error = VESTRY_NO_MEMORY;
}

static vestry_err look(const stored *in, const vsi_form_key *key, reading *into) {
  vestry_err error = vsi_sql_by(in->pool, VSI_SQL_RUN_AGAIN, find_sql,
                                VESTRY_LIST(KEY_VALUES(key), vsi_sql_now_ms(in->pool)), read_row, into);
  return error ? error : into->error;
}

/* Read the followed row first, so that a commit between the two reads refreshes the page. */
static vestry_err look_recorded(const stored *in, const vsi_form_key *key, reading *into) {
  vestry_err error = vsi_sql_if_any(
      vsi_sql_by(in->pool, VSI_SQL_RUN_FOLLOWED, follow_sql, VESTRY_LIST(slot_of(key->tab, key->name)), NULL, NULL));
  if (!error)
    error = vsi_sql_by(in->pool, VSI_SQL_RUN_UNFOLLOWED, find_sql,
                       VESTRY_LIST(KEY_VALUES(key), vsi_sql_now_ms(in->pool)), read_row, into);
  return error ? error : into->error;
}

/* Reject a read in a transaction whose reads are not recorded. Its snapshot may be older than the last clearing of the
 * form. The page would then show the text that was cleared, and would not be rendered again. */
static vestry_err check_reads(const stored *in) {
  const vsi_call call = vsi_sql_call(in->pool, "vestry_form_open");
  const vestry_sql_transaction *own = vsi_sql_own(in->pool);
  if (!in->pool->ops->has_snapshots || !own || own->kind > VESTRY_SQL_READ_ASIDE || !own->kind) return VESTRY_OK;
  return vsi_refuse(
      &call, VESTRY_INVALID,
      "this thread has a read transaction; open the form before or after it, or read with vestry_sql_read");
}

static vestry_err find(vestry_forms_storage *storage, const vsi_form_key *key, vsi_form_state *ret_state) {
  const stored *in = (stored *)storage;
  reading into = {.host = storage->host};
  vestry_err error = VESTRY_OK;
  if (in->pool->ops->is_recorded(in->pool)) {
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
  /* forms: number of forms. The others: bytes of all forms, and of the forms of anonymous users. */
  int64_t forms, bytes, of_anonymous;
} totals;

static void read_totals(const vestry_sql_row *row, void *ctx) {
  *(totals *)ctx = (totals){vestry_sql_integer(row, 0), vestry_sql_integer(row, 1), vestry_sql_integer(row, 2)};
}

static void add_gone(const vestry_sql_row *row, void *ctx) {
  totals *gone = ctx;
  gone->forms++;
  gone->bytes += vestry_sql_integer(row, 0);
  gone->of_anonymous += vestry_sql_integer(row, 1) ? vestry_sql_integer(row, 0) : 0;
}

/* Return how many bytes must be freed to go below a bound with some reserve; 0: within the bound. */
static int64_t beyond(int64_t bytes, int64_t most) {
  return bytes > most ? bytes - (most - most / MADE_FREE) : 0;
}

/* Remove the oldest forms, except this one, until the bounds on bytes hold: half for anonymous users, whose
 * forms are removed first. */
static vestry_err bound_all(changing *of) {
  stored *in = of->in;
  const int64_t most = (int64_t)in->storage.bounds.max_bytes, half = most / 2;
  totals all = {0, 0, 0}, gone = {0, 0, 0};
  vestry_err error = change(in, total_sql, NULL, read_totals, &all);
  if (error) return error;
  const int64_t of_anonymous = beyond(all.of_anonymous, half), of_all = beyond(all.bytes, most),
                bytes = of_anonymous > of_all ? of_anonymous : of_all;
  if (bytes)
    error = vsi_sql_if_any(change(in, evict_sql, VESTRY_LIST(KEY_VALUES(of->key), bytes, most / 4), add_gone, &gone));
  of->evicted += gone.forms;
  const int64_t left = most - (all.bytes - gone.bytes),
                left_of_anonymous = half - (all.of_anonymous - gone.of_anonymous);
  atomic_store_explicit(&in->left_bytes, (left < left_of_anonymous ? left : left_of_anonymous) / NODES,
                        memory_order_relaxed);
  return error;
}

/* Check the bounds after this form has grown by at most this number of bytes. */
static vestry_err bound(changing *of, int64_t bytes) {
  stored *in = of->in;
  const int64_t most = (int64_t)in->storage.bounds.max_per_scope_count;
  vestry_err error = VESTRY_OK;
  if (of->key->scope.len) /* the empty scope is shared by all users, so its forms are not limited in number */
    error = vsi_sql_remove(in->pool, bound_sql, VESTRY_LIST(KEY_VALUES(of->key), most - 1), &of->evicted);
  const bool is_due = atomic_fetch_sub_explicit(&in->left_bytes, bytes, memory_order_relaxed) < bytes;
  return !error && is_due ? bound_all(of) : error;
}

static vestry_err expire(changing *of) {
  vestry_sql_pool *pool = of->in->pool;
  return vsi_sql_remove(pool, expire_sql, VESTRY_LIST(vsi_sql_now_ms(pool)), &of->expired);
}

/* ----------------------------------------------------------------------------------------------- writing ---------- */

static vsi_form_state brief(const vsi_form_state *state) {
  return (vsi_form_state){.generation = state->generation, .number = state->number, .len = state->len};
}

/* Read the stored state that prevented a change. */
static vestry_err look_instead(changing *of, bool *ret_is_there) {
  reading there = {.host = NULL};
  vestry_err error = look(of->in, of->key, &there);
  if (!error) of->ret = there.state;
  *ret_is_there = there.is_there;
  return error;
}

#define STATE_VALUES(of, room)                                                                                         \
  (int64_t)(of)->state->generation, (int64_t)(of)->state->number,                                                      \
      vestry_value_bytes((of)->state->pairs, (of)->state->len), room, vsi_sql_now_ms((of)->in->pool),                  \
      (int64_t)(of)->in->storage.bounds.ttl_ms

/* Store a form if the short UPDATE found no row. EXISTS: the stored state is later. If there is no state either, it was
 * deleted meanwhile, or a trigger of others has dropped the row: then the page sends the text again. */
static vestry_err put_row(vestry_sql_transaction *transaction, void *ctx) {
  changing *of = ctx;
  const int64_t room = room_of(of->key, of->state->len);
  bool is_there;
  (void)transaction;
  vestry_err error = expire(of);
  if (!error)
    error = change(
        of->in, put_sql,
        VESTRY_LIST(KEY_VALUES(of->key), STATE_VALUES(of, room), of->key->is_anonymous, (int64_t)of->key->person), NULL,
        NULL);
  if (!error) return bound(of, room);
  if (error != VESTRY_NOT_FOUND) return error;
  error = look_instead(of, &is_there);
  if (error || is_there) return error ? error : VESTRY_EXISTS;
  const vsi_call call = vsi_sql_call(of->in->pool, "vestry_forms");
  return vsi_refuse(&call, VESTRY_LIMIT,
                    "the typed text was not stored now, and the page sends it again; if this message is repeated, look "
                    "for a trigger or a policy of vestry_form");
}

static vestry_err put(vestry_forms_storage *storage, const vsi_form_key *key, const vsi_form_state *state,
                      vsi_form_state *ret_state) {
  changing of = {.in = (stored *)storage, .key = key, .state = state, .ret = brief(state)};
  vestry_err error =
      change(of.in, type_sql, VESTRY_LIST(KEY_VALUES(key), STATE_VALUES(&of, room_of(key, state->len))), NULL, NULL);
  if (error == VESTRY_NOT_FOUND) error = change_by(&of, put_row);
  if (!error || error == VESTRY_EXISTS) *ret_state = of.ret;
  return error;
}

static void end_transaction(vsi_after *self, bool is_committed) {
  cleared *now = (cleared *)self;
  if (is_committed && now->notifies) now->in->storage.on_cleared(now->in->storage.forms, now->tab, now->name);
  vsi_free(now->in->pool->host, now);
}

/* Change the row by which pages follow the form, and send the notification after the transaction. */
static vestry_err notify_after(stored *in, const vsi_form_key *key, bool notifies) {
  vestry_err error = change(in, cleared_sql, VESTRY_LIST(slot_of(key->tab, key->name)), NULL, NULL);
  if (error) return error;
  cleared *now = vsi_calloc(in->pool->host, 1, sizeof *now);
  if (!now) return VESTRY_NO_MEMORY;
  now->after.fn = end_transaction;
  now->in = in;
  now->notifies = notifies;
  snprintf(now->tab, sizeof now->tab, "%s", key->tab);
  snprintf(now->name, sizeof now->name, "%s", key->name);
  vsi_after_add(&vsi_sql_own(in->pool)->after, &now->after);
  return VESTRY_OK;
}

/* Clear a form, in the transaction of this thread. */
static vestry_err clear_row(vestry_sql_transaction *transaction, void *ctx) {
  changing *of = ctx;
  stored *in = of->in;
  const int64_t room = room_of(of->key, 0);
  int64_t generation = 0;
  (void)transaction;
  vestry_err error =
      change(in, clear_sql,
             VESTRY_LIST(KEY_VALUES(of->key), vsi_sql_now_ms(in->pool), room, (int64_t)in->storage.bounds.ttl_ms,
                         vestry_value_bytes(NULL, 0), of->key->is_anonymous, (int64_t)of->key->person),
             vestry_sql_row_integer, &generation);
  error = vsi_sql_if_written(in->pool, "vestry_forms_clear", "vestry_form", error);
  if (!error) error = notify_after(in, of->key, of->notifies);
  if (error) return error;
  of->ret = (vsi_form_state){.generation = (uint64_t)generation};
  atomic_fetch_sub_explicit(&in->left_bytes, room, memory_order_relaxed);
  return VESTRY_OK;
}

static vestry_err clear_and_bound(vestry_sql_transaction *transaction, void *ctx) {
  vestry_err error = clear_row(transaction, ctx);
  return error ? error : bound(ctx, 0);
}

static vestry_err clear(vestry_forms_storage *storage, const vsi_form_key *key, bool notifies,
                        vsi_form_state *ret_state) {
  changing of = {.in = (stored *)storage, .key = key, .notifies = notifies};
  vestry_err error = change_by(&of, vsi_sql_own(of.in->pool) ? clear_row : clear_and_bound);
  if (!error) *ret_state = of.ret;
  return error;
}

static vestry_err copy_row(vestry_sql_transaction *transaction, void *ctx) {
  changing *of = ctx;
  stored *in = of->in;
  reading now = {.host = NULL};
  bool is_there;
  (void)transaction;
  vestry_err error =
      change(in, copy_sql,
             VESTRY_LIST(KEY_VALUES(of->key), of->tab, vsi_sql_now_ms(in->pool), (int64_t)in->storage.bounds.ttl_ms),
             read_row, &now);
  of->ret = now.state;
  if (!error) return bound(of, room_of(of->key, now.state.len));
  if (error != VESTRY_NOT_FOUND) return error;
  error = look_instead(of, &is_there);
  if (error) return error;
  return is_there ? VESTRY_EXISTS : VESTRY_NOT_FOUND;
}

static vestry_err copy(vestry_forms_storage *storage, const vsi_form_key *key, const char *tab,
                       vsi_form_state *ret_state) {
  changing of = {.in = (stored *)storage, .key = key, .tab = tab};
  vestry_err error = change_by(&of, copy_row);
  if (!error || error == VESTRY_EXISTS || error == VESTRY_NOT_FOUND) *ret_state = of.ret;
  return error;
}

static vestry_err forget(vestry_forms_storage *storage, vestry_scope of) {
  return change((stored *)storage, forget_sql, VESTRY_LIST(vestry_value_bytes(of.data, of.len)), NULL, NULL);
}

static void count(vestry_forms_storage *storage, vestry_forms_stats *stats) {
  stored *in = (stored *)storage;
  totals all = {0, 0, 0};
  (void)vsi_sql_by(in->pool, VSI_SQL_RUN_AGAIN, total_sql, NULL, read_totals, &all);
  stats->forms_count = (size_t)all.forms;
  stats->bytes = (size_t)all.bytes;
  stats->evicted_count = atomic_load_explicit(&in->evicted, memory_order_relaxed);
  stats->expired_count = atomic_load_explicit(&in->expired, memory_order_relaxed);
}

/* -------------------------------------------------------------------------------------------------- life ---------- */

static const vsi_form_storage_ops ops = {find, put, clear, copy, forget, count};

vestry_err vestry_sql_forms_create(vestry_sql_pool *pool, vestry_forms_storage **ret_storage) {
  if (!pool) return VESTRY_INVALID;
  if (!ret_storage) return vsi_mistake(pool->host, "vestry_sql_forms_create", "ret_storage is NULL");
  vestry_err error = pool->ops->bring(pool, "vestry_sql_forms_create", &schemas[pool->ops->dialect]);
  if (error) return error;
  stored *in = vsi_calloc(pool->host, 1, sizeof *in);
  if (!in) return VESTRY_NO_MEMORY;
  in->storage.ops = &ops;
  in->pool = pool;
  *ret_storage = &in->storage;
  return VESTRY_OK;
}

void vestry_sql_forms_destroy(vestry_forms_storage *storage) {
  stored *in = (stored *)storage;
  if (in) vsi_free(in->pool->host, in);
}
