/* SPDX-License-Identifier: MIT */
/* G12 with threads: writers publish lines, while tabs connect, break and reconnect with the id that they have, cut at
 * any byte. A lock of the application keeps state and events consistent. Whatever the order, no tab misses a line or
 * receives one twice. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "app/history/histories.h"
#include "channel/log_tab.h"
#include "event/layout.h"
#include "support/litmus.h"
#include "support/test.h"
#include "support/test_host.h"
#include "support/until.h"

enum { WRITERS = 2, TABS = 3, ROUNDS = 400 };
#define LOG     VESTRY_KEY("log")
#define NOWHERE ((vestry_scope){NULL, 0})

typedef struct race {
  test_host th;
  vestry *v;
  pthread_mutex_t lock;
  uint64_t last;                /* guarded by lock */
  _Atomic(int) writing, coming; /* threads */
  _Atomic(uint64_t) answers[VESTRY_RESUME_GAP + 1];
} race;

static void write_line(race *r) {
  pthread_mutex_lock(&r->lock);
  assert_int_equal(log_write(r->v, LOG, ++r->last), VESTRY_OK);
  pthread_mutex_unlock(&r->lock);
}

static vestry_err show(vestry_connection *connection, const vestry_resumed *resumed, void *ctx) {
  race *r = ctx;
  atomic_fetch_add(&r->answers[resumed->answer], 1);
  if (resumed->answer != VESTRY_RESUME_FRESH && resumed->answer != VESTRY_RESUME_GAP) return VESTRY_OK;
  pthread_mutex_lock(&r->lock);
  vestry_err error = log_send_state(connection, r->last);
  pthread_mutex_unlock(&r->lock);
  return error;
}

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
  return vestry_reply_resume(reply, req->scope, LOG, show, app);
}

static void *write_lines(void *ctx) {
  race *r = ctx;
  for (int i = 0; atomic_load(&r->coming); i++) {
    write_line(r);
    if (i % 64 == 0) sched_yield();
    if (i % 5000 == 4999) vsi_histories_lose(r->v); /* nothing was lost, but a tab that is away gets a gap */
  }
  atomic_fetch_sub(&r->writing, 1);
  return NULL;
}

static void break_off(log_tab *t) {
  vestry_connection_close(vestry_memory_look(t->stream).connection, VESTRY_CAUSE_SIZE);
  WAIT_WHILE(!vestry_memory_look(t->stream).ended);
}

static _Atomic(unsigned) seeds;

static void *open_and_close(void *ctx) {
  race *r = ctx;
  unsigned random = 1 + atomic_fetch_add(&seeds, 1);
  log_tab t = {0};
  for (int i = 0; i < ROUNDS; i++) {
    log_tab_connect(&t, r->v, live, r);
    litmus_dally(rand_r(&random) % 5000);
    break_off(&t);
    size_t all = vestry_memory_look(t.stream).received.len;
    log_tab_read(&t, rand_r(&random) % 3 ? SIZE_MAX : all ? (size_t)rand_r(&random) % all : 0);
    log_tab_cut(&t);
  }
  atomic_fetch_sub(&r->coming, 1);
  WAIT_WHILE(atomic_load(&r->writing));
  log_tab_connect(&t, r->v, live, r);
  vestry_connection *connection = vestry_memory_look(t.stream).connection;
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED); /* accepted events are written */
  WAIT_WHILE(!vestry_memory_look(t.stream).ended);
  log_tab_read(&t, SIZE_MAX);
  assert_int_equal(t.wrong, 0);
  assert_int_equal(t.broken, 0);
  assert_int_equal(t.last, r->last);
  log_tab_end(&t);
  return NULL;
}

/* capability: G12 */
TEST_CASE(g12_no_line_is_lost_or_repeated_with_threads) {
  static race r;
  pthread_t writers[WRITERS], tabs[TABS];
  memset(&r, 0, sizeof r);
  test_host_init(&r.th);
  pthread_mutex_init(&r.lock, NULL);
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = 2}, &r.v), VESTRY_OK);
  assert_int_equal(vestry_history_begin(r.v, NOWHERE, LOG, &(vestry_history_options){.max_count = 2000}), VESTRY_OK);
  atomic_store(&r.writing, WRITERS);
  atomic_store(&r.coming, TABS);
  for (int i = 0; i < WRITERS; i++) assert_int_equal(pthread_create(&writers[i], NULL, write_lines, &r), 0);
  for (int i = 0; i < TABS; i++) assert_int_equal(pthread_create(&tabs[i], NULL, open_and_close, &r), 0);
  for (int i = 0; i < WRITERS; i++) pthread_join(writers[i], NULL);
  for (int i = 0; i < TABS; i++) pthread_join(tabs[i], NULL);
  vestry_history_stats stats = {0};
  assert_int_equal(vestry_history_stats_get(r.v, NOWHERE, LOG, &stats), VESTRY_OK);
  assert_int_equal(stats.published_count, r.last);
  assert_int_equal(stats.recorded_count, stats.kept_count + stats.dropped_count);
  assert_int_equal(stats.fresh_count, atomic_load(&r.answers[VESTRY_RESUME_FRESH]));
  assert_int_equal(stats.current_count, atomic_load(&r.answers[VESTRY_RESUME_CURRENT]));
  assert_int_equal(stats.replayed_count, atomic_load(&r.answers[VESTRY_RESUME_REPLAYED]));
  assert_int_equal(stats.gap_count, atomic_load(&r.answers[VESTRY_RESUME_GAP]));
  vestry_stop(r.v, 1000);
  vestry_destroy(r.v);
  pthread_mutex_destroy(&r.lock);
}

/* Histories begin, end explicitly and expire, while other threads write and resume: at the end none is left over. */
static void *begin_and_end(void *ctx) {
  race *r = ctx;
  for (int i = 0; i < 400; i++) {
    vestry_err error = vestry_history_begin(r->v, NOWHERE, LOG, &(vestry_history_options){.max_age_ms = 1});
    assert_true(error == VESTRY_OK || error == VESTRY_EXISTS);
    error = log_write(r->v, LOG, (uint64_t)i + 1);
    assert_true(error == VESTRY_OK || error == VESTRY_NOT_FOUND);
    vestry_connection *connection = NULL;
    log_tab t = {0};
    log_tab_try(&t, r->v, live, r);
    if (t.stream) connection = vestry_memory_look(t.stream).connection;
    if (connection && i % 2) (void)vestry_leave(r->v, NOWHERE, LOG, connection);
    if (t.stream) log_tab_cut(&t);
    if (i % 3 == 0) (void)vestry_history_end(r->v, NOWHERE, LOG);
    vestry_history_stats stats = {0};
    (void)vestry_history_stats_get(r->v, NOWHERE, LOG, &stats);
    vsi_histories_lose(r->v);
  }
  return NULL;
}

/* capability: G12 */
TEST_CASE(g12_histories_begin_and_end_concurrently) {
  static race r;
  pthread_t ids[3];
  memset(&r, 0, sizeof r);
  test_host_init(&r.th);
  pthread_mutex_init(&r.lock, NULL);
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = 2}, &r.v), VESTRY_OK);
  for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&ids[i], NULL, begin_and_end, &r), 0);
  for (int i = 0; i < 3; i++) pthread_join(ids[i], NULL);
  vestry_histories_stats all = {0};
  vestry_histories_stats_get(r.v, &all);
  assert_int_equal(all.begun_count, all.live_count + all.ended_count);
  assert_true(all.live_count <= 1);
  vestry_destroy(r.v); /* with the remaining history */
  pthread_mutex_destroy(&r.lock);
}

enum { FULL_CHANNELS = 12, FULL_WRITES = 3000, FULL_BYTES = 65536 };

/* Write events of any size to any channel, and begin and end histories. */
static void *write_anywhere(void *ctx) {
  race *r = ctx;
  unsigned random = 1 + atomic_fetch_add(&seeds, 1);
  static const vestry_history_options lasting = {.max_age_ms = VESTRY_NEVER_MS};
  char text[4000];
  memset(text, 'x', sizeof text);
  for (int i = 0; i < FULL_WRITES; i++) {
    const vestry_key *key = VESTRY_KEY("log", rand_r(&random) % FULL_CHANNELS);
    vestry_event *event = NULL;
    size_t len = (size_t)rand_r(&random) % sizeof text;
    text[len] = '\0';
    assert_int_equal(vsi_event_comment(NULL, text, &event), VESTRY_OK);
    text[len] = 'x';
    vestry_err error = vestry_broadcast(r->v, NOWHERE, key, event, NULL);
    assert_true(error == VESTRY_OK || error == VESTRY_NOT_FOUND);
    vestry_event_unref(event);
    if (rand_r(&random) % 50 == 0) (void)vestry_history_end(r->v, NOWHERE, key);
    error = vestry_history_begin(r->v, NOWHERE, key, rand_r(&random) % 2 ? &lasting : NULL);
    assert_true(error == VESTRY_OK || error == VESTRY_EXISTS);
  }
  return NULL;
}

/* Each thread drops events of the histories to which the others write. */
/* capability: G12 */
TEST_CASE(g12_full_histories_shrink_concurrently) {
  static race r;
  pthread_t ids[3];
  memset(&r, 0, sizeof r);
  test_host_init(&r.th);
  assert_int_equal(vestry_create(&(vestry_options){.host = &r.th.host, .threads_count = 2}, &r.v), VESTRY_OK);
  assert_int_equal(vestry_histories_create(r.v, FULL_BYTES), VESTRY_OK);
  for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&ids[i], NULL, write_anywhere, &r), 0);
  for (int i = 0; i < 3; i++) pthread_join(ids[i], NULL);
  size_t bytes = 0;
  for (int i = 0; i < FULL_CHANNELS; i++) {
    vestry_history_stats stats = {0};
    vestry_err error = vestry_history_stats_get(r.v, NOWHERE, VESTRY_KEY("log", i), &stats);
    assert_true(error == VESTRY_OK || error == VESTRY_NOT_FOUND);
    assert_int_equal(stats.recorded_count, stats.kept_count + stats.dropped_count);
    bytes += stats.kept_bytes;
  }
  vestry_histories_stats all = {0};
  vestry_histories_stats_get(r.v, &all);
  assert_int_equal(all.bytes, bytes);
  assert_in_range(all.peak_bytes, FULL_BYTES / 2, FULL_BYTES);
  vestry_stop(r.v, 1000);
  vestry_destroy(r.v);
  test_host_assert_clean(&r.th);
}
