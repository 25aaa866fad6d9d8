/* SPDX-License-Identifier: MIT */
#include "vestry/testing/memory.h"

#include <stdlib.h>

#include "support/test.h"
#include "support/test_host.h"
#include "testing/contract/recorder.h"
#include "testing/contract/suites.h"
#include "testing/memory_seam.h"

/* A stepped instance with one stream. */
typedef struct desk {
  test_host th;
  vestry *v;
  vsi_recorder recorder;
  vestry_memory_exchange *exchange;
  vestry_connection *connection; /* borrowed */
} desk;

static vestry_err open_stream(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_connection_hooks hooks = vsi_recorder_hooks(app);
  vestry_reply_stream(reply, &(vestry_stream_options){.hooks = &hooks});
  return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
}

static void desk_open(desk *d) {
  test_host_init(&d->th);
  vsi_recorder_init(&d->recorder);
  vestry_options options = {.host = &d->th.host, .threads_count = VESTRY_THREADS_NONE};
  assert_int_equal(vestry_create(&options, &d->v), VESTRY_OK);
  assert_int_equal(
      vestry_memory_request(d->v, &(vestry_memory_call){.datastar = true}, open_stream, &d->recorder, &d->exchange),
      VESTRY_OK);
  d->connection = vestry_memory_look(d->exchange).connection;
  assert_non_null(d->connection);
}

static void desk_close(desk *d) {
  vestry_memory_destroy(d->exchange);
  vestry_destroy(d->v);
  vsi_recorder_finish(&d->recorder);
  test_host_assert_clean(&d->th);
}

static void send(desk *d, const char *json) {
  assert_int_equal(vestry_connection_patch_signals(d->connection, VESTRY_VALUES(json), NULL), VESTRY_OK);
}

static void assert_received(desk *d, const char *text) {
  vestry_slice got = vestry_memory_look(d->exchange).received;
  assert_string_equal(got.data, text);
  assert_int_equal(got.len, strlen(text));
}

#define EVENT(json) "event: datastar-patch-signals\ndata: signals " json "\n\n"

#define DESK_CASE(name) TEST_CASE_WITH(name, desk, d, desk_open(d), desk_close(d))

/* capability: C15 */
DESK_CASE(head_is_written_when_the_runtime_runs) {
  assert_int_equal(vestry_memory_look(d->exchange).status, 0);
  assert_null(vestry_memory_header(d->exchange, "Content-Type", 0));
  vestry_memory_settle(d->v);
  assert_int_equal(vestry_memory_look(d->exchange).status, 200);
  assert_string_equal(vestry_memory_header(d->exchange, "content-type", 0), "text/event-stream");
  assert_int_equal(vestry_memory_look(d->exchange).writes_count, 0);
  assert_received(d, "");
  assert_false(vestry_memory_look(d->exchange).ended);
}

/* capability: C15 */
DESK_CASE(queued_events_are_one_write) {
  for (int i = 0; i < 5; i++) send(d, "{\"a\":1}");
  vestry_memory_settle(d->v);
  assert_int_equal(vestry_memory_look(d->exchange).writes_count, 1); /* all queued events */
  send(d, "{\"a\":1}");
  vestry_memory_settle(d->v);
  assert_int_equal(vestry_memory_look(d->exchange).writes_count, 2);
}

/* capability: C15 */
DESK_CASE(blocked_exchange_receives_events_when_it_reads) {
  vestry_memory_mode_set(d->exchange, VESTRY_MEMORY_BLOCKS);
  send(d, "{\"a\":1}");
  vestry_memory_settle(d->v);
  assert_int_equal(vestry_memory_look(d->exchange).status, 200); /* a head is always accepted */
  send(d, "{\"b\":2}");
  vestry_memory_settle(d->v);
  assert_received(d, "");
  assert_int_equal(vestry_memory_look(d->exchange).writes_count, 0);
  vestry_memory_mode_set(d->exchange, VESTRY_MEMORY_READS);
  vestry_memory_settle(d->v);
  assert_received(d, EVENT("{\"a\":1}") EVENT("{\"b\":2}"));
}

/* The counts of superseded events, of two streams and in the sums of the instance, also after one stream has ended. */
/* capability: F3 */
HOST_CASE(f3_instance_counts_superseded_events) {
  static const char *const states[] = {"a", "b", "a", NULL, "a"};
  vsi_recorder w;
  vestry *v = NULL;
  vestry_memory_exchange *exchanges[2];
  vsi_recorder_init(&w);
  assert_int_equal(vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v),
                   VESTRY_OK);
  for (int i = 0; i < 2; i++) {
    vestry_memory_call call = {.datastar = true};
    assert_int_equal(vestry_memory_request(v, &call, open_stream, &w, &exchanges[i]), VESTRY_OK);
    vestry_connection *connection = vestry_memory_look(exchanges[i]).connection;
    for (size_t k = 0; k < sizeof states / sizeof *states; k++) {
      const vestry_elements_options shows = {.state = states[k]};
      assert_int_equal(vestry_connection_patch_elementsf(connection, &shows, "<div id=\"a\">%zu</div>", k), VESTRY_OK);
    }
    vestry_memory_settle(v);
    vestry_connection_stats stats = {0};
    vestry_connection_stats_get(connection, &stats);
    assert_int_equal(stats.conflated_count, 1); /* the first; the third stays for the fence after it */
  }
  vestry_memory_mode_set(exchanges[0], VESTRY_MEMORY_HANGS_UP);
  vestry_memory_settle(v);
  vestry_stats all = {0};
  vestry_stats_get(v, &all);
  assert_int_equal(all.open_count, 1);
  assert_int_equal(all.conflated_count, 2);
  for (int i = 0; i < 2; i++) vestry_memory_destroy(exchanges[i]);
  vestry_destroy(v);
  vsi_recorder_finish(&w);
}

DESK_CASE(trickling_exchange_receives_one_byte_per_write) {
  vestry_memory_mode_set(d->exchange, VESTRY_MEMORY_TRICKLES);
  send(d, "{\"a\":1}");
  send(d, "{\"b\":2}");
  vestry_memory_settle(d->v);
  assert_received(d, EVENT("{\"a\":1}") EVENT("{\"b\":2}"));
  assert_int_equal(vestry_memory_look(d->exchange).writes_count, strlen(EVENT("{\"a\":1}") EVENT("{\"b\":2}")));
  vestry_connection_close(d->connection, VESTRY_CAUSE_CLOSED);
  vestry_memory_settle(d->v);
  bool clean = vestry_memory_look(d->exchange).clean;
  assert_true(vestry_memory_look(d->exchange).ended);
  assert_true(clean);
}

static void ends_for(vestry_memory_mode mode, bool opened, vestry_cause cause) {
  desk d;
  desk_open(&d);
  if (opened) vestry_memory_settle(d.v);
  vestry_memory_mode_set(d.exchange, mode);
  send(&d, "{\"a\":1}");
  vestry_memory_settle(d.v);
  bool clean = vestry_memory_look(d.exchange).clean;
  assert_true(vestry_memory_look(d.exchange).ended);
  assert_false(clean);
  assert_int_equal(vestry_memory_look(d.exchange).status, opened ? 200 : 0);
  assert_int_equal(vestry_connection_look(d.connection).cause, cause);
  assert_int_equal(vsi_recorder_closed(&d.recorder), 1);
  desk_close(&d);
}

/* capability: C15 */
TEST_CASE(stall_and_failure_end_the_stream) {
  ends_for(VESTRY_MEMORY_STALLS, true, VESTRY_CAUSE_STALLED);
  ends_for(VESTRY_MEMORY_STALLS, false, VESTRY_CAUSE_STALLED);
  ends_for(VESTRY_MEMORY_FAILS, true, VESTRY_CAUSE_ERROR);
  ends_for(VESTRY_MEMORY_FAILS, false, VESTRY_CAUSE_ERROR);
}

/* capability: C15 */
TEST_CASE(hangup_ends_the_stream_before_or_after_open) {
  for (int settled = 0; settled < 2; settled++) {
    desk d;
    desk_open(&d);
    if (settled) vestry_memory_settle(d.v);
    vestry_memory_mode_set(d.exchange, VESTRY_MEMORY_HANGS_UP);
    vestry_memory_settle(d.v);
    bool clean = vestry_memory_look(d.exchange).clean;
    assert_true(vestry_memory_look(d.exchange).ended);
    assert_false(clean);
    assert_int_equal(vestry_connection_look(d.connection).cause, VESTRY_CAUSE_HANGUP);
    desk_close(&d);
  }
}

TEST_CASE(exchange_is_destroyed_before_or_after_the_instance) {
  desk d;
  desk_open(&d);
  vestry_memory_settle(d.v);
  vestry_memory_destroy(d.exchange); /* the stream is closed, but no hook has run */
  assert_int_equal(vsi_recorder_closed(&d.recorder), 0);
  vestry_memory_settle(d.v);
  assert_int_equal(vsi_recorder_closed(&d.recorder), 1);
  assert_int_equal(
      vestry_memory_request(d.v, &(vestry_memory_call){.datastar = true}, open_stream, &d.recorder, &d.exchange),
      VESTRY_OK);
  vestry_destroy(d.v);
  bool clean = vestry_memory_look(d.exchange).clean;
  assert_true(vestry_memory_look(d.exchange).ended);
  assert_false(clean);
  vestry_memory_destroy(d.exchange);
  vestry_memory_destroy(NULL);
  vsi_recorder_finish(&d.recorder);
  test_host_assert_clean(&d.th);
}

static vestry_err answer(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_slice body = req->body;
  return vestry_reply_body(reply, "text/plain", body.data, body.len);
}

DESK_CASE(call_without_options_gets_the_root) {
  vestry_memory_exchange *plain = NULL;
  assert_int_equal(vestry_memory_request(d->v, NULL, answer, NULL, &plain), VESTRY_OK);
  assert_int_equal(vestry_memory_look(plain).status, 200);
  assert_null(vestry_memory_look(plain).connection);
  assert_false(vestry_memory_look(plain).ended);
  assert_int_equal(vestry_memory_look(plain).received.len, 0);
  vestry_memory_destroy(plain);
}

/* From creation to destruction: if an allocation fails, the request is answered or fails, and nothing is leaked. */
static vestry_err live(test_host *th, void *ctx) {
  vestry_options options = {.host = &th->host, .threads_count = VESTRY_THREADS_NONE};
  vestry *v = NULL;
  vestry_err error = vestry_create(&options, &v);
  if (error) return error;
  vsi_recorder w;
  vsi_recorder_init(&w);
  vestry_memory_exchange *exchange = NULL;
  error = vestry_memory_request(v, &(vestry_memory_call){.datastar = true}, open_stream, &w, &exchange);
  if (!error) {
    vestry_memory_settle(v);
    vestry_connection *connection = vestry_memory_look(exchange).connection;
    if (connection) {
      error = vestry_connection_patch_signals(connection, VESTRY_VALUES("{\"a\":1}"), NULL);
      vestry_memory_settle(v);
      if (!error && vestry_connection_look(connection).cause == VESTRY_CAUSE_ERROR) error = VESTRY_NO_MEMORY;
      if (!error) assert_string_equal(vestry_memory_look(exchange).received.data, EVENT("{\"a\":1}"));
    } else {
      assert_int_equal(vestry_memory_look(exchange).status, 500);
      error = VESTRY_NO_MEMORY;
    }
  } else {
    assert_null(exchange);
    error = VESTRY_NO_MEMORY; /* if even the answer cannot be allocated: IO */
  }
  vestry_memory_destroy(exchange);
  vestry_destroy(v);
  vsi_recorder_finish(&w);
  return error;
}

TEST_CASE(failed_allocation_is_answered_or_reported) {
  test_host_fail_each(live, NULL, false);
}

/* With pool threads: exchanges are destroyed while the pool runs their streams. */
HOST_CASE(exchange_is_destroyed_while_the_pool_runs) {
  vsi_recorder w;
  vsi_recorder_init(&w);
  vestry *v = NULL;
  assert_int_equal(vestry_create(&(vestry_options){.host = &th->host, .threads_count = 2}, &v), VESTRY_OK);
  for (int i = 0; i < 500; i++) {
    vestry_memory_exchange *exchange = NULL;
    assert_int_equal(vestry_memory_request(v, &(vestry_memory_call){.datastar = true}, open_stream, &w, &exchange),
                     VESTRY_OK);
    vestry_connection *connection = vestry_memory_look(exchange).connection;
    if (i % 3 == 1) vestry_memory_mode_set(exchange, VESTRY_MEMORY_TRICKLES);
    for (int n = 0; n < 5; n++) vestry_connection_patch_signals(connection, VESTRY_VALUES("{\"a\":1}"), NULL);
    if (i % 3 == 2) vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
    (void)vestry_memory_look(exchange).status;
    vestry_memory_destroy(exchange);
  }
  assert_int_equal(vestry_stop(v, 60000), VESTRY_OK);
  assert_int_equal(vsi_recorder_closed(&w), 500);
  vestry_stats stats = {0};
  vestry_stats_get(v, &stats);
  assert_int_equal(stats.opened_count, 500);
  assert_int_equal(stats.closed_count, 500);
  assert_int_equal(stats.accepted_count, stats.written_count + stats.discarded_count);
  vestry_destroy(v);
  vsi_recorder_finish(&w);
}

static vestry_err open_narrow(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_stream(
      reply, &(vestry_stream_options){.connection = &(vestry_connection_options){.max_queued_bytes = 4 * 1000}});
  return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
}

/* A page reads one byte at a time: bytes in transit must not fill the queue. */
TEST_CASE(trickling_page_receives_the_last_state) {
  enum { LEN = 850, MORPHS = 2000 };
  desk d;
  char html[LEN + 1], last[32];
  test_host_init(&d.th);
  const vestry_options options = {.host = &d.th.host, .threads_count = VESTRY_THREADS_NONE};
  assert_int_equal(vestry_create(&options, &d.v), VESTRY_OK);
  assert_int_equal(vestry_memory_request(d.v, &(vestry_memory_call){.datastar = true}, open_narrow, NULL, &d.exchange),
                   VESTRY_OK);
  d.connection = vestry_memory_look(d.exchange).connection;
  vestry_memory_settle(d.v);
  vestry_memory_mode_set(d.exchange, VESTRY_MEMORY_TRICKLES);
  for (int i = 1; i <= MORPHS; i++) {
    int len = snprintf(html, sizeof html, "<div id=\"a\">%d</div>", i);
    memset(html + len, ' ', (size_t)(LEN - len));
    const vestry_elements_options shows = {.state = "a"};
    assert_int_equal(vestry_connection_patch_elements(d.connection, html, LEN, &shows), VESTRY_OK);
    for (int step = 0; step < i % 7; step++) (void)vestry_runtime_step(vestry_parts_of(d.v)->runtime);
  }
  vestry_memory_mode_set(d.exchange, VESTRY_MEMORY_READS);
  vestry_memory_settle(d.v);
  snprintf(last, sizeof last, ">%d</div>", MORPHS);
  assert_non_null(strstr(vestry_memory_look(d.exchange).received.data, last));
  vestry_memory_destroy(d.exchange);
  vestry_destroy(d.v);
  test_host_assert_clean(&d.th);
}

static vestry_err show_forwarded(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *value = vestry_request_header(req, "X-Forwarded-For");
  return vestry_reply_bodyf(reply, "%s", value ? value : "");
}

TEST_CASE(lines_of_a_proxy_are_joined) {
  static const vestry_header lines[] = {{"X-Forwarded-For", "192.0.2.1"}, {"x-forwarded-for", "198.51.100.7"}};
  vestry *v;
  vestry_memory_exchange *exchange;
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &v), VESTRY_OK);
  const vestry_memory_call call = {.headers = lines, .headers_count = 2};
  assert_int_equal(vestry_memory_request(v, &call, show_forwarded, NULL, &exchange), VESTRY_OK);
  assert_string_equal(vestry_memory_look(exchange).received.data, "192.0.2.1, 198.51.100.7");
  vestry_memory_destroy(exchange);
  vestry_destroy(v);
}

int main(void) {
  int failed = cases_run("memory adapter", NULL, NULL);
  vsi_seam = &memory_seam;
  return failed + (int)vsi_suite_run(&vsi_requests_suite, &(vsi_runner){.title = "memory"});
}
