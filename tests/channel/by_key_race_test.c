/* SPDX-License-Identifier: MIT */
/* Channels and topics by key under threads: streams open, join, leave and end while all threads broadcast. In every
 * order, members that stay receive every event, in each sender's order, and nothing remains at the end. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "channel/channels.h"
#include "event/layout.h"
#include "serve/wire.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/app/bus.h"
#include "vestry/channel.h"
#include "vestry/testing/memory.h"

enum { THREADS = 4, PLACES = 5, ROUNDS = 1200, OPEN_MOST = 6, STAYING = 2 };

typedef struct race {
  test_host th;
  vestry *v;
  _Atomic(size_t) begun, overs, calls; /* of subscriptions */
} race;

typedef struct runner {
  race *r;
  unsigned seed;
  int number;
} runner;

/* Each subscription has its own memory, freed when it ends. Sanitizers detect an end that is reported twice or
 * never. */
typedef struct receiver {
  race *r;
  int calls;
} receiver;

static void on_message(const vestry_bus_message *message, void *ctx) {
  receiver *e = ctx;
  assert_int_equal(message->len, sizeof(int));
  atomic_fetch_add(&e->r->calls, 1);
}

static void over(void *ctx) {
  receiver *e = ctx;
  atomic_fetch_add(&e->r->overs, 1);
  free(e);
}

static const vestry_scope nowhere = {NULL, 0};

/* Joins two of the places, and subscribes to one. */
typedef struct visit {
  race *r;
  int places[2];
  const char *stays; /* joins only that one */
  bool answers;      /* instead of a stream */
} visit;

static vestry_err come(const vestry_request *req, vestry_reply *reply, void *app) {
  visit *v = app;
  vestry_err error = VESTRY_OK;
  if (v->stays) error = vestry_reply_join(reply, req->scope, VESTRY_KEY("stay"));
  for (int i = 0; !v->stays && !error && i < 2; i++)
    error = vestry_reply_join(reply, req->scope, VESTRY_KEY("p", v->places[i]));
  receiver *e = malloc(sizeof *e);
  *e = (receiver){.r = v->r};
  if (!error)
    error = vestry_reply_subscribe(reply, req->scope, VESTRY_KEY("t", v->places[0]),
                                   &(vestry_subscriber){.call = on_message, .over = over, .ctx = e});
  assert_int_equal(error, VESTRY_OK);
  atomic_fetch_add(&v->r->begun, 1);
  if (v->answers) return vestry_reply_body(reply, NULL, "x", 1);
  vestry_reply_keep(reply, VESTRY_KEEP_REUSE, 0);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1));
}

static vestry_memory_exchange *ask(race *r, visit *v) {
  vestry_memory_exchange *exchange;
  v->r = r;
  assert_int_equal(vestry_memory_request(r->v, &(vestry_memory_call){.datastar = !v->answers}, come, v, &exchange),
                   VESTRY_OK);
  return exchange;
}

static int some(runner *t, int below) {
  return rand_r(&t->seed) % below;
}

static void speak(runner *t, int round) {
  char text[40];
  vestry_event *event = NULL;
  snprintf(text, sizeof text, "%d/%d", t->number, round);
  assert_int_equal(vsi_event_comment(&t->r->th.host, text, &event), VESTRY_OK);
  size_t sent;
  assert_int_equal(vestry_broadcast(t->r->v, nowhere, VESTRY_KEY("stay"), event, &sent), VESTRY_OK);
  assert_int_equal(sent, STAYING);
  vestry_err error = vestry_broadcast(t->r->v, nowhere, VESTRY_KEY("p", some(t, PLACES)), event, &sent);
  assert_true(sent ? error == VESTRY_OK : error == VESTRY_NOT_FOUND);
  vestry_event_unref(event);
  error = vestry_publish(t->r->v, nowhere, VESTRY_KEY("t", some(t, PLACES)), &round, sizeof round, NULL);
  assert_true(error == VESTRY_OK || error == VESTRY_NOT_FOUND);
}

static void move(runner *t, vestry_memory_exchange *exchange) {
  vestry_connection *connection = vestry_memory_look(exchange).connection;
  int place = some(t, PLACES);
  vestry_err error = some(t, 2) ? vestry_leave(t->r->v, nowhere, VESTRY_KEY("p", place), connection)
                                : vestry_join(t->r->v, nowhere, VESTRY_KEY("p", place), connection);
  assert_true(error == VESTRY_OK || error == VESTRY_NOT_FOUND || error == VESTRY_EXISTS);
  vsi_channel_stats stats = {0};
  error = channel_stats_get(t->r->v, nowhere, VESTRY_KEY("p", place), &stats);
  assert_true(error == VESTRY_OK || error == VESTRY_NOT_FOUND);
}

static void *run(void *ctx) {
  runner *t = ctx;
  vestry_memory_exchange *open[OPEN_MOST];
  int count = 0;
  for (int round = 0; round < ROUNDS; round++) {
    if (count == OPEN_MOST || (count && some(t, 2))) {
      int at = some(t, count);
      if (some(t, 2)) /* the stream ends while it leaves, joins and receives */
        vestry_connection_close(vestry_memory_look(open[at]).connection, VESTRY_CAUSE_CLOSED);
      vestry_memory_destroy(open[at]);
      open[at] = open[--count];
    }
    if (some(t, 8) == 0) vestry_memory_destroy(ask(t->r, &(visit){.places = {0, 1}, .answers = true}));
    open[count++] = ask(t->r, &(visit){.places = {some(t, PLACES), some(t, PLACES)}});
    move(t, open[some(t, count)]);
    speak(t, round);
  }
  while (count) vestry_memory_destroy(open[--count]);
  return NULL;
}

/* Check that a member that stays has received everything, in each sender's order. */
static void check(vestry_memory_exchange *exchange) {
  vestry_slice got = vestry_memory_look(exchange).received;
  char *text = malloc(got.len + 1);
  memcpy(text, got.data, got.len);
  text[got.len] = '\0';
  int next[THREADS] = {0}, who, what;
  for (const char *at = text; (at = strstr(at, "\n: ")) && sscanf(at, "\n: %d/%d", &who, &what) == 2; at++) {
    assert_in_range(who, 0, THREADS - 1);
    assert_int_equal(what, next[who]++);
  }
  for (int i = 0; i < THREADS; i++) assert_int_equal(next[i], ROUNDS);
  free(text);
}

/* capability: K12 */
TEST_CASE(members_that_stay_receive_every_event) {
  for (unsigned seed = 1; seed <= 3; seed++) {
    race *r = calloc(1, sizeof *r);
    test_host_init(&r->th);
    const vestry_connection_options wide = {.max_queued_count = 100000};
    assert_int_equal(
        vestry_create(&(vestry_options){.host = &r->th.host, .threads_count = 2, .connection = &wide}, &r->v),
        VESTRY_OK);
    vestry_memory_exchange *staying[STAYING];
    for (int i = 0; i < STAYING; i++) staying[i] = ask(r, &(visit){.stays = "x", .places = {PLACES, 0}});
    pthread_t threads[THREADS];
    runner runners[THREADS];
    for (int i = 0; i < THREADS; i++) {
      runners[i] = (runner){r, seed * 1000 + (unsigned)i, i};
      assert_int_equal(pthread_create(&threads[i], NULL, run, &runners[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < STAYING; i++)
      vestry_connection_close(vestry_memory_look(staying[i]).connection, VESTRY_CAUSE_CLOSED);
    assert_int_equal(vestry_stop(r->v, VESTRY_NEVER_MS), VESTRY_OK);
    for (int i = 0; i < STAYING; i++) {
      check(staying[i]);
      vestry_memory_destroy(staying[i]);
    }
    vsi_channels_stats channels = {0};
    vsi_channels_stats_get(r->v->channels, &channels);
    assert_int_equal(channels.live_count, 0);
    assert_int_equal(channels.made_count, channels.ended_count);
    assert_true(channels.made_count > PLACES); /* other streams have come and gone */
    vestry_bus_stats bus = {0};
    vestry_bus_stats_get(r->v, &bus);
    assert_int_equal(bus.live_count, 0);
    assert_int_equal(bus.topics_count, 0);
    assert_int_equal(r->overs, r->begun);
    assert_true(r->calls > 0);
    vestry_destroy(r->v);
    test_host_assert_clean(&r->th);
    free(r);
  }
}
