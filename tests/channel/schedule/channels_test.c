/* SPDX-License-Identifier: MIT */
/* capability: K12 */
/* Short histories of channels by name, under many schedules, like bus_test.c: streams join, leave, receive and end
 * concurrently. After each history no channel and no memory remains, and the sums hold.
 *
 *     test_schedule_channels         the usual seeds
 *     test_schedule_channels SEED    one of them */
#include "channel/channels.h"

#include "connection/probe.h"
#include "runtime/random.h"
#include "store/schedule/scheduler.h"

enum { HISTORIES = 4000, STREAMS = 2, NAMES = 2, OPS_MOST = 4 };

/* Only the running thread accesses this: schedule points are only in the code under test. */
static struct {
  bench b;
  vsi_channels *channels;
  vestry_event *event;
  vestry_connection *streams[STREAMS];
  probe probes[STREAMS];
  bool abandoned[STREAMS];
  size_t threads_count, ops_count;
  uint64_t ops[SCHEDULE_THREADS][OPS_MOST], seed;
} h;

#define require(holds) schedule_require(holds, h.seed, __LINE__)

static const char *const names[NAMES] = {"a", "b"};

static vestry_err hold(size_t name, vsi_channel **ret_channel) {
  return vsi_channels_hold(h.channels, names[name], 1, 0, ret_channel);
}

static void join(size_t name, vestry_connection *stream) {
  vsi_channel *channel;
  vsi_member *member;
  vestry_err error = hold(name, &channel);
  if (!error) {
    error = vsi_channel_reserve(channel, &member);
    vsi_channel_unref(channel);
  }
  if (!error) error = vsi_channel_admit(member, stream);
  require(!error || error == VESTRY_EXISTS || error == VESTRY_CLOSED || error == VESTRY_NO_MEMORY);
}

static void one_op(uint64_t r) {
  size_t stream = (r >> 3) % STREAMS, name = (r >> 4) % NAMES;
  vsi_channel *channel = NULL;
  switch (r % 8) {
  case 0:
  case 1:
  case 2: join(name, h.streams[stream]); return;
  case 3:
    if (h.abandoned[stream]) return;
    h.abandoned[stream] = true;
    vsi_connection_abandon(h.streams[stream], VESTRY_CAUSE_CLOSED);
    return;
  case 4:
    if (hold(name, &channel)) return;
    break;
  default: channel = vsi_channels_find(h.channels, names[name], 1, 0);
  }
  if (!channel) return;
  require(channel->name.len == 1 && channel->name.bytes[0] == names[name][0]);
  vestry_err error = VESTRY_OK;
  if (r % 8 == 5) error = vsi_channel_leave(channel, h.streams[stream]);
  if (r % 8 == 6) error = vsi_channel_publish(channel, h.event, NULL);
  require(!error || error == VESTRY_NOT_FOUND || error == VESTRY_NO_MEMORY);
  vsi_channel_unref(channel);
}

static void run(size_t thread, void *ctx) {
  for (size_t i = 0; i < h.ops_count; i++) one_op(h.ops[thread][i]);
}

static void one_history(uint64_t seed) {
  memset(&h, 0, sizeof h);
  h.seed = seed;
  uint64_t random = seed;
  bench_init(&h.b, VESTRY_THREADS_NONE, NULL);
  require(vsi_channels_create(h.b.group, 0, 0, &h.channels) == VESTRY_OK);
  h.event = bench_event(&h.b, "x");
  for (int i = 0; i < STREAMS; i++) {
    probe_init(&h.probes[i]);
    h.streams[i] = bench_connect(&h.b, &h.probes[i], NULL);
  }
  h.threads_count = 2 + random_below(&random, 2);
  h.ops_count = 1 + random_below(&random, OPS_MOST);
  for (size_t t = 0; t < h.threads_count; t++)
    for (size_t i = 0; i < h.ops_count; i++) h.ops[t][i] = random_next(&random);
  if (random_below(&random, 4) == 0) test_host_fail_in(&h.b.th, (long)random_below(&random, 6));
  size_t points = schedule_run_any(&random, 300, h.threads_count, run, NULL);
  require(points != 0); /* 0: none is accepted */
  test_host_fail_no_more(&h.b.th);
  for (int i = 0; i < STREAMS; i++) {
    if (!h.abandoned[i]) vsi_connection_abandon(h.streams[i], VESTRY_CAUSE_CLOSED);
    vestry_connection_unref(h.streams[i]);
  }
  vsi_channels_stats stats;
  vsi_channels_stats_get(h.channels, &stats);
  require(stats.live_count == 0 && stats.made_count == stats.ended_count && stats.refused_count == 0);
  vsi_channels_destroy(h.channels);
  vestry_event_unref(h.event);
  bench_finish(&h.b);
  for (int i = 0; i < STREAMS; i++) probe_finish(&h.probes[i]);
}

TEST_CASE(channels_leave_nothing_under_seeded_schedules) {
  schedule_run_seeds(HISTORIES, one_history);
}

int main(int argc, char **argv) {
  schedule_take_seed(argc, argv);
  return cases_run("channel/channels", NULL, NULL);
}
