/* SPDX-License-Identifier: MIT */
/* Actions that run once, in PostgreSQL: the contract, at all nodes, and after the death of a node. */
#include <pthread.h>

#include "data/sql/sql.h"
#include "guard/once_contract.h"
#include "postgres/shop.h"
#include "support/until.h"
#include "vestry/data/postgres.h"

enum { LIFETIME_MS = 100000, LEASE_MS = 5000 };

typedef struct node {
  vestry_sql_pool *pool;
  vestry_sql_once *stored;
} node;
static node nodes[2];
static _Atomic(int64_t) clock_ms = 1000000;
static vestry_once_storage_ops dead_ops; /* of a node that has died: finish stores nothing */
static bool is_next_dead, is_next_doubtful, runs_again;
static vestry_once_storage_ops doubtful_ops;
static uint32_t per_owner_count = 3;

static int64_t now_ms(void *ctx) {
  return clock_ms;
}

static vestry_err open_node(once_node *of) {
  const vestry_sql_once_options options = {
      .lifetime_ms = LIFETIME_MS, .lease_ms = LEASE_MS, .per_owner_count = per_owner_count, .runs_again = runs_again};
  node *n = of->world = nodes[0].pool ? &nodes[1] : &nodes[0];
  assert_null(n->pool);
  static uint64_t others;
  of->on.th.seed = ++others << 32; /* no two nodes have the same random numbers */
  vestry_err error = vestry_postgres_pool_create(
      &(vestry_postgres_pool_options){.host = &of->on.th.host, .url = shop_server()->url}, &n->pool);
  if (!error) n->pool->now_ms = now_ms;
  if (!error) error = vestry_sql_once_create(n->pool, &options, &n->stored);
  of->ops = is_next_dead ? &dead_ops : is_next_doubtful ? &doubtful_ops : &vestry_sql_once_ops;
  of->ctx = n->stored;
  return error;
}

static void close_node(once_node *of) {
  node *n = of->world;
  vestry_sql_once_destroy(n->stored);
  vestry_sql_pool_destroy(n->pool);
  *n = (node){NULL, NULL};
}

static int64_t number(once_node *of, const char *sql) {
  int64_t found = -1;
  assert_int_equal(vestry_sql_run_alone(((node *)of->world)->pool, sql, NULL, vestry_sql_row_integer, &found),
                   VESTRY_OK);
  return found;
}

static int64_t count(once_node *of) {
  return number(of, "SELECT count(*) FROM vestry_once");
}

static const once_world in_postgres = {2, shop_clear, open_node, close_node, count};

static vestry_err finish_nothing(void *ctx, const vestry_once_submission *press, const void *answer, size_t len) {
  return VESTRY_OK;
}

static void open_dead_and_running(once_node *dead, once_node *living) {
  once_clear();
  dead_ops = vestry_sql_once_ops;
  dead_ops.finish = finish_nothing;
  is_next_dead = true;
  once_open(dead, (vestry_once_options){0});
  is_next_dead = false;
  once_open(living, (vestry_once_options){.wait_ms = 1});
}

static void close_dead_and_running(once_node *dead, once_node *living) {
  once_close(living);
  once_close(dead);
  runs_again = false;
}

/* capability: M3 */
TEST_CASE(submission_of_a_dead_node_gets_409_after_its_lease) {
  once_node dead, living;
  once_nonce nonce;
  open_dead_and_running(&dead, &living);
  once_nonce_of(&dead, nonce);
  assert_string_equal(once_post(&dead, nonce), "201 made 1 ");
  assert_string_equal(once_post(&living, nonce), "503 no");
  clock_ms += LEASE_MS - 1;
  assert_string_equal(once_post(&living, nonce), "503 no");
  clock_ms += 1;
  for (int i = 0; i < 3; i++) assert_string_equal(once_post(&living, nonce), "409 Th");
  assert_int_equal(once_contract_action.done, 1);
  close_dead_and_running(&dead, &living);
}

TEST_CASE(submission_of_a_dead_node_runs_again_if_allowed) {
  once_node dead, living;
  once_nonce nonce;
  runs_again = true;
  open_dead_and_running(&dead, &living);
  once_nonce_of(&dead, nonce);
  assert_string_equal(once_post(&dead, nonce), "201 made 1 ");
  clock_ms += LEASE_MS - 1;
  assert_string_equal(once_post(&living, nonce), "503 no");
  assert_int_equal(once_contract_action.done, 1);
  clock_ms += 1;
  assert_string_equal(once_post(&living, nonce), "201 made 2 ");
  assert_string_equal(once_post(&living, nonce), "201 made 2 ");
  assert_int_equal(once_contract_action.done, 2);
  close_dead_and_running(&dead, &living);
}

typedef struct poster {
  once_node *node;
  const char *nonce;
  char reply[64];
} poster;

static void *submit(void *ctx) {
  poster *own = ctx;
  snprintf(own->reply, sizeof own->reply, "%s", once_post(own->node, own->nonce));
  return NULL;
}

/* The action has begun, and the server is away when its answer is stored. */
static void run_during_a_server_crash(once_node *at, const char *nonce) {
  sem_t inside, go;
  pthread_t thread;
  sem_init(&inside, 0, 0);
  sem_init(&go, 0, 0);
  once_contract_action.inside = &inside;
  once_contract_action.go = &go;
  poster first = {at, nonce, ""};
  assert_int_equal(pthread_create(&thread, NULL, submit, &first), 0);
  sem_wait(&inside);
  postgres_server_kill(shop_server());
  long logged = at->on.th.log_lines;
  sem_post(&go);
  pthread_join(thread, NULL);
  assert_string_equal(first.reply, "201 made 1 ");
  assert_true(at->on.th.log_lines > logged);
  postgres_server_start(shop_server(), NULL);
  once_contract_action.inside = once_contract_action.go = NULL;
  sem_destroy(&inside);
  sem_destroy(&go);
}

/* This node has the answer; other nodes report the outcome as unknown. */
TEST_CASE(server_crash_during_an_action_makes_it_unknown_elsewhere) {
  once_node one, other;
  once_nonce nonce;
  once_clear();
  once_open(&one, (vestry_once_options){.wait_ms = 1});
  once_open(&other, (vestry_once_options){.wait_ms = 1});
  once_nonce_of(&one, nonce);
  run_during_a_server_crash(&one, nonce);
  assert_string_equal(once_post(&one, nonce), "201 made 1 ");
  assert_string_equal(once_post(&other, nonce), "503 no");
  clock_ms += LEASE_MS;
  const char *reply; /* the pool reconnects after a delay */
  while (strcmp(reply = once_post(&other, nonce), "409 Th") != 0) assert_string_equal(reply, "503 no");
  assert_string_equal(once_post(&one, nonce), "201 made 1 ");
  assert_int_equal(once_contract_action.done, 1);
  once_close(&other);
  once_close(&one);
}

/* The server is away when the action runs, and the action returns VESTRY_LIMIT. The storage cannot delete the
 * submission either. */
static void submit_during_a_server_crash(once_node *at, const char *nonce) {
  sem_t inside, go;
  pthread_t thread;
  sem_init(&inside, 0, 0);
  sem_init(&go, 0, 0);
  once_contract_action.inside = &inside;
  once_contract_action.go = &go;
  once_contract_action.says = VESTRY_LIMIT;
  poster first = {at, nonce, ""};
  assert_int_equal(pthread_create(&thread, NULL, submit, &first), 0);
  sem_wait(&inside);
  postgres_server_kill(shop_server());
  sem_post(&go);
  pthread_join(thread, NULL);
  assert_string_equal(first.reply, "503 no");
  sem_destroy(&inside);
  sem_destroy(&go);
  postgres_server_start(shop_server(), NULL);
  once_contract_action = (once_action){.done = 0};
}

/* The pool reconnects after a delay. */
static const char *submit_until_stored(once_node *at, const char *nonce) {
  const char *reply = NULL;
  UNTIL(memcmp(reply = once_post(at, nonce), "503", 3) != 0);
  return reply;
}

/* A repeat runs, at the same node or another, before and after the lease. */
/* capability: M3 */
TEST_CASE(limited_action_runs_after_the_server_is_back) {
  for (int i = 0; i < 4; i++) {
    const bool is_at_other = i % 2, is_late = i / 2;
    once_node one, other;
    once_nonce nonce, next;
    once_clear();
    once_open(&one, (vestry_once_options){.wait_ms = 1});
    once_open(&other, (vestry_once_options){.wait_ms = 1});
    once_nonce_of(&one, nonce);
    once_nonce_of(&one, next);
    submit_during_a_server_crash(&one, nonce);
    if (is_late) clock_ms += LEASE_MS;
    if (is_at_other) { /* a request at the node makes its storage delete the submission */
      assert_string_equal(submit_until_stored(&one, next), "201 made 1 ");
      once_contract_action.done = 0;
    }
    assert_string_equal(submit_until_stored(is_at_other ? &other : &one, nonce), "201 made 1 ");
    assert_string_equal(submit_until_stored(is_at_other ? &one : &other, nonce), "201 made 1 ");
    assert_int_equal(once_contract_action.done, 1);
    once_close(&other);
    once_close(&one);
  }
}

static int doubtful_count;

/* The storage has stored the submission, but its reply is lost. */
static vestry_err begin_in_doubt(void *ctx, const vestry_once_submission *press, vestry_once_found *ret_found,
                                 void *answer, size_t capacity, size_t *ret_len) {
  const vestry_err error = vestry_sql_once_ops.begin(ctx, press, ret_found, answer, capacity, ret_len);
  return error || --doubtful_count < 0 ? error : VESTRY_LIMIT;
}

static vestry_err forget_in_doubt(void *ctx, const vestry_once_submission *press) {
  return --doubtful_count < 0 ? vestry_sql_once_ops.forget(ctx, press) : VESTRY_LIMIT;
}

/* capability: M3 */
TEST_CASE(action_with_an_unanswered_begin_runs_once) {
  for (int times = 1; times <= 4; times++) {
    once_node one, other;
    once_nonce nonce;
    once_clear();
    once_open(&other, (vestry_once_options){.wait_ms = 1});
    doubtful_ops = vestry_sql_once_ops;
    doubtful_ops.begin = begin_in_doubt;
    doubtful_ops.forget = forget_in_doubt;
    is_next_doubtful = true;
    once_open(&one, (vestry_once_options){.wait_ms = 1});
    is_next_doubtful = false;
    once_nonce_of(&one, nonce);
    doubtful_count = times;
    assert_string_equal(once_post(&one, nonce), "503 no");
    clock_ms += LEASE_MS;
    assert_string_equal(submit_until_stored(&one, nonce), "201 made 1 ");
    assert_string_equal(once_post(&other, nonce), "201 made 1 ");
    assert_string_equal(once_post(&one, nonce), "201 made 1 ");
    assert_int_equal(once_contract_action.done, 1);
    once_close(&one);
    once_close(&other);
  }
}

/* The server is away when an action ends; its answer is stored later. */
/* capability: M3 */
TEST_CASE(answer_is_stored_when_the_server_is_back) {
  once_node one, other;
  once_nonce nonce, next;
  once_clear();
  once_open(&one, (vestry_once_options){.wait_ms = 1});
  once_open(&other, (vestry_once_options){.wait_ms = 1});
  once_nonce_of(&one, nonce);
  once_nonce_of(&one, next);
  run_during_a_server_crash(&one, nonce);
  clock_ms += LEASE_MS;
  assert_string_equal(submit_until_stored(&one, next), "201 made 2 ");
  assert_string_equal(once_post(&other, nonce), "201 made 1 ");
  assert_int_equal(once_contract_action.done, 2);
  once_close(&other);
  once_close(&one);
}

/* Each allocation of a submission fails once, and then the other node gets a repeat. The action has run once, or its
 * outcome is unknown. */
TEST_CASE(allocation_failure_never_runs_an_action_twice) {
  once_node one, other;
  once_nonce nonce;
  once_clear();
  once_open(&one, (vestry_once_options){.wait_ms = 1});
  once_open(&other, (vestry_once_options){.wait_ms = 1});
  bool has_failed = true;
  for (long at = 0; has_failed; at++) {
    char reply[2][64];
    once_nonce_of(&one, nonce);
    const int before = once_contract_action.done;
    test_host_fail_in(&one.on.th, at);
    snprintf(reply[0], sizeof reply[0], "%s", once_post(&one, nonce));
    has_failed = test_host_has_failed(&one.on.th);
    test_host_fail_no_more(&one.on.th);
    clock_ms += LEASE_MS;
    snprintf(reply[1], sizeof reply[1], "%s", once_post(&other, nonce));
    const int times = once_contract_action.done - before;
    assert_true(times <= 1);
    if (memcmp(reply[0], "201", 3) == 0) assert_int_equal(times, 1);
    if (memcmp(reply[1], "201", 3) == 0 || memcmp(reply[1], "204", 3) == 0)
      assert_int_equal(times, 1);
    else
      assert_true(memcmp(reply[1], "409", 3) == 0 || memcmp(reply[1], "500", 3) == 0);
    if (!has_failed) assert_string_equal(reply[0], reply[1]);
  }
  once_close(&other);
  once_close(&one);
}

/* A run whose submission was taken over by the next run cannot store its answer. */
TEST_CASE(late_run_cannot_store_its_answer) {
  once_node one;
  char hash[65], first[33], next[33];
  unsigned char answer[8] = "";
  vestry_once_found found = VESTRY_ONCE_DONE;
  size_t len = 0;
  memset(hash, 'a', 64);
  memset(first, 'b', 32);
  memset(next, 'c', 32);
  hash[64] = first[32] = next[32] = '\0';
  const vestry_once_submission late = {hash, hash, first, 0}, own = {hash, hash, next, 0};
  const vestry_once_storage_ops *ops = &vestry_sql_once_ops;
  once_clear();
  runs_again = true;
  once_open(&one, (vestry_once_options){0});
  for (int i = 0; i < 2; i++) { /* the statement's reply was lost: the submission still belongs to this run */
    assert_int_equal(ops->begin(one.ctx, &late, &found, answer, sizeof answer, &len), VESTRY_OK);
    assert_int_equal(found, VESTRY_ONCE_NEW);
  }
  clock_ms += LEASE_MS;
  assert_int_equal(ops->begin(one.ctx, &own, &found, answer, sizeof answer, &len), VESTRY_OK);
  assert_int_equal(found, VESTRY_ONCE_NEW);
  assert_int_equal(ops->finish(one.ctx, &late, "late", 4), VESTRY_NOT_FOUND);
  assert_int_equal(ops->forget(one.ctx, &late), VESTRY_OK);
  assert_int_equal(ops->begin(one.ctx, &late, &found, answer, sizeof answer, &len), VESTRY_OK);
  assert_int_equal(found, VESTRY_ONCE_RUNNING);
  assert_int_equal(ops->finish(one.ctx, &own, "in time, and long", 17), VESTRY_OK);
  assert_int_equal(ops->begin(one.ctx, &late, &found, answer, sizeof answer, &len), VESTRY_OK);
  assert_int_equal(found, VESTRY_ONCE_DONE);
  assert_int_equal(len, 17); /* larger than the buffer */
  assert_int_equal(answer[0], 0);
  once_close(&one);
  runs_again = false;
}

/* A transaction that marks its submission, and a run that begins meanwhile on another thread. */
typedef struct marking {
  void *storage;
  vestry_once_submission own, next;
  bool is_late; /* the other run begins before the mark, otherwise after it */
  int attempts;
  pthread_t thread;
  vestry_once_found found;
} marking;

static void *begin_next(void *ctx) {
  marking *of = ctx;
  unsigned char answer[8];
  size_t len;
  assert_int_equal(vestry_sql_once_ops.begin(of->storage, &of->next, &of->found, answer, sizeof answer, &len),
                   VESTRY_OK);
  return NULL;
}

static vestry_err mark_own(vestry_sql_transaction *transaction, void *ctx) {
  marking *of = ctx;
  const bool is_first = !of->attempts++;
  assert_int_equal(vestry_sql_run(transaction, "SELECT run FROM vestry_once", NULL, NULL, NULL), VESTRY_OK);
  if (is_first && of->is_late) {
    assert_int_equal(pthread_create(&of->thread, NULL, begin_next, of), 0);
    pthread_join(of->thread, NULL);
  }
  vestry_err error = vsi_sql_once_mark(transaction, &of->own, "done", 4);
  if (!of->is_late && !error) assert_int_equal(pthread_create(&of->thread, NULL, begin_next, of), 0);
  return error;
}

/* The lease is over when both begin. */
TEST_CASE(one_of_two_runs_is_committed) {
  static const vestry_sql_kind kinds[] = {VESTRY_SQL_WRITE, VESTRY_SQL_SERIALIZABLE};
  char hash[65], first[33], next[33];
  memset(hash, 'a', 64);
  memset(first, 'b', 32);
  memset(next, 'c', 32);
  hash[64] = first[32] = next[32] = '\0';
  for (int i = 0; i < 4; i++) {
    once_node one;
    unsigned char answer[8];
    size_t len;
    once_clear();
    once_open(&one, (vestry_once_options){0});
    marking of = {.storage = one.ctx, .own = {hash, hash, first, 1}, .next = {hash, hash, next, 1}, .is_late = i / 2};
    assert_int_equal(vestry_sql_once_ops.begin(one.ctx, &of.own, &of.found, answer, sizeof answer, &len), VESTRY_OK);
    assert_int_equal(of.found, VESTRY_ONCE_NEW);
    clock_ms++;
    const vestry_err error = vestry_sql_act(((node *)one.world)->pool, kinds[i % 2], mark_own, &of);
    if (!of.is_late) pthread_join(of.thread, NULL);
    assert_int_equal(error, of.is_late ? VESTRY_LIMIT : VESTRY_OK);
    assert_int_equal(of.found, of.is_late ? VESTRY_ONCE_NEW : VESTRY_ONCE_DONE);
    assert_int_equal(of.attempts, i == 3 ? 2 : 1); /* SERIALIZABLE: the conflict is reported first */
    once_close(&one);
  }
}

/* A handler outlasts its lease, and its late answer makes the outcome known after all. */
TEST_CASE(answer_after_the_lease_is_stored) {
  once_node one, other;
  once_nonce nonce;
  sem_t inside, go;
  pthread_t thread;
  once_clear();
  once_open(&one, (vestry_once_options){0});
  once_open(&other, (vestry_once_options){.wait_ms = 1});
  sem_init(&inside, 0, 0);
  sem_init(&go, 0, 0);
  once_contract_action.inside = &inside;
  once_contract_action.go = &go;
  once_nonce_of(&one, nonce);
  poster first = {&one, nonce, ""};
  assert_int_equal(pthread_create(&thread, NULL, submit, &first), 0);
  sem_wait(&inside);
  assert_string_equal(once_post(&other, nonce), "503 no");
  clock_ms += LEASE_MS;
  assert_string_equal(once_post(&other, nonce), "409 Th");
  sem_post(&go);
  pthread_join(thread, NULL);
  assert_string_equal(first.reply, "201 made 1 ");
  assert_string_equal(once_post(&other, nonce), "201 made 1 ");
  assert_int_equal(once_contract_action.done, 1);
  sem_destroy(&inside);
  sem_destroy(&go);
  once_close(&other);
  once_close(&one);
}

/* Corrupt rows of finished submissions: the action does not run again, and no corrupt answer is sent. */
TEST_CASE(corrupt_row_gets_500_and_runs_nothing) {
  static const char *const answers[] = {"''",
                                        "'\\x00'",
                                        "decode(repeat('ff', 28), 'hex')",
                                        "substr(answer, 2)",
                                        "answer || '\\x00'",
                                        "decode(repeat('00', 20000), 'hex')"};
  once_node one, other;
  once_nonce nonce;
  char sql[100];
  once_clear();
  once_open(&one, (vestry_once_options){0});
  once_open(&other, (vestry_once_options){.wait_ms = 1});
  for (int i = 0; i < (int)(sizeof answers / sizeof *answers); i++) {
    once_nonce_of(&one, nonce);
    once_post(&one, nonce);
    snprintf(sql, sizeof sql, "UPDATE vestry_once SET answer = %s RETURNING 1", answers[i]);
    assert_int_equal(number(&one, sql), 1);
    for (int tries = 0; tries < 2; tries++) assert_string_equal(once_post(&other, nonce), "500 in");
    assert_int_equal(once_contract_action.done, i + 1);
  }
  once_close(&other);
  once_close(&one);
}

/* The application commits asynchronously, so a crash may lose its commits, but not the owner of a submission. */
TEST_CASE(submission_survives_a_crash_with_asynchronous_commit) {
  static const char *const settings[] = {"synchronous_commit=off", "wal_writer_delay=10s", NULL};
  once_node dead, living;
  once_nonce nonce;
  const char *reply;
  postgres_server_kill(shop_server());
  postgres_server_start(shop_server(), settings);
  open_dead_and_running(&dead, &living);
  postgres_server_run(shop_server(), "CHECKPOINT"); /* the table is on the disk */
  once_nonce_of(&dead, nonce);
  assert_string_equal(once_post(&dead, nonce), "201 made 1 ");
  postgres_server_kill(shop_server());
  postgres_server_start(shop_server(), NULL);
  clock_ms += LEASE_MS;
  while (strcmp(reply = once_post(&living, nonce), "409 Th") != 0) assert_string_equal(reply, "503 no");
  assert_int_equal(once_contract_action.done, 1);
  close_dead_and_running(&dead, &living);
}

/* A reader of the database learns neither the nonce nor the answer; a changed answer is rejected. */
TEST_CASE(rows_contain_neither_nonce_nor_answer) {
  once_node one, other;
  once_nonce nonce;
  char sql[300];
  once_clear();
  once_open(&one, (vestry_once_options){0});
  once_open(&other, (vestry_once_options){0});
  once_nonce_of(&one, nonce);
  assert_string_equal(once_post(&one, nonce), "201 made 1 ");
  snprintf(
      sql, sizeof sql,
      "SELECT count(*) FROM vestry_once WHERE position('%.32s' IN hash || owner || run) > 0 OR position('%s'::bytea"
      " IN answer) > 0 OR position('%.32s'::bytea IN answer) > 0",
      nonce, "told to nobody", nonce);
  assert_int_equal(number(&one, sql), 0);
  assert_int_equal(number(&one, "SELECT count(*) FROM vestry_once WHERE length(answer) > 60"), 1);
  assert_int_equal(number(&one, "UPDATE vestry_once SET answer = set_byte(answer, length(answer) - 1,"
                                " get_byte(answer, length(answer) - 1) # 1) RETURNING 1"),
                   1);
  assert_string_equal(once_post(&other, nonce), "500 in");
  assert_int_equal(once_contract_action.done, 1);
  once_close(&other);
  once_close(&one);
}

/* Without sessions and scopes all clients share one scope, which is unlimited by default. */
TEST_CASE(nameless_scope_evicts_no_submission) {
  enum { MORE = 1100 };
  once_node one;
  once_nonce first, nonce;
  once_clear();
  per_owner_count = 0;
  once_open(&one, (vestry_once_options){.lifetime_ms = 1}); /* memory forgets them */
  per_owner_count = 3;
  once_nonce_of(&one, first);
  assert_string_equal(once_post(&one, first), "201 made 1 ");
  for (int i = 0; i < MORE; i++) {
    once_nonce_of(&one, nonce);
    once_post(&one, nonce);
  }
  site_pass_ms(&one.on, 10);
  assert_string_equal(once_post(&one, first), "201 made 1 ");
  assert_int_equal(once_contract_action.done, MORE + 1);
  once_close(&one);
}

TEST_CASE(expired_and_excess_submissions_are_deleted) {
  once_node one;
  once_nonce nonce;
  once_clear();
  once_open(&one, (vestry_once_options){0});
  for (int i = 0; i < 65; i++) { /* cleanup runs at the first and the 65th submission */
    once_nonce_of(&one, nonce);
    once_post(&one, nonce);
    clock_ms += 1;
  }
  assert_int_equal(number(&one, "SELECT count(*) FROM vestry_once"), 3);
  assert_string_equal(once_post(&one, nonce), "201 made 65");
  once_close(&one);
  once_open(&one, (vestry_once_options){0});
  clock_ms += LIFETIME_MS;
  once_nonce_of(&one, nonce);
  once_post(&one, nonce); /* the first one of a node */
  assert_int_equal(number(&one, "SELECT count(*) FROM vestry_once"), 1);
  once_close(&one);
}

/* Without a manual clock the database's clock is used. */
static vestry_err create(test_host *th, void *ctx) {
  vestry_sql_pool *pool = NULL;
  vestry_sql_once *stored = NULL;
  char digits[65];
  memset(digits, 'd', 64);
  digits[64] = '\0';
  const vestry_once_submission press = {digits, digits, digits + 32, 0};
  vestry_once_found found;
  size_t len;
  vestry_err error = vestry_postgres_pool_create(
      &(vestry_postgres_pool_options){.host = &th->host, .url = shop_server()->url, .connections_count = 1}, &pool);
  if (!error) error = vestry_sql_once_create(pool, NULL, &stored);
  if (!error) error = vestry_sql_once_ops.begin(stored, &press, &found, NULL, 0, &len);
  if (!error) error = vestry_sql_once_ops.finish(stored, &press, "x", 1);
  vestry_sql_once_destroy(stored);
  vestry_sql_pool_destroy(pool);
  return error;
}

TEST_CASE(allocation_failure_is_returned) {
  test_host th;
  test_host_init(&th);
  shop_clear();
  test_host_fail_each(create, NULL, true); /* cleanup may fail silently */
  vestry_sql_once *stored;
  assert_int_equal(vestry_sql_once_create(NULL, NULL, &stored), VESTRY_INVALID);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  once_contract_world = &in_postgres;
  shop_open_server(NULL);
  int failed = once_contract_run("actions that run once, in PostgreSQL") + cases_run("postgres/once", NULL, NULL);
  shop_close_server(NULL);
  return failed;
}
