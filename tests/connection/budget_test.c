/* SPDX-License-Identifier: MIT */
/* F4: all queues together never exceed their budget. If it is exhausted, only the streams that do not read are
 * closed. */
#include "connection/budget.h"

#include <pthread.h>
#include <stdlib.h>

#include "connection/connection.h"
#include "connection/probe.h"
#include "connection/send.h"
#include "event/layout.h"

enum { READERS = 4, STALLED = 6, STREAMS = READERS + STALLED, BUDGET = 256 * 1024, TEXT = 1000 };

/* Number of bytes that are currently allocated through the host. */
typedef struct meter {
  test_host *th;
  void *(*reallocate)(void *ctx, void *memory, size_t size_bytes);
  _Atomic(size_t) now, most;
} meter;

typedef struct header {
  size_t size_bytes;
  max_align_t memory[];
} header;

static void *metered(void *ctx, void *memory, size_t size_bytes) {
  meter *m = ctx;
  header *old = memory ? (header *)((char *)memory - sizeof(header)) : NULL;
  size_t before = old ? old->size_bytes : 0;
  header *made = m->reallocate(m->th, old, size_bytes ? size_bytes + sizeof(header) : 0);
  if (size_bytes && !made) return NULL;
  size_t now = atomic_fetch_add(&m->now, size_bytes - before) + size_bytes - before;
  for (size_t most = atomic_load(&m->most); most < now && !atomic_compare_exchange_weak(&m->most, &most, now);)
    continue;
  if (!size_bytes) return NULL;
  made->size_bytes = size_bytes;
  return made->memory;
}

static uint64_t meter_now_ns(void *ctx) {
  meter *m = ctx;
  return m->th->host.now_ns(m->th);
}

static vestry_err meter_random(void *ctx, void *buffer, size_t len) {
  meter *m = ctx;
  return m->th->host.random(m->th, buffer, len);
}

typedef struct crowd {
  test_host th;
  meter meter;
  vestry_host host;
  vestry_runtime *runtime;
  vsi_group *group;
  probe probes[STREAMS];
  vestry_connection *connections[STREAMS];
} crowd;

static void crowd_begin(crowd *c, uint32_t threads, vestry_full_policy full) {
  memset(c, 0, sizeof *c);
  test_host_init(&c->th);
  c->meter.th = &c->th;
  c->meter.reallocate = c->th.host.reallocate;
  c->host = c->th.host;
  c->host.ctx = &c->meter;
  c->host.reallocate = metered;
  c->host.now_ns = meter_now_ns;
  c->host.random = meter_random;
  c->host.log = NULL;
  vestry_runtime_options options = {.host = &c->host, .threads_count = threads};
  assert_int_equal(vestry_runtime_create(&options, &c->runtime), VESTRY_OK);
  vestry_connection_options each = {.max_queued_count = 100000, .max_queued_bytes = 1 << 30, .full = full};
  assert_int_equal(vsi_group_create(c->runtime, &each, &c->group), VESTRY_OK);
  vsi_group_limit(c->group, BUDGET);
  for (int i = 0; i < STREAMS; i++) {
    probe_init(&c->probes[i]);
    if (i >= READERS) c->probes[i].write_answer = VESTRY_IO_WOULD_BLOCK;
    assert_int_equal(vsi_group_connect(c->group, &probe_pooled, &c->probes[i], NULL, &probe_hooks, &c->probes[i],
                                       &c->connections[i]),
                     VESTRY_OK);
    vsi_connection_start(c->connections[i]);
  }
}

static void crowd_run(crowd *c) {
  while (vestry_runtime_step(c->runtime)) continue;
}

static vsi_group_stats crowd_stats(crowd *c) {
  vsi_group_stats stats;
  vsi_group_stats_get(c->group, &stats);
  return stats;
}

static void crowd_end(crowd *c) {
  vsi_group_close(c->group);
  assert_int_equal(vsi_group_wait(c->group, 60000), VESTRY_OK);
  vsi_group_stats stats = crowd_stats(c);
  assert_int_equal(stats.accepted, stats.written + stats.discarded + stats.conflated);
  assert_int_equal(stats.queued_bytes, 0);
  assert_true(stats.queued_peak_bytes <= BUDGET);
  for (int i = 0; i < STREAMS; i++) vestry_connection_unref(c->connections[i]);
  vestry_runtime_stop(c->runtime);
  for (int i = 0; i < STREAMS; i++) probe_finish(&c->probes[i]);
  vsi_group_unref(c->group);
  vestry_runtime_destroy(c->runtime);
  test_host_assert_clean(&c->th);
}

static vestry_err send_text(crowd *c, vestry_connection *connection, size_t len) {
  char *text = malloc(len + 1);
  memset(text, 'x', len);
  text[len] = '\0';
  vestry_event *event = NULL;
  assert_int_equal(vsi_event_comment(&c->host, text, &event), VESTRY_OK);
  vestry_err error = vestry_connection_send(connection, event);
  vestry_event_unref(event);
  free(text);
  return error;
}

/* Write one event, so that the thread's batch exists; its memory is that of a thread, not of events. */
static void crowd_write_once(crowd *c) {
  assert_int_equal(send_text(c, c->connections[0], TEXT), VESTRY_OK);
  crowd_run(c);
  c->probes[0].got.len = 0;
}

/* Send one event to each stream; the readers must accept it. */
static void send_round(crowd *c) {
  for (int i = 0; i < STREAMS; i++) {
    vestry_err error = send_text(c, c->connections[i], TEXT);
    assert_true(error == VESTRY_OK || (i >= READERS && error == VESTRY_CLOSED));
    vsi_group_stats stats = crowd_stats(c);
    assert_true(stats.queued_bytes <= BUDGET);
  }
}

/* capability: F4 */
TEST_CASE(f4_only_stalled_streams_are_closed) {
  enum { ROUNDS = 400 };
  crowd *c = malloc(sizeof *c);
  crowd_begin(c, VESTRY_THREADS_NONE, VESTRY_FULL_CLOSE);
  crowd_write_once(c);
  size_t idle = atomic_load(&c->meter.now), evicted = 0;
  for (int round = 0; round < ROUNDS; round++) {
    send_round(c);
    crowd_run(c);
    /* Check the allocated memory itself, not only the budget's count of it. */
    vsi_group_stats stats = crowd_stats(c);
    assert_true(atomic_load(&c->meter.now) <= idle + stats.queued_bytes);
    if (stats.closed_by_cause[VESTRY_CAUSE_BUDGET] != evicted) {
      assert_true(stats.queued_bytes <= BUDGET - BUDGET / 8);
      evicted = stats.closed_by_cause[VESTRY_CAUSE_BUDGET];
    }
  }
  assert_true(atomic_load(&c->meter.most) <= idle + BUDGET + 2 * TEXT);
  vsi_group_stats stats = crowd_stats(c);
  assert_int_equal(stats.closed, STALLED); /* 400 rounds exceed the budget for each stalled stream alone */
  assert_int_equal(stats.closed_by_cause[VESTRY_CAUSE_BUDGET], STALLED);
  assert_int_equal(stats.refused, 0);
  for (int i = 0; i < READERS; i++) assert_int_equal(c->probes[i].got.len, ROUNDS * (TEXT + 4));
  crowd_end(c);
  free(c);
}

/* The name of a state takes memory with its event, so it counts. */
TEST_CASE(f4_names_of_states_count_against_the_budget) {
  enum { ROUNDS = 1200 };
  crowd *c = malloc(sizeof *c);
  char name[256];
  crowd_begin(c, VESTRY_THREADS_NONE, VESTRY_FULL_CLOSE);
  crowd_write_once(c);
  size_t idle = atomic_load(&c->meter.now) + STREAMS * (sizeof(vsi_delivery) + 16); /* each keeps one */
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = READERS; i < STREAMS; i++) {
      vestry_event *event = NULL;
      snprintf(name, sizeof name, "%0*d", 1 + (round + i) % 255, round % 90);
      assert_int_equal(
          vsi_event_signals_text(&c->host, "{\"n\":1}", 7, &(vestry_signals_options){.state = name}, &event),
          VESTRY_OK);
      (void)vestry_connection_send(c->connections[i], event);
      vestry_event_unref(event);
      assert_true(atomic_load(&c->meter.now) <= idle + crowd_stats(c).queued_bytes);
    }
    if (round % 16 == 0) crowd_run(c);
  }
  assert_true(atomic_load(&c->meter.most) <= idle + BUDGET + 8 * TEXT);
  crowd_end(c);
  free(c);
}

/* A stream that held many bytes and was read holds few again, and is not closed for the bytes that it held before. */
TEST_CASE(f4_written_events_free_their_bytes) {
  crowd *c = malloc(sizeof *c);
  crowd_begin(c, VESTRY_THREADS_NONE, VESTRY_FULL_CLOSE);
  crowd_run(c);
  for (int i = 0; i < READERS; i++) assert_int_equal(send_text(c, c->connections[i], BUDGET / 8), VESTRY_OK);
  crowd_run(c); /* they read it */
  for (int i = 0; i < STALLED; i++)
    assert_int_equal(send_text(c, c->connections[READERS + i], BUDGET / 8 + 100 * (size_t)i), VESTRY_OK);
  assert_int_equal(send_text(c, c->connections[0], BUDGET / 8 - 6000), VESTRY_OK);
  assert_int_equal(send_text(c, c->connections[1], 4000), VESTRY_OK);
  for (int i = 0; i < STREAMS; i++)
    assert_int_equal(vestry_connection_look(c->connections[i]).cause,
                     i == STREAMS - 1 ? VESTRY_CAUSE_BUDGET : VESTRY_CAUSE_NONE);
  crowd_end(c);
  free(c);
}

/* capability: F4 */
TEST_CASE(f4_largest_queue_is_closed_first) {
  crowd *c = malloc(sizeof *c);
  crowd_begin(c, VESTRY_THREADS_NONE, VESTRY_FULL_CLOSE);
  crowd_run(c);
  /* 10, 20 … 60 kB; then the stream with the smallest queue is sent the rest. */
  for (int i = 0; i < STALLED; i++)
    for (int n = 0; n <= i; n++) assert_int_equal(send_text(c, c->connections[READERS + i], 10000), VESTRY_OK);
  for (int i = 0; i < STALLED; i++) assert_true(vestry_connection_is_open(c->connections[READERS + i]));
  assert_int_equal(send_text(c, c->connections[READERS], 19000), VESTRY_OK);
  for (int i = 0; i < STALLED; i++)
    assert_int_equal(vestry_connection_look(c->connections[READERS + i]).cause,
                     i == STALLED - 1 ? VESTRY_CAUSE_BUDGET : VESTRY_CAUSE_NONE);
  /* The bytes of the closed stream count as freed, so the next event closes no other stream. */
  assert_int_equal(send_text(c, c->connections[READERS], 1000), VESTRY_OK);
  assert_int_equal(crowd_stats(c).open, STREAMS);
  crowd_run(c);
  assert_int_equal(crowd_stats(c).open, STREAMS - 1);
  crowd_end(c);
  free(c);
}

/* capability: F4 */
TEST_CASE(f4_last_eighth_is_refused_if_no_queue_is_freed) {
  crowd *c = malloc(sizeof *c);
  crowd_begin(c, VESTRY_THREADS_NONE, VESTRY_FULL_DROP);
  crowd_run(c);
  /* No step runs, so closed streams are not freed. */
  size_t accepted = 0;
  vestry_err error = VESTRY_OK;
  for (int i = 0; error != VESTRY_FULL; i = (i + 1) % STREAMS) {
    error = send_text(c, c->connections[i], TEXT);
    accepted += error == VESTRY_OK;
  }
  assert_int_equal(accepted, BUDGET / (TEXT + 4 + VSI_DELIVERY_COST));
  vsi_group_stats stats = crowd_stats(c);
  assert_int_equal(stats.refused, 1);
  assert_true(stats.queued_bytes <= BUDGET);
  crowd_run(c);
  int open = 0;
  while (open < READERS && !vestry_connection_is_open(c->connections[open])) open++;
  assert_true(open < READERS);
  assert_int_equal(send_text(c, c->connections[open], TEXT), VESTRY_OK); /* the budget has room again */
  crowd_end(c);
  free(c);
}

TEST_CASE(f4_event_over_budget_is_too_large) {
  crowd *c = malloc(sizeof *c);
  crowd_begin(c, VESTRY_THREADS_NONE, VESTRY_FULL_CLOSE);
  crowd_run(c);
  assert_int_equal(send_text(c, c->connections[0], BUDGET), VESTRY_TOO_LARGE);
  assert_true(vestry_connection_is_open(c->connections[0]));
  assert_int_equal(crowd_stats(c).queued_bytes, 0);
  crowd_end(c);
  free(c);
}

/* A closing stream that waits for its peer is aborted if the budget needs its bytes. */
TEST_CASE(f4_closing_stream_is_aborted_to_free_bytes) {
  crowd *c = malloc(sizeof *c);
  crowd_begin(c, VESTRY_THREADS_NONE, VESTRY_FULL_CLOSE);
  crowd_run(c);
  vestry_connection *lingering = c->connections[READERS], *other = c->connections[READERS + 1];
  assert_int_equal(send_text(c, lingering, BUDGET / 2), VESTRY_OK);
  vestry_connection_close(lingering, VESTRY_CAUSE_CLOSED);
  crowd_run(c);
  assert_int_equal(vestry_connection_look(lingering).state, VESTRY_STATE_CLOSING);
  assert_int_equal(send_text(c, other, BUDGET * 4 / 10), VESTRY_OK);
  crowd_run(c);
  assert_int_equal(vestry_connection_look(lingering).state, VESTRY_STATE_CLOSED);
  assert_int_equal(vestry_connection_look(lingering).cause, VESTRY_CAUSE_CLOSED);
  assert_false(c->probes[READERS].clean);
  assert_true(vestry_connection_is_open(other));
  crowd_end(c);
  free(c);
}

/* ---- among threads ----------------------------------------------------------------------------------------------- */

typedef struct sender {
  crowd *c;
  vestry_event *event;
  size_t over;
} sender;

static void *keep_sending(void *arg) {
  sender *s = arg;
  for (int round = 0; round < 300; round++)
    for (int i = 0; i < STREAMS; i++) {
      (void)vestry_connection_send(s->c->connections[i], s->event);
      vsi_budget *budget = vsi_group_environment(s->c->group)->budget;
      if (atomic_load_explicit(&budget->used, memory_order_relaxed) > BUDGET) s->over++;
    }
  return NULL;
}

/* capability: F4 */
TEST_CASE(f4_concurrent_senders_never_exceed_the_budget) {
  enum { SENDERS = 3 };
  for (int round = 0; round < 5; round++) {
    crowd *c = malloc(sizeof *c);
    crowd_begin(c, 2, VESTRY_FULL_DROP);
    char text[TEXT + 1];
    memset(text, 'y', TEXT);
    text[TEXT] = '\0';
    vestry_event *event = NULL;
    assert_int_equal(vsi_event_comment(&c->host, text, &event), VESTRY_OK);
    sender senders[SENDERS];
    pthread_t threads[SENDERS];
    for (int i = 0; i < SENDERS; i++) {
      senders[i] = (sender){c, event, 0};
      assert_int_equal(pthread_create(&threads[i], NULL, keep_sending, &senders[i]), 0);
    }
    for (int i = 0; i < SENDERS; i++) {
      pthread_join(threads[i], NULL);
      assert_int_equal(senders[i].over, 0);
    }
    vestry_event_unref(event);
    vsi_group_stats stats = crowd_stats(c);
    assert_true(stats.queued_peak_bytes <= BUDGET);
    assert_true(stats.queued_peak_bytes > BUDGET / 2);
    assert_true(stats.closed_by_cause[VESTRY_CAUSE_BUDGET] >= 1 || stats.open == STREAMS);
    crowd_end(c);
    free(c);
  }
}

/* The sends of a burst take their room at once, and return what two of them do not use. */
TEST_CASE(burst_holds_only_the_room_of_accepted_events) {
  enum { LARGE = 64 << 20 }; /* so that the room of the burst is a small part */
  crowd c;
  crowd_begin(&c, VESTRY_THREADS_NONE, VESTRY_FULL_CLOSE);
  vsi_group_limit(c.group, LARGE);
  crowd_run(&c);
  c.connections[1]->queue.max_count = 1;
  assert_int_equal(send_text(&c, c.connections[1], TEXT), VESTRY_OK);
  assert_true(vestry_connection_close(c.connections[0], VESTRY_CAUSE_CLOSED));
  const vsi_group_stats before = crowd_stats(&c);
  vestry_event *event = NULL;
  assert_int_equal(vsi_event_comment(&c.host, "x", &event), VESTRY_OK);
  const size_t cost = vsi_budget_cost(1, vestry_event_bytes(event).len);
  vestry_err errors[STREAMS];
  vsi_connection_send_each(c.connections, STREAMS, event, errors);
  vestry_event_unref(event);
  assert_int_equal(errors[0], VESTRY_CLOSED);
  assert_int_equal(errors[1], VESTRY_FULL);
  for (int i = 2; i < STREAMS; i++) assert_int_equal(errors[i], VESTRY_OK);
  const vsi_group_stats after = crowd_stats(&c);
  assert_int_equal(after.queued_bytes, before.queued_bytes + (STREAMS - 2) * cost);
  assert_int_equal(after.accepted, before.accepted + STREAMS - 2);
  crowd_run(&c);
  assert_int_equal(vestry_connection_look(c.connections[1]).cause, VESTRY_CAUSE_FULL);
  assert_int_equal(crowd_stats(&c).queued_bytes, STALLED * cost); /* the readers have got it */
  for (int i = 2; i < READERS; i++) assert_true(c.probes[i].got.len > 0);
  crowd_end(&c);
}
