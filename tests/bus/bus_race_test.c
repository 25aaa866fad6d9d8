/* SPDX-License-Identifier: MIT */
/* E5: the bus with many threads. Publishers, subscribers that come and go, and streams that end: whatever the order, no
 * subscriber is called after its end was reported, each end is reported once, and the counters are consistent. The
 * argument of a subscriber is freed at its end, so sanitizers detect late calls. */
#include "app/bus/bus.h"

#include <stdlib.h>

#include "connection/probe.h"
#include "runtime/random.h"
#include "support/topic.h"
#include "support/until.h"

enum { PUBLISHERS = 2, GUESTS = 2, STREAMS = 6, LOUD = 300, VISITS = 300, ROUNDS = 30 };

typedef struct hall {
  bench b;
  vsi_bus *bus;
  vestry_connection *streams[STREAMS];
  probe probes[STREAMS];
  _Atomic(uint64_t) called, subscribed, over, refused;
  pthread_barrier_t start;
} hall;

/* A subscriber's data, freed at its end. */
typedef struct guest {
  hall *h;
  vestry_subscription *handle;
  int seen;     /* not atomic: read by the calls, and written by `over` */
  bool *parted; /* of a subscriber with a stream: its close hook has run */
} guest;

/* A stream's data, which its close hook changes. */
typedef struct page {
  bool parted;
  probe *p;
} page;

static void on_call(const vestry_bus_message *message, void *ctx) {
  const guest *g = ctx;
  assert_int_equal(g->seen, 1);
  assert_true(!g->parted || !*g->parted);
  atomic_fetch_add(&g->h->called, 1);
  uint64_t number = *(const uint64_t *)message->data;
  if (message->connection) (void)vestry_connection_patch_signals(message->connection, VESTRY_VALUES("{\"a\":1}"), NULL);
  if (number % 64 == 1 && message->connection) vestry_connection_close(message->connection, VESTRY_CAUSE_CLOSED);
  if (number % 32 == 2) {
    uint64_t quiet = 0;
    (void)topic_publish(g->h->bus, "v", 1, &quiet, sizeof quiet, NULL);
  }
}

static void on_over(void *ctx) {
  guest *g = ctx;
  atomic_fetch_add(&g->h->over, 1);
  g->seen = 2;
  free(g);
}

static void on_close(vestry_connection *connection, vestry_cause cause, void *ctx) {
  page *p = ctx;
  p->parted = true;
  probe_hooks.on_close(connection, cause, p->p);
}

typedef struct worker {
  hall *h;
  page *pages;
  uint64_t seed;
  pthread_t thread;
} worker;

static const char *topic_of(uint64_t random) {
  static const char *const topics[] = {"t", "t", "u", "v"};
  return topics[random % 4];
}

static void *publish_many(void *argument) {
  worker *w = argument;
  pthread_barrier_wait(&w->h->start);
  for (uint64_t i = 0; i < LOUD; i++) {
    uint64_t number = random_next(&w->seed);
    vestry_err error = topic_publish(w->h->bus, topic_of(random_next(&w->seed)), 1, &number, sizeof number, NULL);
    assert_int_equal(error, VESTRY_OK);
  }
  return NULL;
}

static void subscribe_once(worker *w, vestry_subscription **held) {
  hall *h = w->h;
  uint64_t r = random_next(&w->seed);
  int stream = (int)((r >> 8) % (STREAMS + 2));
  guest *g = calloc(1, sizeof *g);
  g->h = h;
  g->seen = 1;
  vestry_subscriber subscriber = {.call = on_call, .over = on_over, .ctx = g};
  if (stream < STREAMS) {
    subscriber.connection = h->streams[stream];
    g->parted = &w->pages[stream].parted;
  }
  bool hold = r & 1;
  vestry_subscription *made = NULL;
  vestry_err error = topic_subscribe(h->bus, topic_of(r >> 16), 1, &subscriber, hold ? &made : NULL);
  assert_int_equal(made != NULL, hold && !error);
  if (error) {
    assert_int_equal(error, VESTRY_CLOSED);
    atomic_fetch_add(&h->refused, 1);
    free(g);
  } else {
    atomic_fetch_add(&h->subscribed, 1);
  }
  if (!made) return;
  if (*held) assert_true(vestry_unsubscribe(*held)); /* not the new one, so that some stay for a while */
  *held = made;
}

static void *subscribe_and_end(void *argument) {
  worker *w = argument;
  vestry_subscription *held[4] = {NULL};
  pthread_barrier_wait(&w->h->start);
  for (int i = 0; i < VISITS; i++) {
    subscribe_once(w, &held[random_below(&w->seed, 4)]);
    if (i % 40 == 39)
      vestry_connection_close(w->h->streams[random_below(&w->seed, STREAMS)],
                              i % 80 == 39 ? VESTRY_CAUSE_CLOSED : VESTRY_CAUSE_HANGUP);
  }
  for (int i = 0; i < 4; i++) assert_true(vestry_unsubscribe(held[i]));
  return NULL;
}

static void one_round(uint64_t seed) {
  static hall h;
  page pages[STREAMS] = {{false, NULL}};
  memset(&h, 0, sizeof h);
  bench_init(&h.b, 2, &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS, .full = VESTRY_FULL_DROP});
  assert_int_equal(vsi_bus_create(&h.b.th.host, &h.bus), VESTRY_OK);
  for (int i = 0; i < STREAMS; i++) {
    probe_init(&h.probes[i]);
    pages[i].p = &h.probes[i];
    static const vsi_connection_hooks hooks = {.on_close = on_close};
    assert_int_equal(vsi_group_connect(h.b.group, &probe_pooled, &h.probes[i], NULL, &hooks, &pages[i], &h.streams[i]),
                     VESTRY_OK);
    vsi_connection_start(h.streams[i]);
  }
  worker workers[PUBLISHERS + GUESTS];
  pthread_barrier_init(&h.start, NULL, PUBLISHERS + GUESTS);
  for (int i = 0; i < PUBLISHERS + GUESTS; i++) {
    workers[i] = (worker){.h = &h, .pages = pages, .seed = seed * 100 + (uint64_t)i};
    void *(*run)(void *) = i < PUBLISHERS ? publish_many : subscribe_and_end;
    assert_int_equal(pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
  }
  for (int i = 0; i < PUBLISHERS + GUESTS; i++) pthread_join(workers[i].thread, NULL);
  if (seed % 2) { /* the bus is destroyed first, while streams end */
    for (int i = 0; i < STREAMS; i++) vestry_connection_close(h.streams[i], VESTRY_CAUSE_CLOSED);
  }
  vestry_bus_stats stats = {0};
  vsi_bus_stats_get(h.bus, &stats);
  assert_int_equal(stats.subscribed_count, atomic_load(&h.subscribed));
  assert_int_equal(stats.subscribed_count, stats.live_count + stats.ended_count);
  assert_int_equal(stats.called_count, atomic_load(&h.called));
  vsi_bus_destroy(h.bus);
  assert_int_equal(atomic_load(&h.over), atomic_load(&h.subscribed));
  for (int i = 0; i < STREAMS; i++) {
    vestry_connection_close(h.streams[i], VESTRY_CAUSE_CLOSED);
    vestry_connection_unref(h.streams[i]);
  }
  bench_finish(&h.b);
  for (int i = 0; i < STREAMS; i++) probe_finish(&h.probes[i]);
  pthread_barrier_destroy(&h.start);
}

/* capability: E5 */
TEST_CASE(e5_no_call_follows_the_end_of_a_subscription) {
  for (uint64_t seed = 1; seed <= ROUNDS; seed++) one_round(seed);
}

/* -------------------------------------------------------------------------------- waiting for running calls ------- */

typedef struct meeting {
  vsi_bus *bus;
  vestry_subscription *one, *two;
  pthread_barrier_t both_inside;
  _Atomic(int) overs;
} meeting;

static void end_the_other(const vestry_bus_message *message, void *ctx) {
  meeting *m = ctx;
  pthread_barrier_wait(&m->both_inside);
  bool first = *(const char *)message->topic.data == '1';
  (void)vestry_unsubscribe(first ? m->two : m->one); /* waiting here would be a deadlock */
}

static void count_over(void *ctx) {
  atomic_fetch_add(&((meeting *)ctx)->overs, 1);
}

static void *publish_two(void *ctx) {
  meeting *m = ctx;
  assert_int_equal(topic_publish(m->bus, "2", 1, NULL, 0, NULL), VESTRY_OK);
  return NULL;
}

TEST_CASE(callbacks_that_end_each_other_do_not_wait) {
  meeting m = {.overs = 0};
  assert_int_equal(vsi_bus_create(vestry_host_default(), &m.bus), VESTRY_OK);
  pthread_barrier_init(&m.both_inside, NULL, 2);
  vestry_subscriber subscriber = {.call = end_the_other, .over = count_over, .ctx = &m};
  assert_int_equal(topic_subscribe(m.bus, "1", 1, &subscriber, &m.one), VESTRY_OK);
  assert_int_equal(topic_subscribe(m.bus, "2", 1, &subscriber, &m.two), VESTRY_OK);
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, publish_two, &m), 0);
  assert_int_equal(topic_publish(m.bus, "1", 1, NULL, 0, NULL), VESTRY_OK);
  pthread_join(thread, NULL);
  assert_int_equal(atomic_load(&m.overs), 2);
  vsi_bus_destroy(m.bus);
  pthread_barrier_destroy(&m.both_inside);
}

typedef struct patient {
  vsi_bus *bus;
  vestry_subscription *handle;
  pthread_barrier_t inside;
  int value; /* not atomic: written by the call, and read by the thread that waited for it */
} patient;

static void take_your_time(const vestry_bus_message *message, void *ctx) {
  patient *p = ctx;
  pthread_barrier_wait(&p->inside);
  vestry_bus_stats stats = {0};
  WAIT_WHILE(
      (vsi_bus_stats_get(p->bus, &stats), !stats.ended_count)); /* another thread has begun to end it, and waits */
  p->value = 1;
}

static void *publish_one(void *ctx) {
  patient *p = ctx;
  assert_int_equal(topic_publish(p->bus, "t", 1, NULL, 0, NULL), VESTRY_OK);
  return NULL;
}

/* capability: E5 */
TEST_CASE(e5_unsubscribe_waits_for_a_running_call) {
  for (int how = 0; how < 2; how++) { /* by unsubscribing, or by destroying the bus */
    patient p = {.value = 0};
    assert_int_equal(vsi_bus_create(vestry_host_default(), &p.bus), VESTRY_OK);
    pthread_barrier_init(&p.inside, NULL, 2);
    vestry_subscriber subscriber = {.call = take_your_time, .ctx = &p};
    assert_int_equal(topic_subscribe(p.bus, "t", 1, &subscriber, &p.handle), VESTRY_OK);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, publish_one, &p), 0);
    pthread_barrier_wait(&p.inside);
    if (how == 0) {
      assert_true(vestry_unsubscribe(p.handle));
      assert_int_equal(p.value, 1);
      vsi_bus_destroy(p.bus);
    } else {
      vsi_bus_destroy(p.bus);
      assert_int_equal(p.value, 1);
      assert_true(vestry_unsubscribe(p.handle));
    }
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&p.inside);
  }
}

static void told_after_the_call(vestry_connection *connection, vestry_cause cause, void *ctx) {
  ((patient *)ctx)->value++; /* not atomic: no call is running any more */
}

static void leave_slowly(const vestry_bus_message *message, void *ctx) {
  patient *p = ctx;
  if (p->handle) assert_false(vestry_unsubscribe(p->handle)); /* its own call is running */
  pthread_barrier_wait(&p->inside);
  WAIT_WHILE(vestry_connection_look(message->connection).state != VESTRY_STATE_CLOSED);
  p->value = 1; /* the runner is about to call the hooks */
}

TEST_CASE(e5_the_close_hook_comes_after_a_running_call) {
  for (int unsubscribed = 0; unsubscribed < 2; unsubscribed++) { /* by the call itself, before the stream ends */
    bench b;
    probe pr;
    patient p = {.value = 0};
    bench_init(&b, 1, NULL);
    probe_init(&pr);
    vestry_connection *c = NULL;
    static const vsi_connection_hooks hooks = {.on_close = told_after_the_call};
    assert_int_equal(vsi_group_connect(b.group, &probe_pooled, &pr, NULL, &hooks, &p, &c), VESTRY_OK);
    vsi_connection_start(c);
    assert_int_equal(vsi_bus_create(&b.th.host, &p.bus), VESTRY_OK);
    pthread_barrier_init(&p.inside, NULL, 2);
    vestry_subscriber subscriber = {.call = leave_slowly, .ctx = &p, .connection = c};
    assert_int_equal(topic_subscribe(p.bus, "t", 1, &subscriber, unsubscribed ? &p.handle : NULL), VESTRY_OK);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, publish_one, &p), 0);
    pthread_barrier_wait(&p.inside);
    vestry_connection_close(c, VESTRY_CAUSE_CLOSED); /* the runner ends it, and waits */
    pthread_join(thread, NULL);
    vestry_connection_unref(c);
    vsi_group_close(b.group);
    assert_int_equal(vsi_group_wait(b.group, 60000), VESTRY_OK);
    assert_int_equal(p.value, 2);
    vsi_bus_destroy(p.bus);
    bench_finish(&b);
    assert_int_equal(pr.ends, 1);
    vsi_buffer_finish(&pr.got);
    pthread_barrier_destroy(&p.inside);
  }
}
