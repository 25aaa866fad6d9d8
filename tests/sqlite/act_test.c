/* SPDX-License-Identifier: MIT */
/* The thread of an act follows its commit when the act was answered, and renders what is quick, instead of waking
 * others. Nothing is lost or rendered twice, whatever the other threads do. */
#include <pthread.h>
#include <stdatomic.h>

#include "app/page/schedule.h"
#include "support/folder.h"
#include "support/test.h"
#include "support/test_host.h"
#include "support/until.h"
#include "vestry/app/application.h"
#include "vestry/data/sqlite.h"
#include "vestry/testing/browser.h"

enum { PARTS = 6, INTERVAL_MS = 15, SLOW_MS = 2, WAIT_MS = 60000 };

/* A page that shows numbers, each in a part. */
typedef struct world {
  test_host th;
  char folder[FOLDER_BYTES], path[96];
  vestry_application *app;
  vestry_browser *ada;
  vestry_browser_page *page;
  pthread_t thread;             /* of the test */
  _Atomic(int) here, elsewhere; /* renders of parts on this thread, and on others, of streams or documents */
  _Atomic(int) slow;            /* renders of this part take long; 0: of none */
  _Atomic(int) held, holding;   /* renders of a part are held from this number on (0: none); how many are */
} world;

static world w;

static void part(vestry_call *call) {
  const int64_t number = vestry_call_integer(call, "SELECT value FROM number WHERE id = ?", VESTRY_LIST(call->key));
  atomic_fetch_add(pthread_equal(pthread_self(), w.thread) ? &w.here : &w.elsewhere, 1);
  if (atomic_load(&w.slow) == call->key) test_host_advance_ms(&w.th, SLOW_MS);
  if (atomic_load(&w.held) && call->key >= atomic_load(&w.held)) {
    atomic_fetch_add(&w.holding, 1);
    WAIT_WHILE(atomic_load(&w.held));
    atomic_fetch_sub(&w.holding, 1);
  }
  vestry_html_add(call->html, "[%d: %d]", (int)call->key, (int)number);
}

static void page(vestry_call *call) {
  vestry_call_document(call, NULL);
  vestry_call_content(call);
  for (int i = 1; i <= PARTS; i++) vestry_call_part(call, "part", i);
  vestry_call_content_end(call);
}

/* POST /add/{from}/{to} increments these numbers; with from 0, that is undone. */
static void add(vestry_call *call) {
  int64_t from = 0, to = 0;
  vestry_call_get(call, VESTRY_IN_PATH, "from", vestry_into_between(&from, 0, PARTS));
  vestry_call_get(call, VESTRY_IN_PATH, "to", vestry_into_between(&to, 0, PARTS));
  vestry_call_run(call, "UPDATE number SET value = value + 1 WHERE id BETWEEN ? AND ?", VESTRY_LIST(from, to));
  if (!from) vestry_call_fail(call, VESTRY_NOT_FOUND);
}

static const vestry_entry entries[] = {
    VESTRY_PAGE("/", page), VESTRY_PART("part", part), VESTRY_ACT("/add/{from}/{to}", add), {0}};

static void settle(void) {
  assert_int_equal(vestry_application_settle(w.app, WAIT_MS), VESTRY_OK);
}

static void begin(void) {
  w = (world){.thread = pthread_self()};
  test_host_init(&w.th);
  folder_make(w.folder, "act");
  snprintf(w.path, sizeof w.path, "%s/numbers.db", w.folder);
  const vestry_options instance = {.host = &w.th.host};
  const vestry_application_options options = {
      .without = VESTRY_WITHOUT_SESSIONS | VESTRY_WITHOUT_CSRF | VESTRY_WITHOUT_ONCE,
      .insecure = true,
      .instance = &instance,
      .pages = &(vestry_pages_options){.interval_ms = INTERVAL_MS},
      VESTRY_SQLITE(.path = w.path, .schema_version = 1, .setup = "PRAGMA synchronous = OFF",
                    .schema = "CREATE TABLE number(id INTEGER PRIMARY KEY, value INT);"
                              "INSERT INTO number VALUES(1,0),(2,0),(3,0),(4,0),(5,0),(6,0)"),
      .entries = entries};
  assert_int_equal(vestry_application_create(&options, &w.app), VESTRY_OK);
  assert_int_equal(vestry_browser_create(w.app->instance, &w.ada), VESTRY_OK);
  assert_int_equal(vestry_browser_open(w.ada, "/", &w.page), VESTRY_OK);
  settle();
  assert_true(vestry_browser_shows(w.page, "[1: 0] [2: 0] [3: 0] [4: 0] [5: 0] [6: 0]"));
}

static void end(void) {
  vestry_browser_close(w.page);
  vestry_browser_destroy(w.ada);
  assert_int_equal(vestry_application_destroy(w.app), VESTRY_OK);
  test_host_assert_clean(&w.th);
  folder_remove(w.folder);
}

static bool are_workers_idle(void) {
  vestry_pages *pages = w.app->pages;
  size_t count = 0;
  vsi_pages_lock(pages);
  for (const vsi_worker *at = pages->idle; at; at = at->next_idle) count++;
  const bool are_all = count == pages->workers_count;
  vsi_pages_unlock(pages);
  return are_all;
}

/* Forget what was counted, and let the interval of all parts pass. */
static void pass(void) {
  settle();
  UNTIL(are_workers_idle()); /* so that the thread of an act can take the place of one */
  test_host_advance_ms(&w.th, 2 * INTERVAL_MS);
  atomic_store(&w.here, 0);
  atomic_store(&w.elsewhere, 0);
}

static void send(const char *url, int status) {
  vestry_memory_exchange *answer;
  assert_int_equal(vestry_browser_send(w.ada, "POST", url, NULL, &answer), VESTRY_OK);
  assert_int_equal(vestry_memory_look(answer).status, status);
  vestry_memory_destroy(answer);
}

/* capability: L26 */
TEST_CASE(act_renders_on_its_own_thread) {
  begin();
  pass();
  send("/add/1/1", 204);
  assert_int_equal(w.here, 1); /* without waiting */
  assert_int_equal(vestry_browser_wait(w.page, "[1: 1] [2: 0]", WAIT_MS), VESTRY_OK);
  pass();
  send("/add/2/4", 204);
  assert_int_equal(w.here, 3);
  assert_int_equal(vestry_browser_wait(w.page, "[1: 1] [2: 1] [3: 1] [4: 1] [5: 0]", WAIT_MS), VESTRY_OK);
  assert_int_equal(w.elsewhere, 0);
  end();
}

/* A page that waits for the result of a submission (app/page/sent.c). */
/* capability: L26 */
TEST_CASE(act_reports_that_its_result_is_shown) {
  static const vestry_header of_page = {"Vestry-Sent", "00000000000000ad"},
                             of_act = {"Vestry-Sent", "00000000000000ad.1"};
  const vestry_memory_call open = {.headers = &of_page, .headers_count = 1, .datastar = true},
                           act = {.method = "POST",
                                  .path = "/add/2/2",
                                  .headers = &of_act,
                                  .headers_count = 1,
                                  .datastar = true};
  vestry_memory_exchange *stream, *answer;
  begin();
  assert_int_equal(vestry_memory_request(w.app->instance, &open, NULL, NULL, &stream), VESTRY_OK);
  pass();
  (void)vestry_memory_since(stream);
  const size_t writes_count = vestry_memory_look(stream).writes_count;
  assert_int_equal(vestry_memory_request(w.app->instance, &act, NULL, NULL, &answer), VESTRY_OK);
  assert_int_equal(vestry_memory_look(answer).status, 204);
  vestry_memory_destroy(answer);
  assert_int_equal(w.here, 1);
  settle();
  assert_int_equal(vestry_memory_look(stream).writes_count - writes_count, 1); /* together with the change */
  const char *text = vestry_memory_since(stream).data, *change = strstr(text, "[2: 1]");
  assert_non_null(change);
  assert_non_null(strstr(change, "{\"_vestry\":{\"seen\":{\"1\":null}}}"));
  assert_int_equal(w.elsewhere, 0); /* the private page was only checked */
  vestry_memory_destroy(stream);
  end();
}

/* capability: L26 */
TEST_CASE(other_threads_render_what_is_slow_or_much) {
  begin();
  pass();
  atomic_store(&w.slow, 3);
  send("/add/3/3", 204); /* it was quick before */
  assert_int_equal(w.here, 1);
  pass();
  send("/add/3/3", 204);
  settle();
  assert_int_equal(w.here, 0);
  assert_int_equal(w.elsewhere, 1);
  atomic_store(&w.slow, 0);
  pass();
  send("/add/3/3", 204); /* the last render was slow */
  settle();
  assert_int_equal(w.here, 0);
  pass();
  send("/add/3/3", 204);
  assert_int_equal(w.here, 1);
  pass();
  send("/add/1/6", 204);
  settle();
  assert_int_equal(w.here + w.elsewhere, PARTS);
  assert_true(w.here < PARTS);
  assert_int_equal(vestry_browser_wait(w.page, "[1: 1] [2: 1] [3: 5] [4: 1] [5: 1] [6: 1]", WAIT_MS), VESTRY_OK);
  end();
}

/* capability: L26 */
TEST_CASE(act_that_is_undone_leaves_its_thread_alone) {
  begin();
  pass();
  send("/add/0/6", 404);
  settle();
  assert_int_equal(w.here + w.elsewhere, 0);
  /* commits of this thread outside of an act are followed by another thread */
  assert_int_equal(vestry_sql_run_alone(w.app->pool, "UPDATE number SET value = 7 WHERE id = 1", NULL, NULL, NULL),
                   VESTRY_OK);
  UNTIL(w.elsewhere == 1);
  pass();
  send("/add/1/1", 204);
  assert_int_equal(w.here, 1);
  pass();
  assert_int_equal(vestry_sql_run_alone(w.app->pool, "UPDATE number SET value = 9 WHERE id = 1", NULL, NULL, NULL),
                   VESTRY_OK);
  UNTIL(w.elsewhere == 1);
  assert_int_equal(vestry_browser_wait(w.page, "[1: 9] [2: 0]", WAIT_MS), VESTRY_OK);
  assert_int_equal(w.here, 0);
  end();
}

/* All workers render, and are held, so the thread of an act can take the place of none. */
/* capability: L26 */
TEST_CASE(workers_at_work_render_what_an_act_has_changed) {
  begin();
  pass();
  atomic_store(&w.held, 5);
  const char *const statement = "UPDATE number SET value = 8 WHERE id >= 5";
  assert_int_equal(vestry_sql_run_alone(w.app->pool, statement, NULL, NULL, NULL), VESTRY_OK);
  UNTIL(atomic_load(&w.holding) == 2);
  atomic_store(&w.elsewhere, 0);
  send("/add/1/1", 204);
  send("/add/2/2", 204);
  assert_int_equal(w.here + w.elsewhere, 0);
  atomic_store(&w.held, 0);
  assert_int_equal(vestry_browser_wait(w.page, "[1: 1] [2: 1] [3: 0] [4: 0] [5: 8] [6: 8]", WAIT_MS), VESTRY_OK);
  settle();
  assert_int_equal(w.elsewhere, 2);
  end();
}

enum { THREADS = 4, ACTS = 150 };

static void *act_often(void *ctx) {
  const int first = *(const int *)ctx;
  vestry_browser *bob;
  if (vestry_browser_create(w.app->instance, &bob)) return NULL;
  for (int i = 0; i < ACTS; i++) {
    char url[32];
    vestry_memory_exchange *answer;
    const int from = 1 + (first + i) % PARTS, to = i % 8 ? from : PARTS;
    snprintf(url, sizeof url, "/add/%d/%d", from, to);
    if (!vestry_browser_send(bob, "POST", url, NULL, &answer)) vestry_memory_destroy(answer);
    test_host_advance_ms(&w.th, i % 3 ? 0 : INTERVAL_MS);
  }
  vestry_browser_destroy(bob);
  return NULL;
}

/* capability: L26 */
TEST_CASE(acts_of_many_threads_lose_nothing) {
  pthread_t threads[THREADS];
  int firsts[THREADS];
  begin();
  for (int i = 0; i < THREADS; i++) {
    firsts[i] = i;
    assert_int_equal(pthread_create(&threads[i], NULL, act_often, &firsts[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for (int i = 1; i <= PARTS; i++) {
    int64_t value = 0;
    char text[32];
    assert_int_equal(vestry_sql_run_alone(w.app->pool, "SELECT value FROM number WHERE id = ?", VESTRY_LIST(i),
                                          vestry_sql_row_integer, &value),
                     VESTRY_OK);
    snprintf(text, sizeof text, "[%d: %d]", i, (int)value);
    test_host_advance_ms(&w.th, INTERVAL_MS);
    assert_int_equal(vestry_browser_wait(w.page, text, WAIT_MS), VESTRY_OK);
  }
  end();
}
