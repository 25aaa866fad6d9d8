/* SPDX-License-Identifier: MIT */
/* Heads that frame their bodies unambiguously, and headers with several lines. */
#include <stdlib.h>

#include "serve/wire.h"

/* ---- vestry_head_check ------------------------------------------------------------------------------------------- */

typedef struct head {
  const char *method;
  vestry_header lines[8]; /* until the first without a name */
} head;

static const char *method_of(void *server_request) {
  return ((const head *)server_request)->method;
}

static void each_header(void *server_request, void (*line)(void *ctx, const char *name, const char *value), void *ctx) {
  for (const vestry_header *at = ((const head *)server_request)->lines; at->name; at++) line(ctx, at->name, at->value);
}

static const vestry_request_ops head_ops = {.method = method_of, .each_header = each_header};

/* Add a line, unless its value is NULL. */
static void add(head *h, const char *name, const char *value) {
  vestry_header *at = h->lines;
  while (at->name) at++;
  if (value) *at = (vestry_header){name, value};
}

static bool passes(head *h, bool is_http11, int64_t *ret_length) {
  const int64_t untouched = *ret_length = -7;
  const vestry_err error = vestry_head_check(&head_ops, h, is_http11, ret_length);
  assert_int_equal(vestry_head_check(&head_ops, h, is_http11, NULL), error);
  assert_true(!error || (error == VESTRY_MALFORMED && *ret_length == untouched));
  return !error;
}

/* Check a head that has only these lines for length and encoding. */
static bool is_clear(const char *length, const char *second_length, const char *encoding, const char *second_encoding,
                     bool is_http11) {
  head h = {.method = "POST", .lines = {{"Host", "chunked"}, {"X-Other", "\ta b\xff"}}};
  int64_t got;
  add(&h, "Content-Length", length);
  add(&h, "transfer-encoding", encoding);
  add(&h, "CONTENT-LENGTH", second_length);
  add(&h, "Transfer-Encoding", second_encoding);
  if (!passes(&h, is_http11, &got)) return false;
  const int64_t wanted = encoding ? -1 : length ? strtoll(length, NULL, 10) : 0;
  assert_true(got == wanted);
  return true;
}

TEST_CASE(unambiguous_framing_is_accepted) {
  assert_true(is_clear(NULL, NULL, NULL, NULL, true));
  assert_true(is_clear(NULL, NULL, NULL, NULL, false));
  assert_true(is_clear("0", NULL, NULL, NULL, true));
  assert_true(is_clear("123456789012345678", NULL, NULL, NULL, false));
  assert_true(is_clear("5", "5", NULL, NULL, true));
  assert_true(is_clear(NULL, NULL, "Chunked", NULL, true));
}

TEST_CASE(ambiguous_framing_is_refused) {
  static const char *const lengths[] = {"", "-1", "+1", "1a", "0x10", " 5", "5 ", "5, 5", "1234567890123456789"};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    assert_false(is_clear(lengths[i], NULL, NULL, NULL, true));
    assert_false(is_clear("5", lengths[i], NULL, NULL, true));
    assert_false(is_clear(lengths[i], "5", NULL, NULL, true));
  }
  assert_false(is_clear("5", "6", NULL, NULL, true));
  assert_false(is_clear("5", NULL, "chunked", NULL, true));
  assert_false(is_clear(NULL, NULL, "chunked", NULL, false));
  assert_false(is_clear(NULL, NULL, "chunked", "chunked", true));
  static const char *const encodings[] = {"", "identity", "gzip", "gzip, chunked", "chunked, chunked", "xchunked"};
  for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++)
    assert_false(is_clear(NULL, NULL, encodings[i], NULL, true));
}

static bool is_clear_with(const char *name, const char *value, const char *host, const char *other_host,
                          bool is_http11) {
  head h = {.method = "GET"};
  int64_t length;
  add(&h, "Host", host);
  add(&h, name, value);
  add(&h, "host", other_host);
  return passes(&h, is_http11, &length);
}

TEST_CASE(invalid_methods_names_and_values_are_refused) {
  static const char *const names[] = {"", "Transfer-Encoding ", " X", "X\t", "X Y", "X(", "X\x01", "X\xc3\xa9", "X/"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    head h = {.method = names[i], .lines = {{"Host", "a"}}};
    assert_false(passes(&h, true, &(int64_t){0}));
    assert_false(is_clear_with(names[i], "a", "a", NULL, true));
  }
  static const char *const values[] = {"a\rb", "a\nb", "\x01", "a\x7f"};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    assert_false(is_clear_with("X", values[i], "a", NULL, true));
  assert_true(is_clear_with("X-!#$%&'*+.^_`|~9", "", "a", NULL, true));
}

TEST_CASE(exactly_one_valid_host_is_required) {
  assert_true(is_clear_with("X", "a", "localhost:80", NULL, true));
  assert_true(is_clear_with("X", "a", "[::1]:80", NULL, true));
  assert_true(is_clear_with("X", "a", "", NULL, true));
  assert_true(is_clear_with("X", "a", NULL, NULL, false));
  assert_false(is_clear_with("X", "a", NULL, NULL, true));
  assert_false(is_clear_with("X", "a", "a", "b", true));
  assert_false(is_clear_with("X", "a", "a", "a", false));
  static const char *const hosts[] = {"a b", "a,b", "a/b", "u@h", "a?", "a#", "a\\b"};
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) assert_false(is_clear_with("X", "a", hosts[i], NULL, true));
}

TEST_CASE(head_check_requires_each_header) {
  head h = {.method = "GET"};
  const vestry_request_ops without = {.method = method_of};
  assert_int_equal(vestry_head_check(&without, &h, false, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_head_check(NULL, &h, false, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_head_check(&head_ops, &h, false, NULL), VESTRY_OK);
}

/* ---- vestry_request_header --------------------------------------------------------------------------------------- */

/* Answers with the values of these headers, twice the first one. */
static vestry_err say_headers(const vestry_request *req, vestry_reply *reply, void *app) {
  static const char *const names[] = {"x-forwarded-for", "X-Forwarded-For", "Remote-User", "X-Other", "Cookie"};
  char text[512] = "";
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *value = vestry_request_header(req, names[i]);
    strcat(strcat(text, value ? value : "-"), "|");
  }
  return vestry_reply_body(reply, "text/plain", text, strlen(text));
}

/* A proxy that adds a line after the client's, instead of replacing it: the first line is the client's own. */
TEST_CASE(lines_of_a_header_by_which_a_proxy_reports_the_client_are_joined) {
  static const struct {
    vestry_header headers[8];
    const char *seen;
  } requests[] = {
      {{{"X-Forwarded-For", "198.51.100.7"}}, "198.51.100.7|198.51.100.7|-|-|-|"},
      {{{"X-Forwarded-For", "192.0.2.1"}, {"A", "b"}, {"x-forwarded-for", "198.51.100.7"}},
       "192.0.2.1, 198.51.100.7|192.0.2.1, 198.51.100.7|-|-|-|"},
      {{{"X-Forwarded-For", ""}, {"X-Forwarded-For", "198.51.100.7"}}, ", 198.51.100.7|, 198.51.100.7|-|-|-|"},
      {{{"Remote-User", "admin"}, {"Remote-User", "bob"}, {"X-Other", "1"}, {"X-Other", "2"}}, "-|-|admin, bob|1|-|"},
      {{{"Cookie", "a=1"}, {"X-Other", "1"}, {"cookie", "b=2"}}, "-|-|-|1|a=1; b=2|"},
  };
  for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
    site w;
    wire r = {.method = "GET"};
    memcpy(r.headers, requests[i].headers, sizeof r.headers);
    site_begin(&w, (vestry_options){0});
    wire_request(&w, &r, say_headers, NULL);
    wire_assert_text(&r, requests[i].seen);
    wires_end(&w, &r);
  }
}

static vestry_err say_forwarded(const vestry_request *req, vestry_reply *reply, void *app) {
  site *w = app;
  test_host_fail_in(&w->th, 0);
  const char *value = vestry_request_header(req, "X-Forwarded-For");
  assert_true(test_host_has_failed(&w->th));
  return vestry_reply_body(reply, "text/plain", value, strlen(value));
}

TEST_CASE(without_memory_no_line_is_taken_for_the_whole) {
  site w;
  wire r = {.method = "GET", .headers = {{"X-Forwarded-For", "192.0.2.1"}, {"X-Forwarded-For", "198.51.100.7"}}};
  site_begin(&w, (vestry_options){0});
  wire_request(&w, &r, say_forwarded, &w);
  wire_assert_text(&r, ", ");
  wires_end(&w, &r);
}
