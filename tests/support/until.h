/* SPDX-License-Identifier: MIT */
/* Wait for an action of another thread or process. A test never waits for a fixed time, because a busy machine may need
 * longer than any estimate, and a fast one would wait for nothing. It waits for a condition, and fails after four
 * minutes.
 *
 *     UNTIL(atomic_load(&told) == 3);
 *
 * The condition is evaluated repeatedly, so it must have no side effects. tests/source/sleeps.sh enforces this rule. */
#ifndef TESTS_SUPPORT_UNTIL_H
#define TESTS_SUPPORT_UNTIL_H

#include <poll.h>
#include <sched.h>
#include <time.h>

#include "support/patience.h"
#include "support/test.h"

enum { UNTIL_YIELDS = 10, UNTIL_PAUSE_NS = 50000, UNTIL_MOST_PAUSES = 20 };

typedef struct until_wait {
  unsigned looks;
  time_t end_s; /* of the monotonic clock; 0: not checked yet */
} until_wait;

/* The pause between two checks: short at first, then up to a millisecond. A thread that only yields takes a processor
 * from the thread that it waits for, and on a busy machine a yield can last a time slice of every other thread. */
static inline void until_pause(unsigned looks) {
  if (looks < UNTIL_YIELDS) {
    sched_yield();
    return;
  }
  const unsigned pauses = looks - UNTIL_YIELDS + 1;
  const struct timespec pause = {.tv_nsec = UNTIL_PAUSE_NS * (pauses < UNTIL_MOST_PAUSES ? pauses : UNTIL_MOST_PAUSES)};
  ppoll(NULL, 0, &pause, NULL);
}

static inline void until_look(until_wait *wait, const char *file, int line, const char *condition) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (!wait->end_s) wait->end_s = now.tv_sec + PATIENCE_S;
  if (now.tv_sec > wait->end_s) {
    print_error("%s:%d: in vain for %d s: %s\n", file, line, PATIENCE_S, condition);
    _fail(file, line);
  }
  until_pause(wait->looks++);
}

#define UNTIL(condition)                                                                                               \
  do {                                                                                                                 \
    until_wait wait_ = {0};                                                                                            \
    while (!(condition)) until_look(&wait_, __FILE__, __LINE__, #condition);                                           \
  } while (0)

/* The same without an end, for threads other than the test's own, which cannot fail the test. */
#define WAIT_WHILE(condition)                                                                                          \
  do {                                                                                                                 \
    for (unsigned looks_ = 0; condition; looks_++) until_pause(looks_);                                                \
  } while (0)

/* Wait for a condition that a mistake makes true, at most some tenths of a second, on any thread. */
#define LINGER(condition)                                                                                              \
  do {                                                                                                                 \
    for (unsigned looks_ = 0; looks_ < UNTIL_YIELDS + 100 && !(condition); looks_++) until_pause(looks_);              \
  } while (0)

#endif
