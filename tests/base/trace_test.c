/* SPDX-License-Identifier: MIT */
/* Traces as text, sent by untrusted clients; nested spans; sampling. */
#include "base/trace.h"

#include <stdlib.h>

#include "support/spans.h"
#include "support/test_host.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"
#define TEXT  "00-" TRACE "-" SPAN "-01"

static vestry_err read_text(const char *text, vestry_trace *ret_trace) {
  size_t len = strlen(text);
  char *exact = malloc(len ? len : 1); /* a sanitizer detects a byte that is read after it */
  assert_non_null(exact);
  memcpy(exact, text, len);
  vestry_err error = vsi_trace_read(exact, len, ret_trace);
  free(exact);
  return error;
}

/* capability: L12 */
TEST_CASE(traces_round_trip) {
  vestry_trace trace;
  char text[VESTRY_TRACE_TEXT_BYTES];
  static const char *const good[] = {TEXT, "00-" TRACE "-" SPAN "-00"};
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(read_text(good[i], &trace), VESTRY_OK);
    assert_int_equal(trace.is_sampled, i == 0);
    vestry_trace_write(&trace, text);
    assert_string_equal(text, good[i]);
  }
  /* Of a later version, the known fields count; unknown flags are ignored. */
  assert_int_equal(read_text("cc-" TRACE "-" SPAN "-03-and more", &trace), VESTRY_OK);
  assert_true(trace.is_sampled);
  vestry_trace_write(&trace, text);
  assert_string_equal(text, TEXT);
}

/* capability: L12 */
TEST_CASE(malformed_traces_are_refused) {
  static const char *const bad[] = {
      "",
      "0",
      "00-" TRACE "-" SPAN,
      "00-" TRACE "-" SPAN "-",
      "00-" TRACE "-" SPAN "-0",
      "00-" TRACE "-" SPAN "-0g",
      TEXT "-more",
      TEXT " ",
      "cc-" TRACE "-" SPAN "-01more",
      "ff-" TRACE "-" SPAN "-01",
      "0G-" TRACE "-" SPAN "-01",
      "00_" TRACE "-" SPAN "-01",
      "00-" TRACE "_" SPAN "-01",
      "00-" TRACE "-" SPAN "_01",
      "00-00000000000000000000000000000000-" SPAN "-01",
      "00-" TRACE "-0000000000000000-01",
      "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
      "00-" TRACE "-\x80\xff"
      "f067aa0ba902b7-01",
  };
  vestry_trace trace, untouched;
  memset(&trace, 7, sizeof trace);
  memcpy(&untouched, &trace, sizeof trace);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(read_text(bad[i], &trace), VESTRY_MALFORMED);
  assert_int_equal(vsi_trace_read(NULL, 0, &trace), VESTRY_MALFORMED);
  assert_memory_equal(&trace, &untouched, sizeof trace);
  for (size_t len = 0; len < strlen(TEXT); len++) {
    char text[] = TEXT;
    text[len] = '\0';
    assert_int_equal(read_text(text, &trace), VESTRY_MALFORMED);
  }
}

HOST_CASE(spans_nest) {
  spans reported;
  vsi_span outer, inner;
  vestry_trace parent;
  spans_begin(&reported, &th->host);
  assert_null(vestry_trace_here());
  assert_int_equal(read_text(TEXT, &parent), VESTRY_OK);
  vsi_span_begin(&outer, &th->host, VESTRY_SPAN_REQUEST, &parent);
  test_host_advance_ms(th, 2);
  vsi_span_begin(&inner, &th->host, VESTRY_SPAN_DISPATCH, NULL);
  assert_ptr_equal(vestry_trace_here(), &inner.record.trace);
  test_host_advance_ms(th, 3);
  vsi_span_end(&inner, "say", 4, VESTRY_FULL);
  assert_ptr_equal(vestry_trace_here(), &outer.record.trace);
  vsi_span_end(&outer, NULL, 0, VESTRY_OK);
  assert_null(vestry_trace_here());
  assert_int_equal(reported.count, 2);
  spans_assert_child(&reported.all[0], &reported.all[1].trace);
  spans_assert_child(&reported.all[1], &parent);
  assert_string_equal(reported.names[0], "say");
  assert_int_equal(reported.all[0].error, VESTRY_FULL);
  assert_int_equal(reported.all[0].count, 4);
  assert_int_equal(reported.all[0].ended_ns - reported.all[0].begun_ns, 3000000);
  assert_int_equal(reported.all[1].ended_ns - reported.all[1].begun_ns, 5000000);
  assert_string_equal(reported.names[1], "");
}

/* One in four of the traces that begin here is sampled; a received trace carries its own flag. */
TEST_CASE(one_in_four_new_traces_is_sampled) {
  enum { ROUNDS = 4000 };
  test_host th;
  spans reported;
  vsi_span outer, inner;
  test_host_init(&th);
  spans_begin(&reported, &th.host);
  reported.tracer.one_in = 4;
  for (int i = 0; i < ROUNDS; i++) {
    vsi_span_begin(&outer, &th.host, VESTRY_SPAN_REQUEST, NULL);
    vsi_span_begin(&inner, &th.host, VESTRY_SPAN_DISPATCH, NULL);
    assert_int_equal(vsi_trace_carried(&th.host) != NULL, outer.record.trace.is_sampled);
    vsi_span_end(&inner, NULL, 0, VESTRY_OK);
    vsi_span_end(&outer, NULL, 0, VESTRY_OK);
  }
  assert_in_range(reported.count, 2 * ROUNDS / 5, 2 * ROUNDS / 3);
  assert_int_equal(reported.count % 2, 0);
  size_t before = reported.count;
  vestry_trace parent;
  assert_int_equal(read_text("00-" TRACE "-" SPAN "-00", &parent), VESTRY_OK);
  for (int i = 0; i < 100; i++) {
    parent.is_sampled = i % 2;
    vsi_span_begin(&outer, &th.host, VESTRY_SPAN_REQUEST, &parent);
    vsi_span_end(&outer, NULL, 0, VESTRY_OK);
  }
  assert_int_equal(reported.count, before + 50);
  test_host_assert_clean(&th);
}

HOST_CASE(without_tracer_no_span_is_recorded) {
  spans reported;
  vsi_span span;
  spans_begin(&reported, &th->host);
  th->host.tracer = NULL;
  vsi_span_begin(&span, &th->host, VESTRY_SPAN_REQUEST, NULL);
  assert_null(vestry_trace_here());
  vsi_span_end(&span, NULL, 0, VESTRY_OK);
  th->host.tracer = &reported.tracer;
  vsi_span_begin(&span, &th->host, VESTRY_SPAN_REQUEST, NULL);
  th->host.tracer = NULL;
  vsi_span_end(&span, NULL, 0, VESTRY_OK);
  assert_null(vestry_trace_here());
  assert_int_equal(reported.count, 0);
}
