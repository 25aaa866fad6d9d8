/* SPDX-License-Identifier: MIT */
/* E5: the event bus, on one thread. */
#include "app/bus/bus.h"

#include <stdlib.h>

#include "connection/probe.h"
#include "event/layout.h"
#include "runtime/random.h"
#include "support/topic.h"

/* All calls, as text: "a1 " a was called with "1"; "a- " a has ended. */
static char happened[4096];

typedef struct listener {
  vsi_bus *bus;
  char name;
  int calls, overs;
  vestry_subscription *handle;
  /* operations of its next call, done once */
  vestry_subscription **ends; /* *ends is unsubscribed */
  bool expects_over;          /* the expected result of that */
  const char *publishes;      /* data, to the same topic */
  struct listener *adds;
  vestry_connection *closes;
} listener;

static void note(char name, const char *data, size_t len) {
  size_t at = strlen(happened);
  snprintf(happened + at, sizeof happened - at, "%c%.*s ", name, (int)len, data);
}

#define assert_happened(text) (assert_string_equal(happened, text), happened[0] = '\0', (void)0)

static void subscribe(listener *l, const char *topic, vestry_connection *connection);

static void on_message(const vestry_bus_message *message, void *ctx) {
  listener *l = ctx;
  l->calls++;
  note(l->name, message->data, message->len);
  if (l->ends) {
    vestry_subscription *handle = *l->ends;
    l->ends = NULL;
    assert_int_equal(vestry_unsubscribe(handle), l->expects_over);
  }
  if (l->adds) {
    listener *other = l->adds;
    l->adds = NULL;
    subscribe(other, "t", NULL);
  }
  if (l->closes) vestry_connection_close(l->closes, VESTRY_CAUSE_CLOSED);
  if (l->publishes) {
    const char *data = l->publishes;
    l->publishes = NULL;
    assert_int_equal(topic_publish(l->bus, message->topic.data, message->topic.len, data, strlen(data), NULL),
                     VESTRY_OK);
  }
}

static void on_over(void *ctx) {
  listener *l = ctx;
  assert_int_equal(l->overs++, 0);
  note(l->name, "-", 1);
}

static void subscribe(listener *l, const char *topic, vestry_connection *connection) {
  vestry_subscriber subscriber = {on_message, on_over, l, connection};
  assert_int_equal(topic_subscribe(l->bus, topic, strlen(topic), &subscriber, &l->handle), VESTRY_OK);
}

static size_t publish(vsi_bus *bus, const char *topic, const char *data) {
  size_t count = 99;
  assert_int_equal(topic_publish(bus, topic, strlen(topic), data, strlen(data), &count), VESTRY_OK);
  return count;
}

static void check_sums(vsi_bus *bus) {
  vestry_bus_stats stats = {0};
  vsi_bus_stats_get(bus, &stats);
  assert_int_equal(stats.subscribed_count, stats.live_count + stats.ended_count);
  assert_true(stats.topics_count <= stats.live_count);
  assert_true(stats.ended_by_connection_count <= stats.ended_count);
}

static void begin(bench *b, vsi_bus **ret_bus, listener *listeners, int count) {
  bench_init(b, VESTRY_THREADS_NONE, NULL);
  assert_int_equal(vsi_bus_create(&b->th.host, ret_bus), VESTRY_OK);
  memset(listeners, 0, (size_t)count * sizeof *listeners);
  for (int i = 0; i < count; i++) {
    listeners[i].bus = *ret_bus;
    listeners[i].name = (char)('a' + i);
  }
  happened[0] = '\0';
}

/* capability: E5 */
TEST_CASE(e5_subscribers_are_called_in_order) {
  bench b;
  vsi_bus *bus;
  listener l[4];
  begin(&b, &bus, l, 4);
  assert_int_equal(publish(bus, "t", "0"), 0); /* no subscriber */
  for (int i = 0; i < 3; i++) subscribe(&l[i], "t", NULL);
  subscribe(&l[3], "u", NULL);
  assert_int_equal(publish(bus, "t", "1"), 3);
  assert_int_equal(publish(bus, "u", "2"), 1);
  assert_int_equal(publish(bus, "T", "3"), 0);
  assert_happened("a1 b1 c1 d2 ");
  assert_true(vestry_unsubscribe(l[1].handle));
  assert_happened("b- ");
  assert_int_equal(publish(bus, "t", "4"), 2);
  subscribe(&l[1], "t", NULL); /* again, after the others */
  l[1].overs = 0;
  publish(bus, "t", "5");
  assert_happened("a4 c4 a5 c5 b5 ");
  vestry_bus_stats stats = {0};
  vsi_bus_stats_get(bus, &stats);
  assert_int_equal(stats.subscribed_count, 5);
  assert_int_equal(stats.live_count, 4);
  assert_int_equal(stats.ended_count, 1);
  assert_int_equal(stats.topics_count, 2);
  assert_int_equal(stats.published_count, 6);
  assert_int_equal(stats.called_count, 9);
  for (int i = 0; i < 4; i++) assert_true(vestry_unsubscribe(l[i].handle));
  assert_happened("a- b- c- d- ");
  vsi_bus_stats_get(bus, &stats);
  assert_int_equal(stats.topics_count, 0);
  check_sums(bus);
  vsi_bus_destroy(bus);
  bench_finish(&b);
}

static void a_message_is_the_publishers_own(const vestry_bus_message *message, void *ctx) {
  assert_ptr_equal(message->data, ctx);
  assert_int_equal(message->len, 3);
  assert_int_equal(message->topic.len, 3);
  assert_memory_equal(message->topic.data, "a\0b", 3);
  assert_null(message->connection);
}

TEST_CASE(e5_topic_may_contain_nul_and_message_is_not_copied) {
  bench b;
  vsi_bus *bus;
  listener l[1];
  begin(&b, &bus, l, 1);
  char data[3] = "xyz";
  vestry_subscriber subscriber = {.call = a_message_is_the_publishers_own, .ctx = data};
  assert_int_equal(topic_subscribe(bus, "a\0b", 3, &subscriber, NULL), VESTRY_OK);
  size_t count = 0;
  assert_int_equal(topic_publish(bus, "a\0b", 3, data, 3, &count), VESTRY_OK);
  assert_int_equal(count, 1);
  assert_int_equal(topic_publish(bus, "a", 1, data, 3, &count), VESTRY_OK);
  assert_int_equal(count, 0);
  long allocations = atomic_load(&b.th.allocations);
  for (int i = 0; i < 10; i++) topic_publish(bus, "a\0b", 3, data, 3, NULL);
  assert_int_equal(atomic_load(&b.th.allocations), allocations); /* publishing allocates nothing */
  vsi_bus_destroy(bus);                                          /* ends subscriptions without a handle */
  bench_finish(&b);
}

BENCH_CASE(invalid_or_excess_subscription_is_refused) {
  vsi_bus *bus = NULL;
  listener l[1];
  atomic_store(&b->th.fail_random, true);
  assert_int_equal(vsi_bus_create(&b->th.host, &bus), VESTRY_IO);
  assert_null(bus);
  atomic_store(&b->th.fail_random, false);
  assert_int_equal(vsi_bus_create(&b->th.host, &bus), VESTRY_OK);
  assert_true(vsi_bus_bound(bus, 2));
  vestry_subscriber subscriber = {.call = on_message, .ctx = l}, nobody = {0};
  vestry_subscription *handle = NULL;
  assert_int_equal(topic_subscribe(bus, "t", 1, NULL, &handle), VESTRY_INVALID);
  assert_int_equal(topic_subscribe(bus, "t", 1, &nobody, &handle), VESTRY_INVALID);
  assert_int_equal(topic_subscribe(bus, "u", 1, &subscriber, NULL), VESTRY_OK);
  assert_int_equal(topic_subscribe(bus, "t", 1, &subscriber, NULL), VESTRY_OK);
  assert_int_equal(topic_subscribe(bus, "t", 1, &subscriber, &handle), VESTRY_LIMIT);
  assert_null(handle); /* unchanged */
  vestry_bus_stats stats = {0};
  vsi_bus_stats_get(bus, &stats);
  assert_int_equal(stats.refused_count, 1);
  assert_int_equal(stats.subscribed_count, 2);
  vsi_bus_close(bus);
  vsi_bus_close(bus);
  assert_int_equal(topic_subscribe(bus, "t", 1, &subscriber, &handle), VESTRY_CLOSED);
  size_t count = 7;
  assert_int_equal(topic_publish(bus, "t", 1, NULL, 0, &count), VESTRY_CLOSED);
  assert_int_equal(count, 7);
  assert_true(vestry_unsubscribe(NULL));
  vsi_bus_destroy(bus);
  vsi_bus_destroy(NULL);
}

/* -------------------------------------------------------------------------------------- inside of callbacks ------- */

/* capability: E5 */
TEST_CASE(e5_subscriber_removed_during_publish_is_not_called) {
  for (int victim = 0; victim < 3; victim++) /* b ends a, itself or c */
    for (int on_t = 0; on_t < 2; on_t++) {   /* others stay, or the topic becomes empty */
      bench b;
      vsi_bus *bus;
      listener l[3];
      begin(&b, &bus, l, 3);
      for (int i = 0; i < 3; i++) subscribe(&l[i], "t", NULL);
      l[1].ends = &l[victim].handle;
      l[1].expects_over = victim != 1; /* its own call is running */
      publish(bus, "t", "1");
      assert_happened(victim == 0 ? "a1 b1 a- c1 " : victim == 1 ? "a1 b1 b- c1 " : "a1 b1 c- ");
      publish(bus, "t", "2");
      assert_happened(victim == 0 ? "b2 c2 " : victim == 1 ? "a2 c2 " : "a2 b2 ");
      check_sums(bus);
      for (int i = 0; on_t && i < 3; i++)
        if (i != victim) vestry_unsubscribe(l[i].handle);
      vsi_bus_destroy(bus);
      for (int i = 0; !on_t && i < 3; i++)
        if (i != victim) assert_true(vestry_unsubscribe(l[i].handle)); /* handles may outlive the bus */
      for (int i = 0; i < 3; i++) assert_int_equal(l[i].overs, 1);
      bench_finish(&b);
    }
}

TEST_CASE(topic_emptied_during_publish_accepts_subscribers) {
  bench b;
  vsi_bus *bus;
  listener l[2];
  begin(&b, &bus, l, 2);
  subscribe(&l[0], "t", NULL);
  l[0].ends = &l[0].handle;
  l[0].adds = &l[1]; /* into the empty topic, which is being published to */
  assert_int_equal(publish(bus, "t", "1"), 1);
  assert_happened("a1 a- ");
  assert_int_equal(publish(bus, "t", "2"), 1);
  assert_happened("b2 ");
  vestry_unsubscribe(l[1].handle);
  vestry_bus_stats stats = {0};
  vsi_bus_stats_get(bus, &stats);
  assert_int_equal(stats.topics_count, 0);
  vsi_bus_destroy(bus);
  bench_finish(&b);
}

TEST_CASE(e5_subscriber_added_during_publish_is_not_called_yet) {
  bench b;
  vsi_bus *bus;
  listener l[3];
  begin(&b, &bus, l, 3);
  subscribe(&l[0], "t", NULL);
  subscribe(&l[1], "t", NULL);
  l[0].adds = &l[2];
  assert_int_equal(publish(bus, "t", "1"), 2);
  assert_happened("a1 b1 ");
  assert_int_equal(publish(bus, "t", "2"), 3);
  assert_happened("a2 b2 c2 ");
  for (int i = 0; i < 3; i++) vestry_unsubscribe(l[i].handle);
  vsi_bus_destroy(bus);
  bench_finish(&b);
}

/* capability: E5 */
TEST_CASE(e5_publishing_inside_a_callback_works) {
  bench b;
  vsi_bus *bus;
  listener l[3];
  begin(&b, &bus, l, 3);
  for (int i = 0; i < 3; i++) subscribe(&l[i], "t", NULL);
  l[1].publishes = "2";
  publish(bus, "t", "1");
  assert_happened("a1 b1 a2 b2 c2 c1 ");
  l[0].publishes = "4";
  l[1].ends = &l[0].handle; /* in the inner publish, while a's own call waits for it */
  l[1].expects_over = false;
  publish(bus, "t", "3");
  assert_happened("a3 a4 b4 c4 a- b3 c3 ");
  vestry_unsubscribe(l[1].handle);
  vestry_unsubscribe(l[2].handle);
  vsi_bus_destroy(bus);
  bench_finish(&b);
}

/* ----------------------------------------------------------------------------------------- with connections ------- */

static void closed_after_the_bus(vestry_connection *connection, vestry_cause cause, void *ctx) {
  assert_int_equal(((listener *)ctx)->overs, 1); /* the hook may free its data, because no call follows */
  note('h', "-", 1);
}

/* capability: E5 */
TEST_CASE(e5_subscriptions_end_with_their_connection) {
  for (int with_handle = 0; with_handle < 2; with_handle++) {
    bench b;
    vsi_bus *bus;
    listener l[3];
    probe p;
    begin(&b, &bus, l, 3);
    probe_init(&p);
    vestry_connection *c = NULL;
    static const vsi_connection_hooks hooks = {.on_close = closed_after_the_bus};
    assert_int_equal(vsi_group_connect(b.group, &probe_pooled, &p, NULL, &hooks, &l[1], &c), VESTRY_OK);
    vsi_connection_start(c);
    bench_run(&b);
    subscribe(&l[0], "t", NULL);
    vestry_subscriber bound = {on_message, on_over, &l[1], c};
    assert_int_equal(topic_subscribe(bus, "t", 1, &bound, with_handle ? &l[1].handle : NULL), VESTRY_OK);
    subscribe(&l[2], "t", NULL);
    assert_int_equal(publish(bus, "t", "1"), 3);
    vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
    assert_int_equal(publish(bus, "t", "2"), 2); /* from the close on, not only from the end */
    assert_happened("a1 b1 c1 a2 c2 ");
    bench_run(&b);
    assert_happened("b- h- ");
    assert_int_equal(publish(bus, "t", "3"), 2);
    assert_happened("a3 c3 ");
    vestry_bus_stats stats = {0};
    vsi_bus_stats_get(bus, &stats);
    assert_int_equal(stats.live_count, 2);
    assert_int_equal(stats.ended_count, 1);
    assert_int_equal(stats.ended_by_connection_count, 1);
    if (with_handle) assert_true(vestry_unsubscribe(l[1].handle));
    assert_int_equal(topic_subscribe(bus, "t", 1, &bound, &l[1].handle), VESTRY_CLOSED);
    assert_int_equal(l[1].overs, 1); /* a refused subscription has no end */
    vestry_unsubscribe(l[0].handle);
    vestry_unsubscribe(l[2].handle);
    check_sums(bus);
    vsi_bus_destroy(bus);
    vestry_connection_unref(c);
    p.closed++; /* its hooks were replaced */
    p.close_cause = p.end_cause;
    probe_finish(&p);
    bench_finish(&b);
  }
}

TEST_CASE(e5_unsubscribed_subscription_leaves_its_connection) {
  bench b;
  vsi_bus *bus;
  listener l[3];
  probe p;
  begin(&b, &bus, l, 3);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  vsi_connection_start(c);
  for (int i = 0; i < 3; i++) subscribe(&l[i], "t", c);
  vestry_unsubscribe(l[0].handle);
  assert_happened("a- ");
  l[1].closes = c;
  publish(bus, "t", "1");
  assert_happened("b1 ");
  vsi_bus_destroy(bus); /* before the end of the connection */
  assert_happened("b- c- ");
  bench_run(&b);
  assert_happened("");
  vestry_unsubscribe(l[1].handle);
  vestry_unsubscribe(l[2].handle);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

static void close_and_step(const vestry_bus_message *message, void *ctx) {
  vestry_connection *c = message->connection;
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(ctx); /* the runner ends the subscription inside of its own call */
  assert_int_equal(vestry_connection_look(c).state, VESTRY_STATE_CLOSED);
  note('x', message->data, message->len);
  vestry_event *event = NULL;
  assert_int_equal(vsi_event_comment(NULL, "late", &event), VESTRY_OK);
  assert_int_equal(vestry_connection_send(c, event), VESTRY_CLOSED); /* E6: refused without effect */
  assert_int_equal(vestry_connection_patch_signals(c, VESTRY_VALUES("{}"), NULL), VESTRY_CLOSED);
  vestry_event_unref(event);
}

static void over_x(void *ctx) {
  note('x', "-", 1);
}

/* capability: E6 */
TEST_CASE(e6_callback_of_an_ended_connection_cannot_send) {
  bench b;
  vsi_bus *bus;
  listener l[1];
  probe p;
  begin(&b, &bus, l, 1);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  vsi_connection_start(c);
  vestry_subscriber subscriber = {close_and_step, over_x, &b, c};
  vestry_subscription *handle;
  assert_int_equal(topic_subscribe(bus, "t", 1, &subscriber, &handle), VESTRY_OK);
  subscribe(&l[0], "t", NULL);
  assert_int_equal(publish(bus, "t", "1"), 2);
  assert_happened("x1 x- a1 ");
  assert_int_equal(publish(bus, "t", "2"), 1); /* not called after the end */
  assert_happened("a2 ");
  assert_true(vestry_unsubscribe(handle));
  vestry_unsubscribe(l[0].handle);
  vsi_bus_destroy(bus);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

/* -------------------------------------------------------------------------- random operations, and failures ------- */

enum { PEOPLE = 26, TOPICS = 4, STEPS = 3000, STREAMS = 4 };

/* A model of the bus: the subscribers of each topic, in order. */
typedef struct model {
  listener l[PEOPLE];
  bool in[PEOPLE];
  int topic[PEOPLE], stream[PEOPLE]; /* stream -1: none */
  uint64_t number[PEOPLE], last;
} model;

static void expect(const model *m, int topic, const bool closing[STREAMS], char *text, size_t room) {
  text[0] = '\0';
  for (uint64_t after = 0;;) {
    int next = -1;
    for (int i = 0; i < PEOPLE; i++)
      if (m->in[i] && m->topic[i] == topic && m->number[i] > after && (next < 0 || m->number[i] < m->number[next]))
        next = i;
    if (next < 0) return;
    after = m->number[next];
    if (m->stream[next] >= 0 && closing[m->stream[next]]) continue;
    snprintf(text + strlen(text), room - strlen(text), "%c. ", 'a' + next);
  }
}

static void one_history(uint64_t seed) {
  static const char *const topics[TOPICS] = {"t", "u", "a longer name of a topic", "w"};
  bench b;
  vsi_bus *bus;
  static model m;
  memset(&m, 0, sizeof m);
  begin(&b, &bus, m.l, PEOPLE);
  probe probes[STREAMS];
  vestry_connection *streams[STREAMS];
  bool closing[STREAMS] = {false};
  for (int i = 0; i < STREAMS; i++) {
    probe_init(&probes[i]);
    streams[i] = bench_connect(&b, &probes[i], NULL);
    vsi_connection_start(streams[i]);
  }
  for (int step = 0; step < STEPS; step++) {
    int who = (int)random_below(&seed, PEOPLE), topic = (int)random_below(&seed, TOPICS);
    happened[0] = '\0';
    switch (random_below(&seed, 12)) {
    case 0: { /* a stream ends, and another replaces it */
      int i = (int)random_below(&seed, STREAMS);
      vestry_connection_close(streams[i], VESTRY_CAUSE_CLOSED);
      closing[i] = true;
      break;
    }
    case 1:
      bench_run(&b);
      for (int i = 0; i < STREAMS; i++) {
        if (!closing[i]) continue;
        for (int j = 0; j < PEOPLE; j++)
          if (m.stream[j] == i && m.in[j]) {
            assert_int_equal(m.l[j].overs, 1);
            assert_true(vestry_unsubscribe(m.l[j].handle));
            m.in[j] = false;
          }
        vestry_connection_unref(streams[i]);
        probe_finish(&probes[i]);
        probe_init(&probes[i]);
        streams[i] = bench_connect(&b, &probes[i], NULL);
        vsi_connection_start(streams[i]);
        closing[i] = false;
      }
      break;
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
      if (m.in[who]) {
        assert_true(vestry_unsubscribe(m.l[who].handle));
        assert_int_equal(m.l[who].overs, 1);
        m.in[who] = false;
      } else {
        m.stream[who] = (int)random_below(&seed, STREAMS + 1) - 1;
        vestry_connection *c = m.stream[who] < 0 ? NULL : streams[m.stream[who]];
        m.l[who].overs = 0;
        vestry_subscriber subscriber = {on_message, on_over, &m.l[who], c};
        vestry_err error = topic_subscribe(bus, topics[topic], strlen(topics[topic]), &subscriber, &m.l[who].handle);
        assert_int_equal(error, c && closing[m.stream[who]] ? VESTRY_CLOSED : VESTRY_OK);
        m.in[who] = !error;
        m.topic[who] = topic;
        if (!error) m.number[who] = ++m.last;
      }
      break;
    default: {
      char expected[4 * PEOPLE];
      expect(&m, topic, closing, expected, sizeof expected);
      assert_int_equal(publish(bus, topics[topic], "."), strlen(expected) / 3);
      assert_string_equal(happened, expected);
    }
    }
    check_sums(bus);
  }
  vsi_bus_destroy(bus);
  for (int i = 0; i < PEOPLE; i++) {
    if (!m.in[i]) continue;
    assert_int_equal(m.l[i].overs, 1);
    assert_true(vestry_unsubscribe(m.l[i].handle));
  }
  for (int i = 0; i < STREAMS; i++) {
    vestry_connection_close(streams[i], VESTRY_CAUSE_CLOSED);
    vestry_connection_unref(streams[i]);
  }
  bench_run(&b);
  for (int i = 0; i < STREAMS; i++) probe_finish(&probes[i]);
  bench_finish(&b);
}

TEST_CASE(random_operations_match_a_model) {
  for (uint64_t seed = 1; seed <= 10; seed++) one_history(seed);
}

static vestry_err subscribe_many(test_host *th, void *ctx) {
  vestry_runtime *runtime = NULL;
  vsi_bus *bus = NULL;
  vsi_group *group = NULL;
  vestry_connection *c = NULL;
  probe p;
  probe_init(&p);
  vestry_runtime_options options = {.host = &th->host, .threads_count = VESTRY_THREADS_NONE};
  vestry_err error = vestry_runtime_create(&options, &runtime);
  if (!error) error = vsi_group_create(runtime, NULL, &group);
  if (!error) error = vsi_group_connect(group, &probe_pooled, &p, NULL, NULL, NULL, &c);
  if (c) vsi_connection_start(c);
  if (!error) error = vsi_bus_create(&th->host, &bus);
  listener l[20];
  memset(l, 0, sizeof l);
  int made = 0;
  for (int i = 0; !error && i < 20; i++) { /* a topic each, so that the table grows */
    char topic[2] = {'a', (char)('a' + i)};
    l[i].name = topic[1];
    vestry_subscriber subscriber = {on_message, on_over, &l[i], i % 2 ? c : NULL};
    vestry_subscription *handle = NULL;
    error = topic_subscribe(bus, topic, 2, &subscriber, &handle);
    if (error) assert_null(handle);
    vestry_bus_stats stats = {0};
    vsi_bus_stats_get(bus, &stats);
    if (!error) made++;
    assert_int_equal(stats.live_count, made); /* all or nothing */
    assert_int_equal(stats.topics_count, made);
    l[i].handle = handle;
  }
  happened[0] = '\0';
  for (int i = 0; i < made; i += 3) assert_true(vestry_unsubscribe(l[i].handle));
  if (c) {
    vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
    while (vestry_runtime_step(runtime)) continue;
    vestry_connection_unref(c);
  }
  vsi_bus_destroy(bus);
  for (int i = 0; i < 20; i++) {
    assert_int_equal(l[i].overs, i < made);
    if (i < made && i % 3) assert_true(vestry_unsubscribe(l[i].handle));
  }
  if (group) {
    vsi_group_close(group);
    vsi_group_unref(group);
  }
  vestry_runtime_destroy(runtime);
  vsi_buffer_finish(&p.got);
  return error;
}

TEST_CASE(failed_allocation_leaves_no_subscription) {
  test_host_fail_each(subscribe_many, NULL, true); /* a table that cannot grow is used as it is */
}
