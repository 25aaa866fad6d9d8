/* SPDX-License-Identifier: MIT */
/* This program checks lock ranks in any build: it is compiled with them, including base/lock_order.c. */
#include "base/lock_order.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mutex.h"
#include "base/spin_lock.h"
#include "base/wait.h"
#include "support/test.h"

static vsi_mutex sqlite = VSI_MUTEX_INITIALIZER(VSI_LOCK_SQLITE), pages = VSI_MUTEX_INITIALIZER(VSI_LOCK_PAGES),
                 more_pages = VSI_MUTEX_INITIALIZER(VSI_LOCK_PAGES), bus = VSI_MUTEX_INITIALIZER(VSI_LOCK_BUS),
                 channels = VSI_MUTEX_INITIALIZER(VSI_LOCK_CHANNELS);
static vsi_spin_lock shard;
static vsi_rw_lock routes = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t signalled = PTHREAD_COND_INITIALIZER;

/* Run body in a child process. Returns its standard error; ret_status: as of waitpid */
static void run(void (*body)(void), char *ret_logged, size_t most, int *ret_status) {
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (!child) {
    signal(SIGABRT, SIG_DFL); /* cmocka has its own handler */
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    body();
    _exit(0);
  }
  close(ends[1]);
  size_t len = 0;
  for (ssize_t more = 1; more > 0 && len + 1 < most; len += more > 0 ? (size_t)more : 0)
    more = read(ends[0], ret_logged + len, most - 1 - len);
  ret_logged[len] = 0;
  close(ends[0]);
  assert_int_equal(waitpid(child, ret_status, 0), child);
}

static void in_order(void) {
  vsi_rw_lock_read(&routes, VSI_LOCK_ROUTES);
  vsi_mutex_lock(&sqlite);
  vsi_mutex_lock(&pages);
  vsi_spin_lock_take(&shard, VSI_LOCK_SHARD);
  vsi_mutex_lock(&bus);
  vsi_mutex_unlock(&bus);
  vsi_mutex_lock(&channels); /* innermost locks, one after the other */
  vsi_mutex_unlock(&channels);
  vsi_mutex_unlock(&sqlite); /* released in another order than acquired */
  vsi_spin_lock_give(&shard);
  vsi_mutex_unlock(&pages);
  vsi_rw_lock_give(&routes);
  vsi_rw_lock_write(&routes, VSI_LOCK_ROUTES);
  vsi_rw_lock_give(&routes);
  vsi_mutex_lock(&pages);
  if (!vsi_mutex_try(&sqlite)) abort(); /* a lock that is not waited for may be taken in any order */
  vsi_mutex_unlock(&sqlite);
  (void)vsi_wait_until(&signalled, &pages, 0);
  vsi_mutex_unlock(&pages);
}

static void earlier_one(void) {
  vsi_mutex_lock(&pages);
  vsi_mutex_lock(&sqlite);
}

static void earlier_than_one_taken_first(void) {
  vsi_mutex_lock(&pages);
  if (!vsi_mutex_try(&sqlite)) abort();
  vsi_rw_lock_read(&routes, VSI_LOCK_ROUTES);
}

static void another_one_of_its_kind(void) {
  vsi_mutex_lock(&pages);
  vsi_mutex_lock(&more_pages);
}

static void the_same_one(void) {
  vsi_spin_lock_take(&shard, VSI_LOCK_SHARD);
  vsi_spin_lock_take(&shard, VSI_LOCK_SHARD);
}

static void read_twice(void) {
  vsi_rw_lock_read(&routes, VSI_LOCK_ROUTES);
  vsi_rw_lock_read(&routes, VSI_LOCK_ROUTES);
}

static void under_an_innermost_one(void) {
  vsi_mutex_lock(&bus);
  vsi_mutex_lock(&channels);
}

static void wait_under_a_later_one(void) {
  vsi_mutex_lock(&pages);
  vsi_spin_lock_take(&shard, VSI_LOCK_SHARD);
  (void)vsi_wait_until(&signalled, &pages, 0);
}

static void one_without_a_rank(void) {
  vsi_mutex unknown = {.mutex = PTHREAD_MUTEX_INITIALIZER};
  vsi_mutex_lock(&unknown);
}

static void one_that_is_not_held(void) {
  vsi_mutex_unlock(&pages);
}

TEST_CASE(locks_in_order_are_accepted) {
  char logged[2048];
  int status;
  run(in_order, logged, sizeof logged, &status);
  assert_string_equal(logged, "");
  assert_int_equal(status, 0);
}

TEST_CASE(locks_out_of_order_end_the_program) {
  char of_sqlite[24], of_routes[24], of_pages[24], of_shard[24];
  snprintf(of_sqlite, sizeof of_sqlite, "order %d,", VSI_LOCK_SQLITE);
  snprintf(of_routes, sizeof of_routes, "order %d,", VSI_LOCK_ROUTES);
  snprintf(of_pages, sizeof of_pages, "order %d,", VSI_LOCK_PAGES);
  snprintf(of_shard, sizeof of_shard, "order %d,", VSI_LOCK_SHARD);
  const struct {
    void (*body)(void);
    const char *says[3];
  } cases[] = {
      {earlier_one, {"acquired vestry_sqlite.lock (", "src/data/sqlite/sqlite.h: lock", "held vestry_pages.lock ("}},
      {earlier_one, {of_sqlite, "src/app/page/pages.h: lock", "tests/base/lock_order_test.c:"}},
      {earlier_than_one_taken_first, {"acquired vsi_routes.lock (", "held vestry_pages.lock (", of_routes}},
      {another_one_of_its_kind, {"acquired vestry_pages.lock (", "held vestry_pages.lock (", of_pages}},
      {the_same_one, {"acquired vsi_shard.lock (", "held vsi_shard.lock (", "src/store/shard.h: lock"}},
      {read_twice, {"acquired vsi_routes.lock (", "held vsi_routes.lock (", "src/http/routes/routes.c: lock"}},
      {under_an_innermost_one, {"acquired vsi_channels.lock (", "held vsi_bus.lock (", "innermost"}},
      {wait_under_a_later_one, {"acquired vestry_pages.lock (", "held vsi_shard.lock (", of_shard}},
      {one_without_a_rank, {"acquired a lock without a rank (", "never initialised", "lock_order_test.c:"}},
      {one_that_is_not_held, {"a thread releases a lock that it does not hold", "vestry: ", "\n"}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char logged[2048];
    int status;
    run(cases[i].body, logged, sizeof logged, &status);
    for (size_t j = 0; j < 3; j++)
      if (!strstr(logged, cases[i].says[j]))
        fail_msg("case %zu does not say \"%s\" but:\n%s", i, cases[i].says[j], logged);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
  }
}

static void *take_sqlite(void *ctx) {
  vsi_mutex_lock(&sqlite);
  vsi_mutex_unlock(&sqlite);
  return ctx;
}

TEST_CASE(each_thread_has_its_own_lock_order) {
  pthread_t other;
  vsi_mutex_lock(&pages);
  assert_int_equal(pthread_create(&other, NULL, take_sqlite, NULL), 0);
  pthread_join(other, NULL);
  vsi_mutex_unlock(&pages);
}
