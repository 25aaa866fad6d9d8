/* SPDX-License-Identifier: MIT */
/* C1 over NATS: like tests/cluster/replay_test.c, with a real broker, threads, and real time. A user of the server
 * without the secret records all messages of three nodes in three runs each, and continues recording. A seed determines
 * how they are replayed while the nodes send. All seeds share the nodes, one of which restarts from time to time.
 *
 * REPLAY_SEED=7 REPLAY_SEEDS=10000 test_nats replay */
#include "cluster/cluster/cluster.h" /* first, because its names differ */
#include "cluster/cluster/members.h"
#include "cluster/cluster/message.h"
#include "cluster/holders.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "event/layout.h"
#include "nats/server.h"
#include "runtime/random.h"
#include "support/test.h"
#include "support/until.h"
#include "vestry/cluster/nats.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

enum { PLACES = 3, LIVES = 3, KEPT = 16384, SEEN = 65536, SEEDS_A_LIFE = 1000 };

static const char *const names[PLACES] = {"a", "b", "c"};
static const char secret[] = "all nodes of this test have the same";

typedef struct place {
  vestry *v;
  vestry_broker broker;
  vestry_cluster *cluster;
  vestry_memory_exchange *stream, *member;
  _Atomic(size_t) gaps, performed;
  size_t had; /* events received by its member */
} place;

typedef struct recorded {
  char subject[VESTRY_SUBJECT_MAX_BYTES + 1];
  unsigned char *data;
  size_t len;
} recorded;

typedef struct world {
  nats_server server;
  place at[PLACES];
  vestry_broker recorder;
  recorded kept[KEPT];
  _Atomic(size_t) kept_count;
  uint64_t seen[SEEN]; /* used by the recorder's thread */
  uint64_t state;
  size_t events, dispatches, played, lives;
} world;

static world w;

/* --------------------------------------------------------------------------------------------- the recorder ------- */

static bool is_new(const unsigned char *data, size_t len) {
  uint64_t seal;
  memcpy(&seal, data + len - sizeof seal, sizeof seal);
  size_t at = seal % SEEN;
  while (w.seen[at] && w.seen[at] != seal) at = (at + 1) % SEEN;
  bool is = !w.seen[at];
  w.seen[at] = seal;
  return is;
}

static void record(const char *subject, const void *data, size_t len, void *ctx) {
  size_t count = atomic_load(&w.kept_count);
  if (count == KEPT || !is_new(data, len)) return;
  recorded *to = &w.kept[count];
  *to = (recorded){.data = malloc(len), .len = len};
  if (!to->data) return;
  memcpy(to->data, data, len);
  snprintf(to->subject, sizeof to->subject, "%s", subject);
  atomic_store(&w.kept_count, count + 1); /* a thread that replays it sees the whole record */
}

/* The server passes a message to all subscribers before it reads the next one: a recorded message has arrived, or
 * precedes the replayed one. */
static void replay(size_t count) {
  size_t kept = atomic_load(&w.kept_count);
  for (size_t i = 0; i < count; i++) {
    const recorded *one = &w.kept[random_below(&w.state, kept)];
    const char *to = random_below(&w.state, 8) ? one->subject : w.kept[random_below(&w.state, kept)].subject;
    w.played += !w.recorder.ops->publish(w.recorder.broker, to, one->data, one->len);
  }
  w.recorder.ops->flush(w.recorder.broker, true);
}

/* ------------------------------------------------------------------------------------------------ the nodes ------- */

static vestry_err note(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  atomic_fetch_add(&((place *)ctx)->performed, 1);
  return VESTRY_OK;
}

static void on_gap(const vestry_gap *gap, void *ctx) {
  atomic_fetch_add(&((place *)ctx)->gaps, 1);
}

static vestry_err keep(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("room", (const char *)app));
  return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
}

static vestry_err join(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_join(reply, req->scope, VESTRY_KEY("board"));
  vestry_reply_stream(reply, &(vestry_stream_options){.connection = &(vestry_connection_options){
                                                          .max_queued_count = 1 << 20, .max_queued_bytes = 1 << 24}});
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

static vestry_memory_exchange *request(place *of, vestry_handler_fn handler, const char *key) {
  vestry_memory_exchange *exchange = NULL;
  assert_int_equal(
      vestry_memory_request(of->v, &(vestry_memory_call){.datastar = true}, handler, (void *)(uintptr_t)key, &exchange),
      VESTRY_OK);
  return exchange;
}

static vestry_err connect_to(vestry_broker *ret_broker) {
  const char *servers[] = {w.server.url};
  return vestry_nats_create(&(vestry_nats_options){.servers = servers, .servers_count = 1}, ret_broker);
}

/* Subscribe to the subjects of all nodes, which depend on their names. of: the first node. */
static void begin_recording(const place *of) {
  char own[PLACES][VESTRY_SUBJECT_MAX_BYTES + 1];
  const char *subjects[PLACES + 1] = {of->cluster->all_subject};
  for (size_t i = 0; i < PLACES; i++) {
    vsi_message_subject(of->cluster, vsi_siphash_1_3(of->cluster->name_key, names[i], strlen(names[i])), own[i]);
    subjects[i + 1] = own[i];
  }
  assert_string_equal(own[0], of->cluster->own_subject);
  assert_int_equal(connect_to(&w.recorder), VESTRY_OK);
  const vestry_broker_events events = {.on_message = record};
  assert_int_equal(w.recorder.ops->start(w.recorder.broker, subjects, PLACES + 1, &events), VESTRY_OK);
  UNTIL(w.recorder.ops->state(w.recorder.broker) == VESTRY_BROKER_UP);
}

static void begin_life(size_t i) {
  static const char *const allow[] = {"note", NULL};
  place *of = &w.at[i];
  of->gaps = of->performed = 0;
  assert_int_equal(connect_to(&of->broker), VESTRY_OK);
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = 1}, &of->v), VESTRY_OK);
  assert_int_equal(vestry_registry_effect(vestry_parts_of(of->v)->registry, "note", note, of), VESTRY_OK);
  const vestry_cluster_options options = {.node = names[i],
                                          .secret = secret,
                                          .secret_len = sizeof secret,
                                          .allow = allow,
                                          .heartbeat_ms = 50,
                                          .answer_ms = 10000,
                                          .on_gap = on_gap,
                                          .ctx = of};
  assert_int_equal(vestry_cluster_create(of->v, &of->broker, &options, &of->cluster), VESTRY_OK);
  if (!w.recorder.ops) begin_recording(of);
  of->stream = request(of, keep, names[i]);
  of->member = request(of, join, NULL);
  w.lives++;
}

static void end_life(size_t i, bool is_kill) {
  place *of = &w.at[i];
  if (is_kill) of->broker.ops->stop(of->broker.broker);
  assert_int_equal(vestry_stop(of->v, VESTRY_NEVER_MS), VESTRY_OK);
  vestry_cluster_destroy(of->cluster);
  of->broker.ops->destroy(of->broker.broker);
  vestry_destroy(of->v);
  vestry_memory_destroy(of->stream);
  vestry_memory_destroy(of->member);
}

/* Return whether all nodes know each other's current runs and keys. */
static bool have_met(void) {
  for (size_t i = 0; i < PLACES; i++) {
    vestry_cluster_stats stats = {0};
    vestry_cluster_stats_get(w.at[i].cluster, &stats);
    if (stats.alive_count != PLACES - 1 || stats.unsynced_count) return false;
    for (size_t k = 0; k < PLACES; k++)
      if (holders_of(w.at[i].cluster, (vestry_scope){0}, VESTRY_KEY("room", names[k])) != 1) return false;
    vsi_cluster_lock(w.at[i].cluster);
    bool knows = vsi_peers_are_known(w.at[i].cluster);
    for (size_t k = 0; k < PLACES; k++) {
      const vsi_peer *peer = i == k ? NULL : vsi_peers_find(w.at[i].cluster, w.at[k].cluster->id);
      knows &= i == k || (peer && peer->epoch == w.at[k].cluster->epoch && peer->has_met && !peer->has_gap);
    }
    vsi_cluster_unlock(w.at[i].cluster);
    if (!knows) return false;
  }
  return true;
}

static size_t written(size_t i) {
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(vestry_memory_look(w.at[i].member).connection, &stats);
  return stats.written_count;
}

static void dispatch(size_t from, size_t to) {
  size_t before = to < PLACES ? atomic_load(&w.at[to].performed) : 0;
  vestry_dispatch_result result = {0};
  json_t *effects = json_pack("[[s]]", "note");
  const char *key = to < PLACES ? names[to] : "nobody";
  vestry_err error =
      vestry_dispatch_with(w.at[from].v, effects, &(vestry_dispatch_options){.key = VESTRY_KEY("room", key)}, &result);
  json_decref(effects);
  assert_int_equal(error, to < PLACES ? VESTRY_OK : VESTRY_NOT_FOUND);
  assert_int_equal(result.connections_count, to < PLACES);
  if (to < PLACES) assert_int_equal(atomic_load(&w.at[to].performed), before + 1);
  w.dispatches++;
}

static void broadcast(size_t from) {
  vestry_event *event = NULL;
  assert_int_equal(vsi_event_comment(NULL, "event", &event), VESTRY_OK);
  assert_int_equal(vestry_broadcast(w.at[from].v, (vestry_scope){0}, VESTRY_KEY("board"), event, NULL), VESTRY_OK);
  vestry_event_unref(event);
  w.events++;
}

/* Assert that each node has received each event exactly once. */
static void check_events(size_t sent) {
  for (size_t i = 0; i < PLACES; i++) {
    w.at[i].had += sent;
    UNTIL(written(i) >= w.at[i].had);
    assert_int_equal(written(i), w.at[i].had);
  }
}

static bool have_met_or_replay(void) {
  if (have_met()) return true;
  replay(atomic_load(&w.kept_count) ? 20 : 0);
  return false;
}

/* Because order is kept, no message of the handshakes arrives after an event of each node. */
static void meet(void) {
  UNTIL(have_met_or_replay());
  size_t before[PLACES];
  for (size_t i = 0; i < PLACES; i++) before[i] = written(i);
  for (size_t i = 0; i < PLACES; i++) broadcast(i);
  for (size_t i = 0; i < PLACES; i++) {
    UNTIL(written(i) >= before[i] + PLACES);
    w.at[i].had = written(i);
  }
}

static void run_seed(uint64_t seed) {
  size_t gaps[PLACES], sent = 0;
  w.state = seed;
  for (size_t i = 0; i < PLACES; i++) gaps[i] = atomic_load(&w.at[i].gaps);
  for (int step = 0; step < 6; step++) {
    replay(random_below(&w.state, 30));
    size_t from = random_below(&w.state, PLACES);
    if (random_below(&w.state, 3)) {
      dispatch(from, random_below(&w.state, PLACES + 1));
    } else {
      broadcast(from);
      sent++;
    }
  }
  check_events(sent);
  for (size_t i = 0; i < PLACES; i++) {
    assert_int_equal(atomic_load(&w.at[i].gaps), gaps[i]);
    for (size_t k = 0; k < PLACES; k++) {
      vestry_member_state state = vestry_cluster_member(w.at[i].cluster, names[k]);
      /* or the machine stood still for a second */
      assert_true(state == VESTRY_MEMBER_ALIVE || state == VESTRY_MEMBER_SUSPECT);
    }
  }
}

static void begin(void) {
  nats_server_init(&w.server);
  nats_server_start(&w.server, NULL);
}

static void finish(void) {
  for (size_t i = 0; i < PLACES; i++) end_life(i, false);
  w.recorder.ops->destroy(w.recorder.broker);
  for (size_t i = 0; i < w.kept_count; i++) free(w.kept[i].data);
  nats_server_finish(&w.server);
}

/* capability: G10 */
TEST_CASE(replayed_messages_have_no_effect) {
  uint64_t seed = random_setting("REPLAY_SEED", 1), count = random_setting("REPLAY_SEEDS", 200);
  begin();
  for (size_t i = 0; i < PLACES; i++) begin_life(i);
  meet();
  for (size_t life = 1; life < LIVES; life++)
    for (size_t i = 0; i < PLACES; i++) {
      for (size_t from = 0; from < PLACES; from++) {
        broadcast(from);
        dispatch(from, i);
        dispatch(from, PLACES);
      }
      end_life(i, life == 1);
      begin_life(i);
      meet();
    }
  for (uint64_t i = 0; i < count; i++) {
    if (i % SEEDS_A_LIFE == SEEDS_A_LIFE - 1) {
      size_t one = (size_t)(i / SEEDS_A_LIFE % PLACES);
      end_life(one, i / SEEDS_A_LIFE % 2);
      begin_life(one);
      meet();
    }
    run_seed(seed + i);
  }
  print_message("%llu seeds: %zu lives, %zu messages recorded, %zu played back; %zu dispatches, %zu events\n",
                (unsigned long long)count, w.lives, (size_t)w.kept_count, w.played, w.dispatches, w.events);
  assert_true(w.played >= count * 40);
  finish();
}
