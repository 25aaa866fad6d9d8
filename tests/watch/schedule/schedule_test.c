/* SPDX-License-Identifier: MIT */
/* E1: a watch under many schedules. Each schedule switches threads at every atomic, lock and point inside of steps, as
 * its seed determines. One thread steps the stream's runtime, one the runtime of the steps, two wake, send, block,
 * unblock, advance the clock and close. Always: no two steps at once, none after the end, none before its time or its
 * turn. At the end: each wake was followed by a step, each due step has run, the end came once, and no memory is left.
 *
 * test_watch_schedule              the usual seeds
 * test_watch_schedule SEED         one seed, for debugging
 * test_watch_schedule FIRST COUNT  other seeds */
#include <stdlib.h>

#include "runtime/random.h"
#include "serve/wire.h"
#include "store/schedule/scheduler.h"
#include "vestry/app/watch.h"

enum { HISTORIES = 3000, OPS_MOST = 8, TURNS = 40, EVERY_MS = 5, PAUSE_MS = 2 };

/* Accessed by the one thread that runs, because threads switch only inside the code under test. */
static struct {
  site w;
  wire r;
  vestry_runtime *steps_runtime;
  vestry_watch watch;
  vestry_watcher *watcher;
  uint64_t seed, random; /* random: choices of steps */
  uint64_t ops[2][OPS_MOST];
  size_t ops_count, talkers_count;  /* threads that have operations left */
  bool is_inside, is_calm;          /* calm: steps no longer make choices */
  size_t steps, ends, wakes, woken; /* woken: wakes that have returned */
  size_t seen, served;              /* wakes when the last step began; woken when the run that handled them began */
  uint64_t accepted;                /* when the last step returned */
  /* of the next step: the end of its pause; when it is due without a wake, or UINT64_MAX */
  uint64_t not_before_ns, due_ns;
  uint64_t turn_ns; /* when the thread of the steps last ran, and woken then */
  size_t turn_woken;
} h;

#define require(holds) schedule_require(holds, h.seed, __LINE__)

static uint64_t now_ns(void) {
  return atomic_load(&h.w.th.now_ns);
}

static vestry_connection_stats stats_of(const vestry_connection *connection) {
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(connection, &stats);
  return stats;
}

static void wake(bool by_connection) {
  h.wakes++;
  if (by_connection || !h.watcher)
    vestry_connection_wake(h.r.connection);
  else
    vestry_watch_wake(h.watcher);
  h.woken++;
}

static vestry_err step(vestry_watcher *watcher, vestry_connection *connection, void *ctx) {
  require(!h.is_inside && !h.ends);
  h.is_inside = true;
  vestry_connection_stats stats = stats_of(connection);
  require(stats.written_count + stats.discarded_count + h.watch.ahead_count >= h.accepted);
  require(now_ns() >= h.not_before_ns);
  require(!h.steps || h.served < h.wakes || now_ns() >= h.due_ns); /* there is a reason for this step */
  require(vestry_watch_is_first(watcher) == !h.steps);
  h.watcher = watcher;
  h.seen = h.wakes;
  h.served = h.turn_woken;
  schedule_point();
  vestry_err error = VESTRY_OK;
  h.steps++;
  uint64_t says = h.is_calm ? 7 : random_below(&h.random, 40);
  for (uint64_t sends = random_below(&h.random, 4) > 0; sends && !error; sends--)
    error = vestry_connection_patch_signals(connection, VESTRY_OBJECT("n", (int)h.steps), NULL);
  require(!error || error == VESTRY_CLOSED);
  schedule_point();
  if (says == 0) wake(false);
  if (says == 1) vestry_connection_close(connection, VESTRY_CAUSE_REMOVED);
  if (says == 2) vestry_watch_finish(watcher);
  if (says == 3) vestry_watch_wait(watcher, VESTRY_NEVER_MS);
  if (says == 4) vestry_watch_wait(watcher, 1);
  if (says == 5 || says > 24) vestry_watch_wait(watcher, 0);
  if (says == 6 && !error) error = VESTRY_FAILED;
  schedule_point();
  require(!h.ends && h.is_inside);
  h.is_inside = false;
  h.accepted = stats_of(connection).accepted_count; /* or more, if another thread sends now: then the check is weaker */
  h.not_before_ns = h.turn_ns + h.watch.pause_ms * 1000000;
  bool has_wait = (says >= 3 && says <= 5) || says > 24, is_timed = has_wait ? says != 3 : h.watch.every_ms > 0;
  h.due_ns = is_timed ? now_ns() : UINT64_MAX; /* or somewhat later */
  if (says == 4) h.due_ns += 1000000;
  return error;
}

static void end(vestry_cause cause, void *ctx) {
  require(!h.is_inside && !h.ends);
  require(cause == vestry_connection_look(h.r.connection).cause);
  h.ends++;
  schedule_point();
}

static vestry_err handler(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_watch(reply, &h.watch);
}

static void one_op(uint64_t r) {
  vestry_connection *connection = h.r.connection;
  switch (r % 16) {
  case 0:
  case 1:
  case 2:
  case 3:
  case 4: wake(r & 16); break;
  case 5:
  case 6: (void)vestry_connection_patch_signals(connection, VESTRY_OBJECT("x", 1), NULL); break;
  case 7:
  case 8: h.r.write_io = VESTRY_IO_WOULD_BLOCK; break;
  case 9:
  case 10:
  case 11:
    h.r.write_io = VESTRY_IO_OK;
    vestry_connection_writable(connection);
    break;
  case 12:
  case 13: test_host_advance_ms(&h.w.th, 1 + (r >> 4) % 6); break;
  case 14:
    if (r & 16) vestry_connection_close(connection, r & 32 ? VESTRY_CAUSE_CLOSED : VESTRY_CAUSE_HANGUP);
    break;
  default: schedule_wait();
  }
}

static bool turn_once(vestry_runtime *runtime) {
  if (runtime == h.steps_runtime) {
    h.turn_ns = now_ns();
    h.turn_woken = h.woken;
  }
  return vestry_runtime_step(runtime);
}

static void turn(vestry_runtime *runtime) {
  for (int i = 0, idle = 0; i < TURNS && (idle < 3 || h.talkers_count); i++) {
    bool has_run = turn_once(runtime);
    idle = has_run ? 0 : idle + 1;
    if (!has_run) schedule_wait();
  }
}

static void run(size_t thread, void *ctx) {
  if (thread == 0)
    turn(vestry_parts_of(h.w.v)->runtime);
  else if (thread == 1)
    turn(h.steps_runtime);
  else {
    for (size_t i = 0; i < h.ops_count; i++) one_op(h.ops[thread - 2][i]);
    h.talkers_count--;
  }
}

static void settle(void) {
  bool more = true;
  while (more) {
    more = turn_once(vestry_parts_of(h.w.v)->runtime);
    more |= turn_once(h.steps_runtime);
  }
}

static void one_history(uint64_t seed) {
  memset(&h, 0, sizeof h);
  h.seed = seed;
  uint64_t random = seed;
  h.random = random_next(&random);
  site_begin(&h.w, (vestry_options){0});
  require(!vestry_runtime_create(&(vestry_runtime_options){.host = &h.w.th.host, .threads_count = VESTRY_THREADS_NONE},
                                 &h.steps_runtime));
  h.watch = (vestry_watch){.step = step,
                           .end = end,
                           .every_ms = random_below(&random, 2) ? EVERY_MS : 0,
                           .pause_ms = random_below(&random, 4) ? 0 : PAUSE_MS,
                           .ahead_count = random_below(&random, 4) ? 0 : 2,
                           .runtime = h.steps_runtime};
  h.r.datastar = true;
  require(!wire_serve(&h.w, &h.r, handler, NULL));
  for (uint64_t i = random_below(&random, 8); i; i--) { /* it may or may not be open already */
    turn_once(i % 2 ? vestry_parts_of(h.w.v)->runtime : h.steps_runtime);
  }
  h.talkers_count = 1 + random_below(&random, 2);
  h.ops_count = 2 + random_below(&random, OPS_MOST - 1);
  for (size_t t = 0; t < 2; t++)
    for (size_t i = 0; i < h.ops_count; i++) h.ops[t][i] = random_next(&random);
  schedule_kind kind = random_below(&random, 2) ? SCHEDULE_RANDOM : SCHEDULE_PRIORITY;
  uint64_t spread =
      kind == SCHEDULE_RANDOM ? UINT64_C(1) << (1 + random_below(&random, 5)) : 1 + random_below(&random, 4);
  require(schedule_run(random_next(&random), kind, spread, 400, 2 + h.talkers_count, run, NULL) !=
          0); /* 0: no thread can continue */
  h.is_calm = true;
  if (h.r.write_io) { /* otherwise no event wakes a thread that sleeps */
    h.r.write_io = VESTRY_IO_OK;
    vestry_connection_writable(h.r.connection);
  }
  settle();
  test_host_advance_ms(&h.w.th, PAUSE_MS);
  settle();
  if (vestry_connection_is_open(h.r.connection)) {
    require(h.steps && !h.ends);
    require(h.seen == h.wakes);
    size_t before = h.steps;
    bool is_due = h.due_ns != UINT64_MAX;
    test_host_advance_ms(&h.w.th, EVERY_MS);
    settle();
    require((h.steps > before) == is_due);
    wake(true);
    test_host_advance_ms(&h.w.th, PAUSE_MS);
    settle();
    require(h.seen == h.wakes);
    vestry_connection_close(h.r.connection, VESTRY_CAUSE_HANGUP);
    settle();
  }
  require(h.ends == 1);
  vestry_watch_stats stats = {0};
  vestry_watch_stats_get(h.w.v, &stats);
  require(stats.begun_count == 1 && stats.ended_count == 1 && stats.live_count == 0);
  require(stats.steps_count == h.steps);
  wake(true); /* without effect */
  site_close(&h.w);
  vestry_runtime_destroy(h.steps_runtime);
  require(h.ends == 1);
  wire_finish(&h.r);
  test_host_assert_clean(&h.w.th);
}

static uint64_t first_seed = 1, seeds_count = HISTORIES;

/* capability: E1 */
TEST_CASE(e1_watch_is_correct_under_seeded_schedules) {
  for (uint64_t i = 0; i < seeds_count; i++) one_history(first_seed + i);
}

int main(int argc, char **argv) {
  if (argc > 1) {
    first_seed = strtoull(argv[1], NULL, 10);
    seeds_count = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  }
  return cases_run("watch/schedule", NULL, NULL);
}
