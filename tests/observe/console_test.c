/* SPDX-License-Identifier: MIT */
/* The page and the stream of the console: size, nonce, no other host; the end of the stream; permission. (For its
 * display, see tests/browser/console.test.js.) */
#include <stdio.h>

#include "serve/wire.h"
#include "vestry/ops/observe.h"

enum { PAGE_MAX_BYTES = 30000 };

typedef struct suite {
  site on;
  vestry_observe *observe;
} suite;

static void begin(suite *s) {
  site_begin(&s->on, (vestry_options){.scope = NULL});
  assert_int_equal(vestry_observe_create(s->on.v, &(vestry_observe_options){.trusts_loopback = true}, &s->observe),
                   VESTRY_OK);
  assert_int_equal(vestry_observe_mount(s->observe, "/observe"), VESTRY_OK);
}

static int request(suite *s, const char *path, const char *peer, wire *ret) {
  *ret = (wire){.path = path, .peer = peer, .headers = {{"Host", "localhost"}}};
  wire_request(&s->on, ret, NULL, NULL);
  return ret->status;
}

/* capability: H4 */
TEST_CASE(console_page_is_small_and_has_only_nonced_code) {
  suite s;
  wire page;
  begin(&s);
  assert_int_equal(request(&s, "/observe/console", "127.0.0.1", &page), 200);
  assert_true(page.text_len > 10000 && page.text_len <= PAGE_MAX_BYTES);
  print_message("%zu bytes\n", page.text_len);
  char policy[1024], expected[128];
  assert_true(wire_value(&page, "Content-Security-Policy", policy, sizeof policy));
  const char *nonce = strstr(policy, "'nonce-");
  assert_non_null(nonce);
  assert_null(strstr(policy, "unsafe"));
  assert_null(strstr(policy, "http"));
  assert_non_null(strstr(policy, "script-src 'nonce-")); /* no other script of this site */
  assert_non_null(strstr(policy, "default-src 'none'"));
  snprintf(expected, sizeof expected, "<script nonce=\"%.32s\">", nonce + 7);
  assert_int_equal(wire_count(&page, expected), 1);
  snprintf(expected, sizeof expected, "<style nonce=\"%.32s\">", nonce + 7);
  assert_int_equal(wire_count(&page, expected), 1);
  static const char *const none[] = {"http:", "https:",  "//cdn",   "innerHTML", "insertAdjacent", "document.write",
                                     "eval(", "@NONCE@", "@STYLE@", "@SCRIPT@",  "@import",        "url("};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) assert_int_equal(wire_count(&page, none[i]), 0);
  vestry_observe_destroy(s.observe);
  wires_end(&s.on, &page);
}

/* capability: H4 */
TEST_CASE(console_stream_sends_counters_each_second) {
  suite s;
  wire events, list;
  begin(&s);
  assert_int_equal(request(&s, "/observe/console/events", "127.0.0.1", &events), 200);
  assert_int_equal(wire_count(&events, "event: now"), 1);
  assert_int_equal(wire_count(&events, "\"open_count\":1,"), 1);
  site_pass_ms(&s.on, 1000);
  site_pass_ms(&s.on, 1000);
  assert_int_equal(wire_count(&events, "event: now"), 3);
  assert_int_equal(wire_count(&events, "}\n\n"), 3); /* each is one object */
  assert_int_equal(wire_count(&events, "}}"), 0);
  assert_int_equal(request(&s, "/observe/streams", "127.0.0.1", &list), 200);
  assert_int_equal(wire_count(&list, "\"console\":true"), 1); /* it is marked */
  wire_finish(&list);
  vestry_observe_destroy(s.observe);
  assert_int_equal(events.ends, 1);
  assert_int_equal(events.cause, VESTRY_CAUSE_SHUTDOWN);
  wires_end(&s.on, &events);
}

/* capability: H4 */
TEST_CASE(console_without_permission_gets_403) {
  suite s;
  wire r;
  begin(&s);
  static const char *const paths[] = {"/observe/console", "/observe/console/events"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    assert_int_equal(request(&s, paths[i], "192.0.2.1", &r), 403);
    assert_int_equal(r.text_len, 0);
    char value[64];
    assert_false(wire_value(&r, "Content-Security-Policy", value, sizeof value));
    wire_finish(&r);
  }
  vestry_observe_destroy(s.observe);
  site_end(&s.on);
}

/* capability: H4 */
TEST_CASE(console_over_limit_gets_503) {
  enum { MOST = 64 };
  suite s;
  static wire all[MOST], more;
  begin(&s);
  for (int i = 0; i < MOST; i++) assert_int_equal(request(&s, "/observe/console/events", "127.0.0.1", &all[i]), 200);
  assert_int_equal(request(&s, "/observe/console/events", "127.0.0.1", &more), 503);
  wire_finish(&more);
  wire_hang_up(&s.on, &all[0]);
  assert_int_equal(request(&s, "/observe/console/events", "127.0.0.1", &more), 200);
  vestry_observe_destroy(s.observe);
  wire *wires[MOST + 1] = {&more};
  for (int i = 0; i < MOST; i++) wires[i + 1] = &all[i];
  wires_end_all(&s.on, wires, MOST + 1);
}

TEST_CASE(failed_allocation_is_survived) {
  static const char *const paths[] = {"/observe/console", "/observe/console/events"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
    for (long at = 0, is_whole = 0; !is_whole; at++) {
      suite s;
      wire r;
      begin(&s);
      test_host_fail_in(&s.on.th, at);
      (void)request(&s, paths[i], "127.0.0.1", &r);
      is_whole = !test_host_has_failed(&s.on.th);
      if (is_whole) assert_int_equal(r.status, 200);
      test_host_fail_no_more(&s.on.th);
      vestry_observe_destroy(s.observe);
      wires_end(&s.on, &r);
      assert_true(at < 1000);
    }
}
