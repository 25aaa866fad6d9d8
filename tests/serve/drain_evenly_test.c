/* SPDX-License-Identifier: MIT */
/* F6: how evenly a drain ends ten thousand streams, and how evenly they reconnect; a drain while threads open
 * streams. */
#include "vestry/drain.h"

#include <pthread.h>
#include <stdlib.h>

#include "support/test.h"
#include "support/test_host.h"
#include "vestry/testing/memory.h"

enum { STREAMS = 10000, WINDOW_S = 10, PAUSE_S = 2 };

typedef struct drained {
  test_host th;
  vestry *v;
  uint64_t begun_ns;
  unsigned closed;                 /* streams that ended */
  unsigned left[WINDOW_S + 1];     /* in each second */
  unsigned back[3 * WINDOW_S];     /* reconnects in each second since the drain began */
  unsigned left_back[WINDOW_S][2]; /* of the streams ended in one second: reconnects in the first and second half */
  vestry_memory_exchange *exchanges[STREAMS];
  uint64_t ended_ms[STREAMS + 1]; /* by connection id */
} drained;

static void note_end(vestry_connection *connection, vestry_cause cause, void *ctx) {
  drained *d = ctx;
  assert_int_equal(cause, VESTRY_CAUSE_DRAIN);
  uint64_t ms = (atomic_load(&d->th.now_ns) - d->begun_ns) / 1000000;
  d->ended_ms[vestry_connection_look(connection).id] = ms;
  d->left[ms / 1000]++;
  d->closed++;
}

static vestry_err open_page(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_keep(reply, VESTRY_KEEP_REUSE, 0);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1));
}

/* capability: F6 */
TEST_CASE(f6_ends_and_reconnects_are_spread_evenly) {
  drained *d = calloc(1, sizeof *d);
  test_host_init(&d->th);
  vestry_options options = {.host = &d->th.host,
                            .threads_count = VESTRY_THREADS_NONE,
                            .connection = &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS},
                            .bounds = &(vestry_bounds){.retry_after_s = PAUSE_S},
                            .hooks = &(vestry_connection_hooks){.on_close = note_end, .ctx = d}};
  assert_int_equal(vestry_create(&options, &d->v), VESTRY_OK);
  const vestry_memory_call call = {.datastar = true};
  for (int i = 0; i < STREAMS; i++)
    assert_int_equal(vestry_memory_request(d->v, &call, open_page, NULL, &d->exchanges[i]), VESTRY_OK);
  vestry_memory_settle(d->v);

  d->begun_ns = atomic_load(&d->th.now_ns);
  assert_int_equal(vestry_drain(d->v, WINDOW_S * 1000), VESTRY_OK);
  unsigned most_in_a_tick = 0;
  for (unsigned ms = 0, before = 0; ms <= WINDOW_S * 1000; ms++) {
    vestry_memory_settle(d->v);
    if (d->closed - before > most_in_a_tick) most_in_a_tick = d->closed - before;
    before = d->closed;
    test_host_advance_ms(&d->th, 1);
  }
  assert_int_equal(vestry_drain_wait(d->v, 0), VESTRY_OK);

  vestry_stats stats = {0};
  vestry_stats_get(d->v, &stats);
  assert_int_equal(stats.closed_count, d->closed);

  const unsigned mean = STREAMS / WINDOW_S;
  unsigned most = 0, most_back = 0, total = 0;
  for (int s = 0; s <= WINDOW_S; s++) {
    total += d->left[s];
    if (d->left[s] > most) most = d->left[s];
  }
  assert_int_equal(total, STREAMS);
  assert_true(most <= mean * 3 / 2);
  assert_true(most_in_a_tick <= mean / 10);

  for (int i = 0; i < STREAMS; i++) {
    unsigned retry_ms = 0;
    bool clean = true;
    const char *text = vestry_memory_look(d->exchanges[i]).received.data, *hint = strstr(text, "\n\nretry: ");
    assert_non_null(hint); /* after the event, complete, and at the end */
    assert_int_equal(sscanf(hint, "\n\nretry: %u\n\n", &retry_ms), 1);
    assert_string_equal(hint + strlen(hint) - 2, "\n\n");
    clean = vestry_memory_look(d->exchanges[i]).clean;
    assert_true(vestry_memory_look(d->exchanges[i]).ended);
    assert_false(clean);
    uint64_t left_ms = d->ended_ms[vestry_connection_look(vestry_memory_look(d->exchanges[i]).connection).id];
    uint64_t back_ms = left_ms + retry_ms;
    assert_in_range(back_ms, (WINDOW_S + PAUSE_S) * 1000, (2 * WINDOW_S + PAUSE_S) * 1000);
    unsigned *back = &d->back[back_ms / 1000];
    if (++*back > most_back) most_back = *back;
    if (left_ms / 1000 < WINDOW_S) d->left_back[left_ms / 1000][back_ms >= (WINDOW_S * 3 / 2 + PAUSE_S) * 1000]++;
  }
  assert_true(most_back <= mean * 3 / 2);
  for (int s = 0; s < WINDOW_S; s++)
    for (int half = 0; half < 2; half++) assert_in_range(d->left_back[s][half], mean * 4 / 10, mean * 6 / 10);
  print_message("%d streams over %d s: at most %u left in a second, %u in a tick; at most %u come back in a second\n",
                STREAMS, WINDOW_S, most, most_in_a_tick, most_back);

  for (int i = 0; i < STREAMS; i++) vestry_memory_destroy(d->exchanges[i]);
  vestry_destroy(d->v);
  test_host_assert_clean(&d->th);
  free(d);
}

/* ---- among threads ----------------------------------------------------------------------------------------------- */

enum { FEW = 64, OPENERS = 2 };

typedef struct crowd {
  vestry *v;
  _Atomic(unsigned) opened, refused, closed;
} crowd;

static void count_end(vestry_connection *connection, vestry_cause cause, void *ctx) {
  assert_int_equal(cause, VESTRY_CAUSE_DRAIN);
  atomic_fetch_add(&((crowd *)ctx)->closed, 1);
}

/* Open streams until the instance refuses one. The drain must end every stream that the instance accepted. */
static void *keep_opening(void *arg) {
  crowd *c = arg;
  const vestry_memory_call call = {.datastar = true};
  for (bool refused = false; !refused;) {
    vestry_memory_exchange *exchanges[FEW];
    int count = 0;
    for (; count < FEW && !refused; count++) {
      assert_int_equal(vestry_memory_request(c->v, &call, open_page, NULL, &exchanges[count]), VESTRY_OK);
      refused = vestry_memory_look(exchanges[count]).connection == NULL;
      if (refused) assert_int_equal(vestry_memory_look(exchanges[count]).status, 503);
      atomic_fetch_add(refused ? &c->refused : &c->opened, 1);
    }
    vestry_err error = vestry_drain(c->v, 5);
    assert_true(error == VESTRY_OK || error == VESTRY_EXISTS);
    assert_true(vestry_drain_wait(c->v, VESTRY_NEVER_MS) == VESTRY_OK);
    for (int i = 0; i < count; i++) vestry_memory_destroy(exchanges[i]);
  }
  return NULL;
}

/* capability: F6 */
TEST_CASE(f6_drain_ends_each_accepted_stream_once) {
  for (int round = 0; round < 20; round++) {
    crowd c = {.v = NULL};
    vestry_options options = {.threads_count = 2,
                              .hooks = &(vestry_connection_hooks){.on_close = count_end, .ctx = &c}};
    assert_int_equal(vestry_create(&options, &c.v), VESTRY_OK);
    pthread_t openers[OPENERS];
    for (int i = 0; i < OPENERS; i++) assert_int_equal(pthread_create(&openers[i], NULL, keep_opening, &c), 0);
    for (int i = 0; i < OPENERS; i++) pthread_join(openers[i], NULL);
    vestry_stats stats = {0};
    vestry_stats_get(c.v, &stats);
    assert_int_equal(stats.open_count, 0);
    assert_int_equal(stats.closed_by_cause[VESTRY_CAUSE_DRAIN], stats.opened_count);
    assert_int_equal(atomic_load(&c.closed), stats.opened_count);
    vestry_destroy(c.v);
  }
}
