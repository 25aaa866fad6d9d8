/* SPDX-License-Identifier: MIT */
/* An instance that has pages, on a stepped runtime with a manual clock. Each test of pages has one, beside what its
 * renders show. */
#ifndef TESTS_PAGE_SITE_H
#define TESTS_PAGE_SITE_H

#include "support/test.h"
#include "support/test_host.h"
#include "vestry/memory.h"
#include "vestry/vestry.h"

typedef struct page_site {
  test_host th;
  vestry *v;
  vestry_pages *pages;
} page_site;

/* own: host and threads_count are the site's. options: NULL: the defaults. */
void page_site_open(page_site *site, vestry_options own, const vestry_pages_options *options);
vestry_pages_stats page_site_stats(page_site *site);
/* All counters add up. */
void page_site_check(page_site *site);
/* Stop, check the counters and that nothing is left, no stream of pages and no memory. */
void page_site_close(page_site *site);

#endif
