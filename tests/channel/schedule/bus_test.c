/* SPDX-License-Identifier: MIT */
/* E5: short histories of a bus and of connections that end, under many schedules. Each schedule switches threads, as
 * its seed determines, at each atomic operation and lock of the connections and inside callbacks. Checked after each
 * history:
 * - each subscription was notified once of its end, and not called afterwards
 * - the hook of a stream ran after the ends of its subscriptions
 * - the sums hold
 *
 *     test_schedule_bus         the usual seeds
 *     test_schedule_bus SEED    one of them */
#include "connection/probe.h"
#include "runtime/random.h"
#include "store/schedule/scheduler.h"
#include "support/topic.h"

enum { HISTORIES = 6000, STREAMS = 2, SUBSCRIBERS = 24, OPS_MOST = 5 };

typedef struct tracked {
  bool subscribed, over, gone; /* gone: unsubscribe has returned */
  int running, stream;         /* stream -1: none */
  size_t over_at;
  vestry_subscription *handle; /* taken by the thread that unsubscribes */
  uint64_t random;             /* determines what it does when it is called */
} tracked;

/* Only the running thread accesses this: schedule points are only in the code under test. */
static struct {
  bench b;
  vsi_bus *bus;
  vestry_connection *streams[STREAMS];
  probe probes[STREAMS];
  bool abandoned[STREAMS], hooked[STREAMS];
  tracked subscribers[SUBSCRIBERS];
  size_t moments, hooked_at[STREAMS];
  size_t subscribers_count, threads_count, ops_count, calls;
  uint64_t ops[SCHEDULE_THREADS][OPS_MOST], seed;
} h;

static _Thread_local int depth;

#define require(holds) schedule_require(holds, h.seed, __LINE__)

static void one_op(uint64_t r);

static void on_call(const vestry_bus_message *message, void *ctx) {
  tracked *g = ctx;
  require(g->subscribed && !g->over && !g->gone);
  require(g->stream < 0 ? !message->connection : message->connection == h.streams[g->stream]);
  require(g->stream < 0 || !h.hooked[g->stream] || depth); /* `depth`: abandoned inside a callback */
  g->running++;
  h.calls++;
  schedule_point();
  if (depth < 2) {
    depth++;
    uint64_t r = random_next(&g->random);
    if (r % 2) one_op(r >> 8);
    depth--;
  }
  schedule_point();
  g->running--;
}

static void on_over(void *ctx) {
  tracked *g = ctx;
  require(g->subscribed && !g->over && !g->running);
  g->over = true;
  g->over_at = ++h.moments;
  schedule_point();
}

static void on_close(vestry_connection *connection, vestry_cause cause, void *ctx) {
  int stream = (int)((probe *)ctx - h.probes);
  require(!h.hooked[stream]);
  h.hooked[stream] = true;
  h.hooked_at[stream] = depth ? SIZE_MAX : ++h.moments; /* inside a callback */
}

static const char *const topics[] = {"t", "t", "t", "u"};

static void subscribe(uint64_t r) {
  if (h.subscribers_count == SUBSCRIBERS) return;
  tracked *g = &h.subscribers[h.subscribers_count++];
  g->stream = (int)(r % (STREAMS + 1)) - 1;
  g->random = r;
  g->subscribed = true; /* unless it is refused: then nothing is called */
  vestry_subscriber subscriber = {on_call, on_over, g, g->stream < 0 ? NULL : h.streams[g->stream]};
  vestry_subscription *handle = NULL;
  vestry_err error = topic_subscribe(h.bus, topics[r / 8 % 4], 1, &subscriber, r & 64 ? &handle : NULL);
  if (error) {
    require(!g->over && !g->running && !handle && (error == VESTRY_CLOSED || error == VESTRY_NO_MEMORY));
    g->subscribed = false;
  } else {
    require((handle != NULL) == ((r & 64) != 0));
    g->handle = handle;
  }
}

static void unsubscribe(size_t i) {
  tracked *g = &h.subscribers[i];
  vestry_subscription *handle = g->handle;
  if (!handle) return;
  g->handle = NULL;
  int calls = g->running;
  bool over = vestry_unsubscribe(handle);
  g->gone = true;
  require(over == g->over || !over); /* if it reports the end, the subscription has ended */
  if (!depth) require(over && g->over && !g->running);
  require(g->running <= calls || depth); /* no call begins afterwards */
}

static void one_op(uint64_t r) {
  switch (r % 8) {
  case 0:
  case 1: subscribe(r >> 3); break;
  case 2:
  case 3:
    if (h.subscribers_count) unsubscribe((size_t)(r >> 3) % h.subscribers_count);
    break;
  case 4: {
    size_t stream = (r >> 3) % STREAMS;
    if (h.abandoned[stream]) break;
    h.abandoned[stream] = true;
    vsi_connection_abandon(h.streams[stream], VESTRY_CAUSE_CLOSED);
    require(h.hooked[stream]);
    break;
  }
  default: {
    const char *topic = topics[(r >> 3) % 4];
    require(topic_publish(h.bus, topic, 1, NULL, 0, NULL) == VESTRY_OK);
  }
  }
}

static void run(size_t thread, void *ctx) {
  for (size_t i = 0; i < h.ops_count; i++) one_op(h.ops[thread][i]);
}

static void one_history(uint64_t seed) {
  memset(&h, 0, sizeof h);
  h.seed = seed;
  uint64_t random = seed;
  bench_init(&h.b, VESTRY_THREADS_NONE, NULL);
  require(vsi_bus_create(&h.b.th.host, &h.bus) == VESTRY_OK);
  for (int i = 0; i < STREAMS; i++) {
    probe_init(&h.probes[i]);
    static const vsi_connection_hooks hooks = {.on_close = on_close};
    require(vsi_group_connect(h.b.group, &probe_pooled, &h.probes[i], NULL, &hooks, &h.probes[i], &h.streams[i]) ==
            VESTRY_OK);
  }
  for (uint64_t i = random_below(&random, 6); i; i--) subscribe(random_next(&random));
  h.threads_count = 2 + random_below(&random, 2);
  h.ops_count = 2 + random_below(&random, OPS_MOST - 1);
  for (size_t t = 0; t < h.threads_count; t++)
    for (size_t i = 0; i < h.ops_count; i++) h.ops[t][i] = random_next(&random);
  if (random_below(&random, 4) == 0) test_host_fail_in(&h.b.th, (long)random_below(&random, 6));
  size_t points = schedule_run_any(&random, 300, h.threads_count, run, NULL);
  require(points != 0); /* 0: none is accepted */
  test_host_fail_no_more(&h.b.th);
  vestry_bus_stats stats = {0};
  vsi_bus_stats_get(h.bus, &stats);
  require(stats.subscribed_count == stats.live_count + stats.ended_count);
  require(stats.called_count == h.calls);
  size_t subscribed = 0, live = 0;
  for (size_t i = 0; i < h.subscribers_count; i++) {
    subscribed += h.subscribers[i].subscribed;
    live += h.subscribers[i].subscribed && !h.subscribers[i].over;
  }
  require(stats.subscribed_count == subscribed && stats.live_count == live);
  vsi_bus_destroy(h.bus);
  for (size_t i = 0; i < h.subscribers_count; i++) {
    require(h.subscribers[i].over == h.subscribers[i].subscribed);
    if (h.subscribers[i].handle) require(vestry_unsubscribe(h.subscribers[i].handle));
  }
  for (int i = 0; i < STREAMS; i++) {
    if (!h.abandoned[i]) vsi_connection_abandon(h.streams[i], VESTRY_CAUSE_CLOSED);
    require(h.hooked[i]);
    vestry_connection_unref(h.streams[i]);
    require(h.probes[i].ends == 1);
  }
  bench_finish(&h.b);
  for (int i = 0; i < STREAMS; i++) require(h.probes[i].releases == 1);
  for (size_t i = 0; i < h.subscribers_count; i++)
    if (h.subscribers[i].subscribed && h.subscribers[i].stream >= 0)
      require(h.subscribers[i].over_at < h.hooked_at[h.subscribers[i].stream]);
}

/* capability: E5, F8 */
TEST_CASE(e5_subscriptions_end_once_under_seeded_schedules) {
  schedule_run_seeds(HISTORIES, one_history);
}

int main(int argc, char **argv) {
  schedule_take_seed(argc, argv);
  return cases_run("channel/bus", NULL, NULL);
}
