/* SPDX-License-Identifier: MIT */
/* The pool and the runtime that owns it: fairness, parking, start and stop. */
#include "runtime/pool.h"

#include <sched.h>
#include <signal.h>

#include "runtime/actor.h"
#include "runtime/deadline.h"
#include "runtime/latch.h"
#include "runtime/random.h"
#include "runtime/runtime.h"
#include "support/litmus.h"
#include "support/test.h"
#include "support/test_host.h"
#include "support/until.h"

/* The program is linked with --wrap=pthread_create, so that the test can let thread creation fail, and count
 * threads. */
int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static _Atomic(long) threads_until_failure = -1; /* -1: never */
static _Atomic(long) threads_alive;

typedef struct counted {
  void *(*body)(void *);
  void *argument;
} counted;

static counted bodies[1024];
static _Atomic(unsigned) bodies_used;

static void *run_counted(void *argument) {
  counted *c = argument;
  void *result = c->body(c->argument);
  atomic_fetch_sub(&threads_alive, 1);
  return result;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument) {
  long left = atomic_load(&threads_until_failure);
  if (left == 0) return 11; /* EAGAIN */
  if (left > 0) atomic_store(&threads_until_failure, left - 1);
  counted *c = &bodies[atomic_fetch_add(&bodies_used, 1) % 1024];
  *c = (counted){body, argument};
  atomic_fetch_add(&threads_alive, 1);
  int failure = __real_pthread_create(thread, attributes, run_counted, c);
  if (failure) atomic_fetch_sub(&threads_alive, 1);
  return failure;
}

/* An actor of the tests: a function and a context; never freed. */
typedef struct task {
  vsi_actor actor; /* first */
  void (*body)(struct task *);
  void *ctx;
  long runs; /* only accessed by the run */
} task;

static void task_run(vsi_actor *actor) {
  task *t = (task *)actor;
  t->runs++;
  t->body(t);
}

static void task_hold(vsi_actor *actor) {}

static const vsi_actor_class task_class = {.run = task_run, .ref = task_hold, .unref = task_hold};

static void task_init(task *t, vestry_runtime *runtime, void (*body)(task *), void *ctx) {
  *t = (task){.body = body, .ctx = ctx};
  vsi_actor_init(&t->actor, &task_class, &runtime->pool);
}

static vestry_runtime *runtime_of(uint32_t threads_count) {
  vestry_runtime *runtime = NULL;
  vestry_runtime_options options = {.threads_count = threads_count};
  assert_int_equal(vestry_runtime_create(&options, &runtime), VESTRY_OK);
  return runtime;
}

/* A build without liburing logs it, if an application has chosen batched writes. */
TEST_CASE(runtime_that_cannot_batch_says_so) {
  test_host th;
  vestry_runtime *runtime;
  test_host_init(&th);
  const vestry_runtime_options options = {
      .host = &th.host, .threads_count = VESTRY_THREADS_NONE, .io = VESTRY_RUNTIME_IO_BATCHED};
  assert_int_equal(vestry_runtime_create(&options, &runtime), VESTRY_OK);
  if (!atomic_load(&runtime->pool.batches)) assert_non_null(strstr(th.last_log, "without liburing"));
  vestry_runtime_destroy(runtime);
  test_host_assert_clean(&th);
}

TEST_CASE(options_are_checked) {
  test_host th;
  test_host_init(&th);
  vestry_runtime *const untouched = (vestry_runtime *)&th;
  vestry_runtime *runtime = untouched;
  vestry_runtime_options options = {.host = &th.host, .threads_count = 257};
  assert_int_equal(vestry_runtime_create(&options, &runtime), VESTRY_INVALID);
  options.threads_count = VESTRY_THREADS_NONE - 1;
  assert_int_equal(vestry_runtime_create(&options, &runtime), VESTRY_INVALID);
  options.threads_count = 1;
  assert_int_equal(vestry_runtime_create(&options, NULL), VESTRY_INVALID);
  vestry_host lacking = th.host;
  lacking.now_ns = NULL;
  options.host = &lacking;
  assert_int_equal(vestry_runtime_create(&options, &runtime), VESTRY_INVALID);
  lacking = th.host;
  lacking.random = NULL;
  assert_int_equal(vestry_runtime_create(&options, &runtime), VESTRY_INVALID);
  lacking = th.host;
  lacking.reallocate = NULL;
  assert_int_equal(vestry_runtime_create(&options, &runtime), VESTRY_INVALID);
  assert_ptr_equal(runtime, untouched);
  vestry_runtime_destroy(NULL);

  options.host = &th.host;
  assert_int_equal(vestry_runtime_create(&options, &runtime), VESTRY_OK);
  assert_ptr_equal(runtime->host, &th.host);
  assert_false(vestry_runtime_step(runtime));
  vestry_runtime_destroy(runtime);
  assert_int_equal(vestry_runtime_create(NULL, &runtime), VESTRY_OK);
  assert_ptr_equal(runtime->host, vestry_host_default());
  vestry_runtime_destroy(runtime);
  test_host_assert_clean(&th);
}

TEST_CASE(failed_thread_start_undoes_the_creation) {
  enum { WORKERS = 4, THREADS = WORKERS + 1 }; /* plus the timer thread */
  for (long good = 0; good <= THREADS; good++) {
    test_host th;
    test_host_init(&th);
    atomic_store(&threads_until_failure, good);
    vestry_runtime *runtime = NULL;
    vestry_runtime_options options = {.host = &th.host, .threads_count = WORKERS};
    vestry_err error = vestry_runtime_create(&options, &runtime);
    atomic_store(&threads_until_failure, -1);
    if (good < THREADS) {
      assert_int_equal(error, VESTRY_IO);
      assert_null(runtime);
      assert_int_equal(th.log_lines, 1);
      assert_non_null(strstr(th.last_log, good < WORKERS ? "the thread vestry-" : "the thread vestry-timer"));
      assert_non_null(strstr(th.last_log, "ulimit -u"));
    } else {
      assert_int_equal(error, VESTRY_OK);
      assert_int_equal(th.log_lines, 0);
      assert_int_equal(threads_alive, THREADS);
      vestry_runtime_destroy(runtime);
    }
    assert_int_equal(threads_alive, 0);
    test_host_assert_clean(&th);
  }
}

typedef struct place {
  latch l;
  char name[16];
  sigset_t blocked;
} place;

static void note_place(task *t) {
  place *p = t->ctx;
  pthread_getname_np(pthread_self(), p->name, sizeof p->name);
  pthread_sigmask(SIG_SETMASK, NULL, &p->blocked);
  latch_add(&p->l);
}

TEST_CASE(threads_have_names_and_block_signals) {
  sigset_t before, after, restore;
  sigemptyset(&before);
  sigaddset(&before, SIGUSR1);
  pthread_sigmask(SIG_SETMASK, &before, &restore);
  vestry_runtime *runtime = runtime_of(1);
  pthread_sigmask(SIG_SETMASK, &restore, &after);
  place p = {.name = ""};
  latch_init(&p.l);
  task t;
  task_init(&t, runtime, note_place, &p);
  vsi_actor_notify(&t.actor);
  latch_wait(&p.l, 1);
  assert_string_equal(p.name, "vestry-0");
  const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD, SIGPIPE, SIGALRM};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    assert_int_equal(sigismember(&p.blocked, signals[i]), 1);
    /* the caller's mask is unchanged */
    assert_int_equal(sigismember(&after, signals[i]), sigismember(&before, signals[i]));
  }
  vestry_runtime_destroy(runtime);
  latch_finish(&p.l);
}

/* Notifies itself until it is stopped, or so often that the other actor must be starving. */
typedef struct hog {
  _Atomic(bool) enough;
  _Atomic(bool) gave_up;
  latch started;
} hog;

enum { STARVED = 2000000 };

static void run_hog(task *t) {
  hog *h = t->ctx;
  if (t->runs == 1) latch_add(&h->started);
  if (atomic_load(&h->enough)) return;
  if (t->runs < STARVED)
    vsi_actor_notify(&t->actor);
  else
    atomic_store(&h->gave_up, true);
}

static void stop_hog(task *t) {
  hog *h = t->ctx;
  atomic_store(&h->enough, true);
}

TEST_CASE(busy_actor_does_not_starve_external_notifies) {
  vestry_runtime *runtime = runtime_of(1);
  hog h = {.enough = false};
  latch_init(&h.started);
  task busy, other;
  task_init(&busy, runtime, run_hog, &h);
  task_init(&other, runtime, stop_hog, &h);
  vsi_actor_notify(&busy.actor);
  latch_wait(&h.started, 1);
  vsi_actor_notify(&other.actor);
  vestry_runtime_destroy(runtime);
  assert_int_equal(other.runs, 1);
  assert_false(h.gave_up);
  latch_finish(&h.started);
}

/* Each task waits until all run at once, so none could end if a worker took several of them. */
enum { CROWD = 6 };

typedef struct crowd {
  latch inside;
  task tasks[CROWD];
} crowd;

static void join_crowd(task *t) {
  crowd *c = t->ctx;
  latch_add(&c->inside);
  latch_wait(&c->inside, CROWD);
}

static void call_crowd(task *t) {
  crowd *c = t->ctx;
  for (int i = 1; i < CROWD; i++) vsi_actor_notify(&c->tasks[i].actor);
  join_crowd(t);
}

TEST_CASE(idle_workers_take_queued_actors) {
  for (int round = 0; round < 50; round++) {
    vestry_runtime *runtime = runtime_of(CROWD);
    crowd c;
    latch_init(&c.inside);
    for (int i = 0; i < CROWD; i++) task_init(&c.tasks[i], runtime, i ? join_crowd : call_crowd, &c);
    vsi_actor_notify(&c.tasks[0].actor);
    latch_wait(&c.inside, CROWD);
    vestry_runtime_destroy(runtime);
    for (int i = 0; i < CROWD; i++) assert_int_equal(c.tasks[i].runs, 1);
    latch_finish(&c.inside);
  }
}

/* Jobs of a pool without actors: a group is what one worker takes at once. */
enum { SHORT_JOBS = 60, GROUPS = 2 * SHORT_JOBS };

typedef struct taken {
  vsi_job jobs[SHORT_JOBS]; /* first; every tenth is not short */
  vsi_job blocker;
  latch entered, leave, ended;
  size_t next, groups_count, groups[GROUPS];
} taken;

static taken *taken_now;

static bool job_is_short(const vsi_job *job) {
  return job != &taken_now->blocker && (job - taken_now->jobs) % 10 != 9;
}

static void note_group(vsi_job *const *jobs, size_t count) {
  taken *t = taken_now;
  if (*jobs == &t->blocker) {
    latch_add(&t->entered);
    latch_wait(&t->leave, 1);
    return;
  }
  for (size_t i = 0; i < count; i++) assert_ptr_equal(jobs[i], &t->jobs[t->next++]);
  for (size_t i = 0; i < count && count > 1; i++) assert_true(job_is_short(jobs[i]));
  t->groups[t->groups_count++] = count;
  for (size_t i = 0; i < count; i++) latch_add(&t->ended);
}

/* A worker takes several short jobs at once, its share of them at most, and a job that is not short alone. */
TEST_CASE(short_jobs_are_taken_together_and_in_order) {
  static taken t;
  test_host th;
  vsi_home home = true;
  vsi_pool pool;
  vsi_jobs jobs;
  test_host_init(&th);
  taken_now = &t;
  latch_init(&t.entered);
  latch_init(&t.leave);
  latch_init(&t.ended);
  assert_int_equal(vsi_pool_init(&pool, &th.host, &home, 1, note_group, job_is_short), VESTRY_OK);
  STAILQ_INIT(&jobs);
  STAILQ_INSERT_TAIL(&jobs, &t.blocker, in);
  vsi_pool_submit(&pool, &jobs, 1);
  latch_wait(&t.entered, 1);
  for (size_t i = 0; i < SHORT_JOBS; i++) STAILQ_INSERT_TAIL(&jobs, &t.jobs[i], in);
  vsi_pool_submit(&pool, &jobs, SHORT_JOBS);
  latch_add(&t.leave);
  latch_wait(&t.ended, SHORT_JOBS);
  vsi_pool_stop(&pool);
  vsi_pool_finish(&pool);
  for (size_t i = 0, left = SHORT_JOBS; i < t.groups_count; left -= t.groups[i++])
    assert_in_range(t.groups[i], 1, 1 + left / 2 < VSI_JOBS_AT_ONCE ? 1 + left / 2 : VSI_JOBS_AT_ONCE);
  assert_in_range(t.groups_count, 12, 20);
  latch_finish(&t.entered);
  latch_finish(&t.leave);
  latch_finish(&t.ended);
  test_host_assert_clean(&th);
}

static void tell(task *t) {
  latch_add(t->ctx);
}

/* Runs that last until they are told to end. */
typedef struct stuck {
  latch entered, leave;
} stuck;

static void wait_for_leave(task *t) {
  stuck *s = t->ctx;
  latch_add(&s->entered);
  latch_wait(&s->leave, 1);
}

static uint32_t parked_count(vsi_pool *pool) {
  vsi_mutex_lock(&pool->queue.lock);
  const uint32_t count = pool->parked_count;
  vsi_mutex_unlock(&pool->queue.lock);
  return count;
}

static void short_sent(const vsi_send *all, size_t count) {}

/* Short jobs wake a worker for each processor at most, and further ones if these are in long runs. */
TEST_CASE(short_jobs_run_beside_workers_in_long_runs) {
  enum { LONG = 5 };
  vestry_runtime *runtime = runtime_of(LONG + 1);
  stuck s;
  latch told;
  task blockers[LONG], last;
  static const vsi_actor_class short_class = {
      .run = task_run, .ref = task_hold, .unref = task_hold, .sent = short_sent};
  latch_init(&s.entered);
  latch_init(&s.leave);
  latch_init(&told);
  for (int i = 0; i < LONG; i++) {
    task_init(&blockers[i], runtime, wait_for_leave, &s);
    vsi_actor_notify(&blockers[i].actor);
  }
  latch_wait(&s.entered, LONG);
  for (int i = 1; i <= 100; i++) {
    task_init(&last, runtime, tell, &told);
    vsi_actor_init(&last.actor, &short_class, &runtime->pool);
    vsi_actor_notify(&last.actor);
    latch_wait(&told, (unsigned long)i);
    UNTIL(parked_count(&runtime->pool) == 1);
  }
  latch_add(&s.leave);
  vestry_runtime_destroy(runtime);
  latch_finish(&s.entered);
  latch_finish(&s.leave);
  latch_finish(&told);
}

/* Workers go to sleep between two notifies; after a lost wake-up, the test would hang here. */
TEST_CASE(workers_park_and_wake) {
  vestry_runtime *runtime = runtime_of(4);
  latch l;
  latch_init(&l);
  task t;
  task_init(&t, runtime, tell, &l);
  for (unsigned long i = 1; i <= 5000; i++) {
    vsi_actor_notify(&t.actor);
    latch_wait(&l, i);
  }
  vestry_runtime_destroy(runtime);
  latch_finish(&l);
}

enum { PARKINGS = 100000 };

static void count_run(task *t) {
  atomic_fetch_add((_Atomic(long) *)t->ctx, 1);
}

/* The only worker finds nothing and is about to sleep when a notify comes, at varying distances from the end of the run
 * before. After a lost wake-up, the test would hang here. */
TEST_CASE(no_wake_up_is_lost_while_parking) {
  uint64_t seed = 1;
  vestry_runtime *runtime = runtime_of(1);
  _Atomic(long) runs = 0;
  task t;
  task_init(&t, runtime, count_run, &runs);
  struct timespec since;
  clock_gettime(CLOCK_MONOTONIC, &since);
  int parkings = 0;
  while (litmus_goes_on(parkings + 1, PARKINGS, &since)) {
    parkings++;
    vsi_actor_notify(&t.actor);
    for (long spins = 0; atomic_load(&runs) < parkings; spins++)
      if (spins > 1000) sched_yield();
    volatile uint64_t delay = random_below(&seed, 100);
    while (delay) delay--;
  }
  vestry_runtime_destroy(runtime);
  assert_int_equal(runs, parkings);
}

/* Several rings of actors: each actor wakes the next from its run, while workers sleep and wake in between. */
enum { RINGS = 3, RING = 5, ROUNDS = 3000 };

typedef struct neighbour {
  task *next;
  latch *ended;
} neighbour;

static void pass_on(task *t) {
  neighbour *l = t->ctx;
  if (t->runs <= ROUNDS)
    vsi_actor_notify(&l->next->actor);
  else
    latch_add(l->ended);
}

TEST_CASE(rings_of_actors_complete) {
  vestry_runtime *runtime = runtime_of(5);
  latch ended;
  latch_init(&ended);
  static task tasks[RINGS][RING];
  static neighbour links[RINGS][RING];
  for (int ring = 0; ring < RINGS; ring++)
    for (int i = 0; i < RING; i++) {
      links[ring][i] = (neighbour){&tasks[ring][(i + 1) % RING], &ended};
      task_init(&tasks[ring][i], runtime, pass_on, &links[ring][i]);
    }
  for (int ring = 0; ring < RINGS; ring++) vsi_actor_notify(&tasks[ring][0].actor);
  latch_wait(&ended, RINGS);
  vestry_runtime_destroy(runtime);
  for (int ring = 0; ring < RINGS; ring++) {
    assert_int_equal(tasks[ring][0].runs, ROUNDS + 1);
    for (int i = 1; i < RING; i++) assert_int_equal(tasks[ring][i].runs, ROUNDS);
  }
  latch_finish(&ended);
}

static void pass_on_once(task *t) {
  task *next = t->ctx;
  if (next) vsi_actor_notify(&next->actor);
}

/* An actor that a ready actor notifies is ready too: a stop follows the chain to its end. */
TEST_CASE(stop_runs_all_ready_actors) {
  enum { LENGTH = 300 };
  static task tasks[LENGTH];
  const uint32_t threads_counts[] = {VESTRY_THREADS_NONE, 1, 3};
  for (int k = 0; k < 3; k++)
    for (int round = 0; round < 10; round++) {
      vestry_runtime *runtime = runtime_of(threads_counts[k]);
      for (int i = 0; i < LENGTH; i++)
        task_init(&tasks[i], runtime, pass_on_once, i + 1 < LENGTH ? &tasks[i + 1] : NULL);
      vsi_actor_notify(&tasks[0].actor);
      vestry_runtime_stop(runtime);
      for (int i = 0; i < LENGTH; i++) assert_int_equal(tasks[i].runs, 1);
      vestry_runtime_stop(runtime);
      vestry_runtime_destroy(runtime);
      assert_int_equal(threads_alive, 0);
    }
}

typedef struct stopper {
  vestry_runtime *runtime;
  latch about_to;
} stopper;

static void *stop_runtime(void *argument) {
  stopper *s = argument;
  latch_add(&s->about_to);
  vestry_runtime_stop(s->runtime);
  return NULL;
}

static void take_a_while(task *t) {
  litmus_dally(100000);
  *(bool *)t->ctx = true;
}

/* When a stop returns, the work is done, whichever thread called first. */
TEST_CASE(concurrent_stops_all_wait_for_the_work) {
  for (int round = 0; round < 30; round++) {
    stopper s = {.runtime = runtime_of(3)};
    latch_init(&s.about_to);
    bool ended = false;
    task slow;
    task_init(&slow, s.runtime, take_a_while, &ended);
    vsi_actor_notify(&slow.actor);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, stop_runtime, &s), 0);
    latch_wait(&s.about_to, 3);
    litmus_dally(5000);
    vestry_runtime_stop(s.runtime);
    assert_true(ended);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    vestry_runtime_destroy(s.runtime);
    latch_finish(&s.about_to);
  }
}

/* Replay of stepped runs: tasks and timers that act by their random numbers, and a journal of the runs. */
enum { PLAYERS = 12, JOURNAL = 2000 };

typedef struct player {
  task task;
  vsi_timer timer;
  struct play *play;
} player;

typedef struct play {
  test_host th;
  vestry_runtime *runtime;
  uint64_t seed;
  player players[PLAYERS];
  uint64_t journal[JOURNAL];
  size_t written;
} play;

static void play_turn(task *t) {
  player *self = (player *)t;
  play *p = self->play;
  if (p->written == JOURNAL) return;
  p->journal[p->written++] = (uint64_t)(self - p->players) << 48 | p->th.now_ns / 1000000;
  for (uint64_t n = random_below(&p->seed, 3); n; n--) {
    player *other = &p->players[random_below(&p->seed, PLAYERS)];
    switch (random_below(&p->seed, 3)) {
    case 0: vsi_actor_notify(&other->task.actor); break;
    case 1:
      assert_int_equal(vsi_ticker_arm(&p->runtime->ticker, &other->timer,
                                      p->th.now_ns + random_below(&p->seed, 300) * 1000000, 0, NULL),
                       VESTRY_OK);
      break;
    default: vsi_ticker_cancel(&p->runtime->ticker, &other->timer);
    }
  }
}

static void fire_player(vsi_timer *timer, vsi_notices *notices) {
  (void)notices;
  player *self = (player *)((char *)timer - offsetof(player, timer));
  vsi_actor_notify(&self->task.actor);
}

static void perform(play *p, uint64_t seed) {
  memset(p, 0, sizeof *p);
  test_host_init(&p->th);
  p->seed = seed;
  vestry_runtime_options options = {.host = &p->th.host, .threads_count = VESTRY_THREADS_NONE};
  assert_int_equal(vestry_runtime_create(&options, &p->runtime), VESTRY_OK);
  for (int i = 0; i < PLAYERS; i++) {
    task_init(&p->players[i].task, p->runtime, play_turn, NULL);
    vsi_timer_init(&p->players[i].timer, fire_player);
    p->players[i].play = p;
  }
  while (p->written < JOURNAL) {
    if (vestry_runtime_step(p->runtime)) continue;
    uint64_t next = next_deadline_ns(&p->runtime->ticker);
    if (next == UINT64_MAX)
      vsi_actor_notify(&p->players[random_below(&p->seed, PLAYERS)].task.actor);
    else
      atomic_store(&p->th.now_ns, next);
  }
  vestry_runtime_destroy(p->runtime);
  test_host_assert_clean(&p->th);
}

/* capability: F8 */
TEST_CASE(seed_replays_the_same_order) {
  static play first, second;
  for (uint64_t seed = 1; seed <= 10; seed++) {
    printf("replay seed %llu\n", (unsigned long long)seed);
    perform(&first, seed);
    perform(&second, seed);
    assert_memory_equal(first.journal, second.journal, sizeof first.journal);
    perform(&second, seed + 1000);
    assert_memory_not_equal(first.journal, second.journal, sizeof first.journal);
  }
}

static void do_nothing(task *t) {}

TEST_CASE(observed_pool_records_waiting_times) {
  test_host th;
  test_host_init(&th);
  vestry_runtime *runtime;
  assert_int_equal(vestry_runtime_create(
                       &(vestry_runtime_options){.host = &th.host, .threads_count = VESTRY_THREADS_NONE}, &runtime),
                   VESTRY_OK);
  task t;
  task_init(&t, runtime, do_nothing, NULL);
  vsi_histogram_counts lag;
  for (int observed = 0; observed < 2; observed++) {
    for (int i = 0; i < 640; i++) {
      vsi_actor_notify(&t.actor);
      test_host_advance_ms(&th, 3);
      assert_true(vestry_runtime_step(runtime));
    }
    vsi_histogram_get(&runtime->pool.lag, &vsi_moments, &lag);
    assert_int_equal(lag.count, observed ? 10 : 0); /* one in 64, while it is observed */
    vsi_pool_observe(&runtime->pool, true);
  }
  assert_int_equal(lag.counts[6], 10); /* 2.5 to 5 ms */
  vsi_pool_observe(&runtime->pool, false);
  vsi_pool_observe(&runtime->pool, false);
  vestry_runtime_destroy(runtime);
  test_host_assert_clean(&th);
}

/* ------------------------------------------------------------------------------------------------- bells ---------- */

typedef struct bell_box {
  vsi_bell bell; /* first */
  vestry_runtime *runtime;
  task *told;                     /* notified by each answer; NULL: none */
  _Atomic(long) wanted, answered; /* answered: what `wanted` was at the last answer */
  _Atomic(long) answers;
} bell_box;

static void answer_bell(vsi_bell *bell) {
  bell_box *b = (bell_box *)bell;
  atomic_store(&b->answered, atomic_load(&b->wanted));
  atomic_fetch_add(&b->answers, 1);
  if (b->told) vsi_actor_notify(&b->told->actor);
}

static void give_bell(bell_box *b, vestry_runtime *runtime, task *told) {
  *b = (bell_box){.bell = {.answer = answer_bell}, .runtime = runtime, .told = told};
  vsi_pool_set_bell(&runtime->pool, &b->bell);
}

static void ring(bell_box *b) {
  atomic_fetch_add(&b->wanted, 1);
  if (!vsi_bell_ring(&b->bell)) vsi_pool_rung(&b->runtime->pool);
}

/* Whether all workers sleep, one of them on the bell. */
static bool all_sleep(bell_box *b) {
  vsi_pool *pool = &b->runtime->pool;
  return parked_count(pool) == pool->workers_count && atomic_load(&b->bell.state) == VSI_BELL_WATCHED;
}

typedef struct parked_then {
  _Atomic(long) runs;
  _Atomic(uint32_t) parked;
} parked_then;

static void count_parked(task *t) {
  parked_then *p = t->ctx;
  atomic_store(&p->parked, parked_count(t->actor.pool));
  atomic_fetch_add(&p->runs, 1);
}

TEST_CASE(bell_wakes_one_worker) {
  for (uint32_t workers = 1; workers <= 3; workers++) {
    vestry_runtime *runtime = runtime_of(workers);
    parked_then then = {.runs = 0};
    task told;
    bell_box b;
    task_init(&told, runtime, count_parked, &then);
    give_bell(&b, runtime, &told);
    for (long i = 1; i <= 200; i++) {
      UNTIL(all_sleep(&b));
      ring(&b);
      UNTIL(atomic_load(&then.runs) == i);
      assert_int_equal(atomic_load(&b.answers), i);
      assert_int_equal(atomic_load(&then.parked), workers - 1); /* the job of the answer runs on the same worker */
    }
    UNTIL(all_sleep(&b));
    vestry_runtime_destroy(runtime);
  }
}

/* Ring while one worker is in a long run: the free one answers, and then sleeps on the bell. */
static void ring_the_free_worker(bell_box *b) {
  for (int i = 0; i < 50; i++) {
    ring(b);
    UNTIL(atomic_load(&b->answered) == atomic_load(&b->wanted));
    UNTIL(atomic_load(&b->bell.state) == VSI_BELL_WATCHED);
  }
}

/* One of two workers is in a long run, then both are, and then the other one is. */
TEST_CASE(bell_is_watched_and_answered_by_any_free_worker) {
  vestry_runtime *runtime = runtime_of(2);
  bell_box b;
  task blockers[2];
  stuck s[2];
  give_bell(&b, runtime, NULL);
  for (int i = 0; i < 2; i++) {
    latch_init(&s[i].entered);
    latch_init(&s[i].leave);
    task_init(&blockers[i], runtime, wait_for_leave, &s[i]);
  }
  UNTIL(all_sleep(&b));
  vsi_actor_notify(&blockers[0].actor);
  latch_wait(&s[0].entered, 1);
  ring_the_free_worker(&b);
  vsi_actor_notify(&blockers[1].actor);
  latch_wait(&s[1].entered, 1);
  for (int i = 0; i < 3; i++) ring(&b);
  assert_int_equal(atomic_load(&b.answered), atomic_load(&b.wanted) - 3);
  latch_add(&s[0].leave);
  ring_the_free_worker(&b);
  latch_add(&s[1].leave);
  UNTIL(all_sleep(&b));
  vestry_runtime_destroy(runtime);
  for (int i = 0; i < 2; i++) {
    latch_finish(&s[i].entered);
    latch_finish(&s[i].leave);
  }
}

typedef struct ringers {
  bell_box b;
  vestry_runtime *runtime;
  _Atomic(long) jobs;
} ringers;

static void count_job(task *t) {
  atomic_fetch_add(&((ringers *)t->ctx)->jobs, 1);
}

enum { BELL_RINGS = 3000 };

static void *ring_often(void *of) {
  ringers *r = of;
  for (int i = 0; i < BELL_RINGS; i++) {
    ring(&r->b);
    if (i % 7 == 0) WAIT_WHILE(atomic_load(&r->b.answered) < i / 2);
  }
  return NULL;
}

static void *notify_often(void *of) {
  ringers *r = of;
  task t;
  task_init(&t, r->runtime, count_job, r);
  for (int i = 0; i < BELL_RINGS; i++) {
    const long before = atomic_load(&r->jobs);
    vsi_actor_notify(&t.actor);
    WAIT_WHILE(atomic_load(&r->jobs) == before); /* lost, if no worker wakes up */
  }
  WAIT_WHILE(atomic_load(&t.actor.state)); /* the run has ended */
  return NULL;
}

/* Rings and jobs come while workers park; each ring and each job is followed by a run. */
TEST_CASE(no_ring_and_no_job_is_lost) {
  for (uint32_t workers = 1; workers <= 3; workers++) {
    ringers r = {.runtime = runtime_of(workers)};
    give_bell(&r.b, r.runtime, NULL);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
      assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? ring_often : notify_often, &r), 0);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    UNTIL(atomic_load(&r.b.answered) == 2 * BELL_RINGS);
    assert_int_equal(atomic_load(&r.jobs), BELL_RINGS);
    UNTIL(all_sleep(&r.b));
    ring(&r.b); /* a ring that comes before the stop is answered, too */
    vestry_runtime_destroy(r.runtime);
    assert_int_equal(atomic_load(&r.b.answered), 2 * BELL_RINGS + 1);
  }
}
