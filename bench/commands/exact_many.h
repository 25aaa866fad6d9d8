/* SPDX-License-Identifier: MIT */
/* Many pages over SQLite, each of which shows one row. */
#ifndef BENCH_EXACT_MANY_H
#define BENCH_EXACT_MANY_H

#include <stdbool.h>
#include <stdint.h>

#include <vestry/data/sqlite.h>

/* Print a line for each kind of commit. Returns whether it succeeded. */
bool exact_many_measure(const char *folder, vestry_sqlite_level level, uint64_t pages, uint64_t commits);

#endif
