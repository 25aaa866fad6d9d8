/* SPDX-License-Identifier: MIT */
/* Observation of a vestry-bench serve, as in practice: a scrape of its metrics each second, and optionally an open
 * console. Without an onlooker, the server is not observed at all. */
#ifndef BENCH_ONLOOKER_H
#define BENCH_ONLOOKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct onlooker {
  int port, pid;    /* of the server */
  bool has_console; /* its stream is open, and each heartbeat requests the list of streams */
  pthread_t thread; /* the members below are private */
  atomic_bool is_over;
  atomic_int asked; /* number of answers, without the stream; below 0: one is missing */
} onlooker;

/* Begin or end the observation. false: one line on stderr has the reason. */
bool onlooker_begin(onlooker *looker);
bool onlooker_end(onlooker *looker);
/* Measure the CPU that the observation takes by itself in a second, while the server has no load: of the requests, many
 * of which follow each other, and of the console's stream. At the end the server is not observed. false: one line on
 * stderr has the reason. */
bool onlooker_weigh(onlooker *looker, double *ret_ns);
/* Switch the observation of the server on or off, and wait for the change. false: one line on stderr has the reason. */
bool onlooker_switch(const onlooker *looker, bool is_observed);

#endif
