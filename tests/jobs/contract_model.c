/* SPDX-License-Identifier: MIT */
/* A model of jobs beside the database. A history is a number of random actions of several nodes: they order and run
 * jobs, fail, stall past their leases, lose their connections and restart, while the clock steps forward and back.
 * Actions nest inside job functions and open transactions, so that any two of them occur in any order. Each call
 * must return a result that the model allows, and at the end of a history each committed order was followed by a
 * run.
 *
 * JOBS_HISTORIES=100000 JOBS_SEED=1 build/bin/test_sqlite jobs: run only that many histories, from that seed on. */
#include <inttypes.h>

#include "jobs/contract.h"
#include "runtime/random.h"

enum { NODES = 3, JOBS_MOST = 128, KEYS = 3, ACTIONS = 16, DEPTH_MOST = 4, BACKOFF_MS = 40, ATTEMPTS = 3 };
enum { PERIOD_MS = 2500, OTHER_PERIOD_MS = 4000, EFFECT = 1000000 };

/* A job whose order was committed. */
typedef struct model_job {
  int64_t id, fence;
  int key; /* -1: none */
  vestry_job_state state;
  uint32_t attempts;
  /* Waiting: earliest and latest due time, because backoff is partly random; running: end of its lease. */
  int64_t due_least_ms, due_most_ms;
  int64_t begun_at, owed_since; /* event numbers: its last start; the last order that requires a later start */
  bool is_removed, may_be_closed, is_finishing;
} model_job;

typedef struct model_tick {
  int64_t period_ms, last_ms, due_ms, fence, lease_ms;
  uint32_t attempt;
  bool runs, has_succeeded; /* has_succeeded: in the last period */
} model_tick;

typedef struct model_node {
  crew_node as; /* the first member */
  bool is_busy; /* runs a function, or has a transaction open */
  /* The function has finished its job by a committed transaction; has tried to; gives up. */
  bool has_finished, has_tried, gives_up;
} model_node;

typedef struct model {
  test_host th;
  model_node nodes[NODES];
  uint64_t seed, world, random; /* world: the seed of its first history */
  model_job jobs[JOBS_MOST];
  size_t jobs_count;
  model_tick tick;
  int depth, open_count; /* open transactions */
  bool has_slot;         /* an open transaction has ordered by a key */
  const model_job *held; /* the open order relies on this job */
  bool is_draining;
  bool is_disturbed; /* by another client, in this world */
  int64_t events, clock_most_ms, effects;
} model;
static model m;

static void hold(bool holds, int line, const char *condition) {
  if (!holds)
    fail_msg("history %" PRIu64 ", line %d: %s; again: JOBS_SEED=%" PRIu64 " JOBS_HISTORIES=20", m.seed, line,
             condition, m.world);
}
#define HOLDS(condition) hold(condition, __LINE__, #condition)

static uint32_t chance(uint32_t below) {
  m.random = m.random * UINT64_C(6364136223846793005) + 1442695040888963407;
  return (uint32_t)(m.random >> 33) % below;
}

static int64_t now_ms(void) {
  return atomic_load(&crew_clock_ms);
}

static bool is_one_writer(void) {
  return crew_of()->kinds_count == 1;
}

static model_job *find(int64_t id) {
  for (size_t i = 0; i < m.jobs_count; i++)
    if (m.jobs[i].id == id) return &m.jobs[i];
  return NULL;
}

static bool is_open(const model_job *job) {
  return !job->is_removed && (job->state == VESTRY_JOB_WAITING || job->state == VESTRY_JOB_RUNNING);
}

/* A transaction with one snapshot meets rows that were changed since. Any transaction meets definitions that another
 * client has changed since a statement was prepared. */
static bool may_conflict(int kind, vestry_err error) {
  return error == VESTRY_BUSY && !is_one_writer() && (kind || m.is_disturbed);
}

static void disturb(model_node *n) {
  m.is_disturbed = true;
  crew_of()->disturb(&n->as);
}

static void act(void);

static void act_inside(void) {
  if (m.depth >= DEPTH_MOST || m.is_draining) return;
  m.depth++;
  for (uint32_t i = chance(4); i; i--) act();
  m.depth--;
}

/* ---------------------------------------------------------------------------------------------------- runs -------- */

static int64_t period_of(int64_t at_ms) {
  return at_ms / m.tick.period_ms * m.tick.period_ms;
}

static void begin_tick(const vestry_job *job) {
  const int64_t current_ms = period_of(now_ms());
  model_tick *tick = &m.tick;
  const bool is_next = job->period_at_ms > tick->last_ms;
  HOLDS(job->period_at_ms == (current_ms > tick->last_ms ? current_ms : tick->last_ms));
  HOLDS(is_next || !tick->has_succeeded);
  HOLDS(!tick->runs || now_ms() >= tick->lease_ms);
  HOLDS(job->attempt == (is_next ? 1 : tick->attempt + 1) && job->attempt <= ATTEMPTS);
  HOLDS(job->fence > tick->fence);
  tick->runs = true;
  tick->has_succeeded = false;
  tick->last_ms = job->period_at_ms;
  tick->attempt = job->attempt;
  tick->fence = job->fence;
  tick->lease_ms = now_ms() + CREW_LEASE_MS;
}

static void begin_job(const vestry_job *job) {
  model_job *is = find(job->id);
  HOLDS(is && !is->is_removed); /* its order was committed */
  HOLDS(is->state == VESTRY_JOB_WAITING || is->state == VESTRY_JOB_RUNNING);
  HOLDS(now_ms() >= is->due_least_ms);
  HOLDS(is != m.held && !is->is_finishing);
  HOLDS(job->fence > is->fence && job->attempt == is->attempts + 1 && job->attempt <= ATTEMPTS);
  is->state = VESTRY_JOB_RUNNING;
  is->fence = job->fence;
  is->attempts = job->attempt;
  is->due_least_ms = is->due_most_ms = now_ms() + CREW_LEASE_MS;
  is->begun_at = ++m.events;
  is->may_be_closed = false;
}

static bool has_lease(const vestry_job *job) {
  const model_job *is = find(job->id);
  return !is ? m.tick.runs && m.tick.fence == job->fence
             : !is->is_removed && is->state == VESTRY_JOB_RUNNING && is->fence == job->fence;
}

/* Begin a transaction of one kind. NULL: another one is writing, and the database has a single writer. */
static vestry_sql_transaction *begin(model_node *n, int kind) {
  vestry_sql_transaction *transaction = NULL;
  const vestry_err error = crew_transact(&n->as, kind, &transaction);
  HOLDS(!error || (is_one_writer() && m.open_count && error == VESTRY_LIMIT));
  if (error) return NULL;
  m.open_count++;
  return transaction;
}

static vestry_err end(vestry_sql_transaction *transaction, vestry_err with) {
  m.open_count--;
  return vestry_sql_end(transaction, with);
}

/* Finish the job in a transaction of the function, which may outlast the lease. */
static void finish(model_node *n, vestry_job *job) {
  char sql[80];
  model_job *is = find(job->id);
  const int kind = (int)chance((uint32_t)crew_of()->kinds_count);
  vestry_sql_transaction *transaction = begin(n, kind);
  if (!transaction) return;
  snprintf(sql, sizeof sql, "INSERT INTO t VALUES(%" PRId64 ")", EFFECT + job->id);
  vestry_err error = crew_run(transaction, sql);
  HOLDS(!error || may_conflict(kind, error));
  if (chance(3) == 0) act_inside();
  if (!error) error = vestry_job_finish(job, transaction);
  const bool may_meet = may_conflict(kind, error); /* the row was changed after its snapshot */
  HOLDS(may_meet || error == (has_lease(job) ? VESTRY_OK : VESTRY_CLOSED));
  is->is_finishing = !error;
  n->has_tried = n->has_tried || !error;
  if (!error && chance(2)) act_inside();
  is->is_finishing = false;
  if (!error && chance(4) == 0) error = VESTRY_FAILED;
  error = end(transaction, error);
  HOLDS(error == VESTRY_OK || error == VESTRY_FAILED || error == VESTRY_CLOSED || may_conflict(kind, error));
  if (error) return;
  n->has_finished = true;
  is->state = VESTRY_JOB_DONE;
  m.effects++;
}

static void report(vestry_job *job) {
  const bool has_it = has_lease(job);
  model_job *is = find(job->id);
  const vestry_err error = vestry_job_progress(job, 0.5, "half");
  if (error == VESTRY_LIMIT && is_one_writer() && m.open_count) return;
  HOLDS(error == (has_it ? VESTRY_OK : VESTRY_CLOSED));
  if (error) return;
  if (is)
    is->due_least_ms = is->due_most_ms = now_ms() + CREW_LEASE_MS;
  else
    m.tick.lease_ms = now_ms() + CREW_LEASE_MS;
}

static vestry_err work(vestry_job *job, void *app) {
  model_node *n = app;
  if (find(job->id) || !job->period_at_ms)
    begin_job(job);
  else
    begin_tick(job);
  if (m.is_draining) return VESTRY_OK;
  act_inside();
  if (chance(4) == 0) report(job);
  if (!job->period_at_ms && chance(3) == 0) finish(n, job);
  if (chance(4) == 0) act_inside();
  if (chance(8) == 0 && !m.open_count) disturb(n); /* the end of the job meets the disturbance */
  n->gives_up = chance(12) == 0;
  if (n->gives_up) vestry_job_give_up(job);
  return chance(3) ? VESTRY_OK : VESTRY_IO;
}

static void await_next_period(void) {
  m.tick.due_ms = m.tick.last_ms / m.tick.period_ms * m.tick.period_ms + m.tick.period_ms;
}

static void end_tick(const vestry_job *job, vestry_job_outcome outcome, vestry_err error, bool is_disturbed) {
  model_tick *tick = &m.tick;
  if (!tick->runs || tick->fence != job->fence || (is_disturbed && outcome == VESTRY_JOB_ENDED_LOST)) {
    HOLDS(outcome == VESTRY_JOB_ENDED_LOST);
    return;
  }
  HOLDS(error ? outcome == VESTRY_JOB_ENDED_AGAIN || outcome == VESTRY_JOB_ENDED_DEAD
              : outcome == VESTRY_JOB_ENDED_DONE);
  tick->runs = false;
  tick->has_succeeded = outcome != VESTRY_JOB_ENDED_AGAIN; /* or has used all its attempts */
  await_next_period();
  const int64_t again_ms = now_ms() + ((int64_t)BACKOFF_MS << (job->attempt - 1));
  /* Another node may have changed the period. */
  if (outcome == VESTRY_JOB_ENDED_AGAIN && again_ms > tick->due_ms) tick->due_ms = again_ms;
}

static void mark_tick_dead(void) {
  model_tick *tick = &m.tick;
  HOLDS(tick->runs && tick->attempt == ATTEMPTS && now_ms() >= tick->lease_ms && period_of(now_ms()) <= tick->last_ms);
  tick->runs = false;
  tick->has_succeeded = true;
  await_next_period();
}

/* A node marks the job dead, because its attempts are used up and the last lease has ended. */
static void mark_dead(model_job *is) {
  HOLDS(is->state == VESTRY_JOB_RUNNING && is->attempts == ATTEMPTS && now_ms() >= is->due_least_ms);
  HOLDS(!is->is_finishing);
  is->state = VESTRY_JOB_DEAD;
}

static void end_job(model_node *n, const vestry_job *job, vestry_job_outcome outcome, vestry_err error,
                    bool is_disturbed) {
  model_job *is = find(job->id);
  if (n->has_finished) {
    HOLDS(outcome == VESTRY_JOB_ENDED_DONE || ((is->is_removed || is_disturbed) && outcome == VESTRY_JOB_ENDED_LOST));
    return;
  }
  /* The job was removed. The model no longer knows whether the function finished it, except from the reported
   * outcome. */
  if (is->is_removed && n->has_tried && !error && outcome == VESTRY_JOB_ENDED_DONE) return;
  if (!has_lease(job) || (is_disturbed && outcome == VESTRY_JOB_ENDED_LOST)) {
    HOLDS(outcome == VESTRY_JOB_ENDED_LOST);
    return;
  }
  const bool is_last = n->gives_up || job->attempt == ATTEMPTS;
  HOLDS(outcome == (!error ? VESTRY_JOB_ENDED_DONE : is_last ? VESTRY_JOB_ENDED_DEAD : VESTRY_JOB_ENDED_AGAIN));
  is->state = !error ? VESTRY_JOB_DONE : is_last ? VESTRY_JOB_DEAD : VESTRY_JOB_WAITING;
  is->due_most_ms = now_ms() + ((int64_t)BACKOFF_MS << (job->attempt - 1));
  is->due_least_ms = now_ms() + ((int64_t)BACKOFF_MS << (job->attempt - 1)) / 2;
}

static void note_end(const vestry_job *job, vestry_job_outcome outcome, vestry_err error, void *app) {
  model_node *n = app;
  const bool is_disturbed = crew_of()->calm(&n->as);
  if (!n->is_busy && job->period_at_ms)
    mark_tick_dead();
  else if (!n->is_busy)
    mark_dead(find(job->id));
  else if (job->period_at_ms)
    end_tick(job, outcome, error, is_disturbed);
  else
    end_job(n, job, outcome, error, is_disturbed);
}

/* Check that a step without a run left nothing that is due. If the clock was set back, waiting jobs may wait longer. */
static void check_nothing_is_due(void) {
  if (now_ms() < m.clock_most_ms) return;
  for (size_t i = 0; i < m.jobs_count; i++) {
    const model_job *is = &m.jobs[i];
    HOLDS(!is_open(is) || is == m.held || is->is_finishing || is->due_most_ms > now_ms());
  }
  HOLDS(m.tick.runs ? m.tick.lease_ms > now_ms() : m.tick.due_ms > now_ms());
}

/* The function runs inside the step. A busy node gets end notices for the jobs of other nodes only. */
static bool step(model_node *n) {
  bool has_run = false;
  if (n->is_busy) return false;
  for (size_t i = 0; i < m.jobs_count; i++)
    if (&m.jobs[i] == m.held && m.held->due_least_ms <= now_ms()) m.jobs[i].may_be_closed = true;
  const vestry_err error = vestry_jobs_step(n->as.jobs, &has_run);
  HOLDS(!error || (is_one_writer() && m.open_count && error == VESTRY_LIMIT));
  if (!error && !has_run) check_nothing_is_due();
  return has_run;
}

static vestry_err run_function(vestry_job *job, void *app) {
  model_node *n = app;
  HOLDS(!n->is_busy);
  n->is_busy = true;
  n->has_finished = n->has_tried = n->gives_up = false;
  return work(job, app);
}

static void note_end_and_rest(const vestry_job *job, vestry_job_outcome outcome, vestry_err error, void *app) {
  note_end(job, outcome, error, app);
  ((model_node *)app)->is_busy = false;
}

/* -------------------------------------------------------------------------------------------------- orders -------- */

static bool is_in_the_way(const model_job *is, int key, vestry_job_unique unique) {
  if (is->key != key || is->is_removed) return false;
  if (unique == VESTRY_JOB_UNIQUE_KEPT) return true;
  if (unique == VESTRY_JOB_UNIQUE_OPEN) return is_open(is);
  return is->state == VESTRY_JOB_WAITING;
}

/* has_snapshot: the transaction may read an earlier state. */
static void check_exists(const model_job *is, int key, vestry_job_unique unique, bool has_snapshot) {
  HOLDS(is && is->key == key);
  HOLDS((has_snapshot && unique != VESTRY_JOB_UNIQUE_WAITING) || is_in_the_way(is, key, unique));
}

static void check_new(int key, vestry_job_unique unique, bool has_snapshot) {
  if (key < 0 || (has_snapshot && unique != VESTRY_JOB_UNIQUE_KEPT)) return;
  for (size_t i = 0; i < m.jobs_count; i++)
    HOLDS(!is_in_the_way(&m.jobs[i], key, unique) || (unique == VESTRY_JOB_UNIQUE_WAITING && m.jobs[i].may_be_closed));
}

static void commit_order(model_job *there, int64_t id, int key, vestry_job_unique unique, int64_t due_ms) {
  m.events++;
  if (there) {
    if (unique == VESTRY_JOB_UNIQUE_WAITING) there->owed_since = m.events;
    return;
  }
  m.jobs[m.jobs_count++] = (model_job){.id = id,
                                       .key = key,
                                       .state = VESTRY_JOB_WAITING,
                                       .due_least_ms = due_ms,
                                       .due_most_ms = due_ms,
                                       .owed_since = m.events};
}

static void order_in(model_node *n, vestry_sql_transaction *transaction, int kind) {
  static const char *const keys[] = {"a", "b", "c"};
  const int key = m.has_slot ? -1 : (int)chance(KEYS + 1) - 1;
  const vestry_job_unique unique = (vestry_job_unique)chance(3);
  vestry_job_order order = {.kind = "work", .key = key < 0 ? NULL : keys[key], .unique = unique};
  order.delay_ms = chance(3) ? 0 : chance(100);
  vestry_err error = crew_run(transaction, "INSERT INTO t VALUES(1)"); /* takes a snapshot */
  HOLDS(!error || may_conflict(kind, error));
  if (!error && chance(3) == 0) act_inside();
  if (error || (m.has_slot && key >= 0)) { /* it would wait for another one */
    (void)end(transaction, VESTRY_FAILED);
    return;
  }
  int64_t id = 0;
  const int64_t due_ms = now_ms() + (int64_t)order.delay_ms;
  error = vestry_jobs_enqueue(n->as.jobs, transaction, &order, &id);
  model_job *there = NULL;
  if (error == VESTRY_EXISTS) check_exists(there = find(id), key, unique, kind > 0);
  if (!error) check_new(key, unique, kind > 0);
  HOLDS(!error || there || may_conflict(kind, error));
  if (error != VESTRY_BUSY) {
    const model_job *held = m.held;
    const bool had_slot = m.has_slot;
    if (there && unique == VESTRY_JOB_UNIQUE_WAITING) m.held = there;
    m.has_slot = had_slot || key >= 0;
    if (chance(2)) act_inside();
    m.held = held;
    m.has_slot = had_slot;
    error = chance(5) ? VESTRY_OK : VESTRY_FAILED;
  }
  error = end(transaction, error);
  HOLDS(!error || error == VESTRY_FAILED || may_conflict(kind, error));
  if (!error) commit_order(there, id, key, unique, due_ms);
}

static void order(model_node *n) {
  const int kind = (int)chance((uint32_t)crew_of()->kinds_count);
  if (n->is_busy || m.jobs_count == JOBS_MOST) return; /* its thread may have an open transaction */
  vestry_sql_transaction *transaction = begin(n, kind);
  if (!transaction) return;
  n->is_busy = true;
  order_in(n, transaction, kind);
  n->is_busy = false;
}

/* ------------------------------------------------------------------------------------------------- actions -------- */

static void open_node(model_node *n) {
  const vestry_jobs_options options = {.now_ms = crew_now_ms,
                                       .on_end = note_end_and_rest,
                                       .app = n,
                                       .lease_ms = CREW_LEASE_MS,
                                       .backoff_ms = BACKOFF_MS,
                                       .max_attempts = ATTEMPTS,
                                       .keep_ms = VESTRY_NEVER_MS};
  HOLDS(!crew_of()->open(&n->as, &m.th.host, &options));
  HOLDS(!vestry_jobs_on(n->as.jobs, "work", run_function, n));
}

/* The node registers the scheduled job again after a restart, sometimes with another period. */
static void schedule_tick(model_node *n) {
  const int64_t before_ms = m.tick.period_ms;
  if (!before_ms || chance(3) == 0) m.tick.period_ms = chance(2) ? PERIOD_MS : OTHER_PERIOD_MS;
  HOLDS(!vestry_jobs_every(n->as.jobs, "tick", (uint64_t)m.tick.period_ms, 0, run_function, n));
  if (before_ms == m.tick.period_ms || m.tick.runs) return;
  const int64_t after_ms = period_of(now_ms()) + m.tick.period_ms;
  await_next_period();
  if (after_ms > m.tick.due_ms) m.tick.due_ms = after_ms;
}

static void restart_node(model_node *n) {
  if (n->is_busy || m.open_count || chance(4)) return;
  crew_close_node(&n->as);
  open_node(n);
  schedule_tick(n);
}

static void set_clock(void) {
  switch (chance(6)) {
  case 0: crew_pass(CREW_LEASE_MS); break;
  case 1: crew_pass(-(int64_t)chance(3000)); break;
  case 2: crew_pass(chance(3000)); break;
  default: crew_pass(chance(80));
  }
  if (now_ms() > m.clock_most_ms) m.clock_most_ms = now_ms();
}

/* Retry or remove a job manually. With an open transaction the call could wait for it, so the action is skipped. */
static void manage(model_node *n) {
  if (!m.jobs_count || m.open_count || n->is_busy) return;
  model_job *is = &m.jobs[chance((uint32_t)m.jobs_count)];
  if (chance(3)) {
    const bool may = !is->is_removed && (is->state == VESTRY_JOB_WAITING || is->state == VESTRY_JOB_DEAD);
    HOLDS(vestry_jobs_retry(n->as.jobs, is->id) == (may ? VESTRY_OK : VESTRY_NOT_FOUND));
    if (!may) return;
    is->state = VESTRY_JOB_WAITING;
    is->attempts = 0;
    is->due_least_ms = is->due_most_ms = now_ms();
  } else {
    HOLDS(vestry_jobs_remove(n->as.jobs, is->id) == (is->is_removed ? VESTRY_NOT_FOUND : VESTRY_OK));
    is->is_removed = true;
  }
}

/* The connections of an idle node are lost. */
static void cut(model_node *n) {
  if (m.open_count || n->is_busy || chance(4)) return;
  disturb(n);
  bool has_run;
  (void)vestry_jobs_step(n->as.jobs, &has_run);
  (void)crew_of()->calm(&n->as);
}

static void act(void) {
  model_node *n = &m.nodes[chance(NODES)];
  switch (chance(12)) {
  case 0:
  case 1:
  case 2:
  case 3: order(n); break;
  case 4: set_clock(); break;
  case 5: set_clock(); break;
  case 6: manage(n); break;
  case 7: chance(2) ? restart_node(n) : cut(n); break;
  default: (void)step(n);
  }
}

/* ----------------------------------------------------------------------------------------------- histories -------- */

static void drain(void) {
  m.is_draining = true;
  atomic_store(&crew_clock_ms, m.clock_most_ms);
  for (int rounds = 0; rounds < 100; rounds++) {
    bool has_run = false;
    for (int i = 0; i < NODES; i++) has_run = step(&m.nodes[i]) || has_run;
    if (!has_run) crew_pass(100);
    size_t open_count = 0;
    for (size_t i = 0; i < m.jobs_count; i++) open_count += is_open(&m.jobs[i]);
    if (!open_count && !has_run) break;
  }
  m.clock_most_ms = now_ms();
  m.is_draining = false;
}

static int64_t count_of(vestry_job_state state) {
  int64_t count = 0;
  for (size_t i = 0; i < m.jobs_count; i++) count += !m.jobs[i].is_removed && m.jobs[i].state == state;
  return count;
}

static void check_end(void) {
  crew_node *n = &m.nodes[0].as;
  for (size_t i = 0; i < m.jobs_count; i++) {
    const model_job *is = &m.jobs[i];
    HOLDS(is->is_removed || !is_open(is));
    HOLDS(is->is_removed || is->begun_at > is->owed_since);
  }
  HOLDS(crew_number(n, "SELECT count(*) FROM vestry_job WHERE period IS NULL AND state = 'done'") ==
        count_of(VESTRY_JOB_DONE));
  HOLDS(crew_number(n, "SELECT count(*) FROM vestry_job WHERE period IS NULL AND state = 'dead'") ==
        count_of(VESTRY_JOB_DEAD));
  HOLDS(crew_number(n, "SELECT count(*) FROM t WHERE x >= 1000000") == m.effects);
  HOLDS(crew_number(n, "SELECT count(DISTINCT x) FROM t WHERE x >= 1000000") == m.effects);
}

static void run_history(uint64_t seed) {
  m.seed = seed;
  m.random = seed * UINT64_C(0x9E3779B97F4A7C15);
  m.jobs_count = 0;
  m.events = m.effects = 0;
  for (int i = 0; i < ACTIONS; i++) act();
  drain();
  check_end();
  crew_do(&m.nodes[0].as, "DELETE FROM vestry_job WHERE period IS NULL");
  crew_do(&m.nodes[0].as, "DELETE FROM t");
}

static uint64_t default_histories_count;

/* Twenty histories share one database, so that the scheduled job runs on through them. */
/* capability: L7, M3 */
TEST_CASE(random_histories_match_the_model) {
  enum { HISTORIES_A_WORLD = 20 };
  const uint64_t first = random_setting("JOBS_SEED", 1),
                 count = random_setting("JOBS_HISTORIES", default_histories_count);
  for (uint64_t at = 0; at < count; at += HISTORIES_A_WORLD) {
    memset(&m, 0, sizeof m);
    test_host_init(&m.th);
    atomic_store(&crew_clock_ms, CREW_BEGIN_MS);
    m.clock_most_ms = CREW_BEGIN_MS;
    m.random = m.world = first + at;
    crew_of()->make();
    for (int i = 0; i < NODES; i++) {
      open_node(&m.nodes[i]);
      schedule_tick(&m.nodes[i]);
    }
    for (uint64_t i = at; i < at + HISTORIES_A_WORLD && i < count; i++) run_history(first + i);
    for (int i = 0; i < NODES; i++) crew_close_node(&m.nodes[i].as);
    test_host_assert_clean(&m.th);
    crew_of()->remove();
    if ((at / HISTORIES_A_WORLD) % 50 == 49) print_message("%" PRIu64 " histories\n", at + HISTORIES_A_WORLD);
  }
}

bool jobs_contract_is_model_alone(void) {
  return getenv("JOBS_HISTORIES") != NULL;
}

int jobs_contract_run_model(const crew_database *database, uint64_t histories_count) {
  crew_use(database);
  default_histories_count = histories_count;
  return cases_run("jobs_contract_model", NULL, NULL);
}
