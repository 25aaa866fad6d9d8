/* SPDX-License-Identifier: MIT */
/* REJECT and REUSE in a strict cluster: on all nodes together, one stream holds a key. */
#include <stdlib.h>

#include "cluster/nodes.h"
#include "cluster/strict_race.h"
#include "runtime/random.h"
#include "vestry/testing/memory_network.h"

static const char *const names[] = {"a", "b", "c"};

/* The alive nodes are certain once dead_ms have passed. */
enum { SURE_MS = 3600, QUICK_DEAD_MS = 500 };

static node *start(nodes *n, size_t place) {
  const vestry_cluster_options options = {
      .secret = nodes_secret, .secret_len = sizeof nodes_secret, .node = names[place], .strict = true};
  return node_start(n, place, names[place], &options);
}

static node *start_quick(nodes *n, size_t place) {
  const vestry_cluster_options options = {.secret = nodes_secret,
                                          .secret_len = sizeof nodes_secret,
                                          .node = names[place],
                                          .strict = true,
                                          .heartbeat_ms = 50,
                                          .suspect_ms = 200,
                                          .dead_ms = QUICK_DEAD_MS};
  return node_start(n, place, names[place], &options);
}

static void begin(nodes *n, const vestry_memory_network_options *options) {
  nodes_prepare(n, options);
  for (size_t i = 0; i < 3; i++) start(n, i);
  nodes_pass_ms(n, SURE_MS);
}

/* Request a stream, and return its status. */
static int request_stream(node *of, const char *key, vestry_keep_policy policy, vestry_memory_exchange **ret_stream) {
  vestry_memory_exchange *stream = node_open(of, key, policy);
  int status = vestry_memory_look(stream).status;
  if (ret_stream) *ret_stream = stream;
  return status;
}

/* capability: G4 */
TEST_CASE(key_is_held_by_one_stream_of_all_nodes) {
  nodes n;
  vestry_memory_exchange *first, *second;
  begin(&n, NULL);
  node *a = &n.all[0], *b = &n.all[1], *c = &n.all[2];
  assert_int_equal(request_stream(a, "x", VESTRY_KEEP_REJECT, &first), 200);
  assert_int_equal(request_stream(a, "x", VESTRY_KEEP_REJECT, NULL), 409);
  assert_int_equal(request_stream(b, "x", VESTRY_KEEP_REJECT, NULL),
                   409); /* at once, before any announcement has arrived */
  assert_int_equal(request_stream(c, "x", VESTRY_KEEP_REUSE, NULL), 409);
  assert_int_equal(request_stream(a, "x", VESTRY_KEEP_REUSE, NULL), 204);
  assert_int_equal(request_stream(b, "y", VESTRY_KEEP_REUSE, NULL), 200);
  node_close(a, first);
  assert_int_equal(request_stream(c, "x", VESTRY_KEEP_REJECT, &second), 200); /* free at once */
  assert_int_equal(request_stream(a, "x", VESTRY_KEEP_REUSE, NULL), 409);
  node_stop(c); /* and when its node stops */
  assert_int_equal(request_stream(b, "x", VESTRY_KEEP_REJECT, NULL), 200);
  vestry_cluster_stats stats = node_stats(b);
  assert_int_equal(stats.reservations_count, 3); /* x, y, x */
  assert_int_equal(stats.reservations_refused_count, 1);
  assert_int_equal(stats.reservations_unknown_count, 0);
  /* Other policies make no reservation. */
  assert_int_equal(request_stream(a, "m", VESTRY_KEEP_MANY, NULL), 200);
  assert_int_equal(request_stream(b, "m", VESTRY_KEEP_MANY, NULL), 200);
  assert_int_equal(node_stats(b).reservations_count, 3);
  nodes_end(&n);
}

/* capability: G4 */
TEST_CASE(reservation_of_a_dead_node_is_free_after_dead_ms) {
  nodes n;
  begin(&n, NULL);
  node *a = &n.all[0], *b = &n.all[1];
  assert_int_equal(request_stream(a, "x", VESTRY_KEEP_REJECT, NULL), 200);
  node_kill(a);
  assert_int_equal(request_stream(b, "x", VESTRY_KEEP_REJECT, NULL), 503); /* it may be alive */
  nodes_pass_ms(&n, 2500);
  assert_int_equal(request_stream(b, "x", VESTRY_KEEP_REJECT, NULL), 503);
  nodes_pass_ms(&n, 1000);
  assert_int_equal(request_stream(b, "x", VESTRY_KEEP_REJECT, NULL), 200);
  start(&n, 0);
  /* the node does not know yet which others are alive */
  assert_int_equal(request_stream(&n.all[0], "y", VESTRY_KEEP_REJECT, NULL), 503);
  nodes_pass_ms(&n, 2900);
  assert_int_equal(request_stream(&n.all[0], "y", VESTRY_KEEP_REJECT, NULL), 503);
  nodes_pass_ms(&n, 100);
  assert_int_equal(request_stream(&n.all[0], "x", VESTRY_KEEP_REJECT, NULL), 409);
  assert_int_equal(request_stream(&n.all[0], "y", VESTRY_KEEP_REJECT, NULL), 200);
  nodes_end(&n);
}

/* All nodes stand still: no message shows that the others are alive, and none shows that they are dead. */
/* capability: G4 */
TEST_CASE(node_that_stood_still_regards_no_other_as_dead) {
  nodes n;
  vestry_cluster_count streams = {0};
  uint32_t count;
  begin(&n, NULL);
  node *a = &n.all[0], *b = &n.all[1], *c = &n.all[2];
  assert_int_equal(request_stream(a, "x", VESTRY_KEEP_REJECT, NULL), 200);
  nodes_pass_ms(&n, 100);
  test_host_advance_ms(&n.th, 4000);
  /* before the heartbeat that is due */
  assert_int_equal(request_stream(b, "y", VESTRY_KEEP_REJECT, NULL), 503);
  assert_int_equal(node_dispatch(b, "x", "here", &count), VESTRY_OK);
  assert_int_equal(node_dispatch(b, "nowhere", "here", &count), VESTRY_TIMEOUT);
  /* and after it */
  nodes_pass_ms(&n, 100);
  assert_int_equal(vestry_cluster_member(b->cluster, "a"), VESTRY_MEMBER_ALIVE);
  assert_int_equal(b->reported[0], VESTRY_MEMBER_ALIVE);
  assert_int_equal(request_stream(b, "x", VESTRY_KEEP_REJECT, NULL), 503);
  assert_int_equal(node_dispatch(b, "x", "here", &count), VESTRY_OK);
  assert_int_equal(node_dispatch(b, "nowhere", "here", &count), VESTRY_TIMEOUT);
  assert_int_equal(vestry_cluster_count_get(b->cluster, (vestry_scope){NULL, 0}, VESTRY_KEY("room", "x"), &streams),
                   VESTRY_OK);
  assert_int_equal(streams.streams_count, 1);
  nodes_pass_ms(&n, 500);
  assert_int_equal(node_dispatch(b, "nowhere", "here", &count), VESTRY_NOT_FOUND);
  nodes_pass_ms(&n, 3000);
  assert_int_equal(request_stream(b, "x", VESTRY_KEEP_REJECT, NULL), 409);
  assert_int_equal(request_stream(b, "y", VESTRY_KEEP_REJECT, NULL), 200);
  /* A node that dies while another stands still is dead dead_ms after that. */
  node_kill(c);
  test_host_advance_ms(&n.th, 10000);
  nodes_pass_ms(&n, 2400);
  assert_int_not_equal(vestry_cluster_member(b->cluster, "c"), VESTRY_MEMBER_DEAD);
  nodes_pass_ms(&n, 1000);
  assert_int_equal(vestry_cluster_member(b->cluster, "c"), VESTRY_MEMBER_DEAD);
  assert_int_equal(request_stream(b, "z", VESTRY_KEEP_REJECT, NULL), 200);
  nodes_end(&n);
}

/* The partition without the reservations accepts no stream; the other one only once it regards the first as dead. */
/* capability: G4 */
TEST_CASE(reservation_in_the_minor_partition_gets_503) {
  nodes n;
  vestry_memory_exchange *in_b, *in_c;
  begin(&n, NULL);
  node *a = &n.all[0], *b = &n.all[1], *c = &n.all[2];
  assert_int_equal(request_stream(b, "x", VESTRY_KEEP_REJECT, &in_b), 200);
  nodes_divide(&n, "aba");
  assert_int_equal(request_stream(b, "y", VESTRY_KEEP_REJECT, NULL), 503);
  assert_int_equal(request_stream(c, "x", VESTRY_KEEP_REJECT, NULL), 503);
  assert_int_equal(request_stream(c, "y", VESTRY_KEEP_REJECT, NULL), 503);
  nodes_pass_ms(&n, 3600);
  assert_int_equal(request_stream(b, "y", VESTRY_KEEP_REJECT, NULL), 503);
  assert_int_equal(request_stream(a, "y", VESTRY_KEEP_REJECT, NULL), 200);
  assert_int_equal(request_stream(c, "x", VESTRY_KEEP_REJECT, &in_c), 200); /* as documented: b keeps its stream */
  assert_false(vestry_memory_look(in_b).ended);
  nodes_divide(&n, NULL);
  nodes_pass_ms(&n, 1000);
  assert_int_equal(request_stream(b, "y", VESTRY_KEEP_REJECT, NULL), 409);
  assert_int_equal(request_stream(a, "x", VESTRY_KEEP_REJECT, NULL), 409);
  node_close(c, in_c);
  assert_int_equal(request_stream(a, "x", VESTRY_KEEP_REJECT, NULL), 409);
  node_close(b, in_b);
  assert_int_equal(request_stream(a, "x", VESTRY_KEEP_REJECT, NULL), 200);
  nodes_divide(&n, "-aa"); /* the broker is away */
  assert_int_equal(request_stream(a, "z", VESTRY_KEEP_REJECT, NULL), 503);
  assert_int_equal(request_stream(a, "x", VESTRY_KEEP_REJECT, NULL), 409);
  nodes_end(&n);
}

/* Another node requests the key after the name was set, and before the setting node knows that. */
static struct {
  nodes *in;
  const vestry_broker_ops *own;
  size_t reservations, asked_at;
  int status;
} nosy;

static vestry_err reserve_and_interfere(void *broker, const char *name, uint64_t expected, const void *data, size_t len,
                                        uint64_t *ret_revision) {
  vestry_err error = nosy.own->reserve(broker, name, expected, data, len, ret_revision);
  if (++nosy.reservations == nosy.asked_at)
    nosy.status = request_stream(&nosy.in->all[1], "x", VESTRY_KEEP_REJECT, NULL);
  return error;
}

/* capability: G4 */
TEST_CASE(concurrent_reservation_has_one_winner) {
  for (size_t at = 1; at <= 2; at++) { /* after it was read; after it was set */
    nodes n;
    vestry_broker probe;
    nodes_prepare(&n, NULL);
    assert_int_equal(vestry_memory_network_join(n.network, &probe), VESTRY_OK);
    n.joined++;
    nosy.in = &n, nosy.own = probe.ops, nosy.reservations = 0, nosy.asked_at = at, nosy.status = 0;
    n.reserve = reserve_and_interfere;
    start(&n, 0);
    n.reserve = NULL;
    start(&n, 1);
    nodes_pass_ms(&n, SURE_MS);
    int status = request_stream(&n.all[0], "x", VESTRY_KEEP_REJECT, NULL);
    assert_int_equal(nosy.status, at == 1 ? 200 : 409);
    assert_int_equal(status, at == 1 ? 409 : 200);
    probe.ops->destroy(probe.broker);
    nodes_end(&n);
  }
}

static vestry_err reserve_and_stand_still(void *broker, const char *name, uint64_t expected, const void *data,
                                          size_t len, uint64_t *ret_revision) {
  vestry_err error = nosy.own->reserve(broker, name, expected, data, len, ret_revision);
  if (++nosy.reservations == nosy.asked_at) test_host_advance_ms(&nosy.in->th, 3000);
  return error;
}

/* The other nodes may regard it as dead meanwhile, and open a stream of the key. */
/* capability: G4 */
TEST_CASE(reservation_by_a_node_that_stands_still_does_not_count) {
  nodes n;
  vestry_broker probe;
  nodes_prepare(&n, NULL);
  assert_int_equal(vestry_memory_network_join(n.network, &probe), VESTRY_OK);
  n.joined++;
  nosy.in = &n, nosy.own = probe.ops, nosy.reservations = 0, nosy.asked_at = 2;
  n.reserve = reserve_and_stand_still;
  start(&n, 0);
  n.reserve = NULL;
  start(&n, 1);
  nodes_pass_ms(&n, SURE_MS);
  assert_int_equal(request_stream(&n.all[0], "x", VESTRY_KEEP_REJECT, NULL), 503);
  nodes_pass_ms(&n, SURE_MS);
  assert_int_equal(request_stream(&n.all[1], "x", VESTRY_KEEP_REJECT, NULL), 200);
  probe.ops->destroy(probe.broker);
  nodes_end(&n);
}

/* ----------------------------------------- seeds: messages are late, duplicated and lost, nodes come and go ------- */

enum { SEEDS_USUAL = 40, STEPS = 120 };
static uint64_t state_of_chance;

static uint64_t chance(uint64_t below) {
  return random_below(&state_of_chance, below);
}

/* Accepted streams of two keys, and their nodes. */
static vestry_memory_exchange *streams[2][256];
static size_t of[2][256], count[2], let_in, refused, unknown;

static size_t open_of(const nodes *n, size_t key) {
  size_t open = 0;
  for (size_t i = 0; i < count[key]; i++)
    open += n->all[of[key][i]].cluster && !vestry_memory_look(streams[key][i]).ended;
  return open;
}

static void request_and_note(nodes *n, size_t place, size_t key) {
  vestry_memory_exchange *stream;
  int status =
      request_stream(&n->all[place], key ? "k1" : "k0", chance(3) ? VESTRY_KEEP_REJECT : VESTRY_KEEP_REUSE, &stream);
  let_in += status == 200;
  refused += status == 409;
  unknown += status == 503;
  assert_true(status == 200 || status == 409 || status == 503 || status == 204);
  if (status == 200) streams[key][count[key]] = stream, of[key][count[key]++] = place;
}

/* One node is cut off for less time than it takes to be regarded as dead; meanwhile keys are requested in the partition
 * with the reservations. */
static void blink(nodes *n, size_t place) {
  static const char *const ways[] = {"baa", "aba", "aab"};
  nodes_divide(n, ways[place]);
  nodes_pass_ms(n, 110 + chance(100)); /* more than two heartbeats */
  for (size_t i = 0; i < 3; i++)
    if (i != place && n->all[i].cluster && n->all[i].streams_count < STREAMS_MOST - 2)
      request_and_note(n, i, chance(2));
  nodes_divide(n, NULL);
  nodes_pass_ms(n, 150);
}

/* capability: G4 */
TEST_CASE(key_has_at_most_one_stream_in_random_schedules) {
  const uint64_t seeds = random_setting("CLUSTER_SEEDS", SEEDS_USUAL);
  for (uint64_t seed = 1; seed <= seeds; seed++) {
    nodes n;
    count[0] = count[1] = 0;
    state_of_chance = seed;
    const vestry_memory_network_options faults = {.seed = seed,
                                                  .delay = chance(2) ? 0 : (uint32_t)chance(1000),
                                                  .duplicate = (uint32_t)chance(3000),
                                                  .drop = chance(2) ? 0 : (uint32_t)chance(300),
                                                  .max_delay_ms = 1 + (uint32_t)chance(60)};
    nodes_prepare(&n, &faults);
    for (size_t i = 0; i < 3; i++) start_quick(&n, i);
    nodes_pass_ms(&n, QUICK_DEAD_MS + 100);
    for (int i = 0; i < STEPS; i++) {
      size_t place = chance(3), key = chance(2);
      node *at = &n.all[place];
      switch (chance(12)) {
      case 0: nodes_pass_ms(&n, chance(400)); break;
      case 1:
      case 2: nodes_pass_ms(&n, chance(6)); break;
      case 3:
        if (chance(3)) break;
        if (at->cluster) {
          for (size_t k = 0; k < 2; k++)
            for (size_t s = count[k]; s-- > 0;)
              if (of[k][s] == place) streams[k][s] = streams[k][--count[k]], of[k][s] = of[k][count[k]];
          if (chance(2))
            node_kill(at);
          else
            node_stop(at);
        } else {
          start_quick(&n, place);
          blink(&n, (place + 1 + chance(2)) % 3); /* another node is cut off while it starts */
        }
        break;
      case 4:
      case 5:
        for (size_t s = 0; s < count[key]; s++)
          if (of[key][s] == place) {
            node_close(at, streams[key][s]);
            streams[key][s] = streams[key][--count[key]];
            of[key][s] = of[key][count[key]];
            break;
          }
        break;
      default:
        if (!at->cluster || at->streams_count > STREAMS_MOST - 2) break;
        request_and_note(&n, place, key);
        break;
      }
      for (size_t k = 0; k < 2; k++)
        if (open_of(&n, k) > 1) fail_msg("seed %llu: two have it", (unsigned long long)seed);
    }
    nodes_end(&n);
  }
  print_message("%zu let in, %zu refused, %zu not known\n", let_in, refused, unknown);
  if (seeds >= SEEDS_USUAL) assert_true(let_in > seeds && refused > seeds && unknown);
}

/* capability: G4 */
TEST_CASE(key_has_at_most_one_stream_with_threads) {
  vestry_runtime *runtime;
  vestry_memory_network *network;
  vestry_broker brokers[STRICT_RACE_NODES];
  assert_int_equal(vestry_runtime_create(&(vestry_runtime_options){.threads_count = 2}, &runtime), VESTRY_OK);
  assert_int_equal(vestry_memory_network_create(runtime, NULL, &network), VESTRY_OK);
  for (size_t i = 0; i < STRICT_RACE_NODES; i++)
    assert_int_equal(vestry_memory_network_join(network, &brokers[i]), VESTRY_OK);
  strict_race(brokers, 300);
  vestry_memory_network_destroy(network);
  vestry_runtime_destroy(runtime);
}

static vestry_err reject(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("room", "x"));
  vestry_reply_keep(reply, VESTRY_KEEP_REJECT, 0);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("opened", 1));
}

TEST_CASE(failed_allocation_leaves_no_reservation) {
  for (long at = 0;; at++) {
    nodes n;
    begin(&n, NULL);
    test_host_fail_in(&n.th, at);
    vestry_memory_exchange *one = NULL, *two = NULL;
    int first = 500, second;
    const vestry_memory_call call = {.datastar = true};
    (void)vestry_memory_request(n.all[0].v, &call, reject, NULL, &one);
    nodes_settle(&n);
    if (one) first = vestry_memory_look(one).status;
    bool is_over = !test_host_has_failed(&n.th);
    second = request_stream(&n.all[1], "x", VESTRY_KEEP_REJECT, &two);
    bool has_one = first == 200 && !vestry_memory_look(one).ended;
    assert_int_equal(second, has_one ? 409 : 200); /* it has left no reservation */
    if (is_over) assert_true(has_one);
    vestry_memory_destroy(one);
    nodes_end(&n);
    if (is_over) break;
  }
}

TEST_CASE(strict_needs_a_broker_with_reservations) {
  nodes n;
  nodes_begin(&n, 1, NULL);
  vestry *v;
  vestry_broker broker;
  vestry_cluster *cluster;
  assert_int_equal(vestry_create(&(vestry_options){.host = &n.th.host, .runtime = n.runtime}, &v), VESTRY_OK);
  assert_int_equal(vestry_memory_network_join(n.network, &broker), VESTRY_OK);
  vestry_broker_ops ops = *broker.ops;
  ops.reserve = NULL;
  const vestry_cluster_options options = {
      .node = "z", .secret = nodes_secret, .secret_len = sizeof nodes_secret, .strict = true};
  assert_int_equal(vestry_cluster_create(v, &(vestry_broker){&ops, broker.broker}, &options, &cluster),
                   VESTRY_UNSUPPORTED);
  broker.ops->destroy(broker.broker);
  vestry_destroy(v);
  nodes_end(&n);
}
