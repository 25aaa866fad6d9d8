/* SPDX-License-Identifier: MIT */
/* capability: K16 */
/* A forked child has a copy of the instance's memory, but none of its threads. Every call that the child may make
 * returns CLOSED and leaves the parent's streams alone, even if threads held locks during the fork. */
#include <sys/wait.h>
#include <unistd.h>

#include "event/layout.h"
#include "serve/wire.h"
#include "vestry/app/once.h"
#include "vestry/app/presence.h"
#include "vestry/channel.h"
#include "vestry/dispatch.h"

enum { THREADS = 3, CHILDREN = TEST_ROUNDS(30) };

static void ring(vestry_timer *timer, void *ctx) {}

static void run(vestry_actor *self, void *ctx) {
  while (vestry_actor_receive(self)) continue;
}

/* The objects on which a child may call functions. */
typedef struct all {
  site *w;
  wire *stream;
  vestry_runtime *runtime;
  vestry_timer *timer;
  vestry_actor *actor;
  vestry_presence *presence;
  vestry_once *once;
  vestry_event *event;
} all;

#define MUST(condition)                                                                                                \
  if (!(condition)) return __LINE__ - FIRST

static int in_the_child(all *a) {
  enum { FIRST = __LINE__ };
  vestry *v = a->w->v, *other;
  wire r = {0};
  vestry_connection *opened;
  alarm(60);
  MUST(vestry_is_forked(v));
  MUST(vestry_serve(v, &wire_ops, &r, NULL, NULL, &opened) == VESTRY_CLOSED);
  MUST(!opened && !r.responds);
  MUST(vestry_dispatch(v, NOWHERE, ROOM("a"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1))) == VESTRY_CLOSED);
  MUST(vestry_broadcast(v, NOWHERE, ROOM("a"), a->event, NULL) == VESTRY_CLOSED);
  MUST(vestry_connection_send(a->stream->connection, a->event) == VESTRY_CLOSED);
  MUST(!vestry_connection_close(a->stream->connection, VESTRY_CAUSE_CLOSED));
  MUST(vestry_timer_set(a->timer, 1, 1) == VESTRY_CLOSED);
  vestry_timer_set(a->timer, VESTRY_NEVER_MS, 0);
  vestry_message message;
  MUST(vestry_actor_post(a->actor, &message) == VESTRY_CLOSED);
  vestry_actor_notify(a->actor);
  MUST(!vestry_runtime_step(a->runtime));
  vestry_close(v);
  MUST(vestry_stop(v, VESTRY_NEVER_MS) == VESTRY_CLOSED);
  vestry_presence_destroy(a->presence);
  vestry_once_destroy(a->once);
  vestry_timer_destroy(a->timer);
  vestry_runtime_stop(a->runtime);
  vestry_destroy(v);
  vestry_runtime_destroy(a->runtime);
  /* An instance that the child creates itself works normally. */
  vestry_options options = {.threads_count = VESTRY_THREADS_NONE};
  MUST(vestry_create(&options, &other) == VESTRY_OK);
  MUST(!vestry_is_forked(other));
  MUST(vestry_dispatch(other, NOWHERE, ROOM("a"), VESTRY_LIST("wake")) == VESTRY_NOT_FOUND);
  vestry_destroy(other);
  return 0;
}

static _Atomic(bool) busy;

/* Keeps locks in use, so that the fork happens while some are held. */
static void *use_it(void *ctx) {
  all *a = ctx;
  while (atomic_load(&busy)) {
    vestry_dispatch(a->w->v, NOWHERE, ROOM("a"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1)));
    vestry_timer_set(a->timer, 1, 1);
    vestry_route(a->w->v, "GET", "/a", planned, NULL);
    vestry_stats stats = {0};
    vestry_stats_get(a->w->v, &stats);
    vestry_actor_notify(a->actor);
  }
  return NULL;
}

static void fork_some(uint32_t threads_count, bool is_busy) {
  site w;
  test_host_init(&w.th);
  all a = {.w = &w};
  vestry_runtime_options options = {.host = &w.th.host, .threads_count = threads_count};
  assert_int_equal(vestry_runtime_create(&options, &a.runtime), VESTRY_OK);
  assert_int_equal(site_try(&w, (vestry_options){.runtime = a.runtime}, (site_has){.secret = NULL}), VESTRY_OK);
  assert_int_equal(vestry_timer_create(a.runtime, ring, NULL, &a.timer), VESTRY_OK);
  assert_int_equal(vestry_actor_create(a.runtime, &(vestry_actor_options){.run = run}, &a.actor), VESTRY_OK);
  assert_int_equal(vestry_presence_create(w.v, NULL, &a.presence), VESTRY_OK);
  assert_int_equal(vestry_once_create(w.v, NULL, &a.once), VESTRY_OK);
  assert_int_equal(vsi_event_signals_text(NULL, "{}", 2, NULL, &a.event), VESTRY_OK);
  wire r = {.datastar = true};
  plan p = {.key = "a", .keep = true, .stream = {.max_queued_count = 4, .full = VESTRY_FULL_DROP}};
  assert_int_equal(wire_serve(&w, &r, planned, &p), VESTRY_OK);
  a.stream = &r;
  pthread_t threads[THREADS];
  atomic_store(&busy, true);
  for (size_t i = 0; is_busy && i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, use_it, &a), 0);
  for (size_t i = 0; i < CHILDREN; i++) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) _exit(in_the_child(&a));
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0); /* otherwise the line number after FIRST */
  }
  atomic_store(&busy, false);
  for (size_t i = 0; is_busy && i < THREADS; i++) pthread_join(threads[i], NULL);
  assert_false(vestry_is_forked(w.v)); /* and the parent's instance still works */
  assert_int_equal(vestry_dispatch(w.v, NOWHERE, ROOM("a"), VESTRY_LIST("wake")), VESTRY_OK);
  vestry_timer_destroy(a.timer);
  vestry_actor_unref(a.actor);
  vestry_presence_destroy(a.presence);
  vestry_once_destroy(a.once);
  vestry_event_unref(a.event);
  assert_int_equal(vestry_stop(w.v, VESTRY_NEVER_MS), VESTRY_OK);
  vestry_destroy(w.v);
  vestry_runtime_destroy(a.runtime);
  wire_finish(&r);
  test_host_assert_clean(&w.th);
}

TEST_CASE(calls_in_a_forked_child_return_closed) {
  fork_some(2, false);
}

TEST_CASE(child_forked_under_held_locks_returns_closed) {
  if (TEST_UNDER_ASAN || TEST_UNDER_TSAN)
    TEST_SKIP("allocators of sanitizers, unlike glibc's, may be locked in a child");
  fork_some(2, true);
}

TEST_CASE(child_of_a_stepped_instance_returns_closed) {
  fork_some(VESTRY_THREADS_NONE, false);
}
