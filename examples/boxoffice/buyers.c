/* SPDX-License-Identifier: MIT */
/* Robots as buyers: they reserve one to four seats, wait, and pay or give up. */
#include <stdio.h>
#include <string.h>

#include "boxoffice.h"

enum { WANTED, HELD, PAYS }; /* indexes of a robot's state */
enum { SEATS_MAX = 4 };

static void press_seat(struct robot *robot) {
  char path[32], body[192];
  const uint64_t seat = robot_any(robot, BLOCKS * ROWS * PLACES), is_sure = robot_any(robot, 2);
  snprintf(path, sizeof path, "/hold/%llu", is_sure ? (unsigned long long)(seat / 200 + 1) * 1000 + seat % 200 : 0ull);
  snprintf(body, sizeof body, "{\"tabId\":\"%s\"}", robot->tab);
  robot_press(robot, path, "application/json", body);
}

static void press_pay(struct robot *robot) {
  static const char *const names[] = {"Ada",  "Ben", "Grace", "Ida", "Mary",  "Noor",
                                      "Şule", "Ζωή", "ليلى",  "דוד", "Jürgen"};
  char body[320];
  snprintf(body, sizeof body, "tabId=%s&name=%s+%u", robot->tab, names[robot->number % 11], robot->number);
  robot_press(robot, "/pay", "application/x-www-form-urlencoded", body);
}

uint64_t robot_buys(struct robot *robot, const char *answer, void *ctx) {
  struct app *app = ctx;
  int *const state = robot->state;
  const uint64_t think_ms = (uint64_t)app->pace_ms / 4 + robot_any(robot, (uint64_t)app->pace_ms * 3 / 2 + 1);
  if (answer && state[PAYS]) {
    char nonce[160];
    if (app->receipts && strstr(answer, "\"_message\":\"\"")) fprintf(app->receipts, "%s\n", robot_nonce(robot, nonce));
    if (app->receipts) fflush(app->receipts);
    memset(state, 0, sizeof robot->state);
    return think_ms;
  }
  if (answer && ++state[HELD] < state[WANTED]) return think_ms / 8;
  if (answer) return think_ms;
  if (!state[WANTED]) state[WANTED] = 1 + (int)robot_any(robot, SEATS_MAX);
  if (state[HELD] < state[WANTED]) {
    press_seat(robot);
  } else if (robot_any(robot, 4) == 0) { /* it gives up, and its reservation expires after a minute */
    memset(state, 0, sizeof robot->state);
    return think_ms;
  } else {
    press_pay(robot);
    state[PAYS] = 1;
  }
  return 0;
}
