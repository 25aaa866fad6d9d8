/* SPDX-License-Identifier: MIT */
#include "event/layout.h"

#include "event/expect.h"
#include "support/test.h"
#include "support/test_host.h"

/* capability: C4 */
TEST_CASE(elements_are_formatted_and_escaped) {
  vestry_event *event = expect_untouched;
  expect_event(vestry_event_elementsf(NULL, NULL, &event, "<p id=\"%s\">%s\n%-s %d</p>", "\"a\"", "<\r>", "<b>", 4),
               &event,
               "event: datastar-patch-elements\ndata: elements <p id=\"&quot;a&quot;\">&lt;&#13;&gt;\n"
               "data: elements <b> 4</p>\n\n");
  vestry_elements_options options = {.selector = "#a", .mode = VESTRY_PATCH_INNER};
  expect_event(vestry_event_elementsf(NULL, &options, &event, "%s", ""), &event,
               "event: datastar-patch-elements\ndata: selector #a\ndata: mode inner\n\n");
  options.selector = "a\nb";
  event = expect_untouched;
  expect_error(vestry_event_elementsf(NULL, &options, &event, "<p>"), &event, VESTRY_INVALID);
}

/* capability: C4 */
HOST_CASE(refused_format_is_logged_with_its_offset) {
  vestry_event *event = expect_untouched;
  expect_error(vestry_event_elementsf(&th->host, NULL, &event, "<p %s>", "a"), &event, VESTRY_INVALID);
  assert_int_equal(th->log_lines, 1);
  assert_non_null(strstr(th->last_log, "byte 3 of the format, after <p : "));
  assert_non_null(strstr(th->last_log, "inside a tag"));
}

/* capability: C4 */
TEST_CASE(signals_are_written_from_values) {
  vestry_event *event = expect_untouched;
  expect_event(vestry_event_signals(NULL, VESTRY_OBJECT("a", 1, "b", "\n\"", "c", vestry_value_null()), NULL, &event),
               &event, "event: datastar-patch-signals\ndata: signals {\"a\":1,\"b\":\"\\n\\\"\",\"c\":null}\n\n");
  vestry_signals_options options = {.only_if_missing = true};
  expect_event(vestry_event_signals(NULL, &(const vestry_value){.type = VESTRY_VALUE_OBJECT}, &options, &event), &event,
               "event: datastar-patch-signals\ndata: onlyIfMissing true\ndata: signals {}\n\n");
  event = expect_untouched;
  expect_error(vestry_event_signals(NULL, VESTRY_LIST(1), NULL, &event), &event, VESTRY_INVALID);
  expect_error(vestry_event_signals(NULL, VESTRY_VALUES(1), NULL, &event), &event, VESTRY_INVALID);
  expect_error(vestry_event_signals(NULL, VESTRY_OBJECT("a", (const char *)NULL), NULL, &event), &event,
               VESTRY_INVALID);
  expect_error(vestry_event_signals(NULL, &(const vestry_value){.count = 0}, NULL, &event), &event, VESTRY_INVALID);
  expect_error(vestry_event_signals(NULL, NULL, NULL, &event), &event, VESTRY_INVALID);
  expect_error(vestry_event_signals(NULL, VESTRY_OBJECT("a", "\xFF"), NULL, &event), &event, VESTRY_INVALID);
  options.event.id = "a\nb";
  expect_error(vestry_event_signals(NULL, &(const vestry_value){.type = VESTRY_VALUE_OBJECT}, &options, &event), &event,
               VESTRY_INVALID);
}

static vestry_err build(test_host *th, void *ctx) {
  vestry_event *event;
  vestry_err error = vestry_event_elementsf(&th->host, NULL, &event, "<p>%s%500d", "a", 1);
  if (!error) vestry_event_unref(event);
  if (!error) error = vestry_event_signals(&th->host, VESTRY_OBJECT("a", "b"), NULL, &event);
  if (!error) vestry_event_unref(event);
  return error;
}

TEST_CASE(failed_allocation_is_reported) {
  test_host_fail_each(build, NULL, false);
}
