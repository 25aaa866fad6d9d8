/* SPDX-License-Identifier: MIT */
#include "support/site.h"

#include "app/page/fragment.h"
#include "support/patience.h"
#include "vestry/app/secret.h"

vestry_err site_give(vestry *v, site_has has) {
  const vestry_secret secret = {.secret = has.secret, .secret_len = has.secret ? strlen(has.secret) : 0};
  vestry_err error = has.secret ? vestry_secret_set(v, &secret) : VESTRY_OK;
  return error || !has.sessions ? error : vestry_sessions_create(v, has.sessions);
}

vestry_err site_try(site *s, vestry_options options, site_has has) {
  options.host = &s->th.host;
  if (!options.runtime && !options.threads_count) options.threads_count = VESTRY_THREADS_NONE;
  s->v = NULL;
  s->pages = NULL;
  vestry_err error = vestry_create(&options, &s->v);
  if (!error) error = site_give(s->v, has);
  if (error) {
    vestry_destroy(s->v);
    s->v = NULL;
  }
  return error;
}

void site_begin_with(site *s, vestry_options options, site_has has) {
  test_host_init(&s->th);
  assert_int_equal(site_try(s, options, has), VESTRY_OK);
}

void site_begin(site *s, vestry_options options) {
  site_begin_with(s, options, (site_has){.sessions = NULL});
}

void site_add_pages(site *s, const vestry_pages_options *pages) {
  assert_int_equal(vestry_pages_create(s->v, pages, &s->pages), VESTRY_OK);
}

void site_begin_pages(site *s, vestry_options options, const vestry_pages_options *pages) {
  site_begin(s, options);
  site_add_pages(s, pages);
}

vestry_err site_by_cookie(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len, void *ctx) {
  const char *cookie = vestry_request_header(req, "Cookie");
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
  assert_int_equal(vestry_pages_settle(s->pages, UINT64_MAX, PATIENCE_S * 1000), VESTRY_OK);
}

void site_refresh(site *s, const char *topic) {
  uint64_t seq;
  assert_int_equal(vestry_refresh(s->pages, topic, &seq), VESTRY_OK);
  assert_int_equal(vestry_pages_settle(s->pages, seq, PATIENCE_S * 1000), VESTRY_OK);
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

/* Check that the counters of all pages and parts add up to the totals. */
static void check_tallies(const site *s, const vestry_pages_stats *stats) {
  static vsi_tally tallies[VSI_TALLIES];
  const size_t count = vsi_tallies_copy(s->pages, tallies);
  vsi_tally sum = {.of = NULL};
  for (size_t i = 0; i < count; i++) {
    const vsi_tally *at = &tallies[i];
    assert_int_equal(at->renders_count, at->changed_count + at->unchanged_count + at->current_count + at->failed_count +
                                            at->dropped_count);
    sum.documents_count += at->documents_count;
    sum.renders_count += at->renders_count;
    sum.changed_count += at->changed_count;
    sum.unchanged_count += at->unchanged_count;
    sum.current_count += at->current_count;
    sum.failed_count += at->failed_count;
    sum.streams_count += at->of ? 0 : at->streams_count; /* those of a part also count for its page */
  }
  assert_int_equal(sum.documents_count, stats->documents_count);
  assert_int_equal(sum.renders_count, stats->renders_count);
  assert_int_equal(sum.changed_count, stats->changed_count);
  assert_int_equal(sum.unchanged_count, stats->unchanged_count);
  assert_int_equal(sum.current_count, stats->current_count);
  assert_int_equal(sum.failed_count, stats->failed_count);
  if (count == 1 + s->pages->tallies.pages_count + s->pages->tallies.parts_count && !tallies[0].renders_count)
    assert_int_equal(sum.streams_count, stats->streams_count); /* parts are not counted with others */
}

void site_check_pages(const site *s) {
  const vestry_pages_stats stats = site_pages_stats(s);
  check_tallies(s, &stats);
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
  vsi_pages_lock(s->pages);
  vsi_fragments_end_lingering(s->pages);
  vsi_pages_reap(s->pages);
  const vestry_pages_stats stats = site_pages_stats(s);
  assert_int_equal(stats.streams_count, 0);
  assert_int_equal(stats.fragments_count, 0);
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
  assert_int_equal(vestry_stop(s->v, 10000), VESTRY_OK);
  if (s->pages) end_pages(s);
  site_check_stopped(s->v);
  vestry_destroy(s->v);
  s->v = NULL;
}

void site_end(site *s) {
  site_close(s);
  test_host_assert_clean(&s->th);
}
