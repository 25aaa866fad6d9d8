/* SPDX-License-Identifier: MIT */
/* Presence with threads: whatever the order, the reported changes are consistent, and the counts are exact in the
 * end. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "support/test.h"
#include "support/until.h"
#include "vestry/app/presence.h"
#include "vestry/testing/memory.h"

typedef struct visit {
  vestry_presence *presence;
  const vestry_key *place;
  const char *user;
} visit;

static vestry_err be_present(const vestry_request *req, vestry_reply *reply, void *app) {
  const visit *v = app;
  vestry_err error = vestry_reply_present(reply, v->presence, v->place, v->user);
  if (error) return error;
  vestry_reply_keep(reply, VESTRY_KEEP_REUSE, 0);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1));
}

enum { PEOPLE = 40, PLACES = 5, THREADS = 4, COMINGS = 3000 };

/* The state that follows from the reported changes. */
typedef struct belief {
  vestry *v;
  vestry_presence *presence;
  bool here[PLACES][PEOPLE];
  size_t here_count[PLACES];
  size_t reported;
  _Atomic(bool) is_inside;
} belief;

static void apply_change(const vestry_presence_change *change, void *ctx) {
  belief *b = ctx;
  assert_false(atomic_exchange(&b->is_inside, true));
  size_t place = (size_t)change->place->parts[1].integer, user = (size_t)atoi(change->user);
  assert_true(b->here[place][user] != change->here); /* arrivals and departures alternate */
  b->here[place][user] = change->here;
  if (change->here)
    b->here_count[place]++;
  else
    assert_true(b->here_count[place]-- > 0);
  assert_int_equal(change->here_count, b->here_count[place]); /* in the order in which it happened */
  b->reported++;
  if (b->reported % 64 == 0) (void)vestry_presence_count(b->presence, change->place);
  atomic_store(&b->is_inside, false);
}

typedef struct crowd {
  belief *b;
  unsigned seed;
} crowd;

static void *open_and_close(void *ctx) {
  crowd *c = ctx;
  vestry_memory_exchange *open[8];
  size_t open_count = 0;
  for (int i = 0; i < COMINGS; i++) {
    char user[16];
    snprintf(user, sizeof user, "%d", rand_r(&c->seed) % PEOPLE);
    if (open_count == 8 || (open_count && rand_r(&c->seed) % 2 == 0)) {
      size_t at = (size_t)rand_r(&c->seed) % open_count;
      vestry_memory_destroy(open[at]); /* hangs up */
      open[at] = open[--open_count];
    }
    visit v = {.presence = c->b->presence, .place = VESTRY_KEY("p", rand_r(&c->seed) % PLACES), .user = user};
    assert_int_equal(
        vestry_memory_request(c->b->v, &(vestry_memory_call){.datastar = true}, be_present, &v, &open[open_count]),
        VESTRY_OK);
    open_count++;
  }
  while (open_count) vestry_memory_destroy(open[--open_count]);
  return NULL;
}

/* With real time and threads. The grace time is so short that departures and arrivals collide. */
/* capability: K3, K10 */
TEST_CASE(counts_are_exact_with_threads) {
  for (unsigned seed = 1; seed <= 3; seed++) {
    belief *b = calloc(1, sizeof *b);
    assert_int_equal(vestry_create(&(vestry_options){.threads_count = 2}, &b->v), VESTRY_OK);
    assert_int_equal(
        vestry_presence_create(b->v, &(vestry_presence_options){.grace_ms = 1, .on_change = apply_change, .ctx = b},
                               &b->presence),
        VESTRY_OK);
    pthread_t threads[THREADS];
    crowd crowds[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
      crowds[i] = (crowd){b, seed * 1000 + i};
      assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, &crowds[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int place = 0; place < PLACES; place++) WAIT_WHILE(vestry_presence_count(b->presence, VESTRY_KEY("p", place)));
    assert_int_equal(vestry_stop(b->v, VESTRY_NEVER_MS), VESTRY_OK);
    vestry_presence *presence = b->presence;
    vestry_runtime_stop(vestry_parts_of(b->v)->runtime); /* all pending changes have been reported */
    vestry_presence_destroy(presence);
    for (int place = 0; place < PLACES; place++) assert_int_equal(b->here_count[place], 0);
    assert_true(b->reported > 0 && b->reported % 2 == 0);
    vestry_destroy(b->v);
    free(b);
  }
}

/* An on_change that takes long for the first change. */
typedef struct slow {
  vestry *v;
  vestry_presence *presence;
  _Atomic(bool) is_inside, may_go_on;
  _Atomic(size_t) reported;
  char text[256];
} slow;

static void take_slowly(const vestry_presence_change *change, void *ctx) {
  slow *s = ctx;
  sprintf(s->text + strlen(s->text), "%c%s@%zu ", change->here ? '+' : '-', change->user, change->here_count);
  atomic_store(&s->is_inside, true);
  WAIT_WHILE(!atomic_load(&s->may_go_on));
  atomic_fetch_add(&s->reported, 1);
}

static vestry_memory_exchange *enter(slow *s, const char *user) {
  visit v = {.presence = s->presence, .place = VESTRY_KEY("p", 1), .user = user};
  vestry_memory_exchange *stream;
  assert_int_equal(vestry_memory_request(s->v, &(vestry_memory_call){.datastar = true}, be_present, &v, &stream),
                   VESTRY_OK);
  return stream;
}

static void leave(slow *s, const char *user, vestry_memory_exchange *stream) {
  vestry_memory_destroy(stream);
  WAIT_WHILE(vestry_presence_is(s->presence, VESTRY_KEY("p", 1), user));
}

/* While it is slow, at most one change per member is pending, and none for a member whose state is as reported. */
/* capability: K3 */
TEST_CASE(slow_on_change_receives_only_remaining_changes) {
  slow s = {.reported = 0};
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = 2}, &s.v), VESTRY_OK);
  const vestry_presence_options options = {.grace_ms = 1, .max_count = 4, .on_change = take_slowly, .ctx = &s};
  assert_int_equal(vestry_presence_create(s.v, &options, &s.presence), VESTRY_OK);
  vestry_memory_exchange *ada = enter(&s, "ada");
  WAIT_WHILE(!atomic_load(&s.is_inside));
  for (int i = 0; i < 30; i++) leave(&s, "bob", enter(&s, "bob"));
  leave(&s, "cyd", enter(&s, "cyd"));
  leave(&s, "ada", ada); /* four fit: members without a pending change need no room */
  vestry_memory_exchange *dan = enter(&s, "dan"), *cyd = enter(&s, "cyd"), *eve = enter(&s, "eve");
  assert_non_null(vestry_memory_look(eve).connection);
  vestry_memory_exchange *fay = enter(&s, "fay"); /* ada's departure is still to be reported */
  assert_int_equal(vestry_memory_look(fay).status, 503);
  vestry_memory_destroy(fay);
  ada = enter(&s, "ada"); /* until then she has a place */
  assert_non_null(vestry_memory_look(ada).connection);
  leave(&s, "ada", ada);
  atomic_store(&s.may_go_on, true);
  WAIT_WHILE(atomic_load(&s.reported) < 5);
  vestry_presence_destroy(s.presence);
  assert_string_equal(s.text, "+ada@1 +dan@2 +cyd@3 +eve@4 -ada@3 ");
  vestry_memory_destroy(dan), vestry_memory_destroy(cyd), vestry_memory_destroy(eve);
  vestry_destroy(s.v);
}

static void *hang_up_all(void *ctx) {
  vestry_memory_exchange **open = ctx;
  for (int i = 0; i < 40; i += 2) vestry_memory_destroy(open[i]);
  return NULL;
}

/* The presence ends while streams are open and another thread ends streams. */
/* capability: K3 */
TEST_CASE(presence_may_end_while_streams_end) {
  for (unsigned seed = 1; seed <= 20; seed++) {
    belief *b = calloc(1, sizeof *b);
    assert_int_equal(vestry_create(&(vestry_options){.threads_count = 2}, &b->v), VESTRY_OK);
    assert_int_equal(
        vestry_presence_create(b->v, &(vestry_presence_options){.grace_ms = 1, .on_change = apply_change, .ctx = b},
                               &b->presence),
        VESTRY_OK);
    vestry_memory_exchange *open[40];
    for (int i = 0; i < 40; i++) {
      char user[16];
      snprintf(user, sizeof user, "%d", i);
      visit v = {.presence = b->presence, .place = VESTRY_KEY("p", 1), .user = user};
      assert_int_equal(vestry_memory_request(b->v, &(vestry_memory_call){.datastar = true}, be_present, &v, &open[i]),
                       VESTRY_OK);
      if (i % 2) vestry_memory_destroy(open[i]);
    }
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, hang_up_all, open), 0);
    vestry_presence_destroy(b->presence);
    size_t before = b->reported; /* no thread writes it any more */
    pthread_join(thread, NULL);
    vestry_destroy(b->v);
    assert_int_equal(b->reported, before);
    free(b);
  }
}
