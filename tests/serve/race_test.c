/* SPDX-License-Identifier: MIT */
/* Threads serve, dispatch, close and stop at the same time. In every order the counters add up, and each keep policy
 * holds. */
#include <sched.h>
#include <stdlib.h>

#include "registry/targets.h"
#include "serve/wire.h"
#include "store/store.h"
#include "support/until.h"
#include "vestry/registry.h"

#define TICK "[\"patch-signals\", {\"n\": 1}]"

static uint32_t next_random(uint32_t *seed) {
  *seed = *seed * 1664525 + 1013904223;
  return *seed >> 8;
}

/* ------------------------------------------------------------------------------------------------ one key --------- */

enum { RACERS = 3, ROUNDS = 150 };

typedef struct race {
  site w;
  pthread_barrier_t start;
  const plan *reply;
} race;

typedef struct racer {
  race *race;
  wire r;
  pthread_t thread;
} racer;

static void *run_racer(void *ctx) {
  racer *one = ctx;
  pthread_barrier_wait(&one->race->start);
  one->r.datastar = true;
  (void)wire_serve(&one->race->w, &one->r, planned, (void *)one->race->reply);
  return NULL;
}

/* All threads serve the same reply at once. with_ghost: a connection that is closing, but still stored, holds the
 * key. */
static void race_for_key(const plan *reply, bool with_ghost, int *ret_winners, int *ret_204, int *ret_409) {
  race all;
  site_begin(&all.w, (vestry_options){.threads_count = 2,
                                      .connection = &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS}});
  all.w.th.host.log = NULL; /* the test host's log keeps the last line, for one thread only */
  all.reply = reply;
  pthread_barrier_init(&all.start, NULL, RACERS);
  wire ghost = {.dedicated = true, .datastar = true};
  if (with_ghost) {
    (void)wire_serve(&all.w, &ghost, planned, &(plan){.key = "a", .keep = true, .policy = VESTRY_KEEP_REPLACE});
    vestry_connection_run(ghost.connection);
    vestry_connection_close(ghost.connection, VESTRY_CAUSE_HANGUP);
  }
  racer *racers = calloc(RACERS, sizeof *racers);
  for (int i = 0; i < RACERS; i++) {
    racers[i].race = &all;
    racers[i].r.dedicated = i == 0; /* one stream is dedicated: this thread runs it later */
    pthread_create(&racers[i].thread, NULL, run_racer, &racers[i]);
  }
  for (int i = 0; i < RACERS; i++) pthread_join(racers[i].thread, NULL);
  *ret_winners = *ret_204 = *ret_409 = 0;
  wire *winner = NULL;
  for (int i = 0; i < RACERS; i++) {
    wire *r = &racers[i].r;
    *ret_204 += r->responds && r->status == 204;
    *ret_409 += r->responds && r->status == 409;
    if (!r->connection) continue;
    ++*ret_winners;
    winner = r;
    assert_true(vestry_connection_is_open(r->connection));
  }
  vsi_scoped_key key;
  assert_int_equal(vsi_store_pack(vestry_parts_of(all.w.v)->store, &key, NOWHERE, ROOM("a")), VESTRY_OK);
  vsi_targets found;
  vsi_targets_init(&found, &all.w.th.host);
  assert_int_equal(vsi_targets_find(&found, vestry_parts_of(all.w.v)->store, &key.key), VESTRY_OK);
  vsi_scoped_key_finish(&key);
  assert_int_equal(found.count, *ret_winners);
  vsi_targets_finish(&found);
  /* The winner received the effects of each request once. */
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(winner->connection, &stats);
  assert_int_equal(stats.accepted_count, 1 + *ret_204);
  vestry_close(all.w.v);
  if (with_ghost) vestry_connection_run(ghost.connection);
  if (racers[0].r.connection) vestry_connection_run(racers[0].r.connection);
  assert_int_equal(vestry_stop(all.w.v, VESTRY_NEVER_MS), VESTRY_OK);
  site_close(&all.w);
  for (int i = 0; i < RACERS; i++) wire_finish(&racers[i].r);
  if (with_ghost) wire_finish(&ghost);
  free(racers);
  pthread_barrier_destroy(&all.start);
  test_host_assert_clean(&all.w.th);
}

/* capability: A14 */
static void racing_reuse_stores_one_stream_for_all(void **state) {
  (void)state;
  static const plan reuse = {.key = "a", .keep = true, .policy = VESTRY_KEEP_REUSE, .effects = "[" TICK "]"};
  for (int i = 0; i < ROUNDS; i++) {
    int winners, reused, rejected;
    race_for_key(&reuse, i % 2, &winners, &reused, &rejected);
    assert_int_equal(winners, 1);
    assert_int_equal(reused, RACERS - 1);
  }
}

static void racing_reject_stores_one_stream(void **state) {
  (void)state;
  static const plan reject = {.key = "a", .keep = true, .policy = VESTRY_KEEP_REJECT, .effects = "[" TICK "]"};
  for (int i = 0; i < ROUNDS; i++) {
    int winners, reused, rejected;
    race_for_key(&reject, i % 2, &winners, &reused, &rejected);
    assert_int_equal(winners, 1);
    assert_int_equal(rejected, RACERS - 1);
  }
}

/* ------------------------------------------------------------------------------------------------- given up ------- */

/* Another thread gets the stream from an interceptor, and its send fails with FULL while the stream is abandoned. */
typedef struct outsider {
  vestry_connection *connection;
  vestry_err result;
  _Atomic(bool) reported; /* relaxed: nothing else must synchronize the two threads */
  _Atomic(int) errors_count;
  pthread_t thread;
} outsider;

static vestry_verdict count_error(vestry_connection *connection, vestry_err error, void *ctx) {
  outsider *o = ctx;
  (void)connection, (void)error;
  atomic_fetch_add_explicit(&o->errors_count, 1, memory_order_relaxed);
  return VESTRY_VERDICT_GO_ON;
}

static void *fill(void *ctx) {
  outsider *o = ctx;
  do o->result = vestry_connection_patch_signals_text(o->connection, "{}", 2, NULL);
  while (!o->result);
  atomic_store_explicit(&o->reported, true, memory_order_relaxed);
  return NULL;
}

static vestry_err show_and_refuse(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  outsider *o = ctx;
  (void)effect;
  o->connection = vestry_connection_ref(vestry_context_info(context)->opened);
  assert_int_equal(pthread_create(&o->thread, NULL, fill, o), 0);
  WAIT_WHILE(!atomic_load_explicit(&o->reported, memory_order_relaxed));
  return vestry_context_refuse(context, VESTRY_LIMIT);
}

static void stream_is_abandoned_while_its_error_hook_runs(void **state) {
  (void)state;
  static site w;
  outsider o = {.result = VESTRY_OK};
  site_begin(&w, (vestry_options){.threads_count = 2});
  const vestry_interceptor interceptor = {0, "shows", VESTRY_PHASE_CONNECT, NULL, show_and_refuse, &o};
  assert_int_equal(vestry_registry_intercept(vestry_parts_of(w.v)->registry, &interceptor), VESTRY_OK);
  wire r = {.datastar = true};
  const plan full = {.key = "a",
                     .keep = true,
                     .hooks = {.on_error = count_error, .ctx = &o},
                     .stream = {.max_queued_count = 1, .heartbeat_ms = VESTRY_NEVER_MS}};
  assert_int_equal(wire_serve(&w, &r, planned, (void *)&full), VESTRY_OK);
  pthread_join(o.thread, NULL);
  assert_int_equal(o.result, VESTRY_FULL);
  assert_int_equal(atomic_load(&o.errors_count), 1);
  assert_int_equal(r.status, 503);
  assert_int_equal(vestry_connection_look(o.connection).state, VESTRY_STATE_CLOSED);
  vestry_connection_unref(o.connection);
  assert_int_equal(vestry_stop(w.v, VESTRY_NEVER_MS), VESTRY_OK);
  wires_end(&w, &r);
}

/* --------------------------------------------------------------------------------------------------- storm -------- */

enum { SERVERS = 2, DISPATCHERS = 2, REQUESTS = 400, DISPATCHES = 1500, KEYS = 3 };

typedef struct storm {
  site w;
  _Atomic(bool) done;
  _Atomic(int) opened, closed; /* hooks */
} storm;

typedef struct sailor {
  storm *storm;
  uint32_t seed;
  wire *wires; /* of a server: REQUESTS wires */
  pthread_t thread;
} sailor;

static const char *const keys[KEYS] = {"a", "b", "c"};

/* A hook that dispatches to another key while all other threads continue. */
static void storm_close(vestry_connection *connection, vestry_cause cause, void *ctx) {
  storm *s = ctx;
  (void)cause;
  const char *key = keys[vestry_connection_look(connection).id % KEYS];
  (void)vestry_dispatch(s->w.v, NOWHERE, ROOM(key), VESTRY_LIST("patch-signals", VESTRY_OBJECT("left", 1)));
  atomic_fetch_add(&s->closed, 1);
}

static void storm_open(vestry_connection *connection, void *ctx) {
  storm *s = ctx;
  (void)connection;
  atomic_fetch_add(&s->opened, 1);
}

static void *run_server(void *ctx) {
  sailor *me = ctx;
  for (int i = 0; i < REQUESTS; i++) {
    wire *r = &me->wires[i];
    plan reply = {.key = keys[next_random(&me->seed) % KEYS],
                  .keep = next_random(&me->seed) % 8 != 0,
                  .policy = (vestry_keep_policy)(next_random(&me->seed) % 4),
                  .many_count = 1 + next_random(&me->seed) % 12,
                  .effects = next_random(&me->seed) % 16 ? "[" TICK "]" : "[" TICK ",[\"close-sse\"]]"};
    for (size_t more = next_random(&me->seed) % 4; more; more--) { /* also under other streams' keys */
      reply.more[more - 1].key = keys[next_random(&me->seed) % KEYS];
      reply.more[more - 1].many_count = 1 + next_random(&me->seed) % 12;
    }
    r->datastar = true;
    r->write_io = next_random(&me->seed) % 10 ? VESTRY_IO_OK : VESTRY_IO_HANGUP;
    r->open_io = next_random(&me->seed) % 20 ? VESTRY_IO_OK : VESTRY_IO_HANGUP;
    (void)wire_serve(&me->storm->w, r, planned, &reply);
    if (next_random(&me->seed) % 4 == 0 && r->connection) vestry_connection_close(r->connection, VESTRY_CAUSE_HANGUP);
    if (next_random(&me->seed) % 2) r->connection = vestry_connection_unref(r->connection);
  }
  return NULL;
}

static void *run_dispatcher(void *ctx) {
  sailor *me = ctx;
  for (int i = 0; i < DISPATCHES; i++) {
    const char *key = keys[next_random(&me->seed) % KEYS];
    vestry *v = me->storm->w.v;
    if (next_random(&me->seed) % 32 == 0)
      (void)vestry_store_remove(vestry_parts_of(v)->store, NOWHERE, ROOM(key), VESTRY_CAUSE_REMOVED, NULL);
    else
      (void)vestry_dispatch(v, NOWHERE, ROOM(key), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", i)));
  }
  return NULL;
}

static void *run_ticker(void *ctx) {
  storm *s = ctx;
  while (!atomic_load(&s->done)) {
    test_host_advance_ms(&s->w.th, 7);
    (void)vestry_store_tick(vestry_parts_of(s->w.v)->store);
    vestry_stats stats = {0};
    vestry_stats_get(s->w.v, &stats);
    if (stats.opened_count != stats.open_count + stats.closed_count) abort();
  }
  return NULL;
}

static void weather_the_storm(uint32_t seed, bool stop_early) {
  static storm s;
  memset(&s, 0, sizeof s);
  site_begin(&s.w, (vestry_options){
                       .threads_count = 2,
                       .bounds = &(vestry_bounds){.max_count = 16},
                       .idle_ms = 500,
                       .hooks = &(vestry_connection_hooks){.on_open = storm_open, .on_close = storm_close, .ctx = &s},
                       .connection = &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS}});
  s.w.th.host.log = NULL; /* the test host's log keeps the last line, for one thread only */
  sailor sailors[SERVERS + DISPATCHERS];
  pthread_t ticker;
  for (int i = 0; i < SERVERS + DISPATCHERS; i++) {
    sailors[i] = (sailor){.storm = &s, .seed = seed * 31 + (uint32_t)i};
    if (i < SERVERS) sailors[i].wires = calloc(REQUESTS, sizeof(wire));
    pthread_create(&sailors[i].thread, NULL, i < SERVERS ? run_server : run_dispatcher, &sailors[i]);
  }
  pthread_create(&ticker, NULL, run_ticker, &s);
  if (stop_early) {
    pthread_join(sailors[SERVERS].thread, NULL);
    vestry_close(s.w.v);
  }
  for (int i = 0; i < SERVERS + DISPATCHERS; i++)
    if (!stop_early || i != SERVERS) pthread_join(sailors[i].thread, NULL);
  atomic_store(&s.done, true);
  pthread_join(ticker, NULL);
  assert_int_equal(vestry_stop(s.w.v, VESTRY_NEVER_MS), VESTRY_OK);
  vestry_stats stats = {0};
  vestry_stats_get(s.w.v, &stats);
  assert_int_equal(atomic_load(&s.closed), stats.closed_count); /* the close hook of each stream, once */
  assert_true(atomic_load(&s.opened) <= atomic_load(&s.closed));
  assert_int_equal(stats.requests_count, SERVERS * REQUESTS);
  site_close(&s.w);
  for (int i = 0; i < SERVERS; i++) {
    for (int j = 0; j < REQUESTS; j++) wire_finish(&sailors[i].wires[j]);
    free(sailors[i].wires);
  }
  test_host_assert_clean(&s.w.th);
}

static void counters_add_up_under_concurrent_load(void **state) {
  (void)state;
  for (uint32_t seed = 1; seed <= 3; seed++) weather_the_storm(seed, false);
}

/* capability: A13 */
static void counters_add_up_if_closed_under_load(void **state) {
  (void)state;
  for (uint32_t seed = 11; seed <= 13; seed++) weather_the_storm(seed, true);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(racing_reuse_stores_one_stream_for_all),
      cmocka_unit_test(racing_reject_stores_one_stream),
      cmocka_unit_test(stream_is_abandoned_while_its_error_hook_runs),
      cmocka_unit_test(counters_add_up_under_concurrent_load),
      cmocka_unit_test(counters_add_up_if_closed_under_load),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
