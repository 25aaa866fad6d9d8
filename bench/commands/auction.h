/* SPDX-License-Identifier: MIT */
/* Pages of an auction with adjacent rows: the renders of a commit. */
#ifndef BENCH_AUCTION_H
#define BENCH_AUCTION_H

#include <stdbool.h>
#include <stdint.h>

#include <vestry/data/sqlite.h>

/* Print a line for each kind of commit and page. Returns whether it succeeded and no page showed wrong content. */
bool auction_measure(const char *folder, vestry_sqlite_level level, const char *name, uint64_t commits);

#endif
