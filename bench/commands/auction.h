/* SPDX-License-Identifier: MIT */
/* Pages of an auction, whose rows lie beside each other: whom a commit renders. */
#ifndef BENCH_AUCTION_H
#define BENCH_AUCTION_H

#include <stdbool.h>
#include <stdint.h>

#include <vestry/data/sqlite.h>

/* Prints a line for each kind of commit and of page. Returns whether it was done, and no page showed what was not. */
bool auction_measure(const char *folder, vestry_sqlite_level level, const char *name, uint64_t commits);

#endif
