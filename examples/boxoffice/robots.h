/* SPDX-License-Identifier: MIT */
/* Robots that use a page over HTTP. Like the Datastar client, a robot repeats an unanswered submission with the same
 * nonce (vestry/app/once.h) until it gets an answer. */
#ifndef EXAMPLES_ROBOTS_H
#define EXAMPLES_ROBOTS_H

#include <stdbool.h>
#include <stdint.h>

enum { ROBOT_REQUEST_BYTES = 1024, ROBOT_STATE_COUNT = 4 };

struct robot {
  unsigned number;              /* from 1 */
  int state[ROBOT_STATE_COUNT]; /* of its program; 0 at first */
  char tab[128];                /* id of its tab, as in requests */

  /* Used by robots.c only. */
  int64_t due_ms;
  char nonce[128];                   /* of its page; "": the page must be loaded */
  unsigned presses;                  /* number of submissions of the page */
  char request[ROBOT_REQUEST_BYTES]; /* the unanswered request; "": none */
  bool is_busy;
};

/* Performs the next step of a robot: a submission, or nothing. answer: to its last submission, with the head; NULL:
 * there was none. Threads: one of robots.c. Returns the milliseconds until the next step */
typedef uint64_t (*robot_fn)(struct robot *robot, const char *answer, void *ctx);

/* Start robots. The page / must have the attributes of vestry/app/tab.h and vestry/app/once.h. Returns NULL: count or
 * port is 0, or there is no memory */
struct robots *robots_start(unsigned port, unsigned count, uint64_t pace_ms, robot_fn step, void *ctx);
/* Stop the robots after their current requests. NULL is accepted. */
void robots_stop(struct robots *robots);

/* In a step: submit a POST. type: of the body. */
void robot_press(struct robot *robot, const char *path, const char *type, const char *body);
/* In a step: get the nonce of the last submission. */
const char *robot_nonce(const struct robot *robot, char nonce[160]);
/* Return a random number less than below. */
uint64_t robot_any(const struct robot *robot, uint64_t below);

#endif
