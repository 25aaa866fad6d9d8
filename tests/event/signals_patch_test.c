/* SPDX-License-Identifier: MIT */
#include "event/expect.h"
#include "support/test.h"

#define TYPE "event: datastar-patch-signals\n"

static void expect(const char *json, const vestry_signals_options *options, const char *bytes) {
  vestry_event *event = expect_untouched;
  expect_event(vestry_event_signals_text(NULL, json, strlen(json), options, &event), &event, bytes);
}

static void refuse(const char *json, const vestry_signals_options *options, vestry_err expected) {
  vestry_event *event = expect_untouched;
  expect_error(vestry_event_signals_text(NULL, json, json ? strlen(json) : 0, options, &event), &event, expected);
}

/* capability: C2 */
static void defaults(void **state) {
  (void)state;
  expect("{\"counter\":4}", NULL, TYPE "data: signals {\"counter\":4}\n\n");
  vestry_signals_options options = VESTRY_SIGNALS_OPTIONS_INIT;
  expect("{}", &options, TYPE "data: signals {}\n\n");
}

/* capability: C2 */
static void all_options(void **state) {
  (void)state;
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

/* As the caller wrote it: spaces, duplicates, escapes and numbers that C has no type for. */
/* capability: C2 */
static void text_is_verbatim(void **state) {
  (void)state;
  expect(" {\"a\" : 1e999 , \"a\":123456789012345678901234567890}\r\n", NULL,
         TYPE "data: signals  {\"a\" : 1e999 , \"a\":123456789012345678901234567890}\ndata: signals \n\n");
  expect("{\"a\":\"\\u0000\\ud800\\n\\/\"}", NULL, TYPE "data: signals {\"a\":\"\\u0000\\ud800\\n\\/\"}\n\n");
  expect("{\r\r\n\n}", NULL, TYPE "data: signals {\ndata: signals \ndata: signals \ndata: signals }\n\n");
}

/* What is not JSON the client would run as a program. */
/* capability: C2 */
static void only_json_objects_pass(void **state) {
  (void)state;
  static const char *const bad[] = {
      "",        " ",           "alert(1)",          "[]",          "null",       "\"{}\"",         "{a:1}",
      "{'a':1}", "{\"a\":1,}",  "{\"a\":alert(1)}",  "{} alert(1)", "{}{}",       "{\"a\":\"\n\"}", "{\"a\":\"\xFF\"}",
      "{/**/}",  "{\"a\":NaN}", "{\"a\":undefined}", "{\"a\":01}",  "{\"a\":.5}", "\xEF\xBB\xBF{}"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) refuse(bad[i], NULL, VESTRY_INVALID);
  refuse(NULL, NULL, VESTRY_INVALID);
  vestry_event *event = expect_untouched;
  expect_error(vestry_event_signals_text(NULL, "{}\0", 3, NULL, &event), &event, VESTRY_INVALID);
  expect_error(vestry_event_signals_text(NULL, NULL, 3, NULL, &event), &event, VESTRY_INVALID);
}

static void nesting_is_bounded(void **state) {
  (void)state;
  enum { DEPTH = 256 };
  char json[2 * DEPTH + 8] = "{\"a\":";
  memset(json + 5, '[', DEPTH - 1);
  memset(json + 5 + DEPTH - 1, ']', DEPTH - 1);
  strcpy(json + 5 + 2 * (DEPTH - 1), "}");
  vestry_event *event = expect_untouched;
  assert_int_equal(vestry_event_signals_text(NULL, json, strlen(json), NULL, &event), VESTRY_OK);
  vestry_event_unref(event);
  memset(json + 5, '[', DEPTH);
  memset(json + 5 + DEPTH, ']', DEPTH);
  strcpy(json + 5 + 2 * DEPTH, "}");
  refuse(json, NULL, VESTRY_TOO_LARGE);
}

static void bad_options_are_refused(void **state) {
  (void)state;
  refuse("{}", &(vestry_signals_options){.event.id = "a\ndata: b"}, VESTRY_INVALID);
  refuse("{}", &(vestry_signals_options){.event.id = "\r"}, VESTRY_INVALID);
  refuse("{}", &(vestry_signals_options){.size = 1}, VESTRY_INVALID);
}

static void events_are_bounded(void **state) {
  (void)state;
  size_t len = VESTRY_EVENT_MAX_BYTES;
  char *json = test_malloc(len + 1);
  memset(json, ' ', len + 1);
  json[0] = '{';
  json[len - 1] = '}';
  vestry_event *event = expect_untouched;
  expect_error(vestry_event_signals_text(NULL, json, len, NULL, &event), &event, VESTRY_TOO_LARGE);
  expect_error(vestry_event_signals_text(NULL, json, len + 1, NULL, &event), &event, VESTRY_TOO_LARGE);
  test_free(json);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(defaults),           cmocka_unit_test(all_options),
      cmocka_unit_test(text_is_verbatim),   cmocka_unit_test(only_json_objects_pass),
      cmocka_unit_test(nesting_is_bounded), cmocka_unit_test(bad_options_are_refused),
      cmocka_unit_test(events_are_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
