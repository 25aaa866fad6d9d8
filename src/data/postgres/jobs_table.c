/* SPDX-License-Identifier: MIT */
/* essay: a job that one node of many has, and none that waits for another's */
/* The rows are those of data/sqlite/jobs_table.c: `due` says when a row is to be looked at, `fence` with which number
 * it was taken, and whatever a run writes to its row it writes where the row still has that number, and runs.
 *
 * Several nodes take jobs at once. A taking locks its row, and passes over those that are locked (SKIP LOCKED): another
 * node takes them at this moment, or the application's transaction has finished them and is not over. So no node waits
 * for another, and no lease of a job that is being finished is taken over. For the same reason renewing passes over
 * locked rows: such a job is not lost as long as its row, as it is committed, has the number. A taking also passes over
 * a job that waits and that transactions of orders rely on (jobs.c), and closes it: further orders make a job of their
 * own, so it is free when those transactions are over.
 *
 * Where pages of the pool follow commits, their follower tells that the table was written (ears.h), so a job of another
 * node's is found with its commit. NOTIFY would tell it everywhere, but transactions that notify commit one at a time.
 *
 * The clock is the server's, when the transaction began, unless the options have one: leases of all nodes end by it. */
#include "data/postgres/jobs_table.h"

#include <stdio.h>

#include "data/postgres/bytea.h"
#include "data/postgres/clock.h"
#include "data/postgres/recorded.h"
#include "data/postgres/schema.h"

enum { CLEANED_AT_ONCE = 64, CLOSED_AT_ONCE = 16 };
#define PROGRESS_SCALE 1073741824 /* 2^30, by which a progress is read as an integer: no locale is in the way */

static const char *const steps[] = {
    "CREATE TABLE vestry_job(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text NOT NULL, key text,"
    " state text NOT NULL, due bigint, fence bigint NOT NULL DEFAULT 0, attempts bigint NOT NULL DEFAULT 0,"
    " attempts_most bigint NOT NULL, payload bytea NOT NULL DEFAULT '', progress double precision NOT NULL DEFAULT 0,"
    " said text, error text, created bigint NOT NULL, ended bigint, period bigint, shift bigint, period_at bigint);"
    "CREATE INDEX vestry_job_due ON vestry_job(kind, due, id) WHERE due IS NOT NULL;"
    "CREATE INDEX vestry_job_key ON vestry_job(kind, key) WHERE key IS NOT NULL;"
    "CREATE INDEX vestry_job_state ON vestry_job(state, ended);"
    "CREATE UNIQUE INDEX vestry_job_tick ON vestry_job(kind) WHERE period IS NOT NULL;"
    "CREATE TABLE vestry_job_slot(slot integer PRIMARY KEY, orders bigint NOT NULL) WITH (fillfactor = 50);"
    "INSERT INTO vestry_job_slot(slot, orders) SELECT slot, 0 FROM generate_series(0, 1023) AS slot;"
    "CREATE TABLE vestry_job_total(removed bigint NOT NULL) WITH (fillfactor = 10);"
    "INSERT INTO vestry_job_total(removed) VALUES(0)",
    "ALTER TABLE vestry_job ADD COLUMN is_closed boolean NOT NULL DEFAULT false",
    /* A publication of all tables refuses the update of a row that has no key. */
    "ALTER TABLE vestry_job_total ADD COLUMN one boolean NOT NULL DEFAULT true PRIMARY KEY CHECK(one)"};
static const vsi_postgres_schema schema = {"job", steps, sizeof steps / sizeof *steps};

#define NOW     VSI_POSTGRES_NOW_MS
#define PAYLOAD VSI_POSTGRES_BYTEA("payload")

static const char now_sql[] = "SELECT " NOW("$1");
/* When the period after the last one begins, by times that are columns or parameters. */
#define PERIOD_AFTER(row, period, shift)                                                                               \
  "((" row "period_at - " shift ") / " period " * " period " + " shift " + " period ")"
static const char tick_sql[] =
    "INSERT INTO vestry_job AS old(kind, state, due, attempts_most, created, period, shift)"
    " VALUES($1, 'waiting', $2, $3, $4, $5, $6) ON CONFLICT(kind) WHERE period IS NOT NULL"
    " DO UPDATE SET period = excluded.period, shift = excluded.shift,"
    " due = CASE old.state WHEN 'waiting' THEN greatest(excluded.due, " PERIOD_AFTER(
        "old.", "excluded.period",
        "excluded.shift") ") ELSE old.due END"
                          " WHERE old.period <> excluded.period OR old.shift <> excluded.shift";
/* In how long the next one is due, of some kinds; and which file the table is in. */
static const char next_sql[] = "SELECT min(first.due) - " NOW(
    "$2") ", 'vestry_job'::regclass::oid::bigint, pg_relation_filenode('vestry_job')"
          " FROM unnest($1::text[]) AS known(kind), LATERAL (SELECT due FROM vestry_job WHERE kind = known.kind"
          " AND due IS NOT NULL ORDER BY due, id LIMIT 1) AS first";
/* The kinds that have one that is due, those first whose one has been due for longest. */
static const char due_sql[] =
    "SELECT known.number, oldest.id FROM unnest($1::text[]) WITH ORDINALITY AS known(kind, number), LATERAL"
    " (SELECT due, id FROM vestry_job WHERE kind = known.kind AND due <= " NOW(
        "$2") " ORDER BY due, id LIMIT 1) AS oldest ORDER BY oldest.due";
static const char find_sql[] =
    "SELECT id, key, " PAYLOAD ", state = 'running', attempts, attempts_most, fence, period, shift, period_at, " NOW(
        "$2") ", due FROM vestry_job WHERE kind = $1 AND due <= " NOW("$2") " ORDER BY due, id LIMIT 1"
                                                                            " FOR UPDATE SKIP LOCKED";
static const char take_sql[] = "UPDATE vestry_job SET state = 'running', due = " NOW(
    "$2") " + $3::bigint, fence = $4, attempts = $5, period_at = $6, progress = 0, said = NULL, is_closed = false"
          " WHERE id = $1";
/* Those that orders rely on, of those that are due for longer than another one. $3 is null: of all that are due. */
static const char close_sql[] =
    "UPDATE vestry_job SET is_closed = true WHERE id IN (SELECT id FROM vestry_job WHERE kind = $1 AND due <= " NOW(
        "$2") " AND ($3::bigint IS NULL OR (due, id) < ($3, $4)) AND state = 'waiting' AND key IS NOT NULL"
              " AND NOT is_closed ORDER BY due, id LIMIT $5 FOR NO KEY UPDATE SKIP LOCKED)";
#define OF_THE_LEASE " WHERE id = $1 AND fence = $2 AND state = 'running'"
/* $4 is null if it has ended. $7 is 1 if it waits for a period. $9 is 1 for one that is buried: that is a taking over,
 * too, so it gets another number, by which the former process learns that it has lost it. */
static const char end_sql[] = "UPDATE vestry_job SET state = $3, due = CASE $7::integer WHEN 1 THEN " PERIOD_AFTER(
    "", "period",
    "shift") " ELSE " NOW("$6") " + $4::bigint END, attempts = $5, fence = fence + $9,"
                                " ended = CASE WHEN $4::bigint IS NULL THEN " NOW(
                                    "$6") " END, error = nullif(coalesce($8, error), ''),"
                                          " progress = CASE $3 WHEN 'done' THEN 1 ELSE progress END" OF_THE_LEASE
                                          " RETURNING 1";
/* Whether this run has written that end: nothing but its own transaction makes a row with its number otherwise one that
 * does not run. */
static const char ended_sql[] = "SELECT 1 FROM vestry_job WHERE id = $1 AND fence = $2 AND state = $3";
static const char progress_sql[] =
    "UPDATE vestry_job SET progress = $3, said = $4, due = " NOW("$5") " + $6::bigint" OF_THE_LEASE " RETURNING 1";
static const char renew_sql[] =
    "WITH free AS (SELECT id FROM vestry_job" OF_THE_LEASE " FOR NO KEY UPDATE SKIP LOCKED),"
    " renewed AS (UPDATE vestry_job AS job SET due = " NOW("$3") " + $4::bigint FROM free WHERE job.id = free.id)"
                                                                 " SELECT 1 FROM vestry_job" OF_THE_LEASE;
static const char finish_sql[] =
    "UPDATE vestry_job SET state = 'done', due = NULL, ended = " NOW("$3") ", progress = 1" OF_THE_LEASE " RETURNING 1";
static const char finished_sql[] = "SELECT state = 'done' AND fence = $2 FROM vestry_job WHERE id = $1";
#define COUNT_GONE "UPDATE vestry_job_total SET removed = removed + (SELECT count(*) FROM gone)"
static const char clean_sql[] =
    "WITH gone AS (DELETE FROM vestry_job WHERE id IN (SELECT id FROM vestry_job WHERE state = 'done' AND ended "
    "<= " NOW("$1") " - $2::bigint ORDER BY ended LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING 1) " COUNT_GONE
                    " WHERE EXISTS(SELECT 1 FROM gone)";
static const char remove_sql[] = "WITH gone AS (DELETE FROM vestry_job WHERE id = $1 RETURNING 1) " COUNT_GONE
                                 " WHERE EXISTS(SELECT 1 FROM gone) RETURNING 1";
static const char retry_sql[] = "UPDATE vestry_job SET state = 'waiting', due = " NOW(
    "$2") ", attempts = 0, ended = NULL, error = NULL WHERE id = $1 AND state IN ('waiting', 'dead') RETURNING 1";
static const char list_sql[] =
    "SELECT id, kind, key, state, " PAYLOAD ", attempts, attempts_most, (progress * 1073741824)::bigint, said, error,"
    " created, due, ended, period FROM vestry_job WHERE id > $1 AND ($2::text IS NULL OR kind = $2)"
    " AND ($3::text IS NULL OR state = $3) ORDER BY id LIMIT $4";
static const char stats_sql[] =
    "SELECT count(*) + (SELECT removed FROM vestry_job_total), count(*) FILTER (WHERE state = 'waiting'),"
    " count(*) FILTER (WHERE state = 'running'), count(*) FILTER (WHERE state = 'done'),"
    " count(*) FILTER (WHERE state = 'dead'), (SELECT removed FROM vestry_job_total) FROM vestry_job";

static vestry_err make_table(vestry_jobs_table *table) {
  return vsi_postgres_schema_bring(((const vsi_postgres_jobs_table *)table)->pool, table->function, &schema);
}

static vestry_value text_or_null(const char *text) {
  return text ? vestry_value_string(text) : vestry_value_null();
}

static vestry_err later(vestry_err error) {
  return error == VESTRY_BUSY || error == VESTRY_TIMEOUT ? VESTRY_LIMIT : error;
}

/* A statement of its own, which may be done twice. What another transaction is in the way of is done later. */
static vestry_err run_alone(vestry_jobs *jobs, const char *sql, const vestry_value *values, vestry_postgres_row_fn row,
                            void *ctx) {
  vestry_postgres_pool *pool = vsi_postgres_jobs_pool(jobs);
  const vsi_call call = vsi_postgres_pool_call(pool, "vestry_jobs");
  if (vsi_postgres_is_lent(pool))
    return vsi_refuse(&call, VESTRY_INVALID, "this thread has a transaction: end it first");
  return later(vsi_postgres_run_again(pool, sql, values, row, ctx));
}

/* --------------------------------------------------------------------------------------------------- ticks -------- */

static vestry_err make_tick(vestry_jobs *jobs, const char *name, vsi_jobs_period period) {
  int64_t now_ms = 0;
  vestry_err error =
      run_alone(jobs, now_sql, VESTRY_LIST(vsi_postgres_jobs_now_ms(jobs)), vestry_postgres_row_integer, &now_ms);
  if (error) return error;
  return run_alone(jobs, tick_sql,
                   VESTRY_LIST(name, vsi_jobs_period_after(period, now_ms), jobs->options.attempts_most, now_ms,
                               period.length_ms, period.offset_ms),
                   NULL, NULL);
}

/* -------------------------------------------------------------------------------------------------- taking -------- */

/* The kinds as an array in SQL. NULL: there is no memory. */
static char *write_kinds(const vestry_jobs *jobs) {
  char *text = vsi_alloc(jobs->host, 3 + jobs->kinds_count * (2 * VESTRY_JOB_KIND_MAX_BYTES + 3)), *to = text;
  if (!text) return NULL;
  *to++ = '{';
  for (size_t i = 0; i < jobs->kinds_count; i++) {
    if (i) *to++ = ',';
    *to++ = '"';
    for (const char *at = jobs->kinds[i].name; *at; at++) {
      if (*at == '"' || *at == '\\') *to++ = '\\';
      *to++ = *at;
    }
    *to++ = '"';
  }
  *to++ = '}';
  *to = '\0';
  return text;
}

typedef struct next {
  int64_t wait_ms;
  uint32_t table, file;
} next;

static void read_next(const vestry_postgres_row *row, void *ctx) {
  next *is = ctx;
  const int64_t wait_ms = vestry_postgres_integer(row, 0);
  is->wait_ms = !vestry_postgres_text(row, 0) ? INT64_MAX : wait_ms > 0 ? wait_ms : 0;
  is->table = (uint32_t)vestry_postgres_integer(row, 1);
  is->file = (uint32_t)vestry_postgres_integer(row, 2);
}

/* The ear listens before the look, to the file of which the look before has told. If that is another one now, what was
 * committed meanwhile may not have been heard, so it is looked again. */
static vestry_err look(vestry_jobs *jobs, bool is_aside, vsi_jobs_looked *ret_looked) {
  vsi_postgres_jobs_table *table = (vsi_postgres_jobs_table *)jobs->table;
  char *kinds = write_kinds(jobs);
  if (!kinds) return VESTRY_NO_MEMORY;
  vestry_err error = VESTRY_OK;
  bool is_same = false;
  for (int tries = 0; tries < 2 && !is_same && !error; tries++) {
    next is = {INT64_MAX, 0, 0};
    ret_looked->is_told = vsi_postgres_ear_listen(table->pool, &table->ear);
    const vestry_value values = *VESTRY_LIST((const char *)kinds, vsi_postgres_jobs_now_ms(jobs));
    error = is_aside ? later(vsi_postgres_run_aside(table->pool, next_sql, &values, read_next, &is))
                     : run_alone(jobs, next_sql, &values, read_next, &is);
    ret_looked->wait_ms = is.wait_ms;
    is_same = error || vsi_postgres_ear_know(table->pool, &table->ear, is.table, is.file);
  }
  ret_looked->is_told = ret_looked->is_told && is_same;
  vsi_free(jobs->host, kinds);
  return error;
}

static void listen_to(vestry_jobs *jobs) {
  vsi_postgres_jobs_table *table = (vsi_postgres_jobs_table *)jobs->table;
  vsi_postgres_ear_open(table->pool, &table->ear);
}

static void leave(vestry_jobs *jobs) {
  vsi_postgres_jobs_table *table = (vsi_postgres_jobs_table *)jobs->table;
  vsi_postgres_ear_close(table->pool, &table->ear);
}

static bool rest(vestry_jobs *jobs, uint64_t until_ns) {
  vsi_postgres_jobs_table *table = (vsi_postgres_jobs_table *)jobs->table;
  return vsi_postgres_ear_wait(table->pool, &table->ear, until_ns);
}

static void rouse(vestry_jobs *jobs) {
  vsi_postgres_jobs_table *table = (vsi_postgres_jobs_table *)jobs->table;
  vsi_postgres_ear_rouse(table->pool, &table->ear);
}

typedef struct taking {
  vestry_jobs *jobs;
  vestry_postgres_loan *loan;
  vsi_jobs_run *run;
  const char *kinds;
  int64_t due_ms;   /* of the one that is taken */
  vestry_err error; /* NOT_FOUND: none is taken yet */
} taking;

static void read_job(const vestry_postgres_row *row, void *ctx) {
  taking *of = ctx;
  vsi_jobs_run *run = of->run;
  const char *key = vestry_postgres_text(row, 1), *payload = vestry_postgres_text(row, 2);
  const size_t len = vsi_postgres_bytea_is(payload) ? vsi_postgres_bytea_len(payload) : 0;
  if (key) run->key = vsi_strdup(run->jobs->host, key, strlen(key));
  if (!key || run->key) run->payload = vsi_calloc(run->jobs->host, 1, len + 1);
  if (run->payload) vsi_postgres_bytea_read(run->payload, payload, len);
  run->job.payload = (vestry_slice){run->payload, len};
  run->job.id = vestry_postgres_integer(row, 0);
  run->is_over_taken = vestry_postgres_integer(row, 3);
  run->job.attempt = (uint32_t)vestry_postgres_integer(row, 4);
  run->job.attempts_most = (uint32_t)vestry_postgres_integer(row, 5);
  run->job.fence = vestry_postgres_integer(row, 6);
  run->period = (vsi_jobs_period){vestry_postgres_integer(row, 7), vestry_postgres_integer(row, 8)};
  run->job.period_at_ms = vestry_postgres_integer(row, 9);
  run->taken_ms = vestry_postgres_integer(row, 10);
  of->due_ms = vestry_postgres_integer(row, 11);
}

static void forget_run(vsi_jobs_run *run, const vestry_jobs *jobs) {
  vsi_free(jobs->host, run->key);
  vsi_free(jobs->host, run->payload);
  memset(run, 0, sizeof *run);
}

/* Close those that were passed over. */
static vestry_err close_before(const taking *of, const vsi_jobs_kind *kind, bool is_found) {
  const vestry_value due = is_found ? vestry_value_integer(of->due_ms) : vestry_value_null();
  return vestry_postgres_run(of->loan, close_sql,
                             VESTRY_LIST((const char *)kind->name, vsi_postgres_jobs_now_ms(of->jobs), due,
                                         of->run->job.id, (int)CLOSED_AT_ONCE),
                             NULL, NULL);
}

/* oldest_id: of all that are due. */
static vestry_err take_of(taking *of, const vsi_jobs_kind *kind, int64_t oldest_id) {
  vsi_jobs_run *run = of->run;
  const int64_t given_ms = vsi_postgres_jobs_now_ms(of->jobs);
  run->jobs = of->jobs;
  run->kind = kind;
  vestry_err error =
      vestry_postgres_run(of->loan, find_sql, VESTRY_LIST((const char *)kind->name, given_ms), read_job, of);
  if (error && error != VESTRY_NOT_FOUND) return error;
  if (run->job.id != oldest_id) {
    const vestry_err closed = close_before(of, kind, !error);
    if (closed) return closed;
  }
  if (error) return error;
  if (!run->payload) return VESTRY_NO_MEMORY; /* or none for the key, which comes first */
  run->job.kind = kind->name;
  run->job.key = run->key;
  if (!vsi_jobs_begin(run, run->taken_ms)) return VESTRY_OK;
  return vestry_postgres_run(of->loan, take_sql,
                             VESTRY_LIST(run->job.id, given_ms, of->jobs->options.lease_ms, run->job.fence,
                                         run->job.attempt, run->job.period_at_ms),
                             NULL, NULL);
}

static void try_kind(const vestry_postgres_row *row, void *ctx) {
  taking *of = ctx;
  const size_t number = (size_t)vestry_postgres_integer(row, 0);
  if (of->error == VESTRY_NOT_FOUND)
    of->error = take_of(of, &of->jobs->kinds[number - 1], vestry_postgres_integer(row, 1));
}

static vestry_err take_first(vestry_postgres_loan *loan, void *ctx) {
  taking *of = ctx;
  forget_run(of->run, of->jobs); /* of the try before */
  of->loan = loan;
  of->error = VESTRY_NOT_FOUND;
  vestry_err error =
      vestry_postgres_run(loan, due_sql, VESTRY_LIST(of->kinds, vsi_postgres_jobs_now_ms(of->jobs)), try_kind, of);
  return error                           ? error
         : of->error == VESTRY_NOT_FOUND ? VESTRY_OK /* what was closed is committed */
                                         : of->error;
}

static vestry_err take(vestry_jobs *jobs, vsi_jobs_run *ret_run) {
  char *kinds = write_kinds(jobs);
  if (!kinds) return VESTRY_NO_MEMORY;
  taking of = {.jobs = jobs, .run = ret_run, .kinds = kinds};
  vestry_err error = vestry_postgres_act(vsi_postgres_jobs_pool(jobs), VESTRY_POSTGRES_READ_COMMITTED, take_first, &of);
  vsi_free(jobs->host, kinds);
  return error ? error : of.error;
}

/* ------------------------------------------------------------------------------------------------ of a lease ------ */

static vestry_err write_end(vsi_jobs_run *run, const vsi_jobs_end *end) {
  const bool has_ended = end->state == VESTRY_JOB_DONE || end->state == VESTRY_JOB_DEAD;
  vestry_err error = run_alone(run->jobs, end_sql,
                               VESTRY_LIST(run->job.id, run->job.fence, vsi_jobs_state_name(end->state),
                                           has_ended ? vestry_value_null() : vestry_value_integer(end->wait_ms),
                                           end->attempts_count, vsi_postgres_jobs_now_ms(run->jobs),
                                           (int)end->awaits_period, text_or_null(end->error), (int)run->is_buried),
                               NULL, NULL);
  /* The answer of the first one may have been lost. */
  if (error == VESTRY_NOT_FOUND)
    error = run_alone(run->jobs, ended_sql,
                      VESTRY_LIST(run->job.id, run->job.fence + run->is_buried, vsi_jobs_state_name(end->state)), NULL,
                      NULL);
  return error == VESTRY_NOT_FOUND ? VESTRY_CLOSED : error;
}

static vestry_err write_progress(vsi_jobs_run *run, double fraction, const char *text) {
  vestry_err error = run_alone(run->jobs, progress_sql,
                               VESTRY_LIST(run->job.id, run->job.fence, fraction, text_or_null(text),
                                           vsi_postgres_jobs_now_ms(run->jobs), run->jobs->options.lease_ms),
                               NULL, NULL);
  return error == VESTRY_NOT_FOUND ? VESTRY_CLOSED : error;
}

vestry_err vsi_postgres_jobs_finish(vsi_jobs_run *run, vestry_postgres_loan *loan) {
  vestry_err error = vestry_postgres_run(
      loan, finish_sql, VESTRY_LIST(run->job.id, run->job.fence, vsi_postgres_jobs_now_ms(run->jobs)), NULL, NULL);
  return error == VESTRY_NOT_FOUND ? VESTRY_CLOSED : error;
}

static vestry_err look_finished(vsi_jobs_run *run, bool *ret_is_finished) {
  int64_t is_finished = 0;
  vestry_err error = run_alone(run->jobs, finished_sql, VESTRY_LIST(run->job.id, run->job.fence),
                               vestry_postgres_row_integer, &is_finished);
  if (!error) *ret_is_finished = is_finished != 0;
  return error;
}

static vestry_err renew(vestry_jobs *jobs, vsi_jobs_lease *leases, size_t count) {
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < count && !error; i++) {
    error = later(vsi_postgres_run_aside(
        vsi_postgres_jobs_pool(jobs), renew_sql,
        VESTRY_LIST(leases[i].id, leases[i].fence, vsi_postgres_jobs_now_ms(jobs), jobs->options.lease_ms), NULL,
        NULL));
    leases[i].is_lost = error == VESTRY_NOT_FOUND;
    if (error == VESTRY_NOT_FOUND) error = VESTRY_OK;
  }
  return error;
}

/* ------------------------------------------------------------------------------------------------- removal -------- */

static vestry_err clean(vestry_jobs *jobs) {
  if (jobs->options.keep_ms > INT64_MAX / 4) return VESTRY_OK;
  return run_alone(jobs, clean_sql,
                   VESTRY_LIST(vsi_postgres_jobs_now_ms(jobs), (int64_t)jobs->options.keep_ms, (int)CLEANED_AT_ONCE),
                   NULL, NULL);
}

static vestry_err remove_one(vestry_jobs *jobs, int64_t id) {
  return run_alone(jobs, remove_sql, VESTRY_LIST(id), NULL, NULL);
}

static vestry_err retry(vestry_jobs *jobs, int64_t id) {
  return run_alone(jobs, retry_sql, VESTRY_LIST(id, vsi_postgres_jobs_now_ms(jobs)), NULL, NULL);
}

/* ------------------------------------------------------------------------------------------------- reading -------- */

typedef struct reader {
  const vsi_jobs_listing *to;
  const vestry_host *host;
  vestry_err error;
} reader;

static void read_row(const vestry_postgres_row *row, void *ctx) {
  reader *of = ctx;
  const char *payload = vestry_postgres_text(row, 4);
  const size_t len = vsi_postgres_bytea_is(payload) ? vsi_postgres_bytea_len(payload) : 0;
  unsigned char *bytes = of->error ? NULL : vsi_alloc(of->host, len + 1);
  if (!bytes) of->error = VESTRY_NO_MEMORY;
  if (of->error) return;
  vsi_postgres_bytea_read(bytes, payload, len);
  const vestry_job_row job = {.id = vestry_postgres_integer(row, 0),
                              .kind = vestry_postgres_text(row, 1),
                              .key = vestry_postgres_text(row, 2),
                              .state = vsi_jobs_state_of(vestry_postgres_text(row, 3)),
                              .payload = {bytes, len},
                              .attempts_count = (uint32_t)vestry_postgres_integer(row, 5),
                              .attempts_most = (uint32_t)vestry_postgres_integer(row, 6),
                              .progress = (double)vestry_postgres_integer(row, 7) / PROGRESS_SCALE,
                              .said = vestry_postgres_text(row, 8),
                              .error = vestry_postgres_text(row, 9),
                              .created_ms = vestry_postgres_integer(row, 10),
                              .due_ms = vestry_postgres_integer(row, 11),
                              .ended_ms = vestry_postgres_integer(row, 12),
                              .period_ms = (uint64_t)vestry_postgres_integer(row, 13)};
  of->to->fn(&job, of->to->ctx);
  vsi_free(of->host, bytes);
}

static vestry_err list(vestry_jobs *jobs, const vsi_jobs_listing *to) {
  vestry_postgres_pool *pool = vsi_postgres_jobs_pool(jobs);
  reader of = {to, jobs->host, VESTRY_OK};
  const vestry_value values =
      *VESTRY_LIST(to->after_id, text_or_null(to->kind), text_or_null(vsi_jobs_state_name(to->state)), to->count);
  vestry_err error = vsi_postgres_is_recorded(pool) ? vsi_postgres_read_recorded(pool, list_sql, &values, read_row, &of)
                                                    : vsi_postgres_run_again(pool, list_sql, &values, read_row, &of);
  if (error == VESTRY_NOT_FOUND) error = VESTRY_OK;
  return error ? error : of.error;
}

static void read_stats(const vestry_postgres_row *row, void *ctx) {
  vestry_jobs_stats *stats = ctx;
  uint64_t *const to[] = {&stats->enqueued_count, &stats->waiting_count, &stats->running_count,
                          &stats->done_count,     &stats->dead_count,    &stats->removed_count};
  for (unsigned i = 0; i < 6; i++) *to[i] = (uint64_t)vestry_postgres_integer(row, i);
}

static vestry_err count(vestry_jobs *jobs, vestry_jobs_stats *stats) {
  return vsi_postgres_run_again(vsi_postgres_jobs_pool(jobs), stats_sql, NULL, read_stats, stats);
}

const vsi_jobs_table_ops vsi_postgres_jobs_ops = {.make = make_table,
                                                  .tick = make_tick,
                                                  .look = look,
                                                  .listen = listen_to,
                                                  .leave = leave,
                                                  .rest = rest,
                                                  .rouse = rouse,
                                                  .take = take,
                                                  .end = write_end,
                                                  .progress = write_progress,
                                                  .is_finished = look_finished,
                                                  .renew = renew,
                                                  .clean = clean,
                                                  .retry = retry,
                                                  .remove = remove_one,
                                                  .list = list,
                                                  .count = count};
