/* SPDX-License-Identifier: MIT */
/* Elements that open and supervise a stream: their HTML, and the support by the stream's server. */
#include "vestry/app/stream.h"

#include <stdlib.h>
#include <string.h>

#include "support/site.h"

enum { HEARTBEAT_MS = 1000 };
#define SIGN "event: datastar-patch-signals\ndata: signals {}\n\n"

/* The element that the document's handler appends. */
typedef struct suite {
  site on;
  const vestry_backend_action_options *options;
  const char *text;
  vestry_err error;
} suite;

static vestry_err document(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  vestry_html html;
  vestry_html_init(&html, &s->on.th.host);
  vestry_html_add(&html, "<!doctype html><body>");
  s->error = vestry_html_stream(&html, req, s->text, s->options, "/stream/%s?a=%d", "'x'\"<", 7);
  vestry_err error = s->error ? s->error : vestry_reply_html(reply, &html);
  vestry_html_finish(&html);
  return error;
}

static vestry_err stream(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("stream"));
  vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("a", 1));
}

static void begin(suite *s) {
  static const vestry_connection_options connection = {.heartbeat_ms = HEARTBEAT_MS};
  *s = (suite){.text = NULL};
  site_begin(&s->on, (vestry_options){.connection = &connection});
  assert_int_equal(vestry_route(s->on.v, "GET", "/", document, s), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/stream", stream, s), VESTRY_OK);
}

static vestry_memory_exchange *open_stream(suite *s, bool asks) {
  const vestry_header header = {"Vestry-Signs", "1"};
  return site_request(
      &s->on,
      &(vestry_memory_call){.path = "/stream", .datastar = true, .headers = &header, .headers_count = asks ? 1 : 0});
}

static const char *show(suite *s, vestry_memory_exchange **ret) {
  *ret = site_request(&s->on, &(vestry_memory_call){.path = "/"});
  return vestry_memory_look(*ret).received.data;
}

/* capability: L10 */
TEST_CASE(element_requests_signs_and_checks_them) {
  suite s;
  vestry_memory_exchange *shown;
  begin(&s);
  s.text = "<b>\"gone\"";
  const char *text = show(&s, &shown);
  assert_int_equal(s.error, VESTRY_OK);
  assert_non_null(strstr(text, "<div class=\"vestry-banner\" role=\"status\" hidden "));
  assert_non_null(strstr(text, "@get(&#39;/stream/%27x%27%22%3C?a=7&#39;,"));
  assert_non_null(strstr(text, "Vestry-Signs"));
  assert_non_null(strstr(text, "requestCancellation:el.run"));
  assert_non_null(strstr(text, "retryMaxCount:Infinity"));
  assert_non_null(strstr(text, "data-on-interval__duration.501ms="));
  assert_non_null(strstr(text, "heartbeatMs = 1000,"));
  assert_non_null(strstr(text, ">&lt;b&gt;&quot;gone&quot;</div>"));
  vestry_memory_destroy(shown);
  site_end(&s.on);
}

/* A URL is too short for all signals of a page. */
TEST_CASE(request_has_only_the_tab_id_or_the_filtered_signals) {
  static const char tab_alone[] = "filterSignals:{include:&#39;^tabId\\x24&#39;}";
  static const struct {
    vestry_backend_action_options options;
    const char *filter;
  } rows[] = {{{.retry_interval_ms = 100}, tab_alone},
              {{.filter_include = "^room"}, "filterSignals:{include:&#39;^room&#39;}"},
              {{.filter_exclude = "^note"}, "filterSignals:{exclude:&#39;^note&#39;}"}};
  suite s;
  vestry_memory_exchange *shown;
  begin(&s);
  assert_non_null(strstr(show(&s, &shown), tab_alone));
  vestry_memory_destroy(shown);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    s.options = &rows[i].options;
    const char *text = show(&s, &shown);
    if (!strstr(text, rows[i].filter)) fail_msg("not %s: %s", rows[i].filter, text);
    vestry_memory_destroy(shown);
  }
  site_end(&s.on);
}

/* capability: L10 */
TEST_CASE(unsupported_options_are_refused) {
  suite s;
  vestry_memory_exchange *shown;
  vestry_attribute headers[64];
  for (size_t i = 0; i < 64; i++) headers[i] = (vestry_attribute){"X-A", "b"};
  const vestry_backend_action_options refused[] = {{.cancellation = VESTRY_CANCEL_DISABLED},
                                                   {.headers = headers, .headers_count = 64},
                                                   {.headers_count = 1},
                                                   {.retry_scaler = -1}};
  begin(&s);
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    s.options = &refused[i];
    (void)show(&s, &shown);
    assert_int_equal(s.error, VESTRY_INVALID);
    assert_int_equal(vestry_memory_look(shown).status, 500);
    vestry_memory_destroy(shown);
  }
  const vestry_backend_action_options most = {.headers = headers, .headers_count = 63};
  s.options = &most;
  (void)show(&s, &shown);
  assert_int_equal(s.error, VESTRY_OK);
  vestry_memory_destroy(shown);
  vestry_html html;
  vestry_html_init(&html, NULL);
  assert_int_equal(vestry_html_stream(&html, NULL, NULL, NULL, "/x"), VESTRY_INVALID);
  assert_int_equal(vestry_html_stream(NULL, NULL, NULL, NULL, "/x"), VESTRY_INVALID);
  vestry_html_finish(&html);
  site_end(&s.on);
}

static const char *since(vestry_memory_exchange *page) {
  return vestry_memory_since(page).data;
}

/* capability: L10 */
TEST_CASE(supervised_stream_sends_signs_at_heartbeats) {
  suite s;
  begin(&s);
  vestry_memory_exchange *one = open_stream(&s, true);
  site_settle(&s.on);
  assert_string_equal(since(one), SIGN "event: datastar-patch-signals\ndata: signals {\"a\":1}\n\n");
  for (int i = 0; i < 3; i++) {
    site_pass_ms(&s.on, HEARTBEAT_MS);
    assert_string_equal(since(one), SIGN);
  }
  vestry_memory_destroy(one);
  site_settle(&s.on);
  vestry_memory_exchange *plain = open_stream(&s, false);
  site_settle(&s.on);
  assert_string_equal(since(plain), "event: datastar-patch-signals\ndata: signals {\"a\":1}\n\n");
  site_pass_ms(&s.on, HEARTBEAT_MS);
  assert_string_equal(since(plain), ":\n\n");
  vestry_memory_destroy(plain);
  site_end(&s.on);
}

/* capability: L10 */
TEST_CASE(failed_allocation_yields_no_element_or_a_whole_one) {
  suite s;
  begin(&s);
  bool has_failed = true;
  for (long i = 0; has_failed; i++) {
    vestry_memory_exchange *shown = NULL, *opened = NULL;
    test_host_fail_in(&s.on.th, i);
    vestry_err error = vestry_memory_request(s.on.v, &(vestry_memory_call){.path = "/"}, NULL, NULL, &shown);
    const vestry_header header = {"Vestry-Signs", "1"};
    const vestry_memory_call call = {.path = "/stream", .datastar = true, .headers = &header, .headers_count = 1};
    vestry_err other = vestry_memory_request(s.on.v, &call, NULL, NULL, &opened);
    site_settle(&s.on);
    has_failed = test_host_has_failed(&s.on.th);
    test_host_fail_no_more(&s.on.th);
    if (!error && vestry_memory_look(shown).status == 200)
      assert_non_null(strstr(vestry_memory_look(shown).received.data, "Offline. Trying again…</div>"));
    if (!has_failed) assert_int_equal(error | other, VESTRY_OK);
    vestry_memory_destroy(shown);
    vestry_memory_destroy(opened);
    site_settle(&s.on);
  }
  site_end(&s.on);
}
