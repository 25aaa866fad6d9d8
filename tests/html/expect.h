/* SPDX-License-Identifier: MIT */
/* Assertions shared by the tests of the HTML builder. */
#ifndef TESTS_EVENT_HTML_EXPECT_H
#define TESTS_EVENT_HTML_EXPECT_H

#include "vestry/html.h"

/* Assert that the builder has written exactly this, and clear it. */
void expect_html(vestry_html *html, const char *expected);
/* Assert that the builder failed with INVALID at this byte of the format (0 for pieces), for a reason that contains
 * these words; clear it. */
void expect_refused(vestry_html *html, size_t offset, const char *words);

#endif
