/* SPDX-License-Identifier: MIT */
/* The same work of one server, alternately with and without observation. */
#ifndef BENCH_OBSERVED_H
#define BENCH_OBSERVED_H

#include <stdint.h>

#include "onlooker.h"

enum { OBSERVED_PAIRS_MOST = 200 };

typedef struct observed {
  onlooker looker;
  uint64_t pairs;          /* pairs of turns, one of each kind; their order alternates */
  bool (*turn)(void *ctx); /* performs the work of a turn, which is always the same. false: failed */
  void *ctx;
  double plain_ns, observed_ns;        /* CPU of a turn, medians */
  double ratio, ratio_low, ratio_high; /* ratio of a pair: median and quartiles */
  double own_ns;                       /* CPU of the observation itself in a second (onlooker_weigh) */
  double own_ratio;                    /* the same, compared with the CPU of the load in a second without observation */
} observed;

/* Run all pairs, and set the results. At the end the server is not observed. false: one line on stderr has the
 * reason. */
bool observed_run(observed *all);
/* Print the results as " name=value". */
void observed_print(const observed *all);

#endif
