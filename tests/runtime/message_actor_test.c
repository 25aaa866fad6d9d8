/* SPDX-License-Identifier: MIT */
/* vestry_actor: messages, references, the end. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/memory.h"
#include "runtime/latch.h"
#include "runtime/runtime.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/runtime.h"

typedef struct parcel {
  vestry_message message; /* first */
  unsigned sender, number;
} parcel;

enum { SENDERS = 4, PARCELS = 20000 };

/* The calls of an actor, for the test to check afterwards. */
typedef struct record {
  _Atomic(long) runs, received, dropped, done;
  long out_of_order;
  unsigned next[SENDERS];
  unsigned take; /* maximum number of messages received per run; 0: until NULL */
  bool lazy;     /* receive nothing */
  bool unref_inside;
  latch *latch; /* incremented for each message */
} record;

static void keep(record *r, const parcel *p) {
  if (p->sender < SENDERS && p->number != r->next[p->sender]++) r->out_of_order++;
  r->received++;
  if (r->latch) latch_add(r->latch);
}

static void run(vestry_actor *self, void *ctx) {
  record *r = ctx;
  r->runs++;
  if (r->unref_inside) {
    r->unref_inside = false;
    assert_null(vestry_actor_unref(self));
  }
  for (unsigned n = 0; !r->lazy && (r->take == 0 || n < r->take); n++) {
    parcel *p = (parcel *)vestry_actor_receive(self);
    if (!p) break;
    keep(r, p);
  }
}

static void drop(vestry_message *message, void *ctx) {
  record *r = ctx;
  keep(r, (parcel *)message);
  r->received--;
  r->dropped++;
}

static void done(void *ctx) {
  record *r = ctx;
  r->done++;
}

static vestry_runtime *runtime_of(test_host *th, uint32_t threads_count) {
  vestry_runtime *runtime = NULL;
  vestry_runtime_options options = {.host = th ? &th->host : NULL, .threads_count = threads_count};
  assert_int_equal(vestry_runtime_create(&options, &runtime), VESTRY_OK);
  return runtime;
}

static vestry_actor *actor_of(vestry_runtime *runtime, record *r) {
  vestry_actor *actor = NULL;
  vestry_actor_options options = {.run = run, .drop = drop, .done = done, .ctx = r};
  assert_int_equal(vestry_actor_create(runtime, &options, &actor), VESTRY_OK);
  return actor;
}

static void post_each(vestry_actor *actor, parcel *parcels, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    parcels[i].sender = 0;
    parcels[i].number = i;
    assert_int_equal(vestry_actor_post(actor, &parcels[i].message), VESTRY_OK);
  }
}

HOST_CASE(options_are_checked) {
  vestry_runtime *runtime = runtime_of(th, VESTRY_THREADS_NONE);
  vestry_actor *const untouched = (vestry_actor *)th;
  vestry_actor *actor = untouched;
  vestry_actor_options options = {0};
  assert_int_equal(vestry_actor_create(runtime, &options, &actor), VESTRY_INVALID);
  assert_int_equal(vestry_actor_create(runtime, NULL, &actor), VESTRY_INVALID);
  options.run = run;
  assert_int_equal(vestry_actor_create(NULL, &options, &actor), VESTRY_INVALID);
  assert_int_equal(vestry_actor_create(runtime, &options, NULL), VESTRY_INVALID);
  vsi_runtime_close(runtime);
  assert_int_equal(vestry_actor_create(runtime, &options, &actor), VESTRY_CLOSED);
  assert_ptr_equal(actor, untouched);
  assert_null(vestry_actor_unref(NULL));
  vestry_runtime_destroy(runtime);
}

HOST_CASE(messages_arrive_in_order_in_one_run) {
  vestry_runtime *runtime = runtime_of(th, VESTRY_THREADS_NONE);
  record r = {0};
  vestry_actor *actor = actor_of(runtime, &r);
  parcel parcels[10];
  post_each(actor, parcels, 10);
  assert_true(vestry_runtime_step(runtime));
  assert_false(vestry_runtime_step(runtime));
  assert_int_equal(r.runs, 1);
  assert_int_equal(r.received, 10);
  assert_int_equal(r.out_of_order, 0);
  vestry_actor_notify(actor); /* a run without a message */
  assert_true(vestry_runtime_step(runtime));
  assert_int_equal(r.runs, 2);
  vestry_actor_unref(actor);
  assert_int_equal(r.done, 1);
  vestry_runtime_destroy(runtime);
}

TEST_CASE(messages_left_by_a_run_cause_another_run) {
  vestry_runtime *runtime = runtime_of(NULL, VESTRY_THREADS_NONE);
  record r = {.take = 2};
  vestry_actor *actor = actor_of(runtime, &r);
  parcel parcels[5];
  post_each(actor, parcels, 5);
  for (int received = 2; received <= 6; received += 2) {
    assert_true(vestry_runtime_step(runtime));
    assert_int_equal(r.received, received < 5 ? received : 5);
  }
  assert_false(vestry_runtime_step(runtime));
  assert_int_equal(r.out_of_order, 0);
  vestry_actor_unref(actor);
  vestry_runtime_destroy(runtime);
}

/* Messages posted before the last unref are still delivered, even if each run takes one; then the actor ends. */
TEST_CASE(messages_before_the_last_unref_are_delivered) {
  for (unsigned take = 0; take < 3; take++) {
    test_host th;
    test_host_init(&th);
    vestry_runtime *runtime = runtime_of(&th, VESTRY_THREADS_NONE);
    record r = {.take = take};
    vestry_actor *actor = actor_of(runtime, &r);
    parcel parcels[4];
    post_each(actor, parcels, 4);
    vestry_actor_unref(actor);
    assert_int_equal(r.done, 0);
    while (vestry_runtime_step(runtime)) {
    }
    assert_int_equal(r.received, 4);
    assert_int_equal(r.dropped, 0);
    assert_int_equal(r.done, 1);
    vestry_runtime_destroy(runtime);
    test_host_assert_clean(&th);
  }
}

TEST_CASE(undelivered_messages_are_dropped_once) {
  for (int unref_first = 0; unref_first < 2; unref_first++) {
    test_host th;
    test_host_init(&th);
    vestry_runtime *runtime = runtime_of(&th, VESTRY_THREADS_NONE);
    record r = {.lazy = true};
    vestry_actor *actor = actor_of(runtime, &r);
    parcel parcels[7];
    post_each(actor, parcels, 7);
    if (!unref_first) {
      assert_true(vestry_runtime_step(runtime));
      assert_true(vestry_runtime_step(runtime)); /* offered again, as long as the actor is referenced */
      assert_int_equal(r.dropped, 0);
    }
    vestry_actor_unref(actor);
    while (vestry_runtime_step(runtime)) {
    }
    assert_int_equal(r.received, 0);
    assert_int_equal(r.dropped, 7);
    assert_int_equal(r.out_of_order, 0);
    assert_int_equal(r.done, 1);
    vestry_runtime_destroy(runtime);
    test_host_assert_clean(&th);
  }
}

HOST_CASE(actor_without_drop_discards_messages) {
  vestry_runtime *runtime = runtime_of(th, VESTRY_THREADS_NONE);
  record r = {.lazy = true};
  vestry_actor *actor = NULL;
  assert_int_equal(vestry_actor_create(runtime, &(vestry_actor_options){.run = run, .ctx = &r}, &actor), VESTRY_OK);
  parcel parcels[3];
  post_each(actor, parcels, 3);
  vestry_actor_unref(actor);
  vestry_runtime_destroy(runtime);
  assert_int_equal(r.runs, 1);
}

HOST_CASE(actor_may_drop_its_last_reference_in_a_run) {
  vestry_runtime *runtime = runtime_of(th, VESTRY_THREADS_NONE);
  record r = {.unref_inside = true};
  vestry_actor *actor = actor_of(runtime, &r);
  parcel parcels[2];
  post_each(actor, parcels, 2);
  assert_true(vestry_runtime_step(runtime)); /* it receives after the unref, so it still exists */
  assert_int_equal(r.received, 2);
  assert_int_equal(r.done, 1);
  assert_false(vestry_runtime_step(runtime));
  vestry_runtime_destroy(runtime);
}

HOST_CASE(actor_without_messages_ends_with_its_reference) {
  vestry_runtime *runtime = runtime_of(th, VESTRY_THREADS_NONE);
  record r = {0};
  vestry_actor *actor = actor_of(runtime, &r);
  assert_null(vestry_actor_unref(actor));
  assert_int_equal(r.done, 1);
  assert_int_equal(r.runs, 0);
  vestry_runtime_destroy(runtime);
}

TEST_CASE(closed_runtime_refuses_posts_and_delivers_accepted) {
  for (int threads = 0; threads < 2; threads++) {
    test_host th;
    test_host_init(&th);
    vestry_runtime *runtime = runtime_of(&th, threads ? 2 : VESTRY_THREADS_NONE);
    record r = {0};
    vestry_actor *actor = actor_of(runtime, &r);
    parcel parcels[6];
    post_each(actor, parcels, 5);
    vsi_runtime_close(runtime);
    vsi_runtime_close(runtime);
    assert_int_equal(vestry_actor_post(actor, &parcels[5].message), VESTRY_CLOSED);
    vestry_runtime_stop(runtime);
    assert_int_equal(r.received, 5);
    assert_int_equal(vestry_actor_post(actor, &parcels[5].message), VESTRY_CLOSED);
    vestry_actor_unref(actor);
    assert_int_equal(r.dropped, 0); /* the sixth was refused */
    assert_int_equal(r.done, 1);
    vestry_runtime_destroy(runtime);
    test_host_assert_clean(&th);
  }
}

typedef struct sender {
  vestry_actor *actor;
  unsigned id;
  parcel parcels[PARCELS];
} sender;

static void *send(void *argument) {
  sender *s = argument;
  for (unsigned i = 0; i < PARCELS; i++) {
    s->parcels[i].sender = s->id;
    s->parcels[i].number = i;
    if (vestry_actor_post(s->actor, &s->parcels[i].message) != VESTRY_OK) break;
  }
  return NULL;
}

/* The actor ends once, after its last message. */
/* capability: K10 */
TEST_CASE(many_senders_keep_their_order) {
  static sender senders[SENDERS];
  test_host th;
  test_host_init(&th);
  for (unsigned take = 0; take < 20; take += 19) {
    vestry_runtime *runtime = runtime_of(&th, 6);
    record r = {.take = take};
    vestry_actor *actor = actor_of(runtime, &r);
    pthread_t threads[SENDERS];
    for (unsigned i = 0; i < SENDERS; i++) {
      senders[i].actor = actor;
      senders[i].id = i;
      assert_int_equal(pthread_create(&threads[i], NULL, send, &senders[i]), 0);
    }
    for (unsigned i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
    vestry_actor_unref(actor);
    vestry_runtime_destroy(runtime);
    assert_int_equal(r.received, SENDERS * PARCELS);
    assert_int_equal(r.out_of_order, 0);
    assert_int_equal(r.dropped, 0);
    assert_int_equal(r.done, 1);
    test_host_assert_clean(&th);
  }
}

/* Close at a random moment while senders post: each message is either refused or delivered, none is lost or
 * duplicated. */
static void *send_until_closed(void *argument) {
  sender *s = argument;
  unsigned taken = 0;
  while (taken < PARCELS) {
    s->parcels[taken].sender = s->id;
    s->parcels[taken].number = taken;
    if (vestry_actor_post(s->actor, &s->parcels[taken].message) != VESTRY_OK) break;
    taken++;
  }
  s->id = taken;
  return NULL;
}

TEST_CASE(stop_delivers_each_accepted_message) {
  static sender senders[SENDERS];
  for (int round = 0; round < 20; round++) {
    vestry_runtime *runtime = runtime_of(NULL, 3);
    latch l;
    latch_init(&l);
    record r = {.latch = &l};
    vestry_actor *actor = actor_of(runtime, &r);
    pthread_t threads[SENDERS];
    for (unsigned i = 0; i < SENDERS; i++) {
      senders[i].actor = actor;
      senders[i].id = i;
      assert_int_equal(pthread_create(&threads[i], NULL, send_until_closed, &senders[i]), 0);
    }
    latch_wait(&l, (unsigned long)round * 100);
    vestry_runtime_stop(runtime);
    long taken = 0;
    for (unsigned i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < SENDERS; i++) taken += senders[i].id;
    vestry_actor_unref(actor);
    vestry_runtime_destroy(runtime);
    assert_int_equal(r.received, taken);
    assert_int_equal(r.out_of_order, 0);
    assert_int_equal(r.done, 1);
    latch_finish(&l);
  }
}

/* Posts in a happens-before order, each on another thread than the last, arrive in that order, whatever other threads
 * post. (K10: therefore joining and leaving by posts needs no lock.) */
enum { TURNS = 3000 };
typedef struct relay {
  vestry_actor *actor;
  _Atomic(unsigned) turn;
  parcel parcels[TURNS];
} relay;

typedef struct runner {
  relay *relay;
  unsigned id;
  parcel noise[TURNS];
} runner;

static void *run_relay(void *argument) {
  runner *r = argument;
  relay *all = r->relay;
  for (unsigned turn = r->id; turn < TURNS; turn += SENDERS) {
    r->noise[turn].sender = SENDERS; /* in no sender's sequence */
    assert_int_equal(vestry_actor_post(all->actor, &r->noise[turn].message), VESTRY_OK);
    while (atomic_load_explicit(&all->turn, memory_order_acquire) != turn) sched_yield();
    all->parcels[turn].number = turn;
    assert_int_equal(vestry_actor_post(all->actor, &all->parcels[turn].message), VESTRY_OK);
    atomic_store_explicit(&all->turn, turn + 1, memory_order_release);
  }
  return NULL;
}

/* capability: K10 */
HOST_CASE(posts_arrive_in_happens_before_order) {
  static relay all;
  static runner runners[SENDERS];
  vestry_runtime *runtime = runtime_of(th, 3);
  record r = {0};
  all.actor = actor_of(runtime, &r);
  pthread_t threads[SENDERS];
  for (unsigned i = 0; i < SENDERS; i++) {
    runners[i].relay = &all;
    runners[i].id = i;
    assert_int_equal(pthread_create(&threads[i], NULL, run_relay, &runners[i]), 0);
  }
  for (unsigned i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
  vestry_actor_unref(all.actor);
  vestry_runtime_destroy(runtime);
  assert_int_equal(r.received, 2 * TURNS);
  assert_int_equal(r.next[0], TURNS);
  assert_int_equal(r.out_of_order, 0);
}

static vestry_err create_all(test_host *th, void *ctx) {
  uint32_t threads_count = *(uint32_t *)ctx;
  vestry_runtime *runtime = NULL;
  vestry_runtime_options options = {.host = &th->host, .threads_count = threads_count};
  vestry_err error = vestry_runtime_create(&options, &runtime);
  if (error != VESTRY_OK) {
    assert_null(runtime);
    return error;
  }
  record r = {0};
  vestry_actor *actor = NULL;
  vestry_actor_options actor_options = {.run = run, .drop = drop, .done = done, .ctx = &r};
  error = vestry_actor_create(runtime, &actor_options, &actor);
  parcel p = {.number = 0};
  if (error == VESTRY_OK) assert_int_equal(vestry_actor_post(actor, &p.message), VESTRY_OK); /* allocates nothing */
  vestry_actor_unref(actor);
  vestry_runtime_destroy(runtime);
  assert_int_equal(r.done, error == VESTRY_OK);
  assert_int_equal(r.received, error == VESTRY_OK);
  return error;
}

TEST_CASE(creation_survives_every_allocation_failure) {
  uint32_t threads_counts[] = {VESTRY_THREADS_NONE, 3};
  for (int i = 0; i < 2; i++) test_host_fail_each(create_all, &threads_counts[i], false);
}
