/* Connections under many threads: order for each sender, one cause, sums that hold. Pooled and parked. */
#include <stdlib.h>

#include "stream/probe.h"

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

/* Every sender's events came in its order, none twice; with `all`, none is missing. */
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

typedef struct parked {
  probe *p;
  vestry_connection *connection;
  pthread_t thread;
} parked;

static void *park(void *argument) {
  parked *self = argument;
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

static void all_arrive_in_order(bool on_parked_threads, bool abort_half_way) {
  bench b;
  bench_init(&b, 3, &(vestry_connection_options){.max_queued_count = 100000, .heartbeat_ms = VESTRY_NEVER_MS});
  static probe probes[CONNECTIONS];
  vestry_connection *connections[CONNECTIONS];
  parked threads[CONNECTIONS];
  for (int c = 0; c < CONNECTIONS; c++) {
    probe_init(&probes[c]);
    const vestry_transport_ops *ops = on_parked_threads ? &probe_parked : &probe_pooled;
    assert_int_equal(vsi_connection_create(b.group, ops, &probes[c], NULL, &probe_hooks, &probes[c], &connections[c]),
                     VESTRY_OK);
    if (on_parked_threads) {
      threads[c] = (parked){.p = &probes[c], .connection = vestry_connection_ref(connections[c])};
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
  if (on_parked_threads)
    for (int c = 0; c < CONNECTIONS; c++) pthread_join(threads[c].thread, NULL);
  assert_int_equal(vsi_group_wait(b.group, 60000), VESTRY_OK);
  vsi_group_stats stats;
  vsi_group_stats_get(b.group, &stats);
  assert_int_equal(stats.accepted, accepted);
  for (int c = 0; c < CONNECTIONS; c++) vestry_connection_unref(connections[c]);
  bench_finish(&b); /* the runtime has stopped: nobody is inside a connection any more */
  for (int c = 0; c < CONNECTIONS; c++) {
    assert_ordered(&probes[c], !abort_half_way);
    probe_finish(&probes[c]);
  }
}

static void pooled(void **state) {
  (void)state;
  all_arrive_in_order(false, false);
}
static void on_parked_threads(void **state) {
  (void)state;
  all_arrive_in_order(true, false);
}
static void pooled_closed_under_senders(void **state) {
  (void)state;
  for (int i = 0; i < 10; i++) all_arrive_in_order(false, true);
}
static void parked_closed_under_senders(void **state) {
  (void)state;
  for (int i = 0; i < 10; i++) all_arrive_in_order(true, true);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pooled),
      cmocka_unit_test(on_parked_threads),
      cmocka_unit_test(pooled_closed_under_senders),
      cmocka_unit_test(parked_closed_under_senders),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
