/* SPDX-License-Identifier: MIT */
#include "page/site.h"

void page_site_open(page_site *site, vestry_options own, const vestry_pages_options *options) {
  test_host_init(&site->th);
  own.host = &site->th.host;
  own.threads_count = VESTRY_THREADS_NONE;
  assert_int_equal(vestry_create(&own, &site->v), VESTRY_OK);
  assert_int_equal(vestry_pages_create(site->v, options, &site->pages), VESTRY_OK);
}

vestry_pages_stats page_site_stats(page_site *site) {
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(site->pages, &stats);
  return stats;
}

void page_site_check(page_site *site) {
  const vestry_pages_stats stats = page_site_stats(site);
  assert_int_equal(stats.streams_opened_count, stats.streams_count + stats.streams_closed_count);
  assert_int_equal(stats.renders_count, stats.changed_count + stats.unchanged_count + stats.current_count +
                                            stats.failed_count + stats.dropped_count);
}

void page_site_close(page_site *site) {
  vestry_memory_settle(site->v);
  page_site_check(site);
  vestry_stop(site->v, 0);
  const vestry_pages_stats stats = page_site_stats(site);
  assert_int_equal(stats.streams_count, 0);
  assert_int_equal(stats.views_count, 0);
  assert_int_equal(stats.topics_count, 0);
  assert_int_equal(stats.kept_bytes, 0);
  assert_int_equal(stats.requests_bytes, 0);
  vestry_pages_destroy(site->pages);
  vestry_destroy(site->v);
  test_host_assert_clean(&site->th);
}
