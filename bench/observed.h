/* SPDX-License-Identifier: MIT */
/* The same work done by a server that is observed, and by the same server that is not: turn by turn. */
#ifndef BENCH_OBSERVED_H
#define BENCH_OBSERVED_H

#include <stdint.h>

#include "onlooker.h"

enum { OBSERVED_PAIRS_MOST = 200 };

typedef struct observed {
  onlooker looker;
  uint64_t pairs;          /* of turns: one of each kind; which comes first alternates */
  bool (*turn)(void *ctx); /* always the same work. false: it failed */
  void *ctx;
  double plain_ns, observed_ns;        /* a turn's CPU, medians of all */
  double ratio, ratio_low, ratio_high; /* of a pair: the median of all, and quartiles */
} observed;

/* Do it, and set what was found. In the end the server is not observed. false: one line on stderr says why. */
bool observed_run(observed *all);
/* Print it, in pairs with blanks before. */
void observed_print(const observed *all);

#endif
