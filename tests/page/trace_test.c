/* SPDX-License-Identifier: MIT */
/* One trace covers a client action, from its request through the render of the page that it refreshes to the write; a
 * dispatch likewise. */
#include "base/trace.h"
#include "event/layout.h"
#include "page/tabs.h"
#include "support/spans.h"

#define TEXT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static spans reported;

/* POST /act changes the heading. POST /say dispatches a signal to the stored stream. */
static vestry_err act(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  s->heading++;
  assert_int_equal(vestry_refresh(s->on.pages, "all", NULL), VESTRY_OK);
  return vestry_reply_status(reply, 204);
}
static vestry_err say(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  const vestry_value *effect = VESTRY_LIST("patch-signals", VESTRY_OBJECT("a", 1));
  assert_int_equal(vestry_dispatch(s->on.v, (vestry_scope){NULL, 0}, VESTRY_KEY("kept"), effect), VESTRY_OK);
  return vestry_reply_status(reply, 204);
}
static vestry_err keep(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("kept"));
  (void)vestry_reply_join(reply, (vestry_scope){NULL, 0}, VESTRY_KEY("all"));
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 100);
}

static void begin(suite *s) {
  tabs_begin(s);
  assert_int_equal(vestry_route(s->on.v, "POST", "/act", act, s), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "POST", "/say", say, s), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/kept", keep, s), VESTRY_OK);
}

/* Forget the spans reported until now. */
static void follow(suite *s) {
  site_settle_pages(&s->on);
  spans_begin(&reported, &s->on.th.host);
}

static void post(suite *s, const char *path, const char *traceparent) {
  const vestry_header header = {"traceparent", traceparent};
  const vestry_memory_call call = {.method = "POST", .path = path, .headers = &header, .headers_count = 1};
  vestry_memory_exchange *answer = site_request(&s->on, &call);
  assert_int_equal(vestry_memory_look(answer).status, 204);
  vestry_memory_destroy(answer);
  site_settle(&s->on);
  site_settle_pages(&s->on);
}

/* capability: L12 */
TEST_CASE(trace_covers_action_render_and_write) {
  suite s;
  tab ada = {0};
  vestry_trace parent;
  begin(&s);
  tabs_open(&s, &ada, "/private", NULL);
  follow(&s);
  test_host_advance_ms(&s.on.th, 1000);
  post(&s, "/act", TEXT);
  assert_int_equal(vsi_trace_read(TEXT, strlen(TEXT), &parent), VESTRY_OK);
  const vestry_span *request = spans_one(&reported, VESTRY_SPAN_REQUEST),
                    *render = spans_one(&reported, VESTRY_SPAN_RENDER),
                    *written = spans_one(&reported, VESTRY_SPAN_WRITE);
  spans_assert_child(request, &parent);
  spans_assert_child(render, &request->trace);
  spans_assert_child(written, &render->trace);
  assert_string_equal(request->name, "POST");
  assert_string_equal(render->name, "/private");
  assert_true(written->count > 0);
  assert_null(vestry_trace_here());
  tabs_end_one(&s, &ada);
}

/* capability: L12 */
TEST_CASE(trace_covers_dispatch_and_write) {
  suite s;
  begin(&s);
  const vestry_memory_call call = {.path = "/kept", .datastar = true};
  vestry_memory_exchange *stream = site_request(&s.on, &call);
  follow(&s);
  post(&s, "/say", "of no version that is known");
  const vestry_span *request = spans_one(&reported, VESTRY_SPAN_REQUEST),
                    *dispatch = spans_one(&reported, VESTRY_SPAN_DISPATCH),
                    *written = spans_one(&reported, VESTRY_SPAN_WRITE);
  static const unsigned char none[8];
  assert_memory_equal(request->parent_id, none, sizeof none);
  spans_assert_child(dispatch, &request->trace);
  spans_assert_child(written, &dispatch->trace);
  assert_string_equal(dispatch->name, "patch-signals");
  assert_int_equal(dispatch->count, 1);
  vestry_memory_destroy(stream);
  site_end(&s.on);
}

/* A thread of the application continues a trace. A trace that is not sampled is not reported, and work without a trace
 * begins one. */
TEST_CASE(thread_continues_the_trace_that_it_enters) {
  suite s;
  tab ada = {0};
  begin(&s);
  tabs_open(&s, &ada, "/private", NULL);
  follow(&s);
  vestry_trace parent;
  assert_int_equal(vsi_trace_read(TEXT, strlen(TEXT), &parent), VESTRY_OK);
  test_host_advance_ms(&s.on.th, 1000);
  s.heading++;
  const vestry_trace *former = vestry_trace_enter(&parent);
  assert_null(former);
  tabs_refresh(&s, "all");
  assert_ptr_equal(vestry_trace_enter(former), &parent);
  site_settle_pages(&s.on);
  spans_assert_child(spans_one(&reported, VESTRY_SPAN_RENDER), &parent);
  spans_begin(&reported, &s.on.th.host);
  s.heading++;
  test_host_advance_ms(&s.on.th, 1000);
  tabs_refresh(&s, "all");
  site_settle_pages(&s.on);
  assert_memory_not_equal(spans_one(&reported, VESTRY_SPAN_RENDER)->trace.trace_id, parent.trace_id,
                          sizeof parent.trace_id);
  spans_begin(&reported, &s.on.th.host);
  test_host_advance_ms(&s.on.th, 1000);
  post(&s, "/act", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
  assert_int_equal(spans_count(&reported, VESTRY_SPAN_REQUEST), 0);
  tabs_end_one(&s, &ada);
}

/* An event sent to many streams reports a limited number of writes. */
TEST_CASE(write_spans_of_one_event_are_limited) {
  enum { MANY = 3 * VESTRY_TRACE_WRITES_MAX };
  suite s;
  vestry_memory_exchange *streams[MANY];
  begin(&s);
  const vestry_memory_call call = {.path = "/kept", .datastar = true};
  for (int i = 0; i < MANY; i++) streams[i] = site_request(&s.on, &call);
  follow(&s);
  vestry_trace parent;
  assert_int_equal(vsi_trace_read(TEXT, strlen(TEXT), &parent), VESTRY_OK);
  vestry_event *event;
  (void)vestry_trace_enter(&parent);
  assert_int_equal(vsi_event_comment(&s.on.th.host, "to all", &event), VESTRY_OK);
  (void)vestry_trace_enter(NULL);
  assert_int_equal(vestry_broadcast(s.on.v, (vestry_scope){NULL, 0}, VESTRY_KEY("all"), event, NULL), VESTRY_OK);
  vestry_event_unref(event);
  site_settle(&s.on);
  assert_int_equal(spans_count(&reported, VESTRY_SPAN_WRITE), VESTRY_TRACE_WRITES_MAX);
  for (int i = 0; i < MANY; i++) vestry_memory_destroy(streams[i]);
  site_end(&s.on);
}

/* Without memory a span is missing, and everything else is done. */
static vestry_err act_once(test_host *th, void *ctx) {
  suite *s = ctx;
  test_host_advance_ms(&s->on.th, 1000);
  s->heading++;
  vestry_trace parent;
  assert_int_equal(vsi_trace_read(TEXT, strlen(TEXT), &parent), VESTRY_OK);
  vestry_event *event;
  (void)vestry_trace_enter(&parent);
  vestry_err error = vsi_event_comment(&s->on.th.host, "once", &event);
  (void)vestry_trace_enter(NULL);
  if (!error) vestry_event_unref(event);
  return error;
}
TEST_CASE(failed_allocation_only_drops_the_write_span) {
  suite s;
  begin(&s);
  follow(&s);
  test_host_fail_each(act_once, &s, true);
  site_end(&s.on);
}
