/* SPDX-License-Identifier: MIT */
/* A cluster with threads: two nodes, each with its own pool, and threads that open, end, dispatch, broadcast and
 * refresh concurrently. Each request is answered, and each dispatch reported as OK has arrived. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "event/layout.h"
#include "support/test.h"
#include "support/until.h"
#include "vestry/app/presence.h"
#include "vestry/cluster/cluster.h"
#include "vestry/testing/memory.h"
#include "vestry/testing/memory_network.h"
#include "vestry/vestry.h"

enum { NODES = 2, TALKERS = 3, TURNS = 200 };

typedef struct node {
  vestry *v;
  vestry_broker broker;
  vestry_cluster *cluster;
  vestry_presence *presence;
  _Atomic(uint32_t) performed;
  _Atomic(int) present; /* as reported by on_change */
} node;

typedef struct world {
  vestry_runtime *runtime;
  vestry_memory_network *network;
  node nodes[NODES];
  _Atomic(uint32_t) delivered, answers, asked;
  _Atomic(int) unexpected; /* an error */
} world;

static world w;

static vestry_err note(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  size_t count = vestry_context_info(context)->connections_count;
  atomic_fetch_add(&((node *)ctx)->performed, (uint32_t)count);
  return VESTRY_OK;
}

static void on_change(const vestry_presence_change *change, void *ctx) {
  atomic_fetch_add(&((node *)ctx)->present, change->here ? 1 : -1);
}

typedef struct visit {
  vestry_presence *presence;
  int key;
} visit;

static vestry_err open_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  const visit *of = app;
  vestry_reply_key(reply, VESTRY_KEY("k", of->key));
  vestry_err error = vestry_reply_present(reply, of->presence, VESTRY_KEY("k", of->key), "somebody");
  if (error) return error;
  vestry_reply_join(reply, req->scope, VESTRY_KEY("all"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

static vestry_memory_exchange *open_one(node *of, int key) {
  vestry_memory_exchange *stream;
  visit visited = {of->presence, key};
  vestry_err error =
      vestry_memory_request(of->v, &(vestry_memory_call){.datastar = true}, open_handler, &visited, &stream);
  if (error) w.unexpected = (int)error;
  return error ? NULL : stream;
}

static void start(size_t at, const char *name) {
  static const char secret[] = "all nodes of this test have the same";
  static const char *const allow[] = {"note", NULL};
  node *of = &w.nodes[at];
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = 2}, &of->v), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(of->v)->registry, "note", note, of), VESTRY_OK);
  assert_int_equal(vestry_memory_network_join(w.network, &of->broker), VESTRY_OK);
  const vestry_cluster_options options = {.node = name,
                                          .secret = secret,
                                          .secret_len = sizeof secret,
                                          .allow = allow,
                                          .heartbeat_ms = 20,
                                          .dead_ms = 60000,
                                          .answer_ms = 60000};
  assert_int_equal(vestry_cluster_create(of->v, &of->broker, &options, &of->cluster), VESTRY_OK);
  const vestry_presence_options presence = {.name = "here", .grace_ms = 1, .on_change = on_change, .ctx = of};
  assert_int_equal(vestry_presence_create(of->v, &presence, &of->presence), VESTRY_OK);
}

static void take(vestry_err error, uint32_t count, void *ctx) {
  if (!error || error == VESTRY_NOT_FOUND) atomic_fetch_add(&w.delivered, count);
  atomic_fetch_add(&w.answers, 1);
}

/* Dispatch with both functions, for keys on this node, on the other one, on none, and for keys that come and go. */
static void *dispatch_and_broadcast(void *ctx) {
  node *of = ctx;
  json_t *effects = json_loads("[[\"note\"]]", 0, NULL);
  for (int i = 0; i < TURNS; i++) {
    const vestry_key *key = VESTRY_KEY("k", i % 5);
    const vestry_dispatch_options options = {.key = key};
    vestry_dispatch_result result = {0};
    vestry_err error = vestry_dispatch_with(of->v, effects, &options, &result);
    if (error && error != VESTRY_NOT_FOUND) w.unexpected = (int)error;
    atomic_fetch_add(&w.delivered, result.connections_count);
    error = vestry_cluster_dispatch(of->cluster, effects, &options, take, NULL);
    if (error) w.unexpected = (int)error;
    atomic_fetch_add(&w.asked, 1);
    if (i % 16 == 0) {
      (void)vestry_presence_count(of->presence, key);
    }
    vestry_event *event = NULL;
    (void)vsi_event_comment(NULL, "x", &event);
    (void)vestry_broadcast(of->v, (vestry_scope){NULL, 0}, VESTRY_KEY("all"), event, NULL);
    vestry_event_unref(event);
  }
  json_decref(effects);
  return NULL;
}

static void *open_and_close(void *ctx) {
  node *of = ctx;
  for (int i = 0; i < TURNS; i++) {
    vestry_memory_exchange *stream = open_one(of, 3 + i % 2);
    if (stream) vestry_memory_mode_set(stream, VESTRY_MEMORY_HANGS_UP);
    vestry_memory_destroy(stream);
  }
  return NULL;
}

static bool have_met(void) {
  for (size_t i = 0; i < NODES; i++) {
    vestry_cluster_stats stats = {0};
    vestry_cluster_stats_get(w.nodes[i].cluster, &stats);
    if (stats.alive_count != NODES - 1 || stats.unsynced_count || stats.others_keys_count < 3) return false;
    if (vestry_dispatch(w.nodes[i].v, (vestry_scope){NULL, 0}, VESTRY_KEY("nobody"), VESTRY_LIST("note")) !=
        VESTRY_NOT_FOUND)
      return false; /* the alive nodes are not known yet */
  }
  return true;
}

/* capability: G2 */
TEST_CASE(concurrent_requests_are_answered_and_counted) {
  pthread_t threads[NODES * (TALKERS + 1)];
  size_t count = 0;
  assert_int_equal(vestry_runtime_create(&(vestry_runtime_options){.threads_count = 2}, &w.runtime), VESTRY_OK);
  assert_int_equal(vestry_memory_network_create(w.runtime, NULL, &w.network), VESTRY_OK);
  start(0, "a");
  start(1, "b");
  vestry_memory_exchange *streams[] = {open_one(&w.nodes[0], 0), open_one(&w.nodes[1], 1), open_one(&w.nodes[0], 2),
                                       open_one(&w.nodes[1], 2)};
  UNTIL(have_met());
  for (size_t n = 0; n < NODES; n++) {
    for (size_t i = 0; i < TALKERS; i++) pthread_create(&threads[count++], NULL, dispatch_and_broadcast, &w.nodes[n]);
    pthread_create(&threads[count++], NULL, open_and_close, &w.nodes[n]);
  }
  while (count) pthread_join(threads[--count], NULL);
  assert_int_equal(w.unexpected, VESTRY_OK);
  UNTIL(atomic_load(&w.answers) >= atomic_load(&w.asked));
  assert_int_equal(w.asked, NODES * TALKERS * TURNS);
  for (size_t n = 0; n < NODES; n++) /* the members of keys 0, 1 and 2 are still there, and no other */
    UNTIL(atomic_load(&w.nodes[n].present) == 3 && vestry_presence_count(w.nodes[n].presence, VESTRY_KEY("k", 0)) == 1);
  uint32_t performed = 0;
  for (size_t n = 0; n < NODES; n++) performed += atomic_load(&w.nodes[n].performed);
  assert_int_equal(performed, w.delivered);
  assert_true(performed >= 2 * NODES * TALKERS * TURNS * 4 / 5); /* keys 0 and 1 once, key 2 twice, of five */
  for (size_t n = 0; n < NODES; n++) {
    vestry_cluster_stats stats = {0};
    assert_int_equal(vestry_stop(w.nodes[n].v, VESTRY_NEVER_MS), VESTRY_OK);
    vestry_cluster_stats_get(w.nodes[n].cluster, &stats);
    assert_int_equal(stats.lost_count, 0);
    assert_int_equal(stats.remote_requests_count, stats.ok_count + stats.not_found_count + stats.timeout_count);
    assert_int_equal(stats.waiting_count, 0);
    if (n) vestry_presence_destroy(w.nodes[n].presence); /* before or after the cluster */
    vestry_cluster_destroy(w.nodes[n].cluster);
    if (!n) vestry_presence_destroy(w.nodes[n].presence);
    w.nodes[n].broker.ops->destroy(w.nodes[n].broker.broker);
    vestry_destroy(w.nodes[n].v);
  }
  for (size_t i = 0; i < sizeof streams / sizeof *streams; i++) vestry_memory_destroy(streams[i]);
  vestry_memory_network_destroy(w.network);
  vestry_runtime_destroy(w.runtime);
}
