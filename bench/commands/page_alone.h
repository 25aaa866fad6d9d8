/* SPDX-License-Identifier: MIT */
/* Pages by themselves, without a socket: what they cost beyond the handler that makes them. */
#ifndef BENCH_PAGE_ALONE_H
#define BENCH_PAGE_ALONE_H

#include <stdint.h>

/* what: refresh (of a topic with so many pages, for the caller), unchanged (a render that makes the same), message
 * (one more in a private page, brotli) or idle (memory of so many pages). Returns the exit status. */
int bench_pages_alone(const char *what, uint64_t pages, uint64_t rounds, uint64_t bytes);

#endif
