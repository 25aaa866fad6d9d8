/* SPDX-License-Identifier: MIT */
#include "support/site.h"

vestry_err site_try(site *s, vestry_options options) {
  options.host = &s->th.host;
  if (!options.runtime && !options.threads_count) options.threads_count = VESTRY_THREADS_NONE;
  s->v = NULL;
  s->pages = NULL;
  return vestry_create(&options, &s->v);
}

void site_begin(site *s, vestry_options options) {
  test_host_init(&s->th);
  assert_int_equal(site_try(s, options), VESTRY_OK);
}

void site_begin_pages(site *s, vestry_options options, const vestry_pages_options *pages) {
  site_begin(s, options);
  assert_int_equal(vestry_pages_create(s->v, pages, &s->pages), VESTRY_OK);
}

vestry_err site_by_cookie(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len, void *ctx) {
  const char *cookie = vestry_request_header(req, "Cookie");
  (void)reply, (void)ctx;
  *ret_len = cookie ? strlen(cookie) : 0;
  if (cookie) memcpy(buffer, cookie, *ret_len);
  return VESTRY_OK;
}

void site_settle(site *s) {
  while (vestry_runtime_step(vestry_parts_of(s->v)->runtime)) continue;
}

void site_pass_ms(site *s, uint64_t ms) {
  test_host_advance_ms(&s->th, ms);
  site_settle(s);
}

void site_settle_pages(site *s) {
  assert_int_equal(vestry_pages_settle(s->pages, UINT64_MAX, 1000), VESTRY_OK);
}

void site_refresh(site *s, const char *topic) {
  uint64_t seq;
  assert_int_equal(vestry_refresh(s->pages, topic, &seq), VESTRY_OK);
  assert_int_equal(vestry_pages_settle(s->pages, seq, 1000), VESTRY_OK);
}

vestry_memory_exchange *site_request(site *s, const vestry_memory_call *call) {
  vestry_memory_exchange *exchange = NULL;
  assert_int_equal(vestry_memory_request(s->v, call, NULL, NULL, &exchange), VESTRY_OK);
  return exchange;
}

vestry_store_stats store_stats_of(vestry *v) {
  vestry_store_stats stats = {0};
  vestry_store_stats_get(vestry_parts_of(v)->store, &stats);
  return stats;
}

vestry_pages_stats site_pages_stats(const site *s) {
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(s->pages, &stats);
  return stats;
}

void site_check_pages(const site *s) {
  const vestry_pages_stats stats = site_pages_stats(s);
  assert_int_equal(stats.streams_opened_count, stats.streams_count + stats.streams_closed_count);
  assert_int_equal(stats.renders_count, stats.changed_count + stats.unchanged_count + stats.current_count +
                                            stats.failed_count + stats.dropped_count);
}

void site_check_stopped(vestry *v) {
  vestry_stats stats = {0};
  vestry_stats_get(v, &stats);
  vestry_store_stats store = store_stats_of(v);
  assert_int_equal(stats.open_count, 0);
  assert_int_equal(stats.opened_count, stats.closed_count);
  uint64_t closed = 0, removed = 0;
  for (int i = 0; i < VESTRY_CAUSE_COUNT; i++) {
    closed += stats.closed_by_cause[i];
    removed += store.removed_by_cause[i];
  }
  assert_int_equal(closed, stats.closed_count);
  assert_int_equal(stats.closed_by_cause[VESTRY_CAUSE_NONE], 0);
  assert_int_equal(store.live_count, 0);
  assert_int_equal(store.put_count, store.removed_count);
  assert_int_equal(removed, store.removed_count);
  assert_int_equal(stats.accepted_count, stats.written_count + stats.discarded_count + stats.conflated_count);
  assert_int_equal(stats.queued_bytes, 0);
  assert_int_equal(stats.request_bytes, 0);
}

static void end_pages(site *s) {
  const vestry_pages_stats stats = site_pages_stats(s);
  assert_int_equal(stats.streams_count, 0);
  assert_int_equal(stats.views_count, 0);
  assert_int_equal(stats.topics_count, 0);
  assert_int_equal(stats.kept_bytes, 0);
  assert_int_equal(stats.requests_bytes, 0);
  vestry_pages_destroy(s->pages);
  s->pages = NULL;
}

void site_close(site *s) {
  if (s->pages) {
    site_settle(s);
    site_check_pages(s);
  }
  assert_int_equal(vestry_stop(s->v, 0), VESTRY_OK);
  if (s->pages) end_pages(s);
  site_check_stopped(s->v);
  vestry_destroy(s->v);
  s->v = NULL;
}

void site_end(site *s) {
  site_close(s);
  test_host_assert_clean(&s->th);
}
