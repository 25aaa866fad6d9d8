/* SPDX-License-Identifier: MIT */
/* Threads serve, dispatch, close and stop at the same time. In every order the counters add up, and each keep policy
 * holds. */
#include <stdlib.h>

#include "instance/instance.h"
#include "registry/context.h"
#include "serve/wire.h"
#include "store/store.h"
#include "support/until.h"
#include "vestry/registry.h"
#include "vestry/testing/memory.h"

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
  assert_int_equal(vsi_targets_find(&found, vestry_parts_of(all.w.v)->store, key.key), VESTRY_OK);
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
TEST_CASE(racing_reuse_stores_one_stream_for_all) {
  static const plan reuse = {.key = "a", .keep = true, .policy = VESTRY_KEEP_REUSE, .effects = "[" TICK "]"};
  for (int i = 0; i < ROUNDS; i++) {
    int winners, reused, rejected;
    race_for_key(&reuse, i % 2, &winners, &reused, &rejected);
    assert_int_equal(winners, 1);
    assert_int_equal(reused, RACERS - 1);
  }
}

TEST_CASE(racing_reject_stores_one_stream) {
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
  atomic_fetch_add_explicit(&o->errors_count, 1, memory_order_relaxed);
  return VESTRY_VERDICT_GO_ON;
}

static void *fill(void *ctx) {
  outsider *o = ctx;
  do o->result = vestry_connection_patch_signals(o->connection, VESTRY_VALUES("{}"), NULL);
  while (!o->result);
  atomic_store_explicit(&o->reported, true, memory_order_relaxed);
  return NULL;
}

static vestry_err show_and_refuse(vestry_dispatch_context *context, const json_t *effect, void *ctx) {
  outsider *o = ctx;
  o->connection = vestry_connection_ref(vestry_context_info(context)->opened);
  assert_int_equal(pthread_create(&o->thread, NULL, fill, o), 0);
  WAIT_WHILE(!atomic_load_explicit(&o->reported, memory_order_relaxed));
  return vestry_context_refuse(context, VESTRY_LIMIT);
}

TEST_CASE(stream_is_abandoned_while_its_error_hook_runs) {
  static site w;
  outsider o = {.result = VESTRY_OK};
  site_begin(&w, (vestry_options){.threads_count = 2});
  const vestry_interceptor interceptor = {"shows", VESTRY_PHASE_CONNECT, NULL, show_and_refuse, &o};
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
  const char *key = keys[vestry_connection_look(connection).id % KEYS];
  (void)vestry_dispatch(s->w.v, NOWHERE, ROOM(key), VESTRY_LIST("patch-signals", VESTRY_OBJECT("left", 1)));
  atomic_fetch_add(&s->closed, 1);
}

static void storm_open(vestry_connection *connection, void *ctx) {
  storm *s = ctx;
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
    (void)vsi_store_tick(vestry_parts_of(s->w.v)->store);
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

TEST_CASE(counters_add_up_under_concurrent_load) {
  for (uint32_t seed = 1; seed <= 3; seed++) weather_the_storm(seed, false);
}

/* capability: A13 */
TEST_CASE(counters_add_up_if_closed_under_load) {
  for (uint32_t seed = 11; seed <= 13; seed++) weather_the_storm(seed, true);
}

/* ---- events that the request's thread writes --------------------------------------------------------------------- */

enum { SIDES = 5 };

static struct { atomic_bool is_inside, may_leave; } blocker;

static void block(vestry_actor *self, void *ctx) {
  atomic_store(&blocker.is_inside, true);
  UNTIL(atomic_load(&blocker.may_leave));
  atomic_store(&blocker.is_inside, false);
}

/* Keep each stream under the key that its request names. */
static vestry_err keep_by_path(const vestry_request *req, vestry_reply *reply, void *app) {
  const vestry_err error = vestry_reply_key(reply, VESTRY_KEY(req->path));
  return error ? error : vestry_reply_keep(reply, VESTRY_KEEP_MANY, SIDES);
}

/* What a request sends: `dispatches` lists of `effects` effects to the streams under the key; then the reply has an
 * effect for them, too. */
typedef struct sending {
  const char *key;
  int dispatches, effects;
  size_t bytes; /* length of an effect's text */
  bool in_reply;
} sending;

static json_t *effects_of(const sending *s) {
  json_t *list = json_array();
  char *text = calloc(1, s->bytes + 1);
  assert_non_null(text);
  memset(text, 'x', s->bytes);
  for (int i = 0; i < s->effects; i++)
    json_array_append_new(list,
                          json_pack("[s, s, {s:s, s:s}]", "patch-elements", text, "selector", "#a", "mode", "inner"));
  free(text);
  return list;
}

/* An action whose list is the effects of a sending. */
static vestry_err expand(const json_t *state, const json_t *args, json_t **ret_effects, void *ctx) {
  *ret_effects = effects_of(ctx);
  return VESTRY_OK;
}

/* An effect that dispatches another one: a dispatch nested in the request's. */
static vestry_err relay(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  json_t *effects = effects_of(ctx);
  const vestry_err error = vestry_context_dispatch(context, effects, NULL, NULL);
  json_decref(effects);
  return error;
}

static vestry_err send_each(const vestry_request *req, vestry_reply *reply, void *app) {
  const sending *s = app;
  for (int i = 0; i < s->dispatches; i++) {
    json_t *list = s->effects ? effects_of(s) : json_pack("[[s]]", s->bytes ? "expand" : "relay");
    const vestry_dispatch_options options = {.scope = req->scope, .key = VESTRY_KEY(s->key)};
    assert_int_equal(vestry_dispatch_with(req->v, list, &options, NULL), VESTRY_OK);
    json_decref(list);
  }
  if (!s->in_reply) return vestry_reply_status(reply, 204);
  const vestry_err error = vestry_reply_key(reply, VESTRY_KEY(s->key));
  return error ? error : vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1));
}

static size_t events_in(vestry_memory_exchange *const *streams, size_t count) {
  size_t events = 0;
  for (size_t i = 0; i < count; i++) {
    const vestry_slice all = vestry_memory_look(streams[i]).received;
    const char *at = all.data, *end = at + all.len;
    for (; at && (at = memmem(at, (size_t)(end - at), "event:", 6)); at++) events++;
  }
  return events;
}

static uint64_t written_by(vestry *v) {
  vestry_stats stats = {0};
  vestry_stats_get(v, &stats);
  return stats.written_count;
}

/* While the only thread of the pool is blocked, a request writes the event of a dispatch with one effect itself, to
 * four streams in all, by one write each. The rest is left to the pool: further events, those of several effects, large
 * ones, and those of a client that does not read, in which case the request does not wait either. */
TEST_CASE(request_writes_a_few_events_itself) {
  static sending two = {.effects = 2, .bytes = 1}, one = {.effects = 1, .bytes = 1};
  static const struct {
    sending sends;
    vestry_memory_mode mode; /* of the stream "/one" */
    size_t at_once, in_all;
  } cases[] = {
      {{"/one", 1, 1, 1, false}, VESTRY_MEMORY_READS, 1, 1},
      {{"/one", 0, 0, 0, true}, VESTRY_MEMORY_READS, 1, 1},
      {{"/one", 6, 1, 1, false}, VESTRY_MEMORY_READS, 4, 6},
      {{"/one", 1, 2, 1, false}, VESTRY_MEMORY_READS, 0, 2},
      {{"/one", 1, 0, 1, false}, VESTRY_MEMORY_READS, 0, 2},
      {{"/one", 1, 0, 0, false}, VESTRY_MEMORY_READS, 0, 1},
      {{"/one", 1, 1, 20 << 10, false}, VESTRY_MEMORY_READS, 0, 1},
      {{"/one", 1, 1, 1, false}, VESTRY_MEMORY_BLOCKS, 0, 1},
      {{"/one", 1, 1, 1, false}, VESTRY_MEMORY_TRICKLES, 0, 1},
      {{"/many", 1, 1, 1, false}, VESTRY_MEMORY_READS, 0, SIDES},
      {{"/three", 1, 1, 1, false}, VESTRY_MEMORY_READS, 3, 3},
      {{"/three", 2, 1, 1, false}, VESTRY_MEMORY_READS, 3, 6},
  };
  static const char *const paths[] = {"/one",  "/three", "/three", "/three", "/many",
                                      "/many", "/many",  "/many",  "/many"};
  enum { STREAMS = sizeof paths / sizeof *paths };
  vestry *v;
  vestry_actor *actor;
  vestry_memory_exchange *streams[STREAMS], *post;
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = 1}, &v), VESTRY_OK);
  assert_int_equal(vestry_registry_action(vestry_parts_of(v)->registry, "expand", expand, &two), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(v)->registry, "relay", relay, &one), VESTRY_OK);
  assert_int_equal(vestry_actor_create(vestry_parts_of(v)->runtime, &(vestry_actor_options){.run = block}, &actor),
                   VESTRY_OK);
  for (size_t i = 0; i < STREAMS; i++) {
    const vestry_memory_call open = {.path = paths[i], .datastar = true};
    assert_int_equal(vestry_memory_request(v, &open, keep_by_path, NULL, &streams[i]), VESTRY_OK);
  }
  const vestry_memory_call send = {.method = "POST", .path = "/", .datastar = true};
  for (size_t i = 0, written = 0; i < sizeof cases / sizeof *cases;) {
    atomic_store(&blocker.may_leave, false);
    vestry_actor_notify(actor);
    UNTIL(atomic_load(&blocker.is_inside));
    vestry_memory_mode_set(streams[0], cases[i].mode);
    const size_t before = vestry_memory_look(streams[0]).received.len;
    assert_int_equal(vestry_memory_request(v, &send, send_each, (void *)(uintptr_t)&cases[i].sends, &post), VESTRY_OK);
    assert_int_equal(vestry_memory_look(post).status, 204);
    const size_t at_once = events_in(streams, STREAMS) - written;
    if (cases[i].mode == VESTRY_MEMORY_TRICKLES)
      assert_in_range(vestry_memory_look(streams[0]).received.len, before, before + 1); /* one byte a write */
    vestry_memory_mode_set(streams[0], VESTRY_MEMORY_READS);
    atomic_store(&blocker.may_leave, true);
    UNTIL(!atomic_load(&blocker.is_inside));
    written += cases[i].in_all;
    UNTIL(written_by(v) == written); /* only then the received bytes stay where they are */
    assert_int_equal(events_in(streams, STREAMS), written);
    vestry_memory_destroy(post);
    assert_in_range(at_once, 0, cases[i].at_once);
    if (at_once == cases[i].at_once) i++; /* else a run of a stream waited for the thread; again */
  }
  vestry_actor_unref(actor);
  vestry_stop(v, 0);
  for (size_t i = 0; i < STREAMS; i++) vestry_memory_destroy(streams[i]);
  vestry_destroy(v);
}

/* ----------------------------------------------------------------------------------------------- the end --------- */

typedef struct ending {
  vestry *v;
  bool closes; /* the handler closes the instance first */
  _Atomic(bool) is_promised, is_held, may_go, has_stopped, saw_the_end;
} ending;

static void hold_last(void *ctx) {
  ending *e = ctx;
  atomic_store(&e->is_held, true);
  WAIT_WHILE(!atomic_load(&e->may_go));
}

static vestry_err do_more_at_last(const vestry_request *req, vestry_reply *reply, void *app) {
  ending *e = app;
  if (e->closes) vestry_close(e->v);
  vsi_inside_set_ending(e->v, true);
  atomic_store(&e->is_promised, vsi_inside_call_last(e->v, hold_last, e));
  (void)vsi_inside_call_last(e->v, hold_last, e); /* it is called once */
  return vestry_reply_status(reply, 204);
}

static void *request_more(void *ctx) {
  ending *e = ctx;
  vestry_memory_exchange *exchange;
  if (!vestry_memory_request(e->v, &(vestry_memory_call){.path = "/"}, do_more_at_last, e, &exchange))
    vestry_memory_destroy(exchange);
  return NULL;
}

/* As the thread of an act, which renders what it has changed when the request was answered. */
TEST_CASE(stop_waits_for_what_a_request_does_at_last) {
  for (int closes = 0; closes < 2; closes++) {
    ending e = {.closes = closes};
    pthread_t thread;
    assert_int_equal(vestry_create(&(vestry_options){.threads_count = 1}, &e.v), VESTRY_OK);
    assert_int_equal(pthread_create(&thread, NULL, request_more, &e), 0);
    if (!closes) {
      UNTIL(atomic_load(&e.is_held));
      assert_int_equal(vestry_stop(e.v, 0), VESTRY_TIMEOUT);
      atomic_store(&e.may_go, true);
      assert_int_equal(vestry_stop(e.v, VESTRY_NEVER_MS), VESTRY_OK);
    }
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&e.is_promised), !closes);
    vestry_destroy(e.v);
  }
}

static void purge_slowly(const vestry_purged *purged, void *ctx) {
  ending *e = ctx;
  atomic_store(&e->is_held, true);
  LINGER(atomic_load(&e->has_stopped));
  atomic_store(&e->saw_the_end, atomic_load(&e->has_stopped));
}

TEST_CASE(stop_waits_for_a_purge_hook) {
  ending e = {.closes = false};
  vestry_memory_exchange *stream;
  const vestry_options options = {.threads_count = 2, .lifetime_ms = 1, .purge = purge_slowly, .purge_ctx = &e};
  assert_int_equal(vestry_create(&options, &e.v), VESTRY_OK);
  const vestry_memory_call open = {.path = "/one", .datastar = true};
  assert_int_equal(vestry_memory_request(e.v, &open, keep_by_path, NULL, &stream), VESTRY_OK);
  UNTIL(atomic_load(&e.is_held)); /* the stream expires, and ends by vestry_stop */
  assert_int_equal(vestry_stop(e.v, VESTRY_NEVER_MS), VESTRY_OK);
  atomic_store(&e.has_stopped, true);
  vestry_memory_destroy(stream);
  vestry_destroy(e.v);
  assert_false(atomic_load(&e.saw_the_end));
}
