/* SPDX-License-Identifier: MIT */
/* The cost of pages without sockets, in addition to the handler. */
#ifndef BENCH_PAGE_ALONE_H
#define BENCH_PAGE_ALONE_H

#include <stdint.h>

/* Run a measurement. what: refresh (of a topic with many pages, for the caller), unchanged (a render with the same
 * result), message (an additional message in a private page, brotli), row (one changed row of many: processor's time
 * and bytes, of the whole content and of the row) or idle (memory of many pages). Returns the exit status. */
int bench_pages_alone(const char *what, uint64_t pages, uint64_t rounds, uint64_t bytes);

#endif
