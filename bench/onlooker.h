/* SPDX-License-Identifier: MIT */
/* What looks into a vestry-bench serve, as people do: a scrape of its metrics each second, and if so wished a console
 * that is open. While none looks on, the server is not observed at all. */
#ifndef BENCH_ONLOOKER_H
#define BENCH_ONLOOKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

typedef struct onlooker {
  int port, pid;    /* of the server */
  bool has_console; /* its stream is open, and each of its beats asks for the list of streams */
  pthread_t thread; /* those below are the onlooker's own */
  atomic_bool is_over;
  atomic_int asked; /* answers that came, but for the stream; below 0: one did not */
} onlooker;

/* Have the server observed, and look on; or have it observed no more. false: one line on stderr says why. */
bool onlooker_begin(onlooker *looker);
bool onlooker_end(onlooker *looker);
/* Have the server observed, or not, and wait until it is so. false: one line on stderr says why. */
bool onlooker_switch(const onlooker *looker, bool is_observed);

#endif
