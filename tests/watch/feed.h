/* SPDX-License-Identifier: MIT */
/* A watch whose steps follow a plan, and the assertions about it. */
#ifndef TESTS_WATCH_FEED_H
#define TESTS_WATCH_FEED_H

#include "serve/wire.h"
#include "vestry/app/bus.h"
#include "vestry/app/watch.h"
#include "vestry/drain.h"
#include "vestry/registry.h"

enum { SAYS_MOST = 41, SAYS_NOTHING = -1, SAYS_FINISH = -2, SAYS_NEVER = -3, SAYS_TWICE = -4 };

typedef struct feed {
  site *w;
  vestry_watch watch;
  vestry_err returns; /* result of the handler's call; INVALID before it */
  /* choices of the steps in turn: SAYS_…, or milliseconds. The last one applies to all later steps */
  int says[SAYS_MOST];
  int says_count;
  int sends;         /* events per step */
  const char *state; /* that they show; NULL: none */
  vestry_err fails;  /* result of the steps */
  bool wakes_itself, closes, tries;
  bool listens; /* the first step subscribes to the topic "t" */

  int steps, ends;
  uint64_t at_ms[64]; /* times of the steps */
  vestry_cause cause;
  vestry_watcher *watcher;
  bool is_inside;
} feed;

vestry_err feed_step(vestry_watcher *watcher, vestry_connection *connection, void *ctx);
feed feed_of(site *w, vestry_watch watch);
vestry_err feed_watch(vestry_reply *reply, feed *f);
vestry_err feed_handler(const vestry_request *req, vestry_reply *reply, void *app);
vestry_err feed_keyed(const vestry_request *req, vestry_reply *reply, void *app);
void feed_open(wire *r, feed *f);
void feed_close(site *w, wire *r);
vestry_watch_stats feed_stats(site *w);
void feed_finish(site *w);
void feed_assert_times(const feed *f, int count, const uint64_t *ms);
#define assert_steps_at(f, ...)                                                                                        \
  feed_assert_times(f, sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), (uint64_t[]){__VA_ARGS__})

/* A case with a site of default options, whose watches have ended. */
#define FEED_CASE(name) TEST_CASE_WITH(name, site, w, site_begin(w, (vestry_options){0}), feed_finish(w))

#endif
