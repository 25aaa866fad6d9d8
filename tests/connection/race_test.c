/* SPDX-License-Identifier: MIT */
/* Connections used by many threads: the order of each sender, exactly one cause, consistent sums. Pooled and dedicated.
 * */
#include <stdlib.h>

#include "connection/probe.h"
#include "support/litmus.h"

enum { SENDERS = 4, CONNECTIONS = 8, EVENTS = 400 };

typedef struct sender {
  bench *b;
  vestry_connection **connections;
  int number;
  uint64_t accepted;
} sender;

static void *send_numbers(void *argument) {
  sender *s = argument;
  for (int i = 0; i < EVENTS; i++) {
    char text[32];
    snprintf(text, sizeof text, "%d/%d", s->number, i);
    vestry_event *event = bench_event(s->b, text);
    for (int c = 0; c < CONNECTIONS; c++)
      if (vestry_connection_send(s->connections[c], event) == VESTRY_OK) s->accepted++;
    vestry_event_unref(event);
  }
  return NULL;
}

/* Each sender's events arrive in its order and without duplicates; with `all`, none is missing. */
static void assert_ordered(probe *p, bool all) {
  int next[SENDERS] = {0};
  const char *at = vsi_buffer_terminate(&p->got);
  while (*at) {
    int who, what, len = 0;
    assert_int_equal(sscanf(at, ": %d/%d\n\n%n", &who, &what, &len), 2);
    assert_true(len > 0 && who >= 0 && who < SENDERS);
    assert_int_equal(what, next[who]);
    next[who]++;
    at += len;
  }
  for (int i = 0; all && i < SENDERS; i++) assert_int_equal(next[i], EVENTS);
}

typedef struct dedicated {
  probe *p;
  vestry_connection *connection;
  pthread_t thread;
} dedicated;

static void *park(void *argument) {
  dedicated *self = argument;
  vestry_connection_state state;
  do {
    pthread_mutex_lock(&self->p->lock);
    while (!self->p->wake) pthread_cond_wait(&self->p->woken, &self->p->lock);
    self->p->wake = false;
    pthread_mutex_unlock(&self->p->lock);
    state = vestry_connection_run(self->connection);
  } while (state != VESTRY_STATE_CLOSED);
  vestry_connection_unref(self->connection);
  return NULL;
}

static void all_arrive_in_order(bool dedicated_connections_keep_the_senders_order, bool abort_half_way) {
  bench b;
  bench_init(&b, 3, &(vestry_connection_options){.max_queued_count = 100000, .heartbeat_ms = VESTRY_NEVER_MS});
  static probe probes[CONNECTIONS];
  vestry_connection *connections[CONNECTIONS];
  dedicated threads[CONNECTIONS];
  for (int c = 0; c < CONNECTIONS; c++) {
    probe_init(&probes[c]);
    const vestry_transport_ops *ops = dedicated_connections_keep_the_senders_order ? &probe_dedicated : &probe_pooled;
    assert_int_equal(vsi_group_connect(b.group, ops, &probes[c], NULL, &probe_hooks, &probes[c], &connections[c]),
                     VESTRY_OK);
    if (dedicated_connections_keep_the_senders_order) {
      threads[c] = (dedicated){.p = &probes[c], .connection = vestry_connection_ref(connections[c])};
      assert_int_equal(pthread_create(&threads[c].thread, NULL, park, &threads[c]), 0);
    }
    vsi_connection_start(connections[c]);
  }
  sender senders[SENDERS];
  pthread_t ids[SENDERS];
  for (int i = 0; i < SENDERS; i++) {
    senders[i] = (sender){.b = &b, .connections = connections, .number = i};
    assert_int_equal(pthread_create(&ids[i], NULL, send_numbers, &senders[i]), 0);
  }
  if (abort_half_way)
    for (int c = 0; c < CONNECTIONS; c++)
      vestry_connection_close(connections[c], c % 2 ? VESTRY_CAUSE_SIZE : VESTRY_CAUSE_CLOSED);
  uint64_t accepted = 0;
  for (int i = 0; i < SENDERS; i++) {
    pthread_join(ids[i], NULL);
    accepted += senders[i].accepted;
  }
  for (int c = 0; c < CONNECTIONS; c++) vestry_connection_close(connections[c], VESTRY_CAUSE_CLOSED);
  if (dedicated_connections_keep_the_senders_order)
    for (int c = 0; c < CONNECTIONS; c++) pthread_join(threads[c].thread, NULL);
  assert_int_equal(vsi_group_wait(b.group, 60000), VESTRY_OK);
  vsi_group_stats stats;
  vsi_group_stats_get(b.group, &stats);
  assert_int_equal(stats.accepted, accepted);
  for (int c = 0; c < CONNECTIONS; c++) vestry_connection_unref(connections[c]);
  bench_finish(&b); /* the runtime has stopped: no thread runs a connection */
  for (int c = 0; c < CONNECTIONS; c++) {
    assert_ordered(&probes[c], !abort_half_way);
    probe_finish(&probes[c]);
  }
}

TEST_CASE(pooled_connections_keep_the_senders_order) {
  all_arrive_in_order(false, false);
}
TEST_CASE(dedicated_connections_keep_the_senders_order) {
  all_arrive_in_order(true, false);
}
TEST_CASE(pooled_connections_close_under_senders) {
  for (int i = 0; i < 10; i++) all_arrive_in_order(false, true);
}
TEST_CASE(dedicated_connections_close_under_senders) {
  for (int i = 0; i < 10; i++) all_arrive_in_order(true, true);
}

/* ---- room that appears during a write ---------------------------------------------------------------------------- */

enum { DOORS = 300000, JITTER = 64 };

/* A transport that checks a flag for room. Nothing else synchronizes it with the thread that sets the flag. */
typedef struct door {
  bench b;
  vestry_connection *connection;
  _Atomic(bool) room;
  _Atomic(int) asked, opened; /* number of requests and of openings */
} door;

static vestry_io door_open(void *transport) {
  return VESTRY_IO_OK;
}

static vestry_io door_write(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  door *d = transport;
  if (atomic_load_explicit(&d->room, memory_order_acquire)) return VESTRY_IO_OK;
  *ret_written = 0;
  return VESTRY_IO_WOULD_BLOCK;
}

static void door_end(void *transport, bool clean, vestry_cause cause) {}

static void door_release(void *transport) {}

static void *open_doors(void *argument) {
  door *d = argument;
  for (int round = 1; litmus_wait(&d->asked, round); round++) {
    litmus_dally(round * 7 % JITTER);
    atomic_store_explicit(&d->room, true, memory_order_release);
    vestry_connection_writable(d->connection);
    atomic_store_explicit(&d->opened, round, memory_order_release);
  }
  return NULL;
}

TEST_CASE(writable_during_a_write_is_not_lost) {
  static const vestry_transport_ops ops = {
      .open = door_open, .write = door_write, .end = door_end, .release = door_release};
  static door d;
  bench_init(&d.b, VESTRY_THREADS_NONE, &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS});
  assert_int_equal(vsi_group_connect(d.b.group, &ops, &d, NULL, NULL, NULL, &d.connection), VESTRY_OK);
  vsi_connection_start(d.connection);
  bench_run(&d.b);
  vestry_event *event = bench_event(&d.b, "x");
  pthread_t opener;
  assert_int_equal(pthread_create(&opener, NULL, open_doors, &d), 0);
  struct timespec since;
  clock_gettime(CLOCK_MONOTONIC, &since);
  for (int round = 1; litmus_goes_on(round, DOORS, &since); round++) {
    atomic_store_explicit(&d.room, false, memory_order_relaxed);
    assert_int_equal(vestry_connection_send(d.connection, event), VESTRY_OK);
    atomic_store_explicit(&d.asked, round, memory_order_release);
    litmus_dally(round * 3 % JITTER);
    bench_run(&d.b);
    litmus_wait(&d.opened, round);
    bench_run(&d.b); /* the thread's notification runs here */
    vestry_connection_stats stats = probe_stats(d.connection);
    assert_int_equal(stats.written_count, round);
  }
  atomic_store_explicit(&d.asked, LITMUS_OVER, memory_order_release);
  pthread_join(opener, NULL);
  vestry_event_unref(event);
  vestry_connection_close(d.connection, VESTRY_CAUSE_CLOSED);
  bench_run(&d.b);
  vestry_connection_unref(d.connection);
  bench_finish(&d.b);
}
