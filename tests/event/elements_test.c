/* SPDX-License-Identifier: MIT */
#include "event/expect.h"
#include "event/extras.h"
#include "event/layout.h"
#include "support/test.h"

#define TYPE "event: datastar-patch-elements\n"

static void expect(const char *html, const vestry_elements_options *options, const char *bytes) {
  vestry_event *event = expect_untouched;
  expect_event(vestry_event_elements(NULL, html, html ? strlen(html) : 0, options, &event), &event, bytes);
}

static void refuse(const char *html, const vestry_elements_options *options) {
  vestry_event *event = expect_untouched;
  expect_error(vestry_event_elements(NULL, html, strlen(html), options, &event), &event, VESTRY_INVALID);
}

/* capability: C1 */
TEST_CASE(default_options_write_no_lines) {
  expect("<b id=\"n\">4</b>", NULL, TYPE "data: elements <b id=\"n\">4</b>\n\n");
  expect("<b id=\"n\">4</b>", &(vestry_elements_options){0}, TYPE "data: elements <b id=\"n\">4</b>\n\n");
  vestry_elements_options options = {0};
  expect("<b>", &options, TYPE "data: elements <b>\n\n");
}

/* capability: C1 */
TEST_CASE(each_option_writes_its_line) {
  vestry_elements_options options = {
      .event = {.id = "event1", .retry_ms = 2000},
      .selector = "#feed > li",
      .mode = VESTRY_PATCH_APPEND,
      .use_view_transition = true,
      .view_transition_selector = "#main",
      .ns = VESTRY_NAMESPACE_SVG,
  };
  expect("<g/>\n<g/>", &options,
         TYPE "id: event1\n"
              "retry: 2000\n"
              "data: selector #feed > li\n"
              "data: mode append\n"
              "data: useViewTransition true\n"
              "data: viewTransitionSelector #main\n"
              "data: namespace svg\n"
              "data: elements <g/>\n"
              "data: elements <g/>\n\n");
}

/* capability: C1 */
TEST_CASE(mode_is_written_and_needs_its_selector) {
#define EACH(name, wire) {VESTRY_PATCH_##name, wire},
  static const struct {
    vestry_patch_mode mode;
    const char *wire;
  } rows[] = {VESTRY_PATCH_MODES(EACH)};
#undef EACH
  assert_int_equal(sizeof rows / sizeof *rows, 8);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    vestry_patch_mode mode = rows[i].mode;
    char bytes[256];
    snprintf(bytes, sizeof bytes, TYPE "data: selector #a\n%s%s%s%s\n", mode == VESTRY_PATCH_OUTER ? "" : "data: mode ",
             mode == VESTRY_PATCH_OUTER ? "" : rows[i].wire, mode == VESTRY_PATCH_OUTER ? "" : "\n",
             mode == VESTRY_PATCH_REMOVE ? "" : "data: elements <p>\n");
    expect("<p>", &(vestry_elements_options){.selector = "#a", .mode = mode}, bytes);

    bool by_id = mode == VESTRY_PATCH_OUTER || mode == VESTRY_PATCH_REPLACE;
    vestry_elements_options without = {.mode = mode}, empty = {.mode = mode, .selector = ""};
    if (by_id) {
      snprintf(bytes, sizeof bytes, TYPE "%sdata: elements <p>\n\n",
               mode == VESTRY_PATCH_REPLACE ? "data: mode replace\n" : "");
      expect("<p>", &without, bytes);
      expect("<p>", &empty, bytes);
    } else {
      refuse("<p>", &without);
      refuse("<p>", &empty);
    }
  }
}

/* capability: C1 */
TEST_CASE(namespace_is_written_unless_html) {
  expect("<p>", &(vestry_elements_options){.ns = VESTRY_NAMESPACE_HTML}, TYPE "data: elements <p>\n\n");
  expect("<p>", &(vestry_elements_options){.ns = VESTRY_NAMESPACE_SVG},
         TYPE "data: namespace svg\ndata: elements <p>\n\n");
  expect("<p>", &(vestry_elements_options){.ns = VESTRY_NAMESPACE_MATHML},
         TYPE "data: namespace mathml\ndata: elements <p>\n\n");
}

/* capability: C1 */
TEST_CASE(view_transition_selector_needs_use_view_transition) {
  expect("<p>", &(vestry_elements_options){.use_view_transition = true},
         TYPE "data: useViewTransition true\ndata: elements <p>\n\n");
  expect("<p>", &(vestry_elements_options){.use_view_transition = true, .view_transition_selector = ""},
         TYPE "data: useViewTransition true\ndata: elements <p>\n\n");
  expect("<p>", &(vestry_elements_options){.view_transition_selector = ""}, TYPE "data: elements <p>\n\n");
  refuse("<p>", &(vestry_elements_options){.view_transition_selector = "#a"});
}

/* The name of a state is no part of the bytes. An event that shows no state completely, or that would take an id or a
 * delay with it, names none. */
TEST_CASE(state_is_kept_beside_the_bytes) {
  char longest[VSI_STATE_MAX_BYTES + 2];
  memset(longest, 'n', sizeof longest);
  longest[VSI_STATE_MAX_BYTES] = '\0';
  vestry_event *event = NULL;
  const vestry_elements_options options = {.state = longest, .mode = VESTRY_PATCH_INNER, .selector = "#a"};
  assert_int_equal(vestry_event_elements(NULL, "<p>", 3, &options, &event), VESTRY_OK);
  assert_int_equal(vsi_event_state(event).len, VSI_STATE_MAX_BYTES);
  assert_memory_equal(vsi_event_state(event).data, longest, VSI_STATE_MAX_BYTES);
  assert_int_equal(vestry_event_bytes(event).len,
                   strlen(TYPE "data: selector #a\ndata: mode inner\ndata: elements <p>\n\n"));
  vestry_event_unref(event);
  expect("<p>", &(vestry_elements_options){.state = "", .event = {.id = "1"}}, TYPE "id: 1\ndata: elements <p>\n\n");
  expect("<p>", &(vestry_elements_options){.state = "a", .mode = VESTRY_PATCH_REPLACE},
         TYPE "data: mode replace\ndata: elements <p>\n\n");
  longest[VSI_STATE_MAX_BYTES] = 'n';
  longest[VSI_STATE_MAX_BYTES + 1] = '\0';
  const vestry_elements_options refused[] = {
      {.state = longest},
      {.state = "a\nb"},
      {.state = "a", .event = {.id = "1"}},
      {.state = "a", .event = {.retry_ms = 5}},
      {.state = "a", .selector = "#a", .mode = VESTRY_PATCH_APPEND},
      {.state = "a", .selector = "#a", .mode = VESTRY_PATCH_BEFORE},
      {.state = "a", .selector = "#a", .mode = VESTRY_PATCH_REMOVE},
  };
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) refuse("<p>", &refused[i]);
  const vestry_signals_options missing = {.state = "a", .only_if_missing = true};
  event = expect_untouched;
  expect_error(vsi_event_signals_text(NULL, "{}", 2, &missing, &event), &event, VESTRY_INVALID);
}

/* "The last event ID buffer is set to the field's value" (9.2.6): an id field without a value clears the id, and an
 * event without the field keeps it. */
/* capability: C1 */
TEST_CASE(empty_id_is_written_and_null_is_not) {
  expect("<p>", &(vestry_elements_options){.event.id = "7"}, TYPE "id: 7\ndata: elements <p>\n\n");
  expect("<p>", &(vestry_elements_options){.event.id = " 7 "}, TYPE "id:  7 \ndata: elements <p>\n\n");
  expect("<p>", &(vestry_elements_options){.event.id = ""}, TYPE "id:\ndata: elements <p>\n\n");
  expect("<p>", &(vestry_elements_options){.event.id = NULL}, TYPE "data: elements <p>\n\n");
}

/* capability: C1 */
TEST_CASE(retry_is_written_unless_it_is_the_default) {
  expect("<p>", &(vestry_elements_options){.event.retry_ms = 0}, TYPE "data: elements <p>\n\n");
  expect("<p>", &(vestry_elements_options){.event.retry_ms = 1}, TYPE "retry: 1\ndata: elements <p>\n\n");
  expect("<p>", &(vestry_elements_options){.event.retry_ms = 1000}, TYPE "data: elements <p>\n\n");
  expect("<p>", &(vestry_elements_options){.event.retry_ms = INT32_MAX},
         TYPE "retry: 2147483647\ndata: elements <p>\n\n");
  expect("<p>", &(vestry_elements_options){.event.retry_ms = UINT32_MAX},
         TYPE "retry: 2147483647\ndata: elements <p>\n\n"); /* the longest timer of a browser */
}

TEST_CASE(each_line_break_begins_a_data_line) {
  expect("<a>\n<b>\r<c>\r\n<d>", NULL,
         TYPE "data: elements <a>\ndata: elements <b>\ndata: elements <c>\ndata: elements <d>\n\n");
  expect("<a>\n\n<b>", NULL, TYPE "data: elements <a>\ndata: elements \ndata: elements <b>\n\n");
  expect("<a>\n", NULL, TYPE "data: elements <a>\ndata: elements \n\n");
  expect("\n<a>", NULL, TYPE "data: elements \ndata: elements <a>\n\n");
  expect("<a>\n\r<b>", NULL, TYPE "data: elements <a>\ndata: elements \ndata: elements <b>\n\n");
  expect("<a>\xE2\x80\xA8<b>\xC2\x85", NULL, TYPE "data: elements <a>\xE2\x80\xA8<b>\xC2\x85\n\n");
}

/* capability: C1 */
TEST_CASE(blank_html_has_no_line) {
  expect(NULL, NULL, TYPE "\n");
  expect("", NULL, TYPE "\n");
  expect(" \t\r\n\f\n", NULL, TYPE "\n");
  expect("\v", NULL, TYPE "data: elements \v\n\n");
  expect("\n", &(vestry_elements_options){.selector = "#a", .mode = VESTRY_PATCH_INNER},
         TYPE "data: selector #a\ndata: mode inner\n\n");
}

TEST_CASE(nul_and_invalid_utf8_are_written_unchanged) {
  vestry_event *event = expect_untouched;
  assert_int_equal(vestry_event_elements(NULL, "a\0\n\xFF\xC0\x8A", 6, NULL, &event), VESTRY_OK);
  static const char bytes[] = TYPE "data: elements a\0\ndata: elements \xFF\xC0\x8A\n\n";
  assert_int_equal(vestry_event_bytes(event).len, sizeof bytes - 1);
  assert_memory_equal(vestry_event_bytes(event).data, bytes, sizeof bytes - 1);
  vestry_event_unref(event);
  assert_int_equal(vestry_event_elements(NULL, "\0", 1, NULL, &event), VESTRY_OK); /* a NUL is not white space */
  assert_int_equal(vestry_event_bytes(event).len, strlen(TYPE) + strlen("data: elements x\n\n"));
  vestry_event_unref(event);
}

/* capability: C1 */
TEST_CASE(fields_with_line_breaks_are_refused) {
  static const char *const forged[] = {"a\nb", "a\rb", "a\r\n", "\n", "\r"};
  for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
    refuse("<p>", &(vestry_elements_options){.event.id = forged[i]});
    refuse("<p>", &(vestry_elements_options){.selector = forged[i]});
    refuse("<p>", &(vestry_elements_options){.use_view_transition = true, .view_transition_selector = forged[i]});
    refuse("", &(vestry_elements_options){.selector = forged[i], .mode = VESTRY_PATCH_REMOVE});
  }
}

TEST_CASE(bad_arguments_are_refused) {
  refuse("<p>", &(vestry_elements_options){.mode = (vestry_patch_mode)8, .selector = "#a"});
  refuse("<p>", &(vestry_elements_options){.mode = (vestry_patch_mode)-1, .selector = "#a"});
  refuse("<p>", &(vestry_elements_options){.ns = (vestry_namespace)3});
  vestry_event *event = expect_untouched;
  expect_error(vestry_event_elements(NULL, NULL, 1, NULL, &event), &event, VESTRY_INVALID);
}

/* capability: C2 */
TEST_CASE(remove_writes_selector) {
  const vestry_elements_options options = {.event = {.id = "1", .retry_ms = 5},
                                           .selector = "#a, #b",
                                           .mode = VESTRY_PATCH_REMOVE,
                                           .use_view_transition = true};
  expect("", &options,
         TYPE "id: 1\nretry: 5\ndata: selector #a, #b\ndata: mode remove\ndata: useViewTransition true\n\n");
  refuse("", &(vestry_elements_options){.mode = VESTRY_PATCH_REMOVE});
  /* elements in mode REMOVE are not sent */
  expect("<p>", &(vestry_elements_options){.selector = "#a", .mode = VESTRY_PATCH_REMOVE},
         TYPE "data: selector #a\ndata: mode remove\n\n");
}

/* capability: C4 */
TEST_CASE(names_of_modes_and_namespaces_are_found) {
  vestry_patch_mode mode;
  vestry_namespace ns;
#define CHECK_MODE(name, wire) assert_true(vsi_patch_mode_from_name(wire, &mode) && mode == VESTRY_PATCH_##name);
  VESTRY_PATCH_MODES(CHECK_MODE)
#define CHECK_NAMESPACE(name, wire) assert_true(vsi_namespace_from_name(wire, &ns) && ns == VESTRY_NAMESPACE_##name);
  VESTRY_NAMESPACES(CHECK_NAMESPACE)
  static const char *const strangers[] = {"Outer", "", "outer ", "morph", NULL};
  for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
    mode = VESTRY_PATCH_AFTER;
    ns = VESTRY_NAMESPACE_SVG;
    assert_false(vsi_patch_mode_from_name(strangers[i], &mode) || vsi_namespace_from_name(strangers[i], &ns));
    assert_int_equal(mode, VESTRY_PATCH_AFTER);
    assert_int_equal(ns, VESTRY_NAMESPACE_SVG);
  }
}
