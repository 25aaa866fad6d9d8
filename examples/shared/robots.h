/* SPDX-License-Identifier: MIT */
/* Robots who use a page: they come by HTTP, as everybody does, and are as stubborn as the Datastar client: a press that
 * was not answered is sent again, with the same nonce (vestry/app/once.h), until it is. */
#ifndef EXAMPLES_ROBOTS_H
#define EXAMPLES_ROBOTS_H

#include <stdbool.h>
#include <stdint.h>

enum { ROBOT_REQUEST_BYTES = 1024, ROBOT_STATE_COUNT = 4 };

struct robot {
  unsigned number;              /* from 1 */
  int state[ROBOT_STATE_COUNT]; /* its program's; 0 at first */
  char tab[128];                /* its tab's id, as requests have it */

  /* Those of robots.c. */
  int64_t due_ms;
  char nonce[128];                   /* its page's; "": that has to be loaded */
  unsigned presses;                  /* of that page */
  char request[ROBOT_REQUEST_BYTES]; /* that was not answered yet; "": none */
  bool is_busy;
};

/* What a robot does next: it presses something, or nothing. answer: to its last press, with the head; NULL: there was
 * none. Threads: one of robots.c. Returns after how many milliseconds it goes on */
typedef uint64_t (*robot_fn)(struct robot *robot, const char *answer, void *ctx);

/* The page / has the attributes of vestry/app/tab.h and vestry/app/once.h. NULL: count or port is 0, or there is no
 * memory */
struct robots *robots_start(unsigned port, unsigned count, uint64_t pace_ms, robot_fn step, void *ctx);
/* What is under way is answered, or its server is gone. NULL is accepted. */
void robots_stop(struct robots *robots);

/* For a step: POST. type: of the body. */
void robot_press(struct robot *robot, const char *path, const char *type, const char *body);
/* For a step: the nonce of its last press. */
const char *robot_nonce(const struct robot *robot, char nonce[160]);
/* A number below that, at random. */
uint64_t robot_any(const struct robot *robot, uint64_t below);

#endif
