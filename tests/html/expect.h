/* SPDX-License-Identifier: MIT */
/* What the tests of the HTML builder say over and over. */
#ifndef TESTS_EVENT_HTML_EXPECT_H
#define TESTS_EVENT_HTML_EXPECT_H

#include "vestry/html.h"

/* The builder has made exactly this, and is cleared. */
void expect_html(vestry_html *html, const char *expected);
/* It refused with INVALID: at that byte of a format (0 for pieces), for a reason with these words; it is cleared. */
void expect_refused(vestry_html *html, size_t offset, const char *words);

#endif
