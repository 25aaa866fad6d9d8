/* SPDX-License-Identifier: MIT */
#include "runtime/actor.h"

#include <pthread.h>

#include "runtime/latch.h"
#include "runtime/runtime.h"
#include "support/test.h"
#include "support/test_host.h"
#include "support/until.h"

/* An actor that counts everything, and runs the functions of a test inside a run or a wake. */
typedef struct probe {
  vsi_actor actor; /* first */
  _Atomic(long) references;
  _Atomic(int) inside;    /* threads in a run: 0 or 1 */
  _Atomic(long) overlaps; /* times it was more */
  _Atomic(long) wakes;
  _Atomic(long) asked; /* relaxed on purpose: only the notify orders it */
  /* plain on purpose: the actor alone must order runs (otherwise ThreadSanitizer reports a race) */
  long runs;
  long seen; /* the value of `asked` that a run saw */
  void (*in_run)(struct probe *);
  void (*in_wake)(struct probe *);
  latch *latch;
  int left; /* for in_run */
} probe;

static void probe_run(vsi_actor *actor) {
  probe *p = (probe *)actor;
  if (atomic_fetch_add_explicit(&p->inside, 1, memory_order_relaxed) != 0) atomic_fetch_add(&p->overlaps, 1);
  p->runs++;
  p->seen = atomic_load_explicit(&p->asked, memory_order_relaxed);
  if (p->in_run) p->in_run(p);
  atomic_fetch_sub_explicit(&p->inside, 1, memory_order_relaxed);
}

static void probe_ref(vsi_actor *actor) {
  atomic_fetch_add(&((probe *)actor)->references, 1);
}

static void probe_unref(vsi_actor *actor) {
  atomic_fetch_sub(&((probe *)actor)->references, 1);
}

static void probe_wake(vsi_actor *actor) {
  probe *p = (probe *)actor;
  atomic_fetch_add(&p->wakes, 1);
  if (p->in_wake) p->in_wake(p);
}

static const vsi_actor_class pooled = {.run = probe_run, .ref = probe_ref, .unref = probe_unref};
static const vsi_actor_class woken = {.run = probe_run, .ref = probe_ref, .unref = probe_unref, .wake = probe_wake};

static vestry_runtime *runtime_of(uint32_t threads_count) {
  vestry_runtime *runtime = NULL;
  vestry_runtime_options options = {.threads_count = threads_count};
  assert_int_equal(vestry_runtime_create(&options, &runtime), VESTRY_OK);
  return runtime;
}

TEST_CASE(several_notifies_cause_one_run) {
  vestry_runtime *runtime = runtime_of(VESTRY_THREADS_NONE);
  probe p = {0};
  vsi_actor_init(&p.actor, &pooled, &runtime->pool);
  assert_false(vestry_runtime_step(runtime));
  for (int i = 0; i < 3; i++) {
    vsi_actor_notify(&p.actor);
    assert_int_equal(p.references, 1); /* referenced once while it is ready */
  }
  assert_true(vestry_runtime_step(runtime));
  assert_int_equal(p.runs, 1);
  assert_int_equal(p.references, 0);
  assert_false(vestry_runtime_step(runtime));
  vsi_actor_notify(&p.actor);
  assert_true(vestry_runtime_step(runtime));
  assert_int_equal(p.runs, 2);
  vestry_runtime_destroy(runtime);
}

static void notify_myself(probe *p) {
  if (p->left-- <= 0) return;
  vsi_actor_notify(&p->actor);
  vsi_actor_notify(&p->actor);
}

TEST_CASE(notify_during_a_run_causes_another_run) {
  vestry_runtime *runtime = runtime_of(VESTRY_THREADS_NONE);
  probe p = {.in_run = notify_myself, .left = 2};
  vsi_actor_init(&p.actor, &pooled, &runtime->pool);
  vsi_actor_notify(&p.actor);
  for (int i = 1; i <= 3; i++) {
    assert_int_equal(p.references, 1);
    assert_true(vestry_runtime_step(runtime));
    assert_int_equal(p.runs, i);
  }
  assert_int_equal(p.references, 0);
  assert_false(vestry_runtime_step(runtime));
  vestry_runtime_destroy(runtime);
}

/* Ready actors run in the order of their notifies, and an actor that is notified again goes to the end. */
static long turn_of_runs;
static void note_turn(probe *p) {
  p->left = (int)++turn_of_runs;
  if (p->runs == 1) vsi_actor_notify(&p->actor);
}

TEST_CASE(busy_actor_goes_to_the_end_of_the_queue) {
  vestry_runtime *runtime = runtime_of(VESTRY_THREADS_NONE);
  probe p[3] = {{.in_run = note_turn}, {.in_run = note_turn}, {.in_run = note_turn}};
  turn_of_runs = 0;
  for (int i = 0; i < 3; i++) {
    vsi_actor_init(&p[i].actor, &pooled, &runtime->pool);
    vsi_actor_notify(&p[i].actor);
  }
  for (int turn = 1; turn <= 6; turn++) {
    assert_true(vestry_runtime_step(runtime));
    assert_int_equal(p[(turn - 1) % 3].left, turn);
  }
  assert_false(vestry_runtime_step(runtime));
  vestry_runtime_destroy(runtime);
}

/* An actor steps its own runtime, and another one, whose actor steps both. */
static struct {
  vestry_runtime *own, *other;
  vsi_actor *neighbour;
  long refused, other_runs;
} nested;

static void step_both(probe *p) {
  nested.refused += !vestry_runtime_step(nested.own) + !vestry_runtime_step(nested.other);
  assert_true(vsi_runtime_is_inside(nested.own) && vsi_runtime_is_inside(nested.other));
  nested.other_runs++;
}

static void step_again(probe *p) {
  vsi_actor_notify(nested.neighbour);
  assert_false(vestry_runtime_step(nested.own)); /* although the neighbour is ready */
  assert_true(vestry_runtime_step(nested.other));
  assert_true(vsi_runtime_is_inside(nested.own) && !vsi_runtime_is_inside(nested.other));
}

TEST_CASE(step_within_a_step_does_nothing) {
  nested.own = runtime_of(VESTRY_THREADS_NONE);
  nested.other = runtime_of(VESTRY_THREADS_NONE);
  probe p = {.in_run = step_again}, neighbour = {0}, far = {.in_run = step_both};
  vsi_actor_init(&p.actor, &pooled, &nested.own->pool);
  vsi_actor_init(&neighbour.actor, &pooled, &nested.own->pool);
  vsi_actor_init(&far.actor, &pooled, &nested.other->pool);
  nested.neighbour = &neighbour.actor;
  vsi_actor_notify(&p.actor);
  vsi_actor_notify(&far.actor);
  assert_true(vestry_runtime_step(nested.own));
  assert_int_equal(neighbour.runs, 0);
  assert_int_equal(nested.other_runs, 1);
  assert_int_equal(nested.refused, 2);
  assert_true(vestry_runtime_step(nested.own)); /* what was ready is not lost */
  assert_int_equal(neighbour.runs, 1);
  assert_false(vestry_runtime_step(nested.own) || vestry_runtime_step(nested.other));
  vestry_runtime_destroy(nested.own);
  vestry_runtime_destroy(nested.other);
}

TEST_CASE(woken_actor_is_run_by_its_own_thread) {
  vestry_runtime *runtime = runtime_of(VESTRY_THREADS_NONE);
  probe p = {0};
  vsi_actor_init(&p.actor, &woken, &runtime->pool);
  assert_false(vsi_actor_run(&p.actor)); /* not ready: no run */
  vsi_actor_notify(&p.actor);
  vsi_actor_notify(&p.actor);
  assert_int_equal(p.wakes, 1);
  assert_false(vestry_runtime_step(runtime)); /* the pool does not run it */
  assert_int_equal(p.runs, 0);
  p.in_run = notify_myself;
  p.left = 1;
  assert_true(vsi_actor_run(&p.actor)); /* ready again, and its thread was woken */
  assert_int_equal(p.wakes, 2);
  assert_int_equal(p.references, 1);
  assert_false(vsi_actor_run(&p.actor));
  assert_int_equal(p.runs, 2);
  assert_int_equal(p.references, 0);
  assert_false(vsi_actor_run(&p.actor));
  assert_int_equal(p.runs, 2);
  vestry_runtime_destroy(runtime);
}

/* The owner's thread may be awake already and run the actor before the notifier reaches its next line, so the reference
 * must be taken before. Here the run happens at the earliest possible moment: inside the wake. */
static void run_at_once(probe *p) {
  assert_int_equal(p->references, 2); /* the notifier's and the actor's */
  vsi_actor_run(&p->actor);
}

TEST_CASE(reference_is_taken_before_the_wake) {
  vestry_runtime *runtime = runtime_of(VESTRY_THREADS_NONE);
  probe p = {.references = 1, .in_wake = run_at_once};
  vsi_actor_init(&p.actor, &woken, &runtime->pool);
  vsi_actor_notify(&p.actor);
  assert_int_equal(p.runs, 1);
  assert_int_equal(p.references, 1);
  vestry_runtime_destroy(runtime);
}

/* Only the notifies and the begin of the run order the plain number here (ThreadSanitizer checks it). The second notify
 * finds the actor ready, and still must publish the writes before it. */
typedef struct note {
  probe *to;
  long number;
  _Atomic(bool) written;
} note;

static void *write_note(void *argument) {
  note *n = argument;
  n->number = 7;
  vsi_actor_notify(&n->to->actor);
  atomic_store_explicit(&n->written, true, memory_order_relaxed);
  return NULL;
}

static note *note_for_run;
static void read_note(probe *p) {
  p->left = (int)note_for_run->number;
}

TEST_CASE(notify_of_a_ready_actor_publishes_earlier_writes) {
  vestry_runtime *runtime = runtime_of(VESTRY_THREADS_NONE);
  probe p = {.in_run = read_note};
  note n = {.to = &p};
  note_for_run = &n;
  vsi_actor_init(&p.actor, &pooled, &runtime->pool);
  vsi_actor_notify(&p.actor);
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, write_note, &n), 0);
  WAIT_WHILE(!atomic_load_explicit(&n.written, memory_order_relaxed));
  assert_true(vestry_runtime_step(runtime));
  assert_int_equal(p.left, 7);
  pthread_join(thread, NULL);
  vestry_runtime_destroy(runtime);
}

enum { NOTIFIERS = 4, NOTIFIES = 100000, PROBES = 3 };

static void *notify_many(void *argument) {
  probe *p = argument;
  for (int i = 0; i < NOTIFIES; i++)
    for (int k = 0; k < PROBES; k++) {
      atomic_fetch_add_explicit(&p[k].asked, 1, memory_order_relaxed);
      vsi_actor_notify(&p[k].actor);
    }
  return NULL;
}

/* More threads than processors on few actors: no two threads run one actor, and the last run sees the last notify. */
TEST_CASE(runs_exclude_each_other_and_see_each_notify) {
  vestry_runtime *runtime = runtime_of(8);
  static probe p[PROBES];
  memset(p, 0, sizeof p);
  for (int k = 0; k < PROBES; k++) vsi_actor_init(&p[k].actor, &pooled, &runtime->pool);
  pthread_t threads[NOTIFIERS];
  for (int i = 0; i < NOTIFIERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, notify_many, p), 0);
  for (int i = 0; i < NOTIFIERS; i++) pthread_join(threads[i], NULL);
  vestry_runtime_destroy(runtime); /* runs until nothing is ready */
  for (int k = 0; k < PROBES; k++) {
    assert_int_equal(p[k].overlaps, 0);
    assert_int_equal(p[k].references, 0);
    assert_int_equal(p[k].seen, NOTIFIERS * NOTIFIES);
    assert_in_range(p[k].runs, 1, NOTIFIERS * NOTIFIES);
  }
}

static void wake_the_owner(probe *p) {
  latch_add(p->latch);
}

/* A parked thread that only continues when woken: after a lost wake-up, it and this test would wait for ever. */
static void *own(void *argument) {
  probe *p = argument;
  for (unsigned long reported = 1; p->seen < (long)NOTIFIERS * NOTIFIES; reported++) {
    latch_wait(p->latch, reported);
    vsi_actor_run(&p->actor);
  }
  return NULL;
}

static void *notify_one(void *argument) {
  probe *p = argument;
  for (int i = 0; i < NOTIFIES; i++) {
    atomic_fetch_add_explicit(&p->asked, 1, memory_order_relaxed);
    vsi_actor_notify(&p->actor);
  }
  return NULL;
}

TEST_CASE(owner_thread_misses_no_wake_up) {
  vestry_runtime *runtime = runtime_of(VESTRY_THREADS_NONE);
  latch l;
  latch_init(&l);
  probe p = {.in_wake = wake_the_owner, .latch = &l};
  vsi_actor_init(&p.actor, &woken, &runtime->pool);
  pthread_t owner, threads[NOTIFIERS];
  assert_int_equal(pthread_create(&owner, NULL, own, &p), 0);
  for (int i = 0; i < NOTIFIERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, notify_one, &p), 0);
  for (int i = 0; i < NOTIFIERS; i++) pthread_join(threads[i], NULL);
  pthread_join(owner, NULL);
  assert_int_equal(p.seen, NOTIFIERS * NOTIFIES);
  assert_int_equal(p.overlaps, 0);
  assert_true(p.runs <= p.wakes);
  while (vsi_actor_run(&p.actor)) {
  } /* a wake after the owner had seen the last number */
  assert_int_equal(p.references, 0);
  latch_finish(&l);
  vestry_runtime_destroy(runtime);
}

TEST_CASE(closed_runtime_still_runs_notified_actors) {
  vestry_runtime *runtime = runtime_of(2);
  latch l;
  latch_init(&l);
  probe p = {.in_run = wake_the_owner, .latch = &l};
  vsi_actor_init(&p.actor, &pooled, &runtime->pool);
  vsi_runtime_close(runtime);
  vsi_actor_notify(&p.actor);
  latch_wait(&l, 1);
  vestry_runtime_stop(runtime);
  vsi_actor_notify(&p.actor); /* too late for the threads: destroy runs it */
  assert_int_equal(p.runs, 1);
  vestry_runtime_destroy(runtime);
  assert_int_equal(p.runs, 2);
  assert_int_equal(p.references, 0);
  latch_finish(&l);
}

/* A run of an actor that is no stream may take long. Here it takes until all other actors of the same notices have run,
 * whichever of them were noticed before it. */
enum { NOTICED = 64 };
static _Atomic(int) noticed_runs;

static void count_run(probe *p) {
  if (p->left) WAIT_WHILE(atomic_load(&noticed_runs) < NOTICED - 1);
  atomic_fetch_add(&noticed_runs, 1);
}

static void no_send(const vsi_send *all, size_t count) {
  fail();
}

TEST_CASE(run_that_blocks_delays_no_other_actor_of_its_notices) {
  static const vsi_actor_class stream = {.run = probe_run, .ref = probe_ref, .unref = probe_unref, .sent = no_send};
  for (int blocking = 0; blocking < NOTICED; blocking += 7) {
    vestry_runtime *runtime = runtime_of(4);
    static probe p[NOTICED];
    vsi_notices notices;
    vsi_notices_init(&notices);
    atomic_store(&noticed_runs, 0);
    memset(p, 0, sizeof p);
    for (int i = 0; i < NOTICED; i++) {
      p[i].in_run = count_run;
      p[i].left = i == blocking;
      vsi_actor_init(&p[i].actor, i == blocking || i % 5 == 4 ? &pooled : &stream, &runtime->pool);
      vsi_notices_add(&notices, &p[i].actor);
    }
    vsi_notices_send(&notices);
    WAIT_WHILE(atomic_load(&noticed_runs) < NOTICED);
    vestry_runtime_destroy(runtime);
    for (int i = 0; i < NOTICED; i++) assert_int_equal(p[i].runs, 1);
  }
}
