/* SPDX-License-Identifier: MIT */
/* A memory network fails as its seed determines, and its counters account for every message. */
#include <stdlib.h>

#include "support/test.h"
#include "support/test_host.h"
#include "vestry/cluster/broker.h"
#include "vestry/testing/memory_network.h"

enum { NODES = 4 };

typedef struct network network;

typedef struct hearer {
  network *in;
  vestry_broker broker;
  size_t index, messages, ups, downs, gaps;
  uint64_t digest;     /* of all reports, in order */
  long last[NODES][3]; /* by sender and subject: the latest message */
  long late[NODES][3]; /* messages that came after a later one */
} hearer;

struct network {
  test_host th;
  vestry_runtime *runtime;
  vestry_memory_network *network;
  hearer nodes[NODES];
};

static void mix(hearer *h, const void *data, size_t len) {
  const unsigned char *bytes = data;
  for (size_t i = 0; i < len; i++) h->digest = (h->digest ^ bytes[i]) * UINT64_C(0x100000001b3);
}

static void on_message(const char *subject, const void *data, size_t len, void *ctx) {
  hearer *h = ctx;
  int sender = 0;
  long number = 0;
  assert_int_equal(sscanf(data, "%d %ld", &sender, &number), 2);
  h->messages++;
  mix(h, subject, strlen(subject));
  mix(h, data, len);
  int stream = subject[1] - '0';
  if (number > h->last[sender][stream])
    h->last[sender][stream] = number;
  else
    h->late[sender][stream]++;
}

static void on_state(vestry_broker_state state, void *ctx) {
  hearer *h = ctx;
  char c = (char)('A' + (int)state);
  mix(h, &c, 1);
  *(state == VESTRY_BROKER_UP ? &h->ups : state == VESTRY_BROKER_DOWN ? &h->downs : &h->gaps) += 1;
}

static void settle(network *n) {
  while (vestry_runtime_step(n->runtime)) continue;
}

static void pass_ms(network *n, uint64_t ms) {
  for (; ms > 0; ms--) {
    test_host_advance_ms(&n->th, 1);
    settle(n);
  }
}

static void begin(network *n, const vestry_memory_network_options *options, size_t nodes) {
  memset(n, 0, sizeof *n);
  test_host_init(&n->th);
  assert_int_equal(
      vestry_runtime_create(&(vestry_runtime_options){.host = &n->th.host, .threads_count = VESTRY_THREADS_NONE},
                            &n->runtime),
      VESTRY_OK);
  assert_int_equal(vestry_memory_network_create(n->runtime, options, &n->network), VESTRY_OK);
  for (size_t i = 0; i < nodes; i++) {
    hearer *h = &n->nodes[i];
    *h = (hearer){.in = n, .index = i, .digest = 1};
    assert_int_equal(vestry_memory_network_join(n->network, &h->broker), VESTRY_OK);
    const vestry_broker_events events = {.on_message = on_message, .on_state = on_state, .ctx = h};
    assert_int_equal(h->broker.ops->start(h->broker.broker, (const char *const[]){"s0", "s1"}, 2, &events), VESTRY_OK);
  }
  settle(n);
}

static vestry_err publish_number(network *n, size_t sender, const char *subject, long number) {
  char text[32];
  int len = snprintf(text, sizeof text, "%zu %ld", sender, number);
  const vestry_broker *broker = &n->nodes[sender].broker;
  return broker->ops->publish(broker->broker, subject, text, (size_t)len + 1);
}

static vestry_memory_network_stats stats_of(network *n) {
  vestry_memory_network_stats stats = {0};
  vestry_memory_network_stats_get(n->network, &stats);
  assert_int_equal(stats.sent_count,
                   stats.delivered_count + stats.dropped_count + stats.cut_count + stats.waiting_count);
  return stats;
}

static void end(network *n) {
  for (size_t i = 0; i < NODES; i++)
    if (n->nodes[i].broker.ops) n->nodes[i].broker.ops->destroy(n->nodes[i].broker.broker);
  vestry_memory_network_destroy(n->network);
  vestry_runtime_destroy(n->runtime);
  test_host_assert_clean(&n->th);
}

/* --------------------------------------------------------------------------------------------------- faults ------- */

static const vestry_memory_network_options all_faults = {
    .seed = 7, .drop = 500, .duplicate = 500, .delay = 3000, .tell = 5000, .full = 200, .max_delay_ms = 40};

/* Run once and return the digest. The caller chooses whether nodes other than 0 and 1 publish. */
static uint64_t run(uint64_t seed, bool others_talk, uint64_t digests[NODES]) {
  vestry_memory_network_options options = all_faults;
  options.seed = seed;
  network n;
  begin(&n, &options, NODES);
  hearer crowd = {.digest = 1};
  if (others_talk) {
    const vestry_broker_events events = {.on_message = on_message, .on_state = on_state, .ctx = &crowd};
    assert_int_equal(vestry_memory_network_join(n.network, &crowd.broker), VESTRY_OK);
    assert_int_equal(crowd.broker.ops->start(crowd.broker.broker, (const char *const[]){"s2"}, 1, &events), VESTRY_OK);
  }
  size_t full = 0;
  for (long i = 1; i <= 60; i++) {
    full += publish_number(&n, 0, "s0", i) == VESTRY_FULL;
    full += publish_number(&n, 1, i % 2 ? "s0" : "s1", i) == VESTRY_FULL;
    if (others_talk) (void)publish_number(&n, 2, "s2", i); /* only one other node subscribes to it */
    if (i % 5 == 0) pass_ms(&n, 3);
  }
  pass_ms(&n, 100);
  vestry_memory_network_stats stats = stats_of(&n);
  assert_int_equal(stats.waiting_count, 0);
  uint64_t all = stats.dropped_count * 31 + stats.duplicated_count * 7 + full;
  size_t messages = crowd.messages;
  assert_true(others_talk == (messages > 0));
  for (size_t i = 0; i < NODES; i++) {
    messages += n.nodes[i].messages;
    all = all * UINT64_C(0x100000001b3) ^ n.nodes[i].digest;
    if (digests) digests[i] = n.nodes[i].digest;
  }
  assert_int_equal(messages, stats.delivered_count);
  if (others_talk) crowd.broker.ops->destroy(crowd.broker.broker);
  end(&n);
  return all;
}

/* capability: G1 */
TEST_CASE(same_seed_gives_the_same_run) {
  uint64_t seen[20];
  for (uint64_t seed = 0; seed < 20; seed++) {
    seen[seed] = run(seed, false, NULL);
    assert_true(run(seed, false, NULL) == seen[seed]);
    for (uint64_t other = 0; other < seed; other++) assert_true(seen[other] != seen[seed]);
  }
}

/* capability: G1 */
TEST_CASE(messages_to_other_nodes_change_nothing) {
  uint64_t quiet[NODES], loud[NODES];
  run(11, false, quiet);
  run(11, true, loud);
  for (size_t i = 0; i < NODES; i++) assert_true(quiet[i] == loud[i]);
}

/* capability: G1 */
TEST_CASE(counters_are_consistent_for_10000_seeds) {
  for (uint64_t seed = 0; seed < 10000; seed++) {
    uint64_t chance = seed * UINT64_C(0x9E3779B97F4A7C15);
    const vestry_memory_network_options options = {.seed = seed,
                                                   .drop = (uint32_t)(chance >> 8 & 4095),
                                                   .duplicate = (uint32_t)(chance >> 20 & 4095),
                                                   .delay = (uint32_t)(chance >> 32 & 8191),
                                                   .tell = (uint32_t)(chance >> 45 & 8191),
                                                   .max_delay_ms = (uint32_t)(1 + seed % 9)};
    network n;
    begin(&n, &options, 3);
    size_t taken = 0;
    for (long i = 1; i <= 12; i++) {
      for (size_t sender = 0; sender < 3; sender++)
        taken += publish_number(&n, sender, i % 3 ? "s0" : "s1", i) == VESTRY_OK;
      uint8_t parts[3] = {(uint8_t)(chance >> i & 1), (uint8_t)(chance >> (i + 5) & 1), 0};
      if (i == 5) parts[2] = VESTRY_MEMORY_NETWORK_DOWN;
      if (i == 5 || i == 6) assert_int_equal(vestry_memory_network_divide(n.network, parts, 3), VESTRY_OK);
      if (i == 9) assert_int_equal(vestry_memory_network_divide(n.network, NULL, 0), VESTRY_OK);
      pass_ms(&n, (chance >> i) % 3);
    }
    pass_ms(&n, 20);
    vestry_memory_network_stats stats = stats_of(&n);
    assert_int_equal(stats.waiting_count, 0);
    assert_int_equal(stats.sent_count, taken * 3 + stats.duplicated_count);
    size_t messages = 0, late = 0;
    for (size_t i = 0; i < 3; i++) {
      messages += n.nodes[i].messages;
      for (size_t sender = 0; sender < 3; sender++)
        late += (size_t)(n.nodes[i].late[sender][0] + n.nodes[i].late[sender][1]);
      assert_int_equal(n.nodes[i].ups, n.nodes[i].downs + 1);
    }
    assert_int_equal(messages, stats.delivered_count);
    assert_true(late <= stats.duplicated_count); /* no other message is out of order */
    end(&n);
  }
}

TEST_CASE(each_fault_occurs_at_its_rate) {
  enum { COUNT = 4000 };
  network n;
  begin(&n, &(vestry_memory_network_options){.seed = 3, .drop = 2500, .tell = 5000, .duplicate = 1000}, 1);
  for (long i = 1; i <= COUNT; i++) assert_int_equal(publish_number(&n, 0, "s0", i), VESTRY_OK);
  pass_ms(&n, 200);
  vestry_memory_network_stats stats = stats_of(&n);
  assert_in_range(stats.dropped_count, COUNT / 4 - 150, COUNT / 4 + 150);
  assert_in_range(n.nodes[0].gaps, COUNT / 8 - 120, COUNT / 8 + 120);
  assert_in_range(stats.duplicated_count, COUNT * 3 / 40 - 100, COUNT * 3 / 40 + 100);
  /* From now on there are no faults; then every publish is refused. */
  assert_int_equal(vestry_memory_network_set(n.network, NULL), VESTRY_OK);
  size_t before = n.nodes[0].messages;
  for (long i = 1; i <= 100; i++) assert_int_equal(publish_number(&n, 0, "s1", i), VESTRY_OK);
  settle(&n);
  assert_int_equal(n.nodes[0].messages, before + 100);
  assert_int_equal(vestry_memory_network_set(n.network, &(vestry_memory_network_options){.full = 10000}), VESTRY_OK);
  for (long i = 1; i <= 100; i++) assert_int_equal(publish_number(&n, 0, "s1", i), VESTRY_FULL);
  end(&n);
}

TEST_CASE(delay_keeps_the_order_of_each_sender) {
  network n;
  begin(&n, &(vestry_memory_network_options){.delay = 10000, .max_delay_ms = 50}, 2);
  assert_int_equal(publish_number(&n, 0, "s0", 1), VESTRY_OK);
  assert_int_equal(vestry_memory_network_set(n.network, NULL), VESTRY_OK);
  assert_int_equal(publish_number(&n, 0, "s0", 2), VESTRY_OK); /* the same stream: waits */
  assert_int_equal(publish_number(&n, 1, "s0", 1), VESTRY_OK);
  settle(&n);
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(n.nodes[i].messages, 1);
    assert_int_equal(n.nodes[i].last[1][0], 1);
  }
  assert_int_equal(stats_of(&n).waiting_count, 4);
  pass_ms(&n, 51);
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(n.nodes[i].messages, 3);
    assert_int_equal(n.nodes[i].last[0][0], 2);
    assert_int_equal(n.nodes[i].late[0][0], 0);
  }
  end(&n);
}

/* -------------------------------------------------------------------------------------- partitions and ends ------- */

/* capability: G1 */
TEST_CASE(partitions_receive_no_messages_of_each_other) {
  network n;
  begin(&n, NULL, 4);
  assert_int_equal(vestry_memory_network_divide(n.network, (uint8_t[]){0, 1, 0, 1}, 4), VESTRY_OK);
  for (size_t i = 0; i < 4; i++) assert_int_equal(publish_number(&n, i, "s0", 1), VESTRY_OK);
  settle(&n);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(n.nodes[i].messages, 2);
    assert_int_equal(n.nodes[i].downs, 0); /* they do not detect it */
  }
  assert_int_equal(stats_of(&n).cut_count, 8);
  assert_int_equal(vestry_memory_network_divide(n.network, NULL, 0), VESTRY_OK);
  assert_int_equal(publish_number(&n, 0, "s0", 2), VESTRY_OK);
  settle(&n);
  for (size_t i = 0; i < 4; i++) assert_int_equal(n.nodes[i].messages, 3);
  end(&n);
}

TEST_CASE(message_in_transit_between_partitions_is_lost) {
  network n;
  begin(&n, &(vestry_memory_network_options){.delay = 10000}, 2);
  for (long i = 1; i <= 20; i++) assert_int_equal(publish_number(&n, 0, "s0", i), VESTRY_OK);
  assert_int_equal(vestry_memory_network_divide(n.network, (uint8_t[]){0, 1}, 2), VESTRY_OK);
  assert_int_equal(vestry_memory_network_divide(n.network, NULL, 0), VESTRY_OK);
  pass_ms(&n, 120);
  assert_int_equal(n.nodes[0].messages, 20);
  assert_int_equal(n.nodes[1].messages, 0);
  assert_int_equal(stats_of(&n).cut_count, 20);
  end(&n);
}

TEST_CASE(brief_disconnection_is_reported) {
  network n;
  begin(&n, NULL, 2);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(vestry_memory_network_divide(n.network, (uint8_t[]){0, VESTRY_MEMORY_NETWORK_DOWN}, 2), VESTRY_OK);
    assert_int_equal(vestry_memory_network_divide(n.network, NULL, 0), VESTRY_OK);
  }
  settle(&n);
  assert_int_equal(n.nodes[1].downs, 1);
  assert_int_equal(n.nodes[1].ups, 2);
  assert_int_equal(n.nodes[0].downs, 0);
  end(&n);
}

TEST_CASE(message_of_a_destroyed_node_arrives) {
  network n;
  begin(&n, &(vestry_memory_network_options){.delay = 10000}, 2);
  assert_int_equal(publish_number(&n, 0, "s0", 1), VESTRY_OK);
  n.nodes[0].broker.ops->destroy(n.nodes[0].broker.broker);
  n.nodes[0].broker.ops = NULL;
  assert_int_equal(publish_number(&n, 1, "s0", 1), VESTRY_OK); /* only to itself */
  pass_ms(&n, 120);
  assert_int_equal(n.nodes[1].messages, 2);
  vestry_memory_network_stats stats = stats_of(&n);
  assert_int_equal(stats.sent_count, 3);
  assert_int_equal(stats.cut_count, 1);
  end(&n);
}

TEST_CASE(invalid_arguments_are_refused) {
  network n;
  begin(&n, NULL, 1);
  vestry_memory_network *made = NULL;
  assert_int_equal(vestry_memory_network_create(NULL, NULL, &made), VESTRY_INVALID);
  assert_int_equal(vestry_memory_network_create(n.runtime, &(vestry_memory_network_options){.drop = 10001}, &made),
                   VESTRY_INVALID);
  assert_null(made);
  assert_int_equal(vestry_memory_network_set(n.network, &(vestry_memory_network_options){.full = 10001}),
                   VESTRY_INVALID);
  assert_int_equal(vestry_memory_network_divide(n.network, (uint8_t[]){64}, 1), VESTRY_INVALID);
  assert_int_equal(vestry_memory_network_divide(n.network, (uint8_t[]){0, 0}, 2), VESTRY_INVALID);
  assert_int_equal(vestry_memory_network_divide(n.network, NULL, 1), VESTRY_INVALID);
  vestry_memory_network_destroy(NULL);
  end(&n);
}

/* --------------------------------------------------------------------------------------------------- memory ------- */

static void ignore_message(const char *subject, const void *data, size_t len, void *ctx) {}

/* Each allocation fails once: a failed call has changed nothing. */
static vestry_err run_network(test_host *th, void *ctx) {
  vestry_runtime *runtime = NULL;
  vestry_memory_network *net = NULL;
  vestry_broker nodes[2] = {{NULL, NULL}};
  vestry_err error = vestry_runtime_create(
      &(vestry_runtime_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &runtime);
  if (error) return error;
  error = vestry_memory_network_create(runtime, &(vestry_memory_network_options){.duplicate = 10000}, &net);
  for (int i = 0; !error && i < 2; i++) {
    error = vestry_memory_network_join(net, &nodes[i]);
    static const char *const subjects[] = {"s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"};
    const vestry_broker_events events = {.on_message = ignore_message};
    if (!error) error = nodes[i].ops->start(nodes[i].broker, subjects, 9, &events);
  }
  for (int i = 0; !error && i < 12; i++) {
    vestry_memory_network_stats before = {0}, after = {0};
    vestry_memory_network_stats_get(net, &before);
    error = nodes[0].ops->publish(nodes[0].broker, "s3", "text", 4);
    vestry_memory_network_stats_get(net, &after);
    assert_int_equal(after.sent_count, before.sent_count + (error ? 0 : 4)); /* all receive it or none */
  }
  while (vestry_runtime_step(runtime)) continue;
  for (int i = 0; i < 2; i++)
    if (nodes[i].ops) nodes[i].ops->destroy(nodes[i].broker);
  vestry_memory_network_destroy(net);
  vestry_runtime_destroy(runtime);
  return error;
}

/* capability: G1 */
TEST_CASE(failed_allocation_is_reported) {
  test_host_fail_each(run_network, NULL, false);
}
