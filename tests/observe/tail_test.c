/* SPDX-License-Identifier: MIT */
/* The tail of a stream over HTTP: its content, permission and duration. */
#include <stdio.h>

#include "event/layout.h"
#include "serve/wire.h"
#include "vestry/ops/observe.h"

typedef struct suite {
  site on;
  vestry_observe *observe;
  wire watched;
} suite;

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_keep(reply, VESTRY_KEEP_REUSE, 0);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("first", 1));
}

static void begin_with(suite *s, vestry_observe_options options, const vestry_connection_options *connection) {
  *s = (suite){.observe = NULL};
  site_begin(&s->on, (vestry_options){.connection = connection});
  assert_int_equal(vestry_observe_create(s->on.v, &options, &s->observe), VESTRY_OK);
  assert_int_equal(vestry_observe_mount(s->observe, "/observe"), VESTRY_OK);
  s->watched = (wire){.path = "/live", .datastar = true};
  wire_request(&s->on, &s->watched, live, NULL);
  assert_non_null(s->watched.connection);
}

static void begin(suite *s, vestry_observe_options options) {
  begin_with(s, options, NULL);
}

static void end(suite *s, wire *tail) {
  vestry_observe_destroy(s->observe);
  wires_end(&s->on, &s->watched, tail);
}

static uint64_t id_of(const wire *r) {
  return vestry_connection_look(r->connection).id;
}

/* Request the tail of a stream. */
static int request_tail(suite *s, uint64_t id, const char *peer, wire *ret) {
  static char path[64];
  snprintf(path, sizeof path, "/observe/streams/%llu/tail", (unsigned long long)id);
  *ret = (wire){.path = path, .peer = peer, .headers = {{"Host", "localhost"}}};
  wire_request(&s->on, ret, NULL, NULL);
  return ret->status;
}

static void send_event(suite *s, const char *name, const char *text) {
  vestry_event *event; /* the text may be no UTF-8 */
  assert_int_equal(vsi_event_plain(NULL, name, text, strlen(text), NULL, &event), VESTRY_OK);
  assert_int_equal(vestry_connection_send(s->watched.connection, event), VESTRY_OK);
  vestry_event_unref(event);
  site_settle(&s->on);
}

/* capability: H5 */
TEST_CASE(tail_shows_events_as_text) {
  suite s;
  wire tail;
  begin(&s, (vestry_observe_options){.trusts_loopback = true, .may = NULL});
  assert_int_equal(request_tail(&s, id_of(&s.watched), "127.0.0.1", &tail), 200);
  char begins[64];
  snprintf(begins, sizeof begins, "{\"stream\":%llu,", (unsigned long long)id_of(&s.watched));
  assert_int_equal(wire_count(&tail, "event: begin"), 1);
  assert_int_equal(wire_count(&tail, begins), 1);
  assert_int_equal(wire_count(&tail, "first"), 0); /* it was sent before the tail began */
  send_event(&s, "news", "a <b> \"c\" \xE2\x80\xAE");
  assert_int_equal(wire_count(&tail, "{\"text\":\"event: news\\ndata: a \\u003cb> \\\"c\\\" \xE2\x80\xAE\\n\\n\","), 1);
  assert_int_equal(wire_count(&tail, "\"cut\":false,\"written\":true}"), 1);
  send_event(&s, "raw", "\xff");
  assert_int_equal(wire_count(&tail, "data: \xEF\xBF\xBD\\n"), 1);
  char large[VESTRY_TAIL_EVENT_BYTES + 100];
  memset(large, 'x', sizeof large - 1);
  large[sizeof large - 1] = '\0';
  send_event(&s, "large", large);
  assert_int_equal(wire_count(&tail, "\"cut\":true,\"written\":true}"), 1);
  vestry_connection_close(s.watched.connection, VESTRY_CAUSE_STALLED);
  site_settle(&s.on);
  assert_int_equal(wire_count(&tail, "event: end"), 1);
  assert_int_equal(wire_count(&tail, "{\"why\":\"closed\",\"cause\":\"stalled\"}"), 1);
  assert_int_equal(tail.ends, 1);
  end(&s, &tail);
}

/* capability: H5 */
TEST_CASE(tail_ends_after_five_minutes) {
  suite s;
  wire tail;
  begin(&s, (vestry_observe_options){.trusts_loopback = true, .may = NULL});
  assert_int_equal(request_tail(&s, id_of(&s.watched), "127.0.0.1", &tail), 200);
  site_pass_ms(&s.on, VESTRY_TAIL_MS - 2000);
  assert_int_equal(tail.ends, 0);
  site_pass_ms(&s.on, 2000);
  assert_int_equal(wire_count(&tail, "{\"why\":\"time\",\"cause\":null}"), 1);
  assert_int_equal(tail.ends, 1);
  assert_int_equal(s.watched.ends, 0);
  end(&s, &tail);
}

/* capability: H5 */
TEST_CASE(tail_reports_the_count_of_omitted_events) {
  enum { SENT = 400 };
  suite s;
  wire tail;
  begin(&s, (vestry_observe_options){.trusts_loopback = true, .may = NULL});
  assert_int_equal(request_tail(&s, id_of(&s.watched), "127.0.0.1", &tail), 200);
  tail.write_io = VESTRY_IO_WOULD_BLOCK; /* the reader stops */
  for (int i = 0; i < SENT; i++) send_event(&s, "n", "x");
  tail.write_io = VESTRY_IO_OK;
  vestry_connection_writable(tail.connection);
  site_settle(&s.on);
  const size_t shown = wire_count(&tail, "event: event");
  assert_true(shown >= 256 && shown < SENT);
  char count[32];
  snprintf(count, sizeof count, "{\"count\":%zu}", SENT - shown);
  assert_int_equal(wire_count(&tail, count), 1);
  assert_int_equal(wire_count(&s.watched, "event: n"), SENT); /* the stream itself was not delayed */
  end(&s, &tail);
}

/* As JSON, an event of quotation marks has twice its size, and exceeds the queue of the viewer. */
/* capability: H5 */
TEST_CASE(event_too_large_for_the_viewer_is_left_out) {
  enum { QUEUE_BYTES = 65536 };
  suite s;
  wire tail;
  begin_with(&s, (vestry_observe_options){.trusts_loopback = true},
             &(vestry_connection_options){.max_queued_bytes = QUEUE_BYTES});
  assert_int_equal(request_tail(&s, id_of(&s.watched), "127.0.0.1", &tail), 200);
  char large[40000];
  memset(large, '"', sizeof large - 1);
  large[sizeof large - 1] = '\0';
  send_event(&s, "large", large);
  send_event(&s, "small", "x");
  assert_int_equal(tail.ends, 0);
  assert_int_equal(wire_count(&tail, "{\"count\":1}"), 1);
  assert_int_equal(wire_count(&tail, "event: small"), 1);
  vestry_connection_close(s.watched.connection, VESTRY_CAUSE_STALLED);
  site_settle(&s.on);
  assert_int_equal(tail.ends, 1);
  end(&s, &tail);
}

/* capability: H5 */
TEST_CASE(slow_viewer_of_large_events_stays) {
  enum { SENT = 100 };
  suite s;
  wire tail;
  begin(&s, (vestry_observe_options){.trusts_loopback = true});
  assert_int_equal(request_tail(&s, id_of(&s.watched), "127.0.0.1", &tail), 200);
  tail.write_io = VESTRY_IO_WOULD_BLOCK;
  char large[40000];
  memset(large, 'x', sizeof large - 1);
  large[sizeof large - 1] = '\0';
  for (int i = 0; i < SENT; i++) send_event(&s, "n", large);
  assert_int_equal(tail.ends, 0);
  tail.write_io = VESTRY_IO_OK;
  vestry_connection_writable(tail.connection);
  site_settle(&s.on);
  for (int i = 0; i < 10; i++) site_pass_ms(&s.on, 1000); /* each step fills half of the queue */
  const size_t shown = wire_count(&tail, "event: event");
  assert_true(shown > 20 && shown < SENT);
  vestry_connection_close(s.watched.connection, VESTRY_CAUSE_STALLED);
  site_settle(&s.on);
  assert_int_equal(wire_count(&tail, "{\"why\":\"closed\",\"cause\":\"stalled\"}"), 1);
  char count[32];
  snprintf(count, sizeof count, "{\"count\":%zu}", SENT - shown);
  assert_int_equal(wire_count(&tail, count), 1);
  end(&s, &tail);
}

static bool always(const vestry_request *req, void *ctx) {
  return true;
}

/* capability: H5 */
TEST_CASE(tail_needs_its_own_permission) {
  suite s;
  wire tail, other;
  begin(&s, (vestry_observe_options){.trusts_loopback = true, .may = always});
  const uint64_t id = id_of(&s.watched);
  assert_int_equal(request_tail(&s, id, "192.0.2.1", &tail), 403);
  assert_true(!tail.text || !*tail.text);
  wire_finish(&tail);
  assert_int_equal(request_tail(&s, id + 100, "127.0.0.1", &tail), 404);
  wire_finish(&tail);
  assert_int_equal(request_tail(&s, 0, "127.0.0.1", &tail), 400);
  wire_finish(&tail);
  assert_int_equal(request_tail(&s, id, "127.0.0.1", &tail), 200);
  assert_int_equal(request_tail(&s, id_of(&tail), "127.0.0.1", &other), 409); /* it would show itself */
  wire_finish(&other);
  end(&s, &tail);
}

TEST_CASE(failed_allocation_ends_the_tail) {
  suite s;
  wire tail;
  int status = 0;
  for (long number = 0; status != 200; number++) {
    begin(&s, (vestry_observe_options){.trusts_loopback = true, .may = NULL});
    const uint64_t id = id_of(&s.watched);
    test_host_fail_in(&s.on.th, number);
    status = request_tail(&s, id, "127.0.0.1", &tail);
    if (test_host_has_failed(&s.on.th) && tail.ends) status = 0;
    test_host_fail_no_more(&s.on.th);
    end(&s, &tail);
    assert_true(number < 1000);
  }
}
