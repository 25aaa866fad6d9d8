/* SPDX-License-Identifier: MIT */
/* vestry-bench pages --sleeper: the effect of a sleeping handler on others. */
#ifndef BENCH_PAGE_SLEEPER_H
#define BENCH_PAGE_SLEEPER_H

#include <stdint.h>

typedef struct page_sleeper {
  int port;
  uint64_t pages, rounds, bytes;
  uint64_t a_second; /* POSTs */
  uint64_t sleep_ms;
} page_sleeper;

/* Against vestry-bench serve --pages. Returns the exit status. */
int bench_page_sleeper(const page_sleeper *s);

#endif
