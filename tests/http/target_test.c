/* SPDX-License-Identifier: MIT */
#include "http/target.h"

#include <stdlib.h>
#include <string.h>

#include "support/test.h"
#include "vestry/adapter.h"
#include "vestry/backend_action.h"

static void expect(const char *target, const char *path, const char *query) {
  char *got = malloc(strlen(target) + 2); /* exactly the bytes that it may write, so that a sanitizer detects others */
  const char *got_query = "untouched";
  const vestry_err error = vestry_target_read(target, got, &got_query);
  const bool read = !error;
  assert_true(read || error == VESTRY_MALFORMED);
  if (read != (path != NULL)) fail_msg("\"%s\" is %s", target, read ? "taken" : "refused");
  if (path) {
    assert_string_equal(got, path);
    assert_int_equal(got_query != NULL, query != NULL);
    if (query) assert_string_equal(got_query, query);
  } else {
    assert_string_equal(got_query, "untouched");
  }
  free(got);
}

TEST_CASE(targets_are_split_and_decoded_once) {
  expect("/", "/", NULL);
  expect("/?", "/", "");
  expect("/a/b/", "/a/b/", NULL);
  expect("/a?b?c", "/a", "b?c");
  expect("/%65cho?%65", "/echo", "%65");
  expect("/a%20b%25c+d", "/a b%c+d", NULL);
  expect("/%252f", "/%2f", NULL); /* once */
  expect("/%C3%BC%e2%82%ac%F0%9f%98%80", "/\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", NULL);
  expect("/a.b/.c/..d/.../e", NULL, NULL);
  expect("/a.b/.c/..d/e", "/a.b/.c/..d/e", NULL);
  expect("/[a]^|{}\"<>`;:@&=$,!~*'()", "/[a]^|{}\"<>`;:@&=$,!~*'()", NULL);
  expect("/a?b=//../%00%zz\\%2f\xc3\xbc", "/a", "b=//../%00%zz\\%2f\xc3\xbc");
}

TEST_CASE(absolute_and_asterisk_forms_are_read) {
  expect("http://host/a?b", "/a", "b");
  expect("HTTPS://host:443/a%20b", "/a b", NULL);
  expect("http://[::1]:8080/", "/", NULL);
  expect("http://host", "/", NULL);
  expect("http://host?a", "/", "a");
  expect("*", "*", NULL);
  static const char *const refused[] = {"",
                                        "a",
                                        "host:443",
                                        "*a",
                                        "*?a",
                                        "/*/../a",
                                        "ftp://host/a",
                                        "http:/a",
                                        "http:///a",
                                        "http://?a",
                                        "http://",
                                        "http://u@h/a",
                                        "http://h#a",
                                        "http://h\\a",
                                        "http://h h/a",
                                        "http://h//a",
                                        "http://h/a.",
                                        "?a",
                                        "file:///",
                                        "http://\xc3\xbc/"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) expect(refused[i], NULL, NULL);
}

TEST_CASE(ambiguous_paths_are_refused) {
  static const char *const refused[] = {
      "//",         "//a",        "/a//b",         "/a//",      "/.",      "/..",    "/./a",       "/../a",   "/a/..",
      "/a/.",       "/a/../b",    "/%2e",          "/%2E%2e/a", "/.%2e/a", "/a.",    "/a./b",      "/a%2e",   "/a...",
      "/a%2fb",     "/a%2Fb",     "/a%5cb",        "/a%5Cb",    "/a\\b",   "/\\a",   "/x/..%5ca",  "/a%00",   "/%00",
      "/a%00b",     "/a%0a",      "/a%0d%0ab",     "/a%1f",     "/a%7f",   "/a\x01", "/a\x7f",     "/a b",    "/a\tb",
      "/a%",        "/a%4",       "/a%4g",         "/a%g4",     "/a%%41",  "/a#b",   "/a\xc3\xbc", "/%c3",    "/%c0%af",
      "/%e0%80%af", "/%ed%a0%80", "/%f4%90%80%80", "/%ff",      "/%80",    "/a?b c", "/a?b#c",     "/a?\x01", "/a?\x7f",
      "/%c3?",      "/%e2%82",    "/%c3/"};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) expect(refused[i], NULL, NULL);
}

/* Each byte, encoded and not, is either preserved or refused. */
TEST_CASE(each_byte_is_preserved_or_refused) {
  for (int c = 1; c < 256; c++) {
    char raw[] = {'/', 'a', (char)c, 'b', '\0'}, encoded[16];
    snprintf(encoded, sizeof encoded, "/a%%%02xb", c);
    bool is_visible = c > ' ' && c < 127;
    bool is_raw = is_visible && !strchr("#\\%?", c), is_encoded = c >= ' ' && c < 127 && !strchr("/\\", c);
    if (c != '?') expect(raw, is_raw ? raw : NULL, NULL);
    expect(encoded, is_encoded ? raw : NULL, NULL);
  }
}

static bool is_unreserved(int c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr("-._~", c);
}

/* Beside other segments, encodings that no client has a reason to send are refused. */
TEST_CASE(unusual_encodings_in_segments_are_refused) {
  for (int c = 1; c < 128; c++) {
    char raw[] = {'/', 's', '/', 'a', (char)c, 'b', '\0'}, encoded[16];
    snprintf(encoded, sizeof encoded, "/s/a%%%02Xb", c);
    if (c != '?' && c != '/') expect(raw, c > ' ' && c < 127 && !strchr("#\\%\"<>`{}", c) ? raw : NULL, NULL);
    expect(encoded, c >= ' ' && c < 127 && c != '/' && c != '\\' && !is_unreserved(c) ? raw : NULL, NULL);
  }
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* of the formats below */
static const char *url_of(const char *format, const char *text) {
  static char made[128];
  static const char before[] = "@get(&#39;", after[] = "&#39;)";
  assert_int_equal(vestry_backend_action_string(made, sizeof made, VESTRY_METHOD_GET, NULL, format, text), VESTRY_OK);
  const size_t len = strlen(made) - (sizeof after - 1);
  assert_memory_equal(made, before, sizeof before - 1);
  assert_string_equal(made + len, after);
  made[len] = '\0';
  return made + sizeof before - 1;
}
#pragma GCC diagnostic pop

/* A text is never changed: if a proxy could read it as another path, it is refused (vestry/backend_action.h has the
 * list). */
TEST_CASE(text_in_an_action_url_is_preserved_or_refused) {
  for (int c = 1; c < 128; c++) {
    const char texts[][4] = {{'a', (char)c, 'b'}, {'a', (char)c}, {(char)c}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
      char path[sizeof "/s/%s/x" + 4 * 3];
      snprintf(path, sizeof path, "/s/%s/x", texts[i]);
      const bool is_refused = c < ' ' || c == 127 || c == '/' || c == '\\' || (c == '.' && i > 0);
      expect(url_of("/s/%s/x", texts[i]), is_refused ? NULL : path, NULL);
      const char *target = url_of("/s?q=%s", texts[i]);
      expect(target, "/s", target + strlen("/s?"));
    }
  }
}

TEST_CASE(plain_paths_are_recognized) {
  static const char *const plain[] = {"/", "/a", "/a/", "/a b", "/a%2f", "/?", "/#", "/\xc3\xbc"};
  static const char *const other[] = {"",    "*",     "a",    "//",   "/a//b", "/.",    "/..",
                                      "/a.", "/a./b", "/a\\", "/a\n", "/\xc3", "/\x7f", "/a/../b"};
  for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) assert_true(vsi_path_is_plain(plain[i]));
  for (size_t i = 0; i < sizeof other / sizeof *other; i++) assert_false(vsi_path_is_plain(other[i]));
}

TEST_CASE(missing_arguments_are_invalid) {
  char path[8];
  const char *query;
  assert_int_equal(vestry_target_read(NULL, path, &query), VESTRY_INVALID);
  assert_int_equal(vestry_target_read("/", NULL, &query), VESTRY_INVALID);
  assert_int_equal(vestry_target_read("/", path, NULL), VESTRY_INVALID);
}
