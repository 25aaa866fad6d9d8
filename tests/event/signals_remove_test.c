/* SPDX-License-Identifier: MIT */
/* C2: removing signals by path. */
#include "event/expect.h"
#include "event/layout.h"
#include "support/test.h"
#include "support/test_host.h"

#define TYPE "event: datastar-patch-signals\n"

/* Up to six paths. */
typedef const char *paths[6];

static size_t count_of(const paths p) {
  size_t count = 0;
  while (count < 6 && p[count]) count++;
  return count;
}

/* capability: C2 */
TEST_CASE(c2_paths_become_nulls) {
  static const struct {
    paths paths;
    const char *json;
  } rows[] = {
      {{"a"}, "{\"a\":null}"},
      {{"user.name"}, "{\"user\":{\"name\":null}}"},
      {{"a.b.c", "x"}, "{\"a\":{\"b\":{\"c\":null}},\"x\":null}"},
      {{"user.name", "user.age", "x"}, "{\"user\":{\"name\":null,\"age\":null},\"x\":null}"},
      {{"b", "a"}, "{\"b\":null,\"a\":null}"},
      /* a path inside another one is part of it, in any order, but only at whole names */
      {{"user", "user.name"}, "{\"user\":null}"},
      {{"user.name.first", "user.name", "user.name.last"}, "{\"user\":{\"name\":null}}"},
      {{"user", "users", "user-x", "user.a"}, "{\"user\":null,\"users\":null,\"user-x\":null}"},
      {{"a.b", "a-b", "a.b.c", "a", "a!"}, "{\"a\":null,\"a-b\":null,\"a!\":null}"},
      {{"a", "a", "a"}, "{\"a\":null}"},
      {{"a.b.c", "a.b.d", "a.e", "f.g.h", "f.i"},
       "{\"a\":{\"b\":{\"c\":null,\"d\":null},\"e\":null},\"f\":{\"g\":{\"h\":null},\"i\":null}}"},
      {{"a.bc.d", "a.b.d"}, "{\"a\":{\"bc\":{\"d\":null},\"b\":{\"d\":null}}}"},
      {{"\"}</script>\n\r", "\xC3\xBC"}, "{\"\\\"}</script>\\n\\r\":null,\"\xC3\xBC\":null}"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char bytes[512];
    snprintf(bytes, sizeof bytes, TYPE "data: signals %s\n\n", rows[i].json);
    vestry_event *event = expect_untouched;
    expect_event(vsi_event_remove_signals(NULL, rows[i].paths, count_of(rows[i].paths), NULL, &event), &event, bytes);
  }
}

TEST_CASE(c2_options_are_written_or_refused) {
  static const char *const path = "a";
  vestry_event *event = expect_untouched;
  vestry_signals_options options = {.event = {.id = "7", .retry_ms = 5}};
  expect_event(vsi_event_remove_signals(NULL, &path, 1, &options, &event), &event,
               TYPE "id: 7\nretry: 5\ndata: signals {\"a\":null}\n\n");
  event = expect_untouched;
  options.only_if_missing = true;
  expect_error(vsi_event_remove_signals(NULL, &path, 1, &options, &event), &event, VESTRY_INVALID);
  options = (vestry_signals_options){.event.id = "\r"};
  expect_error(vsi_event_remove_signals(NULL, &path, 1, &options, &event), &event, VESTRY_INVALID);
}

/* capability: C2 */
TEST_CASE(c2_bad_paths_are_refused) {
  static const char *const bad[] = {"", ".", ".a", "a.", "a..b", "\xFF", "a.\xC0\x80", NULL};
  vestry_event *event = expect_untouched;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    const char *two[] = {"fine", bad[i]};
    expect_error(vsi_event_remove_signals(NULL, two, 2, NULL, &event), &event, VESTRY_INVALID);
  }
  expect_error(vsi_event_remove_signals(NULL, bad, 0, NULL, &event), &event, VESTRY_INVALID);
  expect_error(vsi_event_remove_signals(NULL, NULL, 1, NULL, &event), &event, VESTRY_INVALID);
}

TEST_CASE(c2_path_over_256_names_is_too_large) {
  char path[2 * 257 + 1] = "";
  for (int i = 0; i < 256; i++) strcat(path, i ? ".a" : "a");
  const char *given = path;
  vestry_event *event = expect_untouched;
  assert_int_equal(vsi_event_remove_signals(NULL, &given, 1, NULL, &event), VESTRY_OK);
  vestry_event_unref(event);
  strcat(path, ".a");
  event = expect_untouched;
  expect_error(vsi_event_remove_signals(NULL, &given, 1, NULL, &event), &event, VESTRY_TOO_LARGE);
}

TEST_CASE(c2_event_over_size_limit_is_too_large) {
  size_t len = VESTRY_EVENT_MAX_BYTES / 2;
  char *text = test_malloc(len + 1);
  memset(text, '\n', len);
  text[len] = '\0';
  const char *two[] = {text, "\n"}; /* twice as long when escaped */
  vestry_event *event = expect_untouched;
  expect_error(vsi_event_remove_signals(NULL, two, 2, NULL, &event), &event, VESTRY_TOO_LARGE);
  expect_error(vsi_event_remove_signals(NULL, two, 1, NULL, &event), &event, VESTRY_TOO_LARGE);
  test_free(text);
}

static vestry_err make(test_host *th, void *ctx) {
  vestry_event *event = NULL;
  vestry_err error = vsi_event_remove_signals(&th->host, ctx, 2, NULL, &event);
  vestry_event_unref(event);
  return error;
}

TEST_CASE(c2_failed_allocation_is_reported) {
  const char *two[] = {"a long enough path that the buffer has to grow once or twice", "b.c.d.e.f.g.h.i.j.k.l.m.n"};
  test_host_fail_each(make, two, false);
}
