/* SPDX-License-Identifier: MIT */
/* Level PAGES, where it can be had. */
#ifndef TESTS_SQLITE_LEVEL_H
#define TESTS_SQLITE_LEVEL_H

#include <stdbool.h>

/* Have pages recorded, first thing in main. If they cannot be, it says what is left out. Other faults end the test. */
void level_begin(void);
/* Whether they are. */
bool level_has_pages(void);
/* In a test: what is left of it is skipped if they are not. */
void level_needs_pages(void);

#endif
