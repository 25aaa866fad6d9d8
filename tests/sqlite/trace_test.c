/* SPDX-License-Identifier: MIT */
/* A render caused by a request's commit has the request as its parent span, regardless of the following thread and
 * of that thread's own trace. */
#include "base/trace.h"
#include "sqlite/level.h"
#include "sqlite/shown.h"
#include "support/spans.h"

#define TEXT       "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define OTHER_TEXT "00-11111111111111111111111111111111-2222222222222222-01"

static spans recorded;

static vestry_err act(const vestry_request *req, vestry_reply *reply, void *app) {
  shown_site *s = app;
  shown_run(s->writer, "UPDATE bird SET name = name || '!' WHERE id = 1");
  return vestry_reply_status(reply, 204);
}

static void post(shown_site *s, const char *traceparent) {
  const vestry_header header = {"traceparent", traceparent};
  const vestry_memory_call call = {.method = "POST", .path = "/act", .headers = &header, .headers_count = 1};
  vestry_memory_exchange *answer = site_request(&s->on, &call);
  assert_int_equal(vestry_memory_look(answer).status, 204);
  vestry_memory_destroy(answer);
}

static void follow(const char *mode, vestry_sqlite_level level) {
  shown_site s;
  vestry_trace given, other;
  shown_open_with(&s, mode, "CREATE TABLE bird(id INTEGER PRIMARY KEY, name); INSERT INTO bird VALUES(1, 'wren')",
                  (vestry_sqlite_options){.level = level});
  assert_int_equal(vestry_route(s.on.v, "POST", "/act", act, &s), VESTRY_OK);
  size_t page = shown_watch(&s, "SELECT name FROM bird");
  spans_begin(&recorded, &s.on.th.host);
  assert_int_equal(vsi_trace_read(TEXT, strlen(TEXT), &given), VESTRY_OK);
  assert_int_equal(vsi_trace_read(OTHER_TEXT, strlen(OTHER_TEXT), &other), VESTRY_OK);

  post(&s, TEXT);
  assert_null(vestry_trace_enter(&other)); /* the trace of the following thread */
  assert_int_equal(shown_renders(&s, page), 1);
  assert_ptr_equal(vestry_trace_enter(NULL), &other);
  const vestry_span *request = spans_one(&recorded, VESTRY_SPAN_REQUEST);
  spans_assert_child(request, &given);
  spans_assert_child(spans_one(&recorded, VESTRY_SPAN_RENDER), &request->trace);

  /* A render after a commit outside any trace begins a new trace, not the following thread's. */
  spans_begin(&recorded, &s.on.th.host);
  shown_run(s.writer, "UPDATE bird SET name = 'owl' WHERE id = 1");
  assert_null(vestry_trace_enter(&other));
  assert_int_equal(vestry_sqlite_sync(s.database, NULL), VESTRY_OK);
  assert_ptr_equal(vestry_trace_enter(NULL), &other);
  assert_int_equal(shown_renders(&s, page), 1);
  const vestry_span *render = spans_one(&recorded, VESTRY_SPAN_RENDER);
  assert_memory_equal(render->parent_id, (char[sizeof render->parent_id]){0}, sizeof render->parent_id);
  s.on.th.host.tracer = NULL;
  shown_close(&s);
}

/* capability: L12 */
TEST_CASE(render_is_a_child_of_the_committing_request) {
  follow("WAL", VESTRY_SQLITE_TABLES);
  follow("DELETE", VESTRY_SQLITE_TABLES);
}

/* capability: L12 */
TEST_CASE(render_is_a_child_of_the_request_by_file_pages) {
  level_needs_pages();
  follow("WAL", VESTRY_SQLITE_FILE_PAGES);
}

int main(void) {
  level_begin();
  return cases_run("sqlite/trace", NULL, NULL);
}
