/* SPDX-License-Identifier: MIT */
/* capability: G12 */
/* Short histories of a channel's history, under many schedules: some threads publish, others resume from the beginning
 * or from an id, and a stream leaves or ends. The queue of each stream then contains all missed events, once and in
 * order, and its ids cover no others.
 *
 *     test_schedule_history         the usual seeds
 *     test_schedule_history SEED    one of them */
#include "app/history/history.h"

#include <unistd.h>

#include "app/history/resume.h"
#include "channel/channel.h"
#include "connection/probe.h"
#include "runtime/random.h"
#include "store/schedule/scheduler.h"

enum { RUNS = 6000, STREAMS = 2, OPS_MOST = 4, KEPT_MOST = 5 };

/* Only the running thread accesses this: schedule points are in the code under test, and where the test calls them. */
static struct {
  bench b;
  vsi_budget budget;
  vsi_history history;
  vsi_channel *channel;
  vestry_connection *streams[STREAMS];
  probe probes[STREAMS];
  bool has_resumed[STREAMS], is_fresh[STREAMS]; /* is_fresh: it awaits a state */
  uint64_t from[STREAMS];                       /* the last id that it sent */
  bool is_locked;                               /* the application's lock */
  uint64_t lines;
  size_t threads_count, ops_count;
  uint64_t ops[SCHEDULE_THREADS][OPS_MOST], seed;
} h;

static void require_at(bool holds, int line) {
  if (holds) return;
  fprintf(stderr, "seed %llu: line %d\n", (unsigned long long)h.seed, line);
  for (int i = 0; i < STREAMS; i++)
    if (h.probes[i].got.len) fprintf(stderr, "%.*s\n---\n", (int)h.probes[i].got.len, h.probes[i].got.data);
  _exit(1); /* the other threads are suspended */
}
#define require(holds) require_at(holds, __LINE__)

static void lock(void) {
  schedule_point();
  while (h.is_locked) schedule_wait();
  h.is_locked = true;
}

static void unlock(void) {
  h.is_locked = false;
  schedule_point();
}

static vestry_event *event_of(const char *what, uint64_t number) {
  char text[40];
  snprintf(text, sizeof text, "%s %llu", what, (unsigned long long)number);
  return bench_event(&h.b, text);
}

/* Line n has the seq n: the application's lock ensures it. */
static void write_line(void) {
  lock();
  vestry_event *event = event_of("line", ++h.lines);
  require(vsi_channel_publish(h.channel, event, NULL) == VESTRY_OK);
  vestry_event_unref(event);
  unlock();
}

static vestry_err show(vestry_connection *connection, const vestry_resumed *resumed, void *ctx) {
  size_t stream = *(const size_t *)ctx;
  h.is_fresh[stream] = resumed->answer == VESTRY_RESUME_FRESH || resumed->answer == VESTRY_RESUME_GAP;
  if (!h.is_fresh[stream]) return VESTRY_OK;
  lock();
  vestry_event *event = event_of("state", h.lines);
  vestry_err error = vestry_connection_send(connection, event);
  vestry_event_unref(event);
  unlock();
  return error;
}

static void resume(size_t stream, uint64_t random) {
  if (h.has_resumed[stream]) return;
  h.has_resumed[stream] = true;
  vsi_history_last last = {.is_given = random % 4 != 0, .is_read = random % 4 != 0};
  last.id = (vsi_history_id){h.history.epoch, random / 4 % (h.lines + 1)};
  h.from[stream] = last.id.seq;
  require(vsi_channel_resume(h.channel, h.streams[stream], &last, show, &stream) == VESTRY_OK);
}

static void one_op(uint64_t r) {
  if (r % 3 == 0)
    resume((r >> 3) % STREAMS, r >> 5);
  else
    write_line();
}

static void run(size_t thread, void *ctx) {
  for (size_t i = 0; i < h.ops_count; i++) one_op(h.ops[thread][i]);
}

/* Check what a client would show. */
static void check(size_t stream) {
  const char *text = vsi_buffer_terminate(&h.probes[stream].got);
  uint64_t shown = h.from[stream], claimed = h.from[stream];
  bool is_fresh = h.is_fresh[stream], is_marked = !is_fresh;
  for (const char *at = text ? text : ""; *at; at = strchr(at, '\n') + 1) {
    unsigned long long number, epoch;
    if (sscanf(at, ": line %llu", &number) == 1) {
      require(is_fresh || number == shown + 1);
      shown = number;
    } else if (sscanf(at, ": state %llu", &number) == 1) {
      shown = number;
      is_fresh = false;
    } else if (sscanf(at, "id: %llx.%llu", &epoch, &number) == 2) {
      require(!is_fresh && epoch == h.history.epoch && number == shown); /* exactly the missed ones */
      require(number >= claimed || !is_marked);
      claimed = number;
      is_marked = true;
    } else if (strncmp(at, "id: gap\n", 8) == 0) {
      require(!is_marked && is_fresh);
    }
  }
  require(!is_fresh && is_marked && shown == h.lines && claimed == h.lines);
}

static void one_run(uint64_t seed) {
  memset(&h, 0, sizeof h);
  h.seed = seed;
  uint64_t random = seed;
  bench_init(&h.b, VESTRY_THREADS_NONE, NULL);
  vsi_budget_init(&h.budget, 0);
  const vestry_history_options bounds = {.max_count = 1 + random_below(&random, KEPT_MOST)};
  require(vsi_history_init(&h.history, &h.b.th.host, &h.budget, &bounds) == VESTRY_OK);
  require(vsi_channel_create(h.b.group, 0, &h.channel) == VESTRY_OK);
  atomic_store(&h.channel->recording, &h.history.recording);
  for (int i = 0; i < STREAMS; i++) {
    probe_init(&h.probes[i]);
    h.streams[i] = bench_connect(&h.b, &h.probes[i], NULL);
  }
  for (uint64_t i = random_below(&random, 8); i > 0; i--) write_line();
  h.threads_count = 2 + random_below(&random, 2);
  h.ops_count = 1 + random_below(&random, OPS_MOST);
  for (size_t t = 0; t < h.threads_count; t++)
    for (size_t i = 0; i < h.ops_count; i++) h.ops[t][i] = random_next(&random);
  require(schedule_run_any(&random, 400, h.threads_count, run, NULL) != 0);
  for (int i = 0; i < STREAMS; i++) vsi_connection_start(h.streams[i]);
  bench_run(&h.b);
  for (size_t i = 0; i < STREAMS; i++)
    if (h.has_resumed[i]) check(i);
  for (int i = 0; i < STREAMS; i++) vestry_connection_close(h.streams[i], VESTRY_CAUSE_CLOSED);
  bench_run(&h.b);
  for (int i = 0; i < STREAMS; i++) vestry_connection_unref(h.streams[i]);
  atomic_store(&h.channel->recording, NULL);
  vsi_history_finish(&h.history);
  vsi_channel_destroy(h.channel);
  bench_finish(&h.b);
  for (int i = 0; i < STREAMS; i++) probe_finish(&h.probes[i]);
}

TEST_CASE(g12_resume_is_complete_under_seeded_schedules) {
  schedule_run_seeds(RUNS, one_run);
}

int main(int argc, char **argv) {
  schedule_take_seed(argc, argv);
  return cases_run("channel/history", NULL, NULL);
}
