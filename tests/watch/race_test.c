/* SPDX-License-Identifier: MIT */
/* Watches with threads: whatever the order, no two steps run at once, none runs after the end, the end comes once, and
 * no wake is lost. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "support/test.h"
#include "support/until.h"
#include "vestry/app/watch.h"
#include "vestry/registry.h"
#include "vestry/testing/memory.h"

/* A watch's state, freed by its end function. The members are not atomic, because the watch orders its steps. */
typedef struct feed {
  vestry_watch watch;
  unsigned seed;
  size_t steps;
  _Atomic(bool) is_inside;
} feed;

static _Atomic(size_t) ends, steps;

static vestry_err step(vestry_watcher *watcher, vestry_connection *connection, void *ctx) {
  feed *f = ctx;
  if (atomic_exchange(&f->is_inside, true)) abort();
  f->steps++;
  atomic_fetch_add(&steps, 1);
  vestry_err error = VESTRY_OK;
  for (int sends = rand_r(&f->seed) % 3; sends && !error; sends--)
    error = vestry_connection_patch_signals(connection, VESTRY_OBJECT("n", f->steps), NULL);
  switch (rand_r(&f->seed) % 32) {
  case 0: vestry_watch_finish(watcher); break;
  case 1: vestry_watch_wake(watcher); break;
  case 2: vestry_connection_close(connection, VESTRY_CAUSE_REMOVED); break;
  case 3: vestry_watch_wait(watcher, 1); break;
  case 4:
  case 5: vestry_watch_wait(watcher, 0); break;
  default: break;
  }
  atomic_store(&f->is_inside, false);
  return error;
}

static void end(vestry_cause cause, void *ctx) {
  feed *f = ctx;
  if (atomic_exchange(&f->is_inside, true)) abort();
  atomic_fetch_add(&ends, 1);
  free(f);
}

static vestry_err handler(const vestry_request *req, vestry_reply *reply, void *app) {
  unsigned *seed = app;
  feed *f = calloc(1, sizeof *f);
  f->seed = (unsigned)rand_r(seed);
  vestry_reply_key(reply, VESTRY_KEY("k", rand_r(seed) % 4));
  vestry_reply_keep(reply, VESTRY_KEEP_MANY, 64);
  return vestry_reply_watch(reply, &(vestry_watch){.step = step,
                                                   .end = end,
                                                   .ctx = f,
                                                   .every_ms = (uint64_t)rand_r(seed) % 3,
                                                   .ahead_count = (uint32_t)rand_r(seed) % 2});
}

enum { THREADS = 4, ACTS = 6000, OPEN = 8 };

typedef struct crowd {
  vestry *v;
  unsigned seed;
} crowd;

static void *open_and_close(void *ctx) {
  crowd *c = ctx;
  vestry_memory_exchange *open[OPEN] = {NULL};
  for (int i = 0; i < ACTS; i++) {
    vestry_memory_exchange **at = &open[rand_r(&c->seed) % OPEN];
    if (!*at)
      assert_int_equal(vestry_memory_request(c->v, &(vestry_memory_call){.datastar = true}, handler, &c->seed, at),
                       VESTRY_OK);
    vestry_connection *connection = vestry_memory_look(*at).connection;
    switch (rand_r(&c->seed) % 16) {
    case 0:
      vestry_memory_destroy(*at); /* hangs up */
      *at = NULL;
      break;
    case 1: vestry_memory_mode_set(*at, VESTRY_MEMORY_BLOCKS); break;
    case 2: vestry_memory_mode_set(*at, VESTRY_MEMORY_TRICKLES); break;
    case 3: vestry_memory_mode_set(*at, VESTRY_MEMORY_READS); break;
    case 4:
      vestry_dispatch(c->v, (vestry_scope){NULL, 0}, VESTRY_KEY("k", rand_r(&c->seed) % 4), VESTRY_LIST("wake"));
      break;
    default: vestry_connection_wake(connection);
    }
    sched_yield(); /* the pool has two threads */
  }
  for (int i = 0; i < OPEN; i++) vestry_memory_destroy(open[i]);
  return NULL;
}

/* capability: E1 */
TEST_CASE(each_watch_ends_once_with_threads) {
  for (unsigned seed = 1; seed <= 3; seed++) {
    vestry *v;
    atomic_store(&ends, 0);
    atomic_store(&steps, 0);
    assert_int_equal(vestry_create(&(vestry_options){.threads_count = 2}, &v), VESTRY_OK);
    pthread_t threads[THREADS];
    crowd crowds[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
      crowds[i] = (crowd){v, seed * 1000 + i};
      assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, &crowds[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(vestry_stop(v, VESTRY_NEVER_MS), VESTRY_OK);
    vestry_watch_stats stats = {0};
    vestry_watch_stats_get(v, &stats);
    assert_int_equal(stats.live_count, 0);
    assert_int_equal(stats.ended_count, stats.begun_count);
    assert_int_equal(atomic_load(&ends), stats.begun_count); /* each watch has begun */
    assert_int_equal(atomic_load(&steps), stats.steps_count);
    assert_true(stats.steps_count > 0); /* a busy machine may end many watches before their first step */
    print_message("%zu watches, %zu steps\n", (size_t)stats.begun_count, (size_t)stats.steps_count);
    vestry_destroy(v);
  }
}

/* ------------------------------------------------------------------------------------ wakes and their steps ------- */

enum { WAKES = 20000 };

typedef struct echo {
  _Atomic(size_t) asked, seen;
  vestry_connection *connection;
} echo;

static vestry_err answer(vestry_watcher *watcher, vestry_connection *connection, void *ctx) {
  echo *e = ctx;
  atomic_store_explicit(&e->seen, atomic_load_explicit(&e->asked, memory_order_relaxed), memory_order_relaxed);
  return VESTRY_OK;
}

static vestry_err echo_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_watch(reply, &(vestry_watch){.step = answer, .ctx = app});
}

/* Each thread counts a request, wakes the watch, and waits until a step has seen it. It would wait forever for a lost
 * wake. */
static void *request_and_wait(void *ctx) {
  echo *e = ctx;
  for (int i = 0; i < WAKES; i++) {
    size_t mine = atomic_fetch_add_explicit(&e->asked, 1, memory_order_relaxed) + 1;
    vestry_connection_wake(e->connection);
    WAIT_WHILE(atomic_load_explicit(&e->seen, memory_order_relaxed) < mine);
  }
  return NULL;
}

/* capability: E1 */
TEST_CASE(no_wake_is_lost_with_threads) {
  vestry *v;
  vestry_memory_exchange *page;
  echo e = {0};
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = 2}, &v), VESTRY_OK);
  assert_int_equal(vestry_memory_request(v, &(vestry_memory_call){.datastar = true}, echo_handler, &e, &page),
                   VESTRY_OK);
  e.connection = vestry_memory_look(page).connection;
  pthread_t threads[3];
  for (size_t i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, request_and_wait, &e), 0);
  for (size_t i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  assert_int_equal(atomic_load(&e.seen), 3 * WAKES);
  vestry_memory_destroy(page);
  vestry_destroy(v);
}

/* ---------------------------------------------------------------------------------------- dedicated threads ------- */

typedef struct gate {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool is_inside, is_open, has_ended; /* guarded by lock */
} gate;

static vestry_err wait_for_it(vestry_watcher *watcher, vestry_connection *connection, void *ctx) {
  gate *g = ctx;
  pthread_mutex_lock(&g->lock);
  g->is_inside = true;
  pthread_cond_broadcast(&g->changed);
  while (!g->is_open) pthread_cond_wait(&g->changed, &g->lock);
  g->is_inside = false;
  pthread_mutex_unlock(&g->lock);
  /* the connection is closing, so this fails without a report */
  return vestry_connection_patch_signals(connection, VESTRY_OBJECT("n", 1), NULL);
}

static void note_end(vestry_cause cause, void *ctx) {
  gate *g = ctx;
  pthread_mutex_lock(&g->lock);
  assert_false(g->is_inside);
  g->has_ended = true;
  pthread_mutex_unlock(&g->lock);
}

typedef struct slow {
  vestry_runtime *runtime;
  gate gate;
} slow;

static vestry_err slow_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  slow *s = app;
  return vestry_reply_watch(
      reply, &(vestry_watch){.step = wait_for_it, .end = note_end, .ctx = &s->gate, .runtime = s->runtime});
}

/* capability: E1 */
TEST_CASE(step_on_own_runtime_may_block) {
  vestry *v;
  vestry_memory_exchange *page, *other;
  slow s = {.gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER}};
  echo e = {0};
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = 1}, &v), VESTRY_OK);
  assert_int_equal(vestry_runtime_create(&(vestry_runtime_options){.threads_count = 1}, &s.runtime), VESTRY_OK);
  assert_int_equal(vestry_memory_request(v, &(vestry_memory_call){.datastar = true}, slow_handler, &s, &page),
                   VESTRY_OK);
  pthread_mutex_lock(&s.gate.lock);
  while (!s.gate.is_inside) pthread_cond_wait(&s.gate.changed, &s.gate.lock);
  pthread_mutex_unlock(&s.gate.lock);
  /* Other watches continue. */
  assert_int_equal(vestry_memory_request(v, &(vestry_memory_call){.datastar = true}, echo_handler, &e, &other),
                   VESTRY_OK);
  atomic_store(&e.asked, 1);
  vestry_connection_wake(vestry_memory_look(other).connection);
  WAIT_WHILE(!atomic_load(&e.seen));
  vestry_memory_mode_set(page, VESTRY_MEMORY_HANGS_UP);
  assert_int_equal(vestry_stop(v, 20), VESTRY_TIMEOUT); /* stop waits for the step */
  pthread_mutex_lock(&s.gate.lock);
  assert_false(s.gate.has_ended);
  s.gate.is_open = true;
  pthread_cond_broadcast(&s.gate.changed);
  pthread_mutex_unlock(&s.gate.lock);
  assert_int_equal(vestry_stop(v, VESTRY_NEVER_MS), VESTRY_OK);
  assert_true(s.gate.has_ended);
  vestry_runtime_destroy(s.runtime);
  vestry_memory_destroy(page);
  vestry_memory_destroy(other);
  vestry_destroy(v);
}
