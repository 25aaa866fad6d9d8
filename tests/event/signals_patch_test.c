/* SPDX-License-Identifier: MIT */
#include "event/expect.h"
#include "event/layout.h"
#include "support/test.h"

#define TYPE "event: datastar-patch-signals\n"

static void expect(const char *json, const vestry_signals_options *options, const char *bytes) {
  vestry_event *event = expect_untouched;
  expect_event(vsi_event_signals_text(NULL, json, strlen(json), options, &event), &event, bytes);
}

static void refuse(const char *json, const vestry_signals_options *options, vestry_err expected) {
  vestry_event *event = expect_untouched;
  expect_error(vsi_event_signals_text(NULL, json, json ? strlen(json) : 0, options, &event), &event, expected);
}

/* capability: C2 */
TEST_CASE(signals_without_options_are_one_line) {
  expect("{\"counter\":4}", NULL, TYPE "data: signals {\"counter\":4}\n\n");
  vestry_signals_options options = {0};
  expect("{}", &options, TYPE "data: signals {}\n\n");
}

/* capability: C2 */
TEST_CASE(each_option_writes_its_line) {
  vestry_signals_options options = {.event = {.id = "event1", .retry_ms = 2000}, .only_if_missing = true};
  expect("{\"one\":1,\n \"two\":2}", &options,
         TYPE "id: event1\n"
              "retry: 2000\n"
              "data: onlyIfMissing true\n"
              "data: signals {\"one\":1,\n"
              "data: signals  \"two\":2}\n\n");
  expect("{}", &(vestry_signals_options){.only_if_missing = true},
         TYPE "data: onlyIfMissing true\ndata: signals {}\n\n");
  expect("{}", &(vestry_signals_options){.event.id = ""}, TYPE "id:\ndata: signals {}\n\n");
}

/* As the caller wrote it: spaces, duplicates, escapes, and numbers beyond all C types. */
/* capability: C2 */
TEST_CASE(json_text_is_sent_unchanged) {
  expect(" {\"a\" : 1e999 , \"a\":123456789012345678901234567890}\r\n", NULL,
         TYPE "data: signals  {\"a\" : 1e999 , \"a\":123456789012345678901234567890}\ndata: signals \n\n");
  expect("{\"a\":\"\\u0000\\ud800\\n\\/\"}", NULL, TYPE "data: signals {\"a\":\"\\u0000\\ud800\\n\\/\"}\n\n");
  expect("{\r\r\n\n}", NULL, TYPE "data: signals {\ndata: signals \ndata: signals \ndata: signals }\n\n");
}

/* The client would run text that is not JSON as JavaScript. */
/* capability: C2 */
TEST_CASE(text_that_is_no_json_object_is_refused) {
  static const char *const bad[] = {
      "",        " ",           "alert(1)",          "[]",          "null",       "\"{}\"",         "{a:1}",
      "{'a':1}", "{\"a\":1,}",  "{\"a\":alert(1)}",  "{} alert(1)", "{}{}",       "{\"a\":\"\n\"}", "{\"a\":\"\xFF\"}",
      "{/**/}",  "{\"a\":NaN}", "{\"a\":undefined}", "{\"a\":01}",  "{\"a\":.5}", "\xEF\xBB\xBF{}"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) refuse(bad[i], NULL, VESTRY_INVALID);
  refuse(NULL, NULL, VESTRY_INVALID);
  vestry_event *event = expect_untouched;
  expect_error(vsi_event_signals_text(NULL, "{}\0", 3, NULL, &event), &event, VESTRY_INVALID);
  expect_error(vsi_event_signals_text(NULL, NULL, 3, NULL, &event), &event, VESTRY_INVALID);
}

TEST_CASE(nesting_over_256_levels_is_too_large) {
  enum { DEPTH = 256 };
  char json[2 * DEPTH + 8] = "{\"a\":";
  memset(json + 5, '[', DEPTH - 1);
  memset(json + 5 + DEPTH - 1, ']', DEPTH - 1);
  strcpy(json + 5 + 2 * (DEPTH - 1), "}");
  vestry_event *event = expect_untouched;
  assert_int_equal(vsi_event_signals_text(NULL, json, strlen(json), NULL, &event), VESTRY_OK);
  vestry_event_unref(event);
  memset(json + 5, '[', DEPTH);
  memset(json + 5 + DEPTH, ']', DEPTH);
  strcpy(json + 5 + 2 * DEPTH, "}");
  refuse(json, NULL, VESTRY_TOO_LARGE);
}

TEST_CASE(bad_options_are_refused) {
  refuse("{}", &(vestry_signals_options){.event.id = "a\ndata: b"}, VESTRY_INVALID);
  refuse("{}", &(vestry_signals_options){.event.id = "\r"}, VESTRY_INVALID);
}

TEST_CASE(event_over_size_limit_is_too_large) {
  size_t len = VESTRY_EVENT_MAX_BYTES;
  char *json = test_malloc(len + 1);
  memset(json, ' ', len + 1);
  json[0] = '{';
  json[len - 1] = '}';
  vestry_event *event = expect_untouched;
  expect_error(vsi_event_signals_text(NULL, json, len, NULL, &event), &event, VESTRY_TOO_LARGE);
  expect_error(vsi_event_signals_text(NULL, json, len + 1, NULL, &event), &event, VESTRY_TOO_LARGE);
  test_free(json);
}
