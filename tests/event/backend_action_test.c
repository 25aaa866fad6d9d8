/* SPDX-License-Identifier: MIT */
#include "vestry/backend_action.h"

#include "html/expect.h"
#include "support/test.h"
#include "support/test_host.h"

#define Q "&#39;"

static char made[1024];

static void expect(vestry_method method, const vestry_backend_action_options *options, const char *expected) {
  assert_int_equal(vestry_backend_action_string(made, sizeof made, method, options, "/x"), VESTRY_OK);
  assert_string_equal(made, expected);
}

/* capability: C7 */
TEST_CASE(action_names_its_method) {
  expect(VESTRY_METHOD_GET, NULL, "@get(" Q "/x" Q ")");
  expect(VESTRY_METHOD_POST, NULL, "@post(" Q "/x" Q ")");
  expect(VESTRY_METHOD_PUT, NULL, "@put(" Q "/x" Q ")");
  expect(VESTRY_METHOD_PATCH, NULL, "@patch(" Q "/x" Q ")");
  expect(VESTRY_METHOD_DELETE, &(vestry_backend_action_options){0}, "@delete(" Q "/x" Q ")");
  expect(VESTRY_METHOD_QUERY, NULL, "@query(" Q "/x" Q ")");
}

/* capability: C7 */
TEST_CASE(url_arguments_are_escaped) {
  assert_int_equal(vestry_backend_action_string(made, sizeof made, VESTRY_METHOD_GET, NULL, "/u/%s/%d?q=%s&p=%-s#%%",
                                                "a/b'?&=\xC3\xA4 .", 7, "%", "x=1&y='2'"),
                   VESTRY_OK);
  assert_string_equal(made, "@get(" Q "/u/a%2Fb%27%3F%26%3D%C3%A4%20./7?q=%25\\x26p=x=1\\x26y=\\x272\\x27#%" Q ")");
  assert_int_equal(
      vestry_backend_action_string(made, sizeof made, VESTRY_METHOD_GET, NULL, "%-s", "https://a.b/'+alert(1)+'"),
      VESTRY_OK);
  assert_string_equal(made, "@get(" Q "https://a.b/\\x27+alert\\x281)+\\x27" Q ")");
  assert_int_equal(vestry_backend_action_string(made, sizeof made, VESTRY_METHOD_GET, NULL, "/%s", "\xFF\x01"),
                   VESTRY_OK);
  assert_string_equal(made, "@get(" Q "/%EF%BF%BD%01" Q ")");
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the formats are in the table below */
static vestry_err url(const char *format) {
  return vestry_backend_action_string(made, sizeof made, VESTRY_METHOD_POST, NULL, format, "{$x}", "{$y}");
}
#pragma GCC diagnostic pop

TEST_CASE(url_signals_are_encoded_and_bad_ones_refused) {
#define SIGNAL(name) Q "+encodeURIComponent($" name ")+" Q
  assert_int_equal(url("/rooms/{$room.id}/%s/%-s?q={$_q1}"), VESTRY_OK);
  assert_string_equal(made, "@post(" Q "/rooms/" SIGNAL("room.id") "/%7B%24x%7D/{\\x24y}?q=" SIGNAL("_q1") Q ")");
  assert_int_equal(url("{$a}{$b}%s%-s"), VESTRY_OK);
  assert_string_equal(made, "@post(" Q SIGNAL("a") SIGNAL("b") "%7B%24x%7D{\\x24y}" Q ")");
  assert_int_equal(url("/{a}/$b%s%-s"), VESTRY_OK); /* without braces there is no signal */
  assert_string_equal(made, "@post(" Q "/{a}/\\x24b%7B%24x%7D{\\x24y}" Q ")");
  assert_int_equal(vestry_backend_action_string(made, sizeof made, VESTRY_METHOD_POST,
                                                &(vestry_backend_action_options){.once = true}, "/{$a}"),
                   VESTRY_OK);
  assert_non_null(strstr(made, "(" Q "/" SIGNAL("a") Q ",{"));
  static const char *const bad[] = {"/{$}%s%-s",         "/{$a%s}%-s",    "/{$a b}%s%-s",  "/{$1}%s%-s",
                                    "/{$a.}%s%-s",       "/{$.a}%s%-s",   "/{$a..b}%s%-s", "/{$a-b}%s%-s",
                                    "/{$a['b']}%s%-s",   "/{$a)+(}%s%-s", "/{$a.1b}%s%-s", "/{${$a}}%s%-s",
                                    "/{$\xC3\xA4}%s%-s", "%s%-s/{$"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(url(bad[i]), VESTRY_INVALID);
    assert_string_equal(made, "");
  }
}

/* capability: C7 */
TEST_CASE(each_option_is_written_in_the_action) {
  vestry_attribute headers[] = {{"X-A", "b'c"}, {"X-B", ""}};
  json_t *payload = json_pack("{s:s}", "a", "'");
  vestry_backend_action_options options = {
      .content = VESTRY_CONTENT_FORM,
      .selector = "#a > b",
      .headers = headers,
      .headers_count = 2,
      .filter_include = "^a\\.b$",
      .filter_exclude = "c",
      .payload = payload,
      .when_hidden = VESTRY_HIDDEN_OPEN,
      .retry = VESTRY_RETRY_ALWAYS,
      .retry_interval_ms = 500,
      .retry_scaler = 1.5,
      .retry_max_wait_ms = 60000,
      .retry_max_count = VESTRY_RETRY_FOREVER,
      .cancellation = VESTRY_CANCEL_DISABLED,
  };
  expect(VESTRY_METHOD_GET, &options,
         "@get(" Q "/x" Q ",{contentType:" Q "form" Q ",selector:" Q "#a \\x3e b" Q ",headers:{" Q "X-A" Q ":" Q
         "b\\x27c" Q "," Q "X-B" Q ":" Q Q "},filterSignals:{include:" Q "^a\\x5c.b\\x24" Q ",exclude:" Q "c" Q
         "},payload:{&quot;a&quot;:&quot;\\u0027&quot;},openWhenHidden:true,retry:" Q "always" Q
         ",retryInterval:500,retryScaler:1.5,retryMaxWait:60000,retryMaxCount:Infinity,requestCancellation:" Q
         "disabled" Q "})");
  json_decref(payload);
  expect(VESTRY_METHOD_GET,
         &(vestry_backend_action_options){
             .when_hidden = VESTRY_HIDDEN_CLOSED, .retry = VESTRY_RETRY_ERROR, .retry_max_count = 3},
         "@get(" Q "/x" Q ",{openWhenHidden:false,retry:" Q "error" Q ",retryMaxCount:3})");
  expect(VESTRY_METHOD_GET, &(vestry_backend_action_options){.filter_exclude = "a"},
         "@get(" Q "/x" Q ",{filterSignals:{exclude:" Q "a" Q "}})");
  expect(VESTRY_METHOD_GET,
         &(vestry_backend_action_options){.retry = VESTRY_RETRY_NEVER, .cancellation = VESTRY_CANCEL_CLEANUP},
         "@get(" Q "/x" Q ",{retry:" Q "never" Q ",requestCancellation:" Q "cleanup" Q "})");
  expect(VESTRY_METHOD_POST, &(vestry_backend_action_options){.csrf = true},
         "@post(" Q "/x" Q ",{headers:{" Q "X-CSRF-Token" Q ":$_csrf}})");
}

#define NONCE "X-Once" Q ":$_once+" Q "." Q "+crypto.getRandomValues(new Uint32Array(4)).join(" Q "-" Q ")}"
#define ONCE  "(window.vestryOnce||((u,o,f)=&gt;f(u,o)))(" Q "/x" Q ",{"
#define SNAPSHOT                                                                                                       \
  "payload:@peek(()=&gt;(f=&gt;JSON.parse(JSON.stringify(f(f,$," Q Q "))||" Q "{}" Q                                   \
  "))((f,o,p)=&gt;Object.entries(o).reduce((r,[k,v])=&gt;(v&amp;&amp;Object.getPrototypeOf(v)==Object.prototype?"      \
  "v=f(f,v,p+k+" Q "." Q "):"
#define PRIVATE      "!RegExp(" Q "\\x28^|\\x5c.)_" Q ").test(p+k)"
#define SNAPSHOT_END ")?{...r,[k]:v}:r,void 0))),requestCancellation:" Q "disabled" Q
#define LONGEST      "a23456789012345678901234567890123456789012345678901234567890_234"
#define OF(method)   "},(u,o)=&gt;@" method "(u,o),el,evt)"

/* A retry sends the signals as they were at the action; tests/browser/retries.test.js runs this code. */
/* capability: C7 */
TEST_CASE(action_once_has_key_and_snapshot) {
  vestry_attribute headers[] = {{"X-A", "b'c"}};
  expect(VESTRY_METHOD_POST,
         &(vestry_backend_action_options){.csrf = true, .once = true, .headers = headers, .headers_count = 1},
         ONCE "headers:{" Q "X-A" Q ":" Q "b\\x27c" Q "," Q "X-CSRF-Token" Q ":$_csrf," Q NONCE
              "," SNAPSHOT PRIVATE SNAPSHOT_END OF("post"));
  expect(VESTRY_METHOD_DELETE,
         &(vestry_backend_action_options){.once = true,
                                          .filter_include = "/^a\\.b/",
                                          .filter_exclude = "'",
                                          .cancellation = VESTRY_CANCEL_CLEANUP,
                                          .deduplicate = true,
                                          .unordered = true},
         ONCE "headers:{" Q NONCE "," SNAPSHOT "RegExp(" Q "^a\\x5c.b" Q ").test(p+k)&amp;&amp;!RegExp(" Q "\\x27" Q
              ").test(p+k))?{...r,[k]:v}:r,void 0))),requestCancellation:" Q "cleanup" Q
              ",untilAnswered:true,unordered:true" OF("delete"));
  json_t *payload = json_pack("{s:i}", "a", 1);
  expect(VESTRY_METHOD_PUT, &(vestry_backend_action_options){.once = true, .payload = payload, .filter_include = "a"},
         ONCE "headers:{" Q NONCE ",payload:{&quot;a&quot;:1},requestCancellation:" Q "disabled" Q OF("put"));
  json_decref(payload);
  expect(VESTRY_METHOD_PATCH, &(vestry_backend_action_options){.once = true, .content = VESTRY_CONTENT_FORM},
         ONCE "contentType:" Q "form" Q ",headers:{" Q NONCE ",requestCancellation:" Q "disabled" Q OF("patch"));
  expect(VESTRY_METHOD_QUERY, &(vestry_backend_action_options){.once = true},
         "@query(" Q "/x" Q ",{headers:{" Q NONCE "})");
  expect(VESTRY_METHOD_GET, &(vestry_backend_action_options){.once = true},
         "@get(" Q "/x" Q ",{headers:{" Q NONCE "})");
}

/* capability: L5 */
TEST_CASE(sent_names_a_valid_signal_of_an_action_once) {
  static const char *const bad[] = {"", "a.b", "1a", "a b", "a'", "\xC3\xA4", LONGEST "a"};
  vestry_backend_action_options options = {.once = true, .content = VESTRY_CONTENT_FORM, .sent = "_saving"};
  expect(VESTRY_METHOD_POST, &options,
         ONCE "contentType:" Q "form" Q ",headers:{" Q NONCE ",requestCancellation:" Q "disabled" Q ",sent:" Q
              "_saving" Q OF("post"));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    options.sent = bad[i];
    assert_int_equal(vestry_backend_action_string(made, sizeof made, VESTRY_METHOD_POST, &options, "/x"),
                     VESTRY_INVALID);
  }
  options.sent = LONGEST;
  assert_int_equal(vestry_backend_action_string(made, sizeof made, VESTRY_METHOD_POST, &options, "/x"), VESTRY_OK);
  options.once = false;
  assert_int_equal(vestry_backend_action_string(made, sizeof made, VESTRY_METHOD_POST, &options, "/x"), VESTRY_INVALID);
}

/* capability: C7 */
TEST_CASE(bad_options_are_refused) {
  static const vestry_attribute bad[] = {{"", "a"},         {"a b", "a"},  {NULL, "a"},   {"a:", "a"},
                                         {"\xC3\xA4", "a"}, {"a", "b\nc"}, {"a", "\x7F"}, {"a", "\r"},
                                         {"a", "\xC3\xA4"}, {"a", NULL}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    vestry_backend_action_options options = {.headers = &bad[i], .headers_count = 1};
    assert_int_equal(vestry_backend_action_string(made, sizeof made, VESTRY_METHOD_GET, &options, "/x"),
                     VESTRY_INVALID);
    assert_string_equal(made, "");
  }
  const vestry_backend_action_options wrong[] = {
      {.content = (vestry_action_content)2},
      {.when_hidden = (vestry_when_hidden)3},
      {.retry = (vestry_action_retry)4},
      {.cancellation = (vestry_cancellation)-1},
      {.selector = "#a"},
      {.deduplicate = true},
      {.unordered = true},
      {.sent = "_saving"},
      {.once = true, .sent = "_saving"}, /* a GET */
      {.headers_count = 1},
      {.headers = bad, .headers_count = 65},
      {.retry_scaler = -1},
      {.retry_scaler = __builtin_nan("")},
      {.retry_scaler = __builtin_inf()},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_int_equal(vestry_backend_action_string(made, sizeof made, VESTRY_METHOD_GET, &wrong[i], "/x"),
                     VESTRY_INVALID);
  assert_int_equal(vestry_backend_action_string(made, sizeof made, (vestry_method)6, NULL, "/x"), VESTRY_INVALID);
  assert_int_equal(vestry_backend_action_string(made, sizeof made, VESTRY_METHOD_GET, NULL, "%s", ""), VESTRY_INVALID);
  assert_int_equal(vestry_backend_action_string(NULL, 1, VESTRY_METHOD_GET, NULL, "/x"), VESTRY_INVALID);
}

TEST_CASE(buffer_is_filled_to_its_last_byte) {
  static const char whole[] = "@get(" Q "/x" Q ")";
  char buffer[sizeof whole];
  for (size_t capacity = 0; capacity < sizeof whole; capacity++) {
    memset(buffer, 'a', sizeof buffer);
    assert_int_equal(vestry_backend_action_string(buffer, capacity, VESTRY_METHOD_GET, NULL, "/x"), VESTRY_TOO_LARGE);
    if (capacity) assert_int_equal(buffer[0], '\0');
    assert_int_equal(buffer[capacity], 'a');
  }
  assert_int_equal(vestry_backend_action_string(buffer, sizeof whole, VESTRY_METHOD_GET, NULL, "/x"), VESTRY_OK);
  assert_string_equal(buffer, whole);
  assert_int_equal(vestry_backend_action_string(NULL, 0, VESTRY_METHOD_GET, NULL, "/x"), VESTRY_TOO_LARGE);
}

/* capability: C7 */
TEST_CASE(action_is_added_to_html_in_code_only) {
  vestry_html html;
  vestry_html_init(&html, NULL);
  vestry_html_add(&html, "<b data-on:click=\"f(); ");
  vestry_html_backend_action(&html, VESTRY_METHOD_POST, NULL, "/%s", "a b");
  vestry_html_add(&html, "; g('%s')\">%s", "'", "<");
  expect_html(&html, "<b data-on:click=\"f(); @post(" Q "/a%20b" Q "); g('\\x27')\">&lt;");
  assert_int_equal(vestry_backend_action_string(made, sizeof made, VESTRY_METHOD_GET, NULL, "/x"), VESTRY_OK);
  vestry_html_add(&html, "<b data-init='%-s' title='%s'>", made, "'");
  expect_html(&html, "<b data-init='@get(" Q "/x" Q ")' title='&#39;'>");

  static const char *const elsewhere[] = {"<script>", "<a href=\"", "<b ", "<b data-init=\"'", "<b data-init="};
  for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
    vestry_html_raw(&html, elsewhere[i], strlen(elsewhere[i]));
    assert_int_equal(vestry_html_backend_action(&html, VESTRY_METHOD_GET, NULL, "/x"), VESTRY_INVALID);
    expect_refused(&html, 0, "");
  }
  const char *volatile nothing = NULL; /* volatile, because the compiler would warn of it too */
  vestry_html_backend_action(&html, VESTRY_METHOD_GET, NULL, "/x%s", nothing);
  expect_refused(&html, 2, "NULL");
  vestry_html_finish(&html);
}

static vestry_err build(test_host *th, void *ctx) {
  vestry_html html;
  vestry_slice slice;
  vestry_html_init(&html, &th->host);
  for (int i = 0; i < 50; i++) vestry_html_backend_action(&html, VESTRY_METHOD_GET, ctx, "/%s", "a b c");
  vestry_err error = vestry_html_result(&html, &slice);
  vestry_html_finish(&html);
  return error;
}

TEST_CASE(failed_allocation_is_reported) {
  vestry_backend_action_options options = {
      .filter_include = "abcdefghijklmnop", .retry_scaler = 3, .retry_interval_ms = 1};
  test_host_fail_each(build, &options, false);
}
