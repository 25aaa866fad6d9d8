/* SPDX-License-Identifier: MIT */
/* Errors of an application's transactions: after which of them the client repeats the act later. The database is a
 * table of functions whose errors the test chooses. */
#include "data/sql/sql.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/app/application.h"
#include "vestry/testing/browser.h"

static vestry_err fn_error, commit_error;
static bool is_server_refusal;
static vestry_sql_kind kind_used;
static int acts;
static bool has_conflict; /* the first attempt of a transaction conflicts with another one */

static bool is_refused(vestry_sql_transaction *transaction) {
  return is_server_refusal;
}

static vestry_err run_act(vestry_sql_pool *pool, vestry_sql_kind kind, vestry_sql_act_fn fn, void *ctx) {
  vestry_sql_transaction transaction = {.pool = pool, .kind = kind};
  kind_used = kind;
  if (has_conflict) (void)fn(&transaction, ctx); /* rolled back */
  vestry_err error = fn(&transaction, ctx);
  return error ? error : commit_error;
}

static void destroy_pool(vestry_sql_pool *pool) {}

static const vsi_sql_ops server_ops = {
    .dialect = VSI_SQL_POSTGRES, .destroy = destroy_pool, .act = run_act, .is_refused = is_refused};
static const vsi_sql_ops file_ops = {.dialect = VSI_SQL_SQLITE, .destroy = destroy_pool, .act = run_act};
static vestry_sql_pool pool;

static vestry_err open_pool(const void *options, const char *place, const vestry_host *host,
                            vestry_sql_pool **ret_pool) {
  assert_string_equal(place, "a place");
  pool = (vestry_sql_pool){.ops = options, .host = host, .name = "test"};
  *ret_pool = &pool;
  return VESTRY_OK;
}

static vestry_err follow(const void *options, const char *place, vestry_sql_pool *of, vestry_pages *pages,
                         void **ret_follower) {
  assert_string_equal(place, "a place");
  *ret_follower = NULL;
  return VESTRY_OK;
}

static vestry_err sync_pages(void *follower, uint64_t *ret_seq, uint64_t timeout_ms) {
  return VESTRY_OK;
}

static void nothing(void *follower) {}

static const vestry_application_database database = {
    .name = "test", .open = open_pool, .follow = follow, .sync = sync_pages, .detach = nothing, .destroy = nothing};

static vestry_err act(vestry_sql_transaction *transaction, void *ctx) {
  assert_non_null(transaction);
  assert_ptr_equal(ctx, &acts);
  acts++;
  return fn_error;
}

static vestry_err result_of(const vsi_sql_ops *ops, bool acts_repeat) {
  test_host th;
  vestry_application *app;
  test_host_init(&th);
  const vestry_options instance = {.host = &th.host, .threads_count = VESTRY_THREADS_NONE};
  const vestry_application_options options = {
      .without = VESTRY_WITHOUT_SESSIONS | VESTRY_WITHOUT_CSRF | VESTRY_WITHOUT_ONCE,
      .instance = &instance,
      .secret = &(vestry_secret){.secret = "0123456789abcdef0123456789abcdef", .secret_len = 32},
      .database = &database,
      .database_options = ops,
      .database_at = "a place",
      .isolation = VESTRY_SQL_SERIALIZABLE,
      .acts_repeat = acts_repeat};
  acts = 0;
  assert_int_equal(vestry_application_create(&options, &app), VESTRY_OK);
  const vestry_err error = vestry_application_act(app, act, &acts);
  assert_int_equal(acts, 1);
  assert_int_equal(kind_used, VESTRY_SQL_SERIALIZABLE);
  assert_int_equal(vestry_application_act(app, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
  test_host_assert_clean(&th);
  return error;
}

/* capability: L23 */
TEST_CASE(act_is_repeated_later_if_that_can_succeed) {
  static const struct {
    vestry_err fn, commit;
    bool is_refused, repeats;
    vestry_err wanted;
  } cases[] = {{VESTRY_OK, VESTRY_OK, false, false, VESTRY_OK},
               {VESTRY_NOT_FOUND, VESTRY_OK, false, true, VESTRY_NOT_FOUND},
               {VESTRY_OK, VESTRY_BUSY, false, false, VESTRY_LIMIT},
               {VESTRY_TIMEOUT, VESTRY_OK, true, false, VESTRY_LIMIT},
               {VESTRY_IO, VESTRY_OK, true, true, VESTRY_IO},      /* the server has refused a statement */
               {VESTRY_IO, VESTRY_OK, false, false, VESTRY_LIMIT}, /* the connection was lost: rolled back */
               {VESTRY_OK, VESTRY_IO, false, false, VESTRY_IO},    /* perhaps committed */
               {VESTRY_OK, VESTRY_IO, false, true, VESTRY_LIMIT}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    fn_error = cases[i].fn, commit_error = cases[i].commit, is_server_refusal = cases[i].is_refused;
    assert_int_equal(result_of(&server_ops, cases[i].repeats), cases[i].wanted);
  }
  fn_error = VESTRY_OK, commit_error = VESTRY_IO, is_server_refusal = false;
  assert_int_equal(result_of(&file_ops, true), VESTRY_IO); /* no connection can be lost */
}

/* POST /count: what the first attempt wants of the response is forgotten. */
static void count(vestry_call *call) {
  assert_null(call->reply);
  assert_int_equal(call->error, VESTRY_OK);
  acts++;
  if (acts == 1) vestry_call_go(call, "/first");
  vestry_call_signals(call, VESTRY_OBJECT("acts", acts));
  if (acts == 1) vestry_call_refuse(call, "not yet");
}

/* capability: L23 */
TEST_CASE(act_that_runs_again_is_answered_once) {
  test_host th;
  vestry_application *app;
  vestry_browser *ada;
  vestry_memory_exchange *answer;
  static const vestry_entry entries[] = {VESTRY_ACT("/count", count), {0}};
  test_host_init(&th);
  const vestry_options instance = {.host = &th.host, .threads_count = VESTRY_THREADS_NONE};
  const vestry_application_options options = {
      .without = VESTRY_WITHOUT_SESSIONS | VESTRY_WITHOUT_CSRF | VESTRY_WITHOUT_ONCE,
      .instance = &instance,
      .secret = &(vestry_secret){.secret = "0123456789abcdef0123456789abcdef", .secret_len = 32},
      .database = &database,
      .database_options = &server_ops,
      .database_at = "a place",
      .entries = entries};
  acts = 0, has_conflict = true;
  commit_error = VESTRY_OK;
  assert_int_equal(vestry_application_create(&options, &app), VESTRY_OK);
  assert_int_equal(vestry_browser_create(app->instance, &ada), VESTRY_OK);
  assert_int_equal(vestry_browser_send(ada, "POST", "/count", NULL, &answer), VESTRY_OK);
  has_conflict = false;
  assert_int_equal(acts, 2);
  assert_int_equal(kind_used, VESTRY_SQL_WRITE);
  assert_int_equal(vestry_memory_look(answer).status, 200);
  assert_non_null(strstr(vestry_memory_look(answer).received.data, "{\"acts\":2}"));
  assert_null(strstr(vestry_memory_look(answer).received.data, "first"));
  assert_null(strstr(vestry_memory_look(answer).received.data, "not yet"));
  vestry_memory_destroy(answer);
  vestry_browser_destroy(ada);
  assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
  test_host_assert_clean(&th);
}
