/* SPDX-License-Identifier: MIT */
/* essay: a job that exactly one node has, without nodes that wait for each other */
/* Each job is a row. The column `due` contains the time when the row must be looked at next:
 *
 *     the job waits     when it may begin
 *     the job runs      when its lease ends
 *     it has ended      null: the row is not in the index
 *
 * So one query of one index finds both jobs that may begin and jobs whose process died, and the index grows only with
 * the open work. The states of a job are:
 *
 *     waiting ──taken──→ running ──success──→ done
 *        ↑                  │ └──no attempts left, or hopeless──→ dead ──vestry_jobs_retry──→ waiting
 *        └──────────────────┘
 *          failed with attempts left, put back, or a scheduled job
 *
 * The column `fence` counts how often the row was taken. A run writes to its row only where the row still has the
 * number with which it was taken, and is running. A process that was suspended while its lease ended finds no such row.
 * A scheduled job is a row with a period; when it has ended, it waits for the next period instead of being done.
 *
 * SQLite has one writer at a time, so nothing can happen between a query and a write. With PostgreSQL several nodes
 * take jobs concurrently. A worker locks the row that it takes, and passes over locked rows (SKIP LOCKED). A locked row
 * is being taken by another node, or a transaction of the application has finished the job and has not ended yet. So no
 * node waits for another, and no lease of a job that is being finished is taken over. A worker also passes over a
 * waiting job on which transactions of orders rely (order.c), and closes it. Later orders then create another job, so
 * the closed job is free when those transactions have ended.
 *
 * A renewal of a lease passes over a locked row, too: while a transaction that finishes the job is open, no node takes
 * the job, whatever its lease. A transaction with one snapshot (REPEATABLE READ or SERIALIZABLE) cannot finish a job
 * whose lease was renewed after that snapshot, so it finishes the job first.
 *
 * Processes query the table every poll_ms for jobs of others. NOTIFY would report these at once, but transactions that
 * notify commit one at a time.
 *
 * While another client of PostgreSQL holds a snapshot (pg_dump), the index keeps the entries of all jobs that have
 * ended since, and a query from the beginning passes over each of them. Therefore, most looks are brief: they begin
 * at the last job of their kind that was found. A brief look can miss a job that was locked, or whose order was
 * committed late; a look at all jobs finds it. Such a full look comes after ten times the time that the last one
 * took, and at least once a second.
 *
 * The clock is the database's own, unless the options have one, because the leases of all nodes end by it. */
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "data/jobs/state.h"
#include "data/sql/pool.h"
#include "json/write.h"

enum { CLOSED_AT_ONCE = 16, FULL_LOOK_MS = 1000, FULL_LOOK_PART = 10 };
#define PROGRESS_SCALE 1073741824 /* 2^30: read as an integer, because a locale changes the format of fractions */

static const char *const of_sqlite[] = {
    "CREATE TABLE IF NOT EXISTS vestry_job(id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT, state "
    "TEXT NOT NULL,"
    " due INTEGER, fence INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,"
    " attempts_most INTEGER NOT NULL, payload BLOB, progress REAL NOT NULL DEFAULT 0, said TEXT, error TEXT,"
    " created INTEGER NOT NULL, ended INTEGER, period INTEGER, shift INTEGER, period_at INTEGER) STRICT;"
    "CREATE INDEX IF NOT EXISTS vestry_job_due ON vestry_job(kind, due) WHERE due IS NOT NULL;"
    "CREATE INDEX IF NOT EXISTS vestry_job_key ON vestry_job(kind, key) WHERE key IS NOT NULL;"
    "CREATE INDEX IF NOT EXISTS vestry_job_state ON vestry_job(state, ended);"
    "CREATE UNIQUE INDEX IF NOT EXISTS vestry_job_tick ON vestry_job(kind) WHERE period IS NOT NULL"};
static const char *const of_postgres[] = {
    "CREATE TABLE IF NOT EXISTS vestry_job(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL, key "
    "text,"
    " state text NOT NULL, due bigint, fence bigint NOT NULL DEFAULT 0, attempts bigint NOT NULL DEFAULT 0,"
    " attempts_most bigint NOT NULL, payload bytea NOT NULL DEFAULT '', progress double precision NOT NULL DEFAULT 0,"
    " said text, error text, created bigint NOT NULL, ended bigint, period bigint, shift bigint, period_at bigint);"
    "CREATE INDEX IF NOT EXISTS vestry_job_due ON vestry_job(kind, due, id) WHERE due IS NOT NULL;"
    "CREATE INDEX IF NOT EXISTS vestry_job_key ON vestry_job(kind, key) WHERE key IS NOT NULL;"
    "CREATE INDEX IF NOT EXISTS vestry_job_state ON vestry_job(state, ended);"
    "CREATE UNIQUE INDEX IF NOT EXISTS vestry_job_tick ON vestry_job(kind) WHERE period IS NOT NULL",
    "ALTER TABLE vestry_job ADD COLUMN IF NOT EXISTS is_closed boolean NOT NULL DEFAULT false",
    "SELECT 1" /* was for a table that is not used any more */};
/* The open jobs with a key, for orders (order.c). A separate part, so that nodes with an earlier version keep running
 * together with this one. */
static const char *const open_index[] = {"CREATE INDEX IF NOT EXISTS vestry_job_open ON vestry_job(kind, key, due) "
                                         "WHERE key IS NOT NULL AND due IS NOT NULL"};
/* The numbers of jobs with a key (order.c). A separate part, too. */
static const char *const order_of_postgres[] = {
    "ALTER TABLE vestry_job ADD COLUMN IF NOT EXISTS nth bigint;"
    "CREATE UNIQUE INDEX IF NOT EXISTS vestry_job_nth ON vestry_job(kind, key, nth) WHERE nth IS NOT NULL"};
/* A database of 0.3.0 also has the tables vestry_job_lease, vestry_job_slot, vestry_job_total, which nothing uses. */
enum { PARTS = 3 };
static const vsi_sql_schema schemas[VSI_SQL_DIALECTS][PARTS] = {
    {{"job", of_sqlite, sizeof of_sqlite / sizeof *of_sqlite, false}, {"job_open", open_index, 1, true}},
    {{"job", of_postgres, sizeof of_postgres / sizeof *of_postgres, false},
     {"job_open", open_index, 1, true},
     {"job_order", order_of_postgres, 1, false}}};

#define SQLITE VSI_JOBS_SQLITE_NOW
#define NOW    VSI_SQL_POSTGRES_NOW
#define MS     "::bigint"

#define SELECT_NOW(now) "SELECT " now
static vsi_sql_texts now_sql = {SELECT_NOW(SQLITE("$1")), SELECT_NOW(NOW("$1"))};
/* The start of the period after the last one, from times in columns. */
#define PERIOD_AFTER(row, period, shift)                                                                               \
  "((" row "period_at - " shift ") / " period " * " period " + " shift " + " period ")"
#define SCHEDULE(greatest)                                                                                             \
  "INSERT INTO vestry_job AS old(kind, state, due, attempts_most, created, period, shift)"                             \
  " VALUES($1, 'waiting', $2, $3, $4, $5, $6) ON CONFLICT(kind) WHERE period IS NOT NULL"                              \
  " DO UPDATE SET period = excluded.period, shift = excluded.shift, state = CASE old.state WHEN 'running' THEN "       \
  "'running' ELSE 'waiting' END, due = CASE old.state WHEN 'running' THEN coalesce(old.due, excluded.due) "            \
  "ELSE " greatest "(excluded.due, coalesce(" PERIOD_AFTER(                                                            \
      "old.", "excluded.period", "excluded.shift") ", 0)) END WHERE old.period <> excluded.period OR old.shift <> "    \
                                                   "excluded.shift OR old.due IS NULL"
static vsi_sql_texts schedule_sql = {SCHEDULE("max"), SCHEDULE("greatest")};
/* Time until the next job of some kinds is due. */
#define FROM(due, id) " AND (due, id) >= (" due ", " id ")"
#define SQLITE_FROM   FROM("json_extract(known.value, '$[1]')", "json_extract(known.value, '$[2]')")
#define OF_EACH       "json_array_elements($1::json) WITH ORDINALITY AS known(one, number)"
#define OF_KNOWN      "kind = known.one->>0"
#define KNOWN_FROM    FROM("(known.one->>1)::bigint", "(known.one->>2)::bigint")
static vsi_sql_texts next_sql = {
    "SELECT min((SELECT due FROM vestry_job WHERE kind = json_extract(known.value, '$[0]') AND due IS NOT "
    "NULL" SQLITE_FROM " ORDER BY due, id LIMIT 1)) - " SQLITE("$2") " FROM json_each($1) AS known",
    "SELECT min(first.due) - " NOW("$2") " FROM " OF_EACH ", LATERAL (SELECT due FROM vestry_job WHERE " OF_KNOWN
                                         " AND due IS NOT NULL" KNOWN_FROM " ORDER BY due, id LIMIT 1) AS first"};
/* The kinds that have a due job, first the kind whose job has been due for the longest time. */
#define OLDEST(column)                                                                                                 \
  "(SELECT " column " FROM vestry_job WHERE kind = json_extract(known.value, '$[0]') AND due <= " SQLITE("$2")         \
      SQLITE_FROM " ORDER BY due, id LIMIT 1)"
static vsi_sql_texts due_sql = {
    "SELECT number, id FROM (SELECT known.key + 1 AS number, " OLDEST("id") " AS id, " OLDEST(
        "due") " AS due FROM json_each($1) AS known) WHERE id IS NOT NULL ORDER BY due",
    "SELECT known.number, oldest.id FROM " OF_EACH ", LATERAL (SELECT due, id FROM vestry_job WHERE " OF_KNOWN
    " AND due <= " NOW("$2") KNOWN_FROM " ORDER BY due, id LIMIT 1) AS oldest ORDER BY oldest.due"};
#define FIND(now, locked)                                                                                              \
  "SELECT id, key, payload, state = 'running', attempts, attempts_most, fence, period, shift, period_at, " now         \
  ", due FROM vestry_job WHERE kind = $1 AND due <= " now FROM("$3", "$4") " ORDER BY due, id LIMIT 1" locked
static vsi_sql_texts find_sql = {FIND(SQLITE("$2"), ""), FIND(NOW("$2"), " FOR UPDATE SKIP LOCKED")};
#define TAKE(now, ms, more)                                                                                            \
  "UPDATE vestry_job SET state = 'running', due = " now " + $3" ms ", fence = $4, attempts = $5, period_at = $6,"      \
  " progress = 0, said = NULL" more " WHERE id = $1 RETURNING 1"
static vsi_sql_texts take_sql = {TAKE(SQLITE("$2"), "", ""), TAKE(NOW("$2"), MS, ", is_closed = false")};
/* Close the jobs that were passed over because orders rely on them: those due before the job ($3, $4). $3 is null: all
 * due jobs. */
static vsi_sql_texts close_sql = {
    NULL,
    "UPDATE vestry_job SET is_closed = true WHERE id IN (SELECT id FROM vestry_job WHERE kind = $1 AND due <= " NOW(
        "$2") " AND ($3::bigint IS NULL OR (due, id) < ($3, $4)) AND state = 'waiting' AND key IS NOT NULL"
              " AND NOT is_closed ORDER BY due, id LIMIT $5 FOR NO KEY UPDATE SKIP LOCKED)"};
#define OF_THE_LEASE " WHERE id = $1 AND fence = $2 AND state = 'running'"
/* $4 is null if the job has ended. $7 is 1 if it waits for a period. */
#define END(now, ms, integer)                                                                                          \
  "UPDATE vestry_job SET state = $3, due = CASE $7" integer " WHEN 1 THEN " PERIOD_AFTER(                              \
      "", "period", "shift") " ELSE " now " + $4" ms " END, attempts = $5, ended = CASE WHEN $4" ms                    \
                             " IS NULL THEN " now " END, error = nullif(coalesce($8, error), ''), progress = CASE $3"  \
                             " WHEN 'done' THEN 1 ELSE progress END" OF_THE_LEASE " RETURNING 1"
static vsi_sql_texts end_sql = {END(SQLITE("$6"), "", ""), END(NOW("$6"), MS, "::integer")};
/* Finds a row if this run has written that end, because only its own transaction changes a row with its number to a
 * state other than running. */
static vsi_sql_texts ended_sql = VSI_SQL_BOTH("SELECT 1 FROM vestry_job WHERE id = $1 AND fence = $2 AND state = $3");
#define PROGRESS(now, ms)                                                                                              \
  "UPDATE vestry_job SET progress = $3, said = $4, due = " now " + $6" ms OF_THE_LEASE " RETURNING 1"
static vsi_sql_texts progress_sql = {PROGRESS(SQLITE("$5"), ""), PROGRESS(NOW("$5"), MS)};
/* PostgreSQL: a locked row is not renewed, and is no lost lease. */
static vsi_sql_texts renew_sql = {"UPDATE vestry_job SET due = " SQLITE("$3") " + $4" OF_THE_LEASE " RETURNING 1",
                                  "WITH renewed AS (UPDATE vestry_job SET due = " NOW(
                                      "$3") " + $4::bigint WHERE id IN (SELECT id FROM vestry_job" OF_THE_LEASE
                                            " FOR NO KEY UPDATE SKIP LOCKED)) SELECT 1 FROM vestry_job" OF_THE_LEASE};
#define FINISH(now)                                                                                                    \
  "UPDATE vestry_job SET state = 'done', due = NULL, ended = " now ", progress = 1" OF_THE_LEASE " RETURNING 1"
static vsi_sql_texts finish_sql = {FINISH(SQLITE("$3")), FINISH(NOW("$3"))};
static vsi_sql_texts finished_sql = VSI_SQL_BOTH("SELECT state = 'done' AND fence = $2 FROM vestry_job WHERE id = $1");
#define OLD(now, ms)      "state = 'done' AND ended <= " now " - $2" ms
#define FIND_OLD(now, ms) "SELECT 1 FROM vestry_job WHERE " OLD(now, ms) " LIMIT 1"
static vsi_sql_texts old_sql = {FIND_OLD(SQLITE("$1"), ""), FIND_OLD(NOW("$1"), MS)};
static vsi_sql_texts clean_sql = VSI_SQL_EXPIRE("vestry_job", "id", OLD(SQLITE("$1"), ""), OLD(NOW("$1"), MS));
static vsi_sql_texts remove_sql = VSI_SQL_BOTH("DELETE FROM vestry_job WHERE id = $1 RETURNING 1");
#define RETRY(now)                                                                                                     \
  "UPDATE vestry_job SET state = 'waiting', due = " now ", attempts = 0, ended = NULL, error = NULL WHERE id = $1"     \
  " AND state IN ('waiting', 'dead') RETURNING 1"
static vsi_sql_texts retry_sql = {RETRY(SQLITE("$2")), RETRY(NOW("$2"))};
static vsi_sql_texts list_sql = VSI_SQL_BOTH(
    "SELECT id, kind, key, state, payload, attempts, attempts_most,"
    " CAST(round(progress * CAST(1073741824 AS double precision)) AS bigint), said, error, created, due, ended, period"
    " FROM vestry_job WHERE id > $1 AND (CAST($2 AS text) IS NULL OR kind = $2)"
    " AND (CAST($3 AS text) IS NULL OR state = $3) ORDER BY id LIMIT $4");

vestry_err vsi_jobs_table_make(vestry_sql_pool *pool) {
  vestry_err error = VESTRY_OK;
  for (const vsi_sql_schema *at = schemas[pool->ops->dialect], *end = at + PARTS; at < end && at->part && !error; at++)
    error = pool->ops->bring(pool, "vestry_jobs_create", at);
  return error;
}

/* Run a statement in a separate transaction; it must be safe to repeat. If another transaction conflicts with it, the
 * error is LIMIT, so that it is repeated later. */
static vestry_err run_by(vestry_jobs *jobs, vsi_sql_how how, vsi_sql_texts texts, const vestry_value *values,
                         vestry_sql_row_fn row, void *ctx) {
  const vsi_call call = vsi_sql_call(jobs->pool, "vestry_jobs");
  if (vsi_sql_own(jobs->pool)) return vsi_refuse(&call, VESTRY_INVALID, "this thread has a transaction; end it first");
  const vestry_err error = vsi_sql_by(jobs->pool, how, texts, values, row, ctx);
  return error == VESTRY_BUSY || error == VESTRY_TIMEOUT ? VESTRY_LIMIT : error;
}

static vestry_err run_alone(vestry_jobs *jobs, vsi_sql_texts texts, const vestry_value *values, vestry_sql_row_fn row,
                            void *ctx) {
  return run_by(jobs, VSI_SQL_RUN_AGAIN, texts, values, row, ctx);
}

/* ------------------------------------------------------------------------------------------ scheduled jobs -------- */

vestry_err vsi_jobs_if_new_id(vestry_jobs *jobs, const char *function, vestry_err error) {
  const vsi_call call = vsi_sql_call(jobs->pool, function);
  if (error != VESTRY_EXISTS) return error;
  return vsi_refuse(&call, VESTRY_IO,
                    "the next id of vestry_job exists already; after a restore of the rows alone, or a change to a "
                    "logical replica, set the sequences of all tables beyond their rows");
}

vestry_err vsi_jobs_table_schedule(vestry_jobs *jobs, const vsi_jobs_kind *kind) {
  const vsi_jobs_period period = kind->period;
  int64_t now_ms = 0;
  vestry_err error =
      run_alone(jobs, now_sql, VESTRY_LIST(vsi_jobs_table_now_ms(jobs)), vestry_sql_row_integer, &now_ms);
  if (error) return error;
  const vestry_value *values = VESTRY_LIST(kind->name, vsi_jobs_period_after(period, now_ms),
                                           jobs->options.max_attempts, now_ms, period.length_ms, period.offset_ms);
  error = run_alone(jobs, schedule_sql, values, NULL, NULL);
  return vsi_jobs_if_new_id(jobs, "vestry_jobs_every", error);
}

/* -------------------------------------------------------------------------------------------------- looking ------- */

/* Begin a look at the table. Returns whether it is a full one, as with SQLite, and without threads
 * (vestry_jobs_step). */
static bool begin_look(vestry_jobs *jobs, uint64_t *ret_now_ns) {
  vsi_mutex_lock(&jobs->lock);
  *ret_now_ns = vsi_monotonic_ns();
  const bool is_full = *ret_now_ns >= jobs->full_at_ns || !jobs->threads || !jobs->pool->ops->has_snapshots;
  vsi_mutex_unlock(&jobs->lock);
  return is_full;
}

static void end_full_look(vestry_jobs *jobs, uint64_t begun_ns) {
  const uint64_t most_ns = (uint64_t)FULL_LOOK_MS * 1000000, now_ns = vsi_monotonic_ns(),
                 apart_ns = FULL_LOOK_PART * (now_ns - begun_ns);
  vsi_mutex_lock(&jobs->lock);
  jobs->full_at_ns = now_ns + (apart_ns < most_ns ? apart_ns : most_ns);
  vsi_mutex_unlock(&jobs->lock);
}

/* Return a time to wait that ends with the next full look. */
static int64_t before_full_look(vestry_jobs *jobs, int64_t wait_ms) {
  vsi_mutex_lock(&jobs->lock);
  const int64_t left_ns = (int64_t)(jobs->full_at_ns - vsi_monotonic_ns()), left_ms = left_ns / 1000000 + 1;
  vsi_mutex_unlock(&jobs->lock);
  return wait_ms < left_ms || wait_ms == 0 ? wait_ms : left_ms > 0 ? left_ms : 1;
}

typedef struct place {
  int64_t due_ms, id;
} place;

/* Return where a look at the jobs of a kind begins. */
static place begin_of(vestry_jobs *jobs, const vsi_jobs_kind *kind, bool is_full) {
  vsi_mutex_lock(&jobs->lock);
  const place from = {kind->from_due_ms, kind->from_id};
  vsi_mutex_unlock(&jobs->lock);
  return is_full ? (place){INT64_MIN, 0} : from;
}

/* Write the kinds, and where the look at each begins, as a JSON array. NULL: no memory. */
static char *write_kinds(vestry_jobs *jobs, bool is_full) {
  size_t len;
  vsi_buffer text;
  vsi_buffer_init(&text, jobs->host);
  vsi_buffer_append_char(&text, '[');
  for (size_t i = 0; i < jobs->kinds_count; i++) {
    char end[64];
    const place from = begin_of(jobs, &jobs->kinds[i], is_full);
    snprintf(end, sizeof end, ",%" PRId64 ",%" PRId64 "]", from.due_ms, from.id);
    vsi_buffer_append(&text, i ? ",[" : "[", i ? 2 : 1);
    vsi_literal_append(&text, jobs->kinds[i].name, strlen(jobs->kinds[i].name));
    vsi_buffer_append(&text, end, strlen(end));
  }
  vsi_buffer_append_char(&text, ']');
  char *kinds = vsi_buffer_take(&text, &len);
  vsi_buffer_finish(&text);
  return kinds;
}

static void read_wait(const vestry_sql_row *row, void *ctx) {
  const int64_t wait_ms = vestry_sql_integer(row, 0);
  *(int64_t *)ctx = !vestry_sql_text(row, 0) ? INT64_MAX : wait_ms > 0 ? wait_ms : 0;
}

vestry_err vsi_jobs_table_poll(vestry_jobs *jobs, bool is_aside, int64_t *ret_wait_ms) {
  uint64_t begun_ns;
  int64_t wait_ms = INT64_MAX;
  const bool is_full = begin_look(jobs, &begun_ns);
  char *kinds = write_kinds(jobs, is_full);
  if (!kinds) return VESTRY_NO_MEMORY;
  const vestry_value *values = VESTRY_LIST((const char *)kinds, vsi_jobs_table_now_ms(jobs));
  vestry_err error =
      run_by(jobs, is_aside ? VSI_SQL_RUN_ASIDE : VSI_SQL_RUN_AGAIN, next_sql, values, read_wait, &wait_ms);
  vsi_free(jobs->host, kinds);
  if (is_full && !error) end_full_look(jobs, begun_ns);
  *ret_wait_ms = is_full ? wait_ms : before_full_look(jobs, wait_ms);
  return error;
}

/* -------------------------------------------------------------------------------------------------- taking -------- */

typedef struct taking {
  vestry_jobs *jobs;
  vestry_sql_transaction *transaction;
  vsi_jobs_run *run;
  const char *kinds;
  bool is_full;     /* a full look */
  int64_t due_ms;   /* of the job that is taken */
  vestry_err error; /* NOT_FOUND: none is taken yet */
} taking;

/* Copy the bytes of a column, and append a NUL. NULL: no memory. */
static unsigned char *copy_bytes(const vestry_host *host, const vestry_sql_row *row, size_t column, size_t *ret_len) {
  *ret_len = vestry_sql_bytes(row, column, NULL, 0);
  unsigned char *copy = vsi_alloc(host, *ret_len + 1);
  if (!copy) return NULL;
  (void)vestry_sql_bytes(row, column, copy, *ret_len);
  copy[*ret_len] = '\0';
  return copy;
}

static void read_job(const vestry_sql_row *row, void *ctx) {
  taking *of = ctx;
  vsi_jobs_run *run = of->run;
  const char *key = vestry_sql_text(row, 1);
  size_t len = 0;
  if (key) run->key = vsi_strdup(run->jobs->host, key, strlen(key));
  if (!key || run->key) run->payload = copy_bytes(run->jobs->host, row, 2, &len);
  run->job.payload = (vestry_slice){run->payload, len};
  run->job.id = vestry_sql_integer(row, 0);
  run->is_over_taken = vestry_sql_integer(row, 3);
  run->job.attempt = (uint32_t)vestry_sql_integer(row, 4);
  run->job.max_attempts = (uint32_t)vestry_sql_integer(row, 5);
  run->job.fence = vestry_sql_integer(row, 6);
  run->period = (vsi_jobs_period){vestry_sql_integer(row, 7), vestry_sql_integer(row, 8)};
  run->job.period_at_ms = vestry_sql_integer(row, 9);
  run->taken_ms = vestry_sql_integer(row, 10);
  of->due_ms = vestry_sql_integer(row, 11);
}

/* Let a scheduled job begin the period that contains the current time, with all attempts, however the last period
 * ended. A period that was begun is not followed by an earlier one, even if the clock was set back. */
static void begin_period(vsi_jobs_run *run) {
  const int64_t at_ms = run->period.length_ms ? vsi_jobs_period_of(run->period, run->taken_ms) : 0;
  if (at_ms <= run->job.period_at_ms) return;
  run->job.period_at_ms = at_ms;
  run->job.attempt = 0;
}

/* Begin the run of a row that was read: another attempt, unless it was running and has none left. */
static void begin(vsi_jobs_run *run) {
  run->taken_ns = vsi_monotonic_ns();
  begin_period(run);
  run->is_buried = run->is_over_taken && run->job.attempt >= run->job.max_attempts;
  run->job.attempt += !run->is_buried;
  run->job.fence++;
}

void vsi_jobs_run_finish(vsi_jobs_run *run, const vestry_jobs *jobs) {
  vsi_free(jobs->host, run->key);
  vsi_free(jobs->host, run->payload);
  memset(run, 0, sizeof *run);
}

/* Close the jobs that were passed over. */
static vestry_err close_before(const taking *of, const vsi_jobs_kind *kind, bool is_found) {
  const vestry_value due = is_found ? vestry_value_integer(of->due_ms) : vestry_value_null();
  return vsi_sql_in(
      of->transaction, close_sql,
      VESTRY_LIST((const char *)kind->name, vsi_jobs_table_now_ms(of->jobs), due, of->run->job.id, (int)CLOSED_AT_ONCE),
      NULL, NULL);
}

/* Return whether this process still runs the job whose row was read, with the row's lease. */
static bool is_own(vestry_jobs *jobs, const vsi_jobs_run *found) {
  bool is_own = false;
  vsi_jobs_run *run;
  if (!found->is_over_taken) return false;
  vsi_mutex_lock(&jobs->lock);
  LIST_FOREACH(run, &jobs->runs, in)
  if (run->job.id == found->job.id && run->job.fence == found->job.fence && !run->is_lost) is_own = true;
  vsi_mutex_unlock(&jobs->lock);
  return is_own;
}

/* Find the oldest due job of a kind, and skip locked jobs. A job of this process whose lease could not be renewed in
 * time, for example because the server was away, gets its renewal here, and is skipped, too. */
static vestry_err find_of(taking *of, const vsi_jobs_kind *kind) {
  vsi_jobs_run *run = of->run;
  const int64_t given_ms = vsi_jobs_table_now_ms(of->jobs);
  const place from = begin_of(of->jobs, kind, of->is_full);
  for (;;) {
    vsi_jobs_run_finish(run, of->jobs);
    run->jobs = of->jobs;
    run->kind = kind;
    vestry_err error = vsi_sql_in(of->transaction, find_sql,
                                  VESTRY_LIST((const char *)kind->name, given_ms, from.due_ms, from.id), read_job, of);
    if (error || !is_own(of->jobs, run)) return error;
    error = vsi_sql_in(of->transaction, renew_sql,
                       VESTRY_LIST(run->job.id, run->job.fence, given_ms, of->jobs->options.lease_ms), NULL, NULL);
    if (error) return error;
  }
}

/* Let brief looks at the jobs of a kind begin at this job. */
static void note_place(vestry_jobs *jobs, const char *kind, place at) {
  vsi_mutex_lock(&jobs->lock);
  for (size_t i = 0; i < jobs->kinds_count; i++) {
    if (strcmp(jobs->kinds[i].name, kind) != 0) continue;
    jobs->kinds[i].from_due_ms = at.due_ms;
    jobs->kinds[i].from_id = at.id;
  }
  vsi_mutex_unlock(&jobs->lock);
}

/* Take the oldest due job of a kind. oldest_id: the oldest of all due jobs. */
static vestry_err take_of(taking *of, const vsi_jobs_kind *kind, int64_t oldest_id) {
  vsi_jobs_run *run = of->run;
  const int64_t given_ms = vsi_jobs_table_now_ms(of->jobs);
  vestry_err error = find_of(of, kind);
  if (error && error != VESTRY_NOT_FOUND) return error;
  if (run->job.id != oldest_id && vsi_sql_text_of(of->jobs->pool, close_sql)) {
    const vestry_err closed = close_before(of, kind, !error);
    if (closed) return closed;
  }
  if (error) return error;
  note_place(of->jobs, kind->name, (place){of->due_ms, run->job.id});
  if (!run->payload) return VESTRY_NO_MEMORY; /* or no memory for the key, which is copied first */
  run->job.kind = kind->name;
  run->job.key = run->key;
  begin(run);
  error = vsi_sql_in(of->transaction, take_sql,
                     VESTRY_LIST(run->job.id, given_ms, of->jobs->options.lease_ms, run->job.fence, run->job.attempt,
                                 run->job.period_at_ms),
                     NULL, NULL);
  return vsi_sql_if_written(of->jobs->pool, "vestry_jobs", "vestry_job", error);
}

static void try_kind(const vestry_sql_row *row, void *ctx) {
  taking *of = ctx;
  const size_t number = (size_t)vestry_sql_integer(row, 0);
  if (of->error == VESTRY_NOT_FOUND) of->error = take_of(of, &of->jobs->kinds[number - 1], vestry_sql_integer(row, 1));
}

static vestry_err take_first(vestry_sql_transaction *transaction, void *ctx) {
  taking *of = ctx;
  vsi_jobs_run_finish(of->run, of->jobs); /* of the previous attempt */
  of->transaction = transaction;
  of->error = VESTRY_NOT_FOUND;
  vestry_err error = vsi_sql_if_any(
      vsi_sql_in(transaction, due_sql, VESTRY_LIST(of->kinds, vsi_jobs_table_now_ms(of->jobs)), try_kind, of));
  return error ? error : vsi_sql_if_any(of->error); /* NOT_FOUND is no error here, so that closed jobs are committed */
}

vestry_err vsi_jobs_table_take(vestry_jobs *jobs, vsi_jobs_run *ret_run) {
  uint64_t begun_ns;
  const bool is_full = begin_look(jobs, &begun_ns);
  char *kinds = write_kinds(jobs, is_full);
  if (!kinds) return VESTRY_NO_MEMORY;
  taking of = {.jobs = jobs, .run = ret_run, .kinds = kinds, .is_full = is_full};
  vestry_err error = vestry_sql_act(jobs->pool, VESTRY_SQL_WRITE, take_first, &of);
  if (is_full && !error) end_full_look(jobs, begun_ns);
  vsi_free(jobs->host, kinds);
  return error ? error : of.error;
}

/* ------------------------------------------------------------------------------------------------ of a lease ------ */

static vestry_err if_leased(vestry_err error) {
  return error == VESTRY_NOT_FOUND ? VESTRY_CLOSED : error;
}

vestry_err vsi_jobs_table_end(vsi_jobs_run *run, const vsi_jobs_end *end) {
  const bool has_ended = end->state == VESTRY_JOB_DONE || end->state == VESTRY_JOB_DEAD;
  vestry_err error = run_alone(run->jobs, end_sql,
                               VESTRY_LIST(run->job.id, run->job.fence, vsi_jobs_state_name(end->state),
                                           has_ended ? vestry_value_null() : vestry_value_integer(end->wait_ms),
                                           end->attempts_count, vsi_jobs_table_now_ms(run->jobs),
                                           (int)end->awaits_period, vsi_sql_text_or_null(end->error)),
                               NULL, NULL);
  /* The response of an earlier attempt to write this end may have been lost. */
  if (error == VESTRY_NOT_FOUND)
    error = run_alone(run->jobs, ended_sql, VESTRY_LIST(run->job.id, run->job.fence, vsi_jobs_state_name(end->state)),
                      NULL, NULL);
  return if_leased(error);
}

vestry_err vsi_jobs_table_progress(vsi_jobs_run *run, double fraction, const char *text) {
  return if_leased(run_alone(run->jobs, progress_sql,
                             VESTRY_LIST(run->job.id, run->job.fence, fraction, vsi_sql_text_or_null(text),
                                         vsi_jobs_table_now_ms(run->jobs), run->jobs->options.lease_ms),
                             NULL, NULL));
}

vestry_err vsi_jobs_table_finish(vsi_jobs_run *run, vestry_sql_transaction *transaction) {
  return if_leased(vsi_sql_in(transaction, finish_sql,
                              VESTRY_LIST(run->job.id, run->job.fence, vsi_jobs_table_now_ms(run->jobs)), NULL, NULL));
}

vestry_err vsi_jobs_table_is_finished(vsi_jobs_run *run, bool *ret_is_finished) {
  int64_t is_finished = 0;
  vestry_err error = run_alone(run->jobs, finished_sql, VESTRY_LIST(run->job.id, run->job.fence),
                               vestry_sql_row_integer, &is_finished);
  if (!error) *ret_is_finished = is_finished != 0;
  return error;
}

vestry_err vsi_jobs_table_renew(vestry_jobs *jobs, int64_t id, int64_t fence) {
  return if_leased(run_by(jobs, VSI_SQL_RUN_ASIDE, renew_sql,
                          VESTRY_LIST(id, fence, vsi_jobs_table_now_ms(jobs), jobs->options.lease_ms), NULL, NULL));
}

/* ------------------------------------------------------------------------------------------------- removal -------- */

vestry_err vsi_jobs_table_clean(vestry_jobs *jobs) {
  if (jobs->options.keep_ms > INT64_MAX / 4) return VESTRY_OK;
  const vestry_value *values = VESTRY_LIST(vsi_jobs_table_now_ms(jobs), (int64_t)jobs->options.keep_ms);
  vestry_err error = run_alone(jobs, old_sql, values, NULL, NULL);
  return error ? vsi_sql_if_any(error) : vsi_sql_remove(jobs->pool, clean_sql, values, NULL);
}

vestry_err vestry_jobs_remove(vestry_jobs *jobs, int64_t id) {
  return jobs ? run_alone(jobs, remove_sql, VESTRY_LIST(id), NULL, NULL) : VESTRY_INVALID;
}

vestry_err vsi_jobs_table_retry(vestry_jobs *jobs, int64_t id) {
  return run_alone(jobs, retry_sql, VESTRY_LIST(id, vsi_jobs_table_now_ms(jobs)), NULL, NULL);
}

/* ------------------------------------------------------------------------------------------------- reading -------- */

typedef struct reader {
  const vestry_host *host;
  vestry_job_row_fn fn;
  void *ctx;
  vestry_err error;
} reader;

static void read_row(const vestry_sql_row *row, void *ctx) {
  reader *of = ctx;
  size_t len = 0;
  unsigned char *bytes = of->error ? NULL : copy_bytes(of->host, row, 4, &len);
  if (!bytes) of->error = VESTRY_NO_MEMORY;
  if (of->error) return;
  const vestry_job_row job = {.id = vestry_sql_integer(row, 0),
                              .kind = vestry_sql_text(row, 1),
                              .key = vestry_sql_text(row, 2),
                              .state = vsi_jobs_state_of(vestry_sql_text(row, 3)),
                              .payload = {bytes, len},
                              .attempts_count = (uint32_t)vestry_sql_integer(row, 5),
                              .max_attempts = (uint32_t)vestry_sql_integer(row, 6),
                              .progress = (double)vestry_sql_integer(row, 7) / PROGRESS_SCALE,
                              .progress_text = vestry_sql_text(row, 8),
                              .error = vestry_sql_text(row, 9),
                              .created_ms = vestry_sql_integer(row, 10),
                              .due_ms = vestry_sql_integer(row, 11),
                              .ended_ms = vestry_sql_integer(row, 12),
                              .period_ms = (uint64_t)vestry_sql_integer(row, 13)};
  of->fn(&job, of->ctx);
  vsi_free(of->host, bytes);
}

vestry_err vestry_jobs_list(vestry_jobs *jobs, const char *kind, vestry_job_state state, int64_t after_id,
                            uint32_t count, vestry_job_row_fn fn, void *ctx) {
  if (!jobs) return VESTRY_INVALID;
  if (!fn || state > VESTRY_JOB_DEAD)
    return vsi_mistake(jobs->host, "vestry_jobs_list", "fn is NULL, or state is none of vestry_job_state");
  vestry_sql_pool *pool = jobs->pool;
  reader of = {jobs->host, fn, ctx, VESTRY_OK};
  vestry_err error = vsi_sql_by(
      pool, pool->ops->is_recorded(pool) ? VSI_SQL_RUN_FOLLOWED : VSI_SQL_RUN_AGAIN, list_sql,
      VESTRY_LIST(after_id, vsi_sql_text_or_null(kind), vsi_sql_text_or_null(vsi_jobs_state_name(state)), count),
      read_row, &of);
  error = vsi_sql_if_any(error);
  return error ? error : of.error;
}
