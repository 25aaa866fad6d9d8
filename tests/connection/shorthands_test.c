/* SPDX-License-Identifier: MIT */
/* Functions that make an event and send it. */
#include "connection/probe.h"
#include "vestry/connection.h"

/* capability: C4 */
BENCH_CASE(formatted_events_are_sent) {
  probe p;
  probe_init(&p);
  vestry_connection *c = bench_connect(b, &p, NULL);
  vsi_connection_start(c);
  bench_run(b);
  vestry_elements_options elements = {.selector = "#a", .mode = VESTRY_PATCH_APPEND};
  vestry_signals_options signals = {.only_if_missing = true};
  assert_int_equal(vestry_connection_patch_elementsf(c, &elements, "<p title='%s'>%d</p>", "'", 4), VESTRY_OK);
  assert_int_equal(vestry_connection_patch_signals(c, VESTRY_OBJECT("a", "b\n"), &signals), VESTRY_OK);
  assert_int_equal(vestry_connection_effects(c, VESTRY_LIST("remove-elements", "#a")), VESTRY_OK);
  assert_int_equal(vestry_connection_patch_signals(c, VESTRY_VALUES("{\"n\":1e999}"), NULL), VESTRY_OK);
  assert_int_equal(vestry_connection_patch_elementsf(c, NULL, "<p title=%s>", "a"), VESTRY_INVALID);
  assert_int_equal(vestry_connection_patch_signals(c, VESTRY_LIST(1), NULL), VESTRY_INVALID);
  bench_run(b);
  probe_assert_got(&p, "event: datastar-patch-elements\ndata: selector #a\ndata: mode append\n"
                       "data: elements <p title='&#39;'>4</p>\n\n"
                       "event: datastar-patch-signals\ndata: onlyIfMissing true\ndata: signals {\"a\":\"b\\n\"}\n\n"
                       "event: datastar-patch-elements\ndata: selector #a\ndata: mode remove\n\n"
                       "event: datastar-patch-signals\ndata: signals {\"n\":1e999}\n\n");
  assert_int_equal(b->th.log_lines, 3); /* of the refused format, and of each of the two calls */
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  assert_int_equal(vestry_connection_patch_elementsf(c, NULL, "<p>"), VESTRY_CLOSED);
  assert_int_equal(vestry_connection_patch_signals(c, &(const vestry_value){.type = VESTRY_VALUE_OBJECT}, NULL),
                   VESTRY_CLOSED);
  bench_run(b);
  vestry_connection_unref(c);
  probe_finish(&p);
}

/* Whichever allocation fails, a failed send leaves nothing in memory. */
BENCH_CASE(failed_formatted_send_leaks_nothing) {
  probe p;
  probe_init(&p);
  vestry_connection *c = bench_connect(b, &p, NULL);
  vsi_connection_start(c);
  bench_run(b);
  for (int kind = 0; kind < 2; kind++) {
    long number = 0;
    for (vestry_err error = VESTRY_NO_MEMORY; error; number++) {
      long live = b->th.live;
      test_host_fail_in(&b->th, number);
      error = kind ? vestry_connection_patch_signals(c, VESTRY_OBJECT("a", 1), NULL)
                   : vestry_connection_patch_elementsf(c, NULL, "<p>%s</p>", "a");
      test_host_fail_no_more(&b->th);
      if (!error) break;
      assert_int_equal(error, VESTRY_NO_MEMORY);
      assert_int_equal(b->th.live, live);
    }
    assert_int_equal(number, kind ? 1 : 2); /* the builder (not for signals), and the event */
  }
  bench_run(b);
  probe_assert_got(&p, "event: datastar-patch-elements\ndata: elements <p>a</p>\n\n"
                       "event: datastar-patch-signals\ndata: signals {\"a\":1}\n\n");
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(b);
  vestry_connection_unref(c);
  probe_finish(&p);
}
