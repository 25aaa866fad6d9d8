/* SPDX-License-Identifier: MIT */
/* The clock of pages: its attribute, its handler, its times. tests/browser/clock.test.js shows them. */
#include "vestry/app/clock.h"

#include "serve/wire.h"

static int64_t now_of_test(void *ctx) {
  return *(const int64_t *)ctx;
}

static int64_t now = INT64_C(1700000000123);
static vestry_clock given = {.now_ms = now_of_test, .ctx = &now, .url = "/it's"};

/* capability: L19 */
TEST_CASE(attribute_has_the_time_and_the_address) {
  vestry_html html;
  vestry_slice made = {"", 0};
  vestry_html_init(&html, NULL);
  vestry_html_add(&html, "<body ");
  assert_int_equal(vestry_html_clock(&html, &given), VESTRY_OK);
  vestry_html_add(&html, "><p>%s</p></body>", "text");
  assert_int_equal(vestry_html_result(&html, &made), VESTRY_OK);
  static const char begin[] = "<body data-init__clock=\"const at = 1700000000123, url = '";
  const char *text = made.data;
  assert_memory_equal(text, begin, sizeof begin - 1);
  assert_null(strstr(text, "it's"));
  assert_non_null(strstr(text, "window.vestryClock = window.vestryClock || (()=>{"));
  assert_null(strchr(strstr(text, "const at") + 1, '$')); /* the client would take it for a signal */
  assert_non_null(strstr(text, "})()\"><p>text</p></body>"));
  vestry_html_finish(&html);
}

/* capability: L19 */
TEST_CASE(times_are_of_the_clock_or_of_the_system) {
  assert_int_equal(vestry_clock_ms(&given), now);
  const int64_t from = vestry_clock_ms(NULL);
  const int64_t zero = vestry_clock_ms(&(vestry_clock){0});
  assert_true(from > INT64_C(1700000000000) && from <= zero && zero <= vestry_clock_ms(NULL));
  vestry_html html;
  vestry_html_init(&html, NULL);
  vestry_html_add(&html, "<body ");
  assert_int_equal(vestry_html_clock(&html, NULL), VESTRY_OK);
  vestry_html_finish(&html);
}

/* capability: L19 */
TEST_CASE(handler_answers_with_the_time) {
  site w;
  wire r = {.path = "/clock"};
  site_begin(&w, (vestry_options){0});
  wire_request(&w, &r, vestry_clock_handler, &given);
  assert_int_equal(r.status, 200);
  wire_assert_text(&r, "1700000000123");
  assert_non_null(strstr(r.head, "Cache-Control: no-store\n"));
  wires_end(&w, &r);
}
