/* SPDX-License-Identifier: MIT */
/* Level FILE_PAGES, if this SQLite supports it. */
#ifndef TESTS_SQLITE_LEVEL_H
#define TESTS_SQLITE_LEVEL_H

#include <stdbool.h>

/* Enable the recording of pages; call this first in main. If it is not supported, a message states this; other
 * errors end the test. */
void level_begin(void);
/* Return whether pages are recorded. */
bool level_has_pages(void);
/* Skip the rest of a test unless pages are recorded. */
void level_needs_pages(void);

#endif
