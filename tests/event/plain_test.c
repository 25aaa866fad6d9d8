/* SPDX-License-Identifier: MIT */
/* capability: K14 */
#include <stdlib.h>

#include "event/expect.h"
#include "event/layout.h"
#include "event/script.h"
#include "support/test.h"

static void expect_len(const char *name, const char *data, size_t len, const vestry_event_options *options,
                       const char *bytes) {
  vestry_event *event = expect_untouched;
  expect_event(vsi_event_plain(NULL, name, data, len, options, &event), &event, bytes);
}

static void expect(const char *name, const char *data, const char *bytes) {
  expect_len(name, data, strlen(data), NULL, bytes);
}

static void refuse(const char *name, const char *data, size_t len, const char *id) {
  vestry_event *event = expect_untouched;
  vestry_event_options options = {.id = id};
  expect_error(vsi_event_plain(NULL, name, data, len, &options, &event), &event, VESTRY_INVALID);
}

TEST_CASE(name_and_each_data_line_are_written) {
  expect("reading", "{\"t\":21}", "event: reading\ndata: {\"t\":21}\n\n");
  expect(NULL, "a", "data: a\n\n");
  expect("", "a", "data: a\n\n");
  expect("two words: x", "", "event: two words: x\ndata: \n\n");
  expect_len("n", NULL, 0, NULL, "event: n\ndata: \n\n");
  expect("n", "a\nb\rc\r\nd\n", "event: n\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n");
  expect("n", " a\n\n:b\nevent: c", "event: n\ndata:  a\ndata: \ndata: :b\ndata: event: c\n\n");
}

TEST_CASE(id_and_retry_are_written) {
  expect_len("n", "a", 1, &(vestry_event_options){.id = "7", .retry_ms = 1000},
             "event: n\nid: 7\nretry: 1000\ndata: a\n\n");
  expect_len("n", "a", 1, &(vestry_event_options){.id = "", .retry_ms = 5}, "event: n\nid:\nretry: 5\ndata: a\n\n");
}

/* A name chosen by a user cannot make an event that the Datastar client acts on. */
TEST_CASE(line_breaks_and_datastar_names_are_refused) {
  refuse("a\nb", "", 0, NULL);
  refuse("a\rb", "", 0, NULL);
  refuse("a", "", 0, "1\n2");
  refuse("datastar-patch-elements", "", 0, NULL);
  refuse("datastar", "", 0, NULL);
  refuse("datastar-of-tomorrow", "", 0, NULL);
  vestry_event *event = expect_untouched;
  char *large = calloc(1, VESTRY_EVENT_MAX_BYTES);
  assert_non_null(large);
  expect_error(vsi_event_plain(NULL, "a", large, VESTRY_EVENT_MAX_BYTES, NULL, &event), &event, VESTRY_TOO_LARGE);
  free(large);
}

/* One rule for the texts of all events: only signals, which the client could run as JavaScript, are checked. */
TEST_CASE(bytes_of_texts_pass_unchanged) {
  static const char *const texts[] = {"\xff", "a\xe2", "\xc0\x80", "\xed\xa0\x80", "NUL:"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    char bytes[16] = "", json[32];
    size_t len = strlen(strcpy(bytes, texts[i]));
    if (i == 4) len++; /* with the terminator */
    vestry_event *events[3] = {NULL};
    assert_int_equal(vsi_event_plain(NULL, "n", bytes, len, NULL, &events[0]), VESTRY_OK);
    assert_int_equal(vestry_event_elements(NULL, bytes, len, NULL, &events[1]), VESTRY_OK);
    assert_int_equal(vsi_event_script(NULL, bytes, len, &(vsi_script_options){0}, &events[2]), VESTRY_OK);
    for (int e = 0; e < 3; e++) {
      const vestry_slice made = vestry_event_bytes(events[e]);
      assert_non_null(memmem(made.data, made.len, bytes, len));
      vestry_event_unref(events[e]);
    }
    vestry_event *none = NULL;
    memcpy(json, "{\"a\":\"", 6);
    memcpy(json + 6, bytes, len);
    memcpy(json + 6 + len, "\"}", 2);
    assert_int_equal(vsi_event_signals_text(NULL, json, len + 8, NULL, &none), VESTRY_INVALID);
    assert_null(none);
  }
}
