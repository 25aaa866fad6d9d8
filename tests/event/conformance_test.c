/* SPDX-License-Identifier: MIT */
/* The cases of the official Datastar SDK suite, formatted without a server. They are not part of this repository:
 * VESTRY_CONFORMANCE_DIR is their directory. If it is unset, this test is skipped. */
#include "event/conformance_rule.h"
#include "event/layout.h"
#include "event/script.h"

#include <dirent.h>
#include <stdlib.h>

#include <jansson.h>

#include "support/test.h"
#include "vestry/event.h"

enum { OFFICIAL_CASES = 20 };

/* Fail if a case has a member that this test does not know, because it would not be tested. */
static void check_members(json_t *input, const char *const *names) {
  const char *name;
  json_t *value;
  json_object_foreach(input, name, value) {
    bool known = false;
    for (size_t i = 0; names[i]; i++) known = known || strcmp(names[i], name) == 0;
    if (!known) fail_msg("a case has the member %s", name);
  }
}

static const char *string_of(json_t *input, const char *name) {
  return json_string_value(json_object_get(input, name));
}

static vestry_event_options common_options(json_t *input) {
  return (vestry_event_options){
      .id = string_of(input, "eventId"),
      .retry_ms = (uint32_t)json_integer_value(json_object_get(input, "retryDuration")),
  };
}

static vestry_err patch_elements(json_t *input, vestry_event **ret_event) {
  static const char *const names[] = {"type", "elements",          "eventId",   "retryDuration",          "selector",
                                      "mode", "useViewTransition", "namespace", "viewTransitionSelector", NULL};
  check_members(input, names);
  vestry_elements_options options = {
      .event = common_options(input),
      .selector = string_of(input, "selector"),
      .use_view_transition = json_is_true(json_object_get(input, "useViewTransition")),
      .view_transition_selector = string_of(input, "viewTransitionSelector"),
  };
  const char *mode = string_of(input, "mode"), *ns = string_of(input, "namespace"),
             *html = string_of(input, "elements");
  if (mode) assert_true(vsi_patch_mode_from_name(mode, &options.mode));
  if (ns) assert_true(vsi_namespace_from_name(ns, &options.ns));
  return vestry_event_elements(NULL, html, html ? strlen(html) : 0, &options, ret_event);
}

static vestry_err patch_signals(json_t *input, vestry_event **ret_event) {
  static const char *const names[] = {"type",          "signals",       "signals-raw", "eventId",
                                      "retryDuration", "onlyIfMissing", NULL};
  check_members(input, names);
  vestry_signals_options options = {.event = common_options(input),
                                    .only_if_missing = json_is_true(json_object_get(input, "onlyIfMissing"))};
  const char *raw = string_of(input, "signals-raw");
  if (raw) return vsi_event_signals_text(NULL, raw, strlen(raw), &options, ret_event);
  char *json = json_dumps(json_object_get(input, "signals"), JSON_COMPACT);
  assert_non_null(json);
  vestry_err error = vsi_event_signals_text(NULL, json, strlen(json), &options, ret_event);
  free(json);
  return error;
}

static vestry_err execute_script(json_t *input, vestry_event **ret_event) {
  static const char *const names[] = {"type", "script", "eventId", "retryDuration", "attributes", "autoRemove", NULL};
  check_members(input, names);
  vestry_attribute attributes[64];
  vsi_script_options options = {.event = common_options(input),
                                .keep = json_is_false(json_object_get(input, "autoRemove")),
                                .attributes = attributes};
  const char *name, *script = string_of(input, "script");
  json_t *value;
  json_object_foreach(json_object_get(input, "attributes"), name, value) {
    assert_in_range(options.attributes_count, 0, 63);
    attributes[options.attributes_count++] = (vestry_attribute){name, json_string_value(value)};
  }
  return vsi_event_script(NULL, script, strlen(script), &options, ret_event);
}

static sse_text answer(json_t *input) {
  sse_text got = {NULL, 0};
  size_t i;
  json_t *event_input;
  json_array_foreach(json_object_get(input, "events"), i, event_input) {
    const char *type = string_of(event_input, "type");
    vestry_event *event = NULL;
    vestry_err error = VESTRY_NOT_FOUND;
    if (strcmp(type, "patchElements") == 0) error = patch_elements(event_input, &event);
    if (strcmp(type, "patchSignals") == 0) error = patch_signals(event_input, &event);
    if (strcmp(type, "executeScript") == 0) error = execute_script(event_input, &event);
    if (error) fail_msg("%s: %s", type, vestry_err_name(error));
    vestry_slice bytes = vestry_event_bytes(event);
    sse_text_append(&got, bytes.data, bytes.len);
    vestry_event_unref(event);
  }
  return got;
}

static void play(const char *directory) {
  sse_text input_text = conformance_read(directory, "input.json"), expected = conformance_read(directory, "output.txt");
  if (!input_text.data || !expected.data) fail_msg("%s is not a case", directory);
  json_t *input = json_loads(input_text.data, 0, NULL);
  assert_non_null(input);
  sse_text got = answer(input), canonical = conformance_canonical(expected);
  const char *why = conformance_compare(got, expected);
  if (why) print_error("%s: %s\n", directory, why);
  assert_null(why);
  assert_string_equal(got.data, canonical.data);
  json_decref(input);
  sse_text_finish(&input_text);
  sse_text_finish(&expected);
  sse_text_finish(&canonical);
  sse_text_finish(&got);
}

/* capability: C1 */
TEST_CASE(official_sdk_cases_are_formatted_as_expected) {
  const char *root = getenv("VESTRY_CONFORMANCE_DIR");
  if (!root || !*root) {
    print_message("VESTRY_CONFORMANCE_DIR is not set: the official cases are not tested\n");
    skip();
  }
  static const char *const methods[] = {"get", "post"};
  size_t played = 0;
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    char directory[2048];
    snprintf(directory, sizeof directory, "%s/%s", root, methods[i]);
    DIR *listing = opendir(directory);
    if (!listing) fail_msg("%s cannot be read", directory);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
      if (entry->d_name[0] == '.') continue;
      char path[4096];
      snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
      play(path);
      played++;
    }
    closedir(listing);
  }
  print_message("%zu cases\n", played);
  assert_true(played >= OFFICIAL_CASES);
}

static const char *compare(const char *got, const char *expected) {
  return conformance_compare((sse_text){(char *)(uintptr_t)got, strlen(got)},
                             (sse_text){(char *)(uintptr_t)expected, strlen(expected)});
}

/* The comparison itself is tested: it must report each difference, and none between equal texts. */
TEST_CASE(comparison_reports_each_difference) {
  static const char one[] =
      "event: e\nid: 1\nretry: 2\ndata: mode inner\ndata: selector #a\ndata: elements x\ndata: elements y\n\n";
  assert_null(compare(one, one));
  assert_null(compare(
      "event: e\nid: 1\nretry: 2\ndata: elements x\ndata: selector #a\ndata: elements y\ndata: mode inner\n\n", one));
  static const char *const others[] = {
      "event: f\nid: 1\nretry: 2\ndata: mode inner\ndata: selector #a\ndata: elements x\ndata: elements y\n\n",
      "event: e\nid: 2\nretry: 2\ndata: mode inner\ndata: selector #a\ndata: elements x\ndata: elements y\n\n",
      "event: e\nretry: 2\ndata: mode inner\ndata: selector #a\ndata: elements x\ndata: elements y\n\n",
      "event: e\nid: 1\ndata: mode inner\ndata: selector #a\ndata: elements x\ndata: elements y\n\n",
      "event: e\nid: 1\nretry: 2\ndata: mode inner\ndata: selector #a\ndata: elements y\ndata: elements x\n\n",
      "event: e\nid: 1\nretry: 2\ndata: mode inner\ndata: elements x\ndata: elements y\n\n",
      "event: e\nid: 1\nretry: 2\ndata: mode inner\ndata: selector #a\ndata: elements x\ndata: elements y\ndata: z "
      "1\n\n",
      "event: e\nid: 1\nretry: 2\ndata: mode inner\ndata: selector #a\ndata: elements x\ndata: elements y\n\nevent: "
      "e\n\n",
      "",
  };
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) assert_non_null(compare(others[i], one));
  sse_text canonical = conformance_canonical((sse_text){(char *)(uintptr_t)one, strlen(one)});
  assert_string_equal(canonical.data,
                      "event: e\nid: 1\nretry: 2\ndata: selector #a\ndata: mode inner\ndata: elements x\n"
                      "data: elements y\n\n");
  sse_text_finish(&canonical);
}
