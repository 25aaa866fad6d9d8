/* SPDX-License-Identifier: MIT */
/* The broker is killed and restarted under load, with default settings: each lost message is reported to its receiver
 * within a second after the broker listens again.
 *
 * RESTARTS=200 test_rounds restarts */
#include <stdlib.h>

#include "rounds/check.h"
#include "runtime/random.h"
#include "support/test.h"

enum { RESTARTS = 50, ANSWER_MS = 1000, MEMBERS = 3, DOWN_MOST_MS = 120 };

static const char *const settings[] = {NULL};
static world w;

static void act(void) {
  int place = (int)random_below(&w.state, PLACES);
  switch (random_below(&w.state, 8)) {
  case 0: (void)world_send(&w, place, 'R', "room"); break;
  case 1:
  case 2: (void)world_send(&w, place, 'P', "n0"); break;
  case 3:
  case 4: (void)world_send(&w, place, 'D', "m"); break;
  default: (void)world_send(&w, place, 'B', "c"); break;
  }
}

static void act_for(uint64_t ms) {
  for (uint64_t until_ns = clock_ns() + ms * MS; clock_ns() < until_ns;) {
    act();
    world_pass(&w, random_below(&w.state, 5));
  }
}

static bool are_linked(void) {
  for (int i = 0; i < PLACES; i++)
    if (!w.players[i].is_linked) return false;
  return true;
}

static bool all_has_come(size_t from) {
  for (size_t i = from; i < w.messages_count; i++)
    if (!w.messages[i].sent_ns) return false;
  return true;
}

static void restart(size_t number, verdict *v) {
  size_t first = w.messages_count;
  w.seed = number;
  world_forget_story(&w);
  act_for(50 + random_below(&w.state, 100));
  size_t fault = world_fault(&w, 7);
  world_broker_kill(&w);
  act_for(random_below(&w.state, DOWN_MOST_MS));
  world_broker_launch(&w);
  while (!w.is_broker_up) act_for(2);
  world_healed(&w, fault);
  WORLD_AWAIT(&w, 3000, are_linked());
  act_for(100);
  WORLD_AWAIT(&w, 3000, all_has_come(first));
  do {
    world_pass(&w, 10);
    check_messages(&w, first, ANSWER_MS, v);
  } while (v->pending && !w.failures);
  if (w.failures) {
    fflush(w.trace);
    fputs(w.story, stderr);
    fail();
  }
}

/* capability: G6 */
TEST_CASE(loss_is_reported_within_a_second_of_broker_restart) {
  const size_t count = (size_t)random_setting("RESTARTS", TEST_ROUNDS(RESTARTS));
  verdict v = {0};
  world_begin(&w, 1, settings);
  world_start_all(&w);
  for (int i = 0; i < PLACES * MEMBERS; i++) {
    (void)world_join(&w, i % PLACES, "c");
    (void)world_open(&w, i % PLACES, "m", false);
    if (i < PLACES) (void)world_show(&w, i);
  }
  world_pass(&w, 100);
  for (size_t i = 0; i < count; i++) restart(i, &v);
  print_message("%zu restarts: %zu messages; %zu times one was not got, and that told, after %llu ms at most; %zu "
                "dispatches: %zu OK, %zu TIMEOUT, %zu IO\n",
                count, v.messages, v.lost, (unsigned long long)(v.longest_ns / MS), v.asked, v.ok, v.unknown, v.failed);
  assert_true(v.lost >= count);
  WORLD_AWAIT(&w, EQUAL_WITHIN_MS, check_digests(&w));
  world_end(&w);
}
