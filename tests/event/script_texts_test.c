/* SPDX-License-Identifier: MIT */
/* C3: common scripts, as elements with an expression, compared byte by byte, with input that must not break out of
 * them. */
#include "vestry/script.h"

#include "event/expect.h"
#include "support/test.h"
#include "support/test_host.h"

#define TYPE   "event: datastar-patch-elements\n"
#define TARGET "data: selector body\ndata: mode append\n"
#define OPEN   TYPE TARGET "data: elements <i hidden data-init=\""
#define CLOSE  "; el.remove()\"></i>\n\n"

static vestry_event *event;

/* capability: C3 */
static void c3_console_texts_are_escaped(void **state) {
  event = expect_untouched;
  expect_event(vestry_event_console_log(NULL, "hello", 5, NULL, &event), &event, OPEN "console.log('hello')" CLOSE);
  expect_event(vestry_event_console_log(NULL, NULL, 0, NULL, &event), &event, OPEN "console.log('')" CLOSE);
  expect_event(
      vestry_event_console_log(NULL, "');alert(1)//</i>\n\nevent: x$y@z(&\0", 34, NULL, &event), &event,
      OPEN "console.log('\\x27)\\x3balert\\x281)//\\x3c/i\\x3e\\x0a\\x0aevent: x\\x24y\\x40z\\x28\\x26\\x00')" CLOSE);
  vestry_attribute nonce = {"nonce", "r4nd0m"}, init = {"DATA-init", "alert(1)"};
  vestry_script_options options = {
      .event = {.id = "7", .retry_ms = 50}, .keep = true, .attributes = &nonce, .attributes_count = 1};
  expect_event(vestry_event_console_error(NULL, "no\\", 3, &options, &event), &event,
               TYPE "id: 7\nretry: 50\n" TARGET
                    "data: elements <i hidden nonce=\"r4nd0m\" data-init=\"console.error('no\\x5c')\"></i>\n\n");
  event = expect_untouched;
  options.attributes = &init; /* a parser drops the second of two data-init attributes, which would be ours */
  expect_error(vestry_event_console_error(NULL, "", 0, &options, &event), &event, VESTRY_INVALID);
  options.attributes = &nonce;
  event = expect_untouched;
  expect_error(vestry_event_console_log(NULL, NULL, 1, NULL, &event), &event, VESTRY_INVALID);
  expect_error(vestry_event_console_error(NULL, NULL, 1, NULL, &event), &event, VESTRY_INVALID);
  options.event.id = "a\nb";
  expect_error(vestry_event_console_error(NULL, "", 0, &options, &event), &event, VESTRY_INVALID);
}

/* capability: C3 */
static void c3_redirect_and_replace_url_escape_the_url(void **state) {
  event = expect_untouched;
  expect_event(vestry_event_redirect(NULL, "/cart?a=1&b=\"2\"#x", NULL, &event), &event,
               OPEN "setTimeout(() => window.location.href = '/cart?a=1\\x26b=\\x222\\x22#x')" CLOSE);
  expect_event(vestry_event_replace_url(NULL, "?page=2</script>", NULL, &event), &event,
               OPEN "window.history.replaceState(window.history.state, '', '?page=2\\x3c/script\\x3e')" CLOSE);
}

/* capability: L3 */
static void l3_navigate_escapes_the_url(void **state) {
  event = expect_untouched;
  expect_event(vestry_event_navigate(NULL, "/list?a=1&b='2'", NULL, &event), &event,
               OPEN "setTimeout((url) => window.vestryNavigate?.(url, 'push') || window.location.assign(url), 0, "
                    "'/list?a=1\\x26b=\\x272\\x27')" CLOSE);
  expect_event(vestry_event_navigate_replace(NULL, "?page=2</script>", NULL, &event), &event,
               OPEN "setTimeout((url) => window.vestryNavigate?.(url, 'replace') || window.location.replace(url), 0, "
                    "'?page=2\\x3c/script\\x3e')" CLOSE);
}

/* URLs that a browser would run or that have a scheme other than http and https, and URLs that are allowed. */
/* capability: C3 */
static void c3_script_urls_are_refused(void **state) {
  static const char *const bad[] = {
      NULL,
      "",
      "javascript:alert(1)",
      "JaVaScRiPt:alert(1)",
      " javascript:alert(1)",
      "   javascript:alert(1)",
      "\tjavascript:alert(1)",
      "\x01javascript:alert(1)",
      "java\nscript:alert(1)",
      "java\tscript:alert(1)",
      "javascript\r:alert(1)",
      "javascript://example.org/%0Aalert(1)",
      "data:text/html,<script>alert(1)</script>",
      "vbscript:x",
      "blob:https://example.org/1",
      "view-source:javascript:alert(1)",
      "file:///etc/passwd",
      "a+b-c.9:x",
      "/a\x7F",
      "/a\nb",
      "httpx:/",
      "ws://example.org",
      "https\t://example.org",
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    event = expect_untouched;
    expect_error(vestry_event_redirect(NULL, bad[i], NULL, &event), &event, VESTRY_INVALID);
    expect_error(vestry_event_replace_url(NULL, bad[i], NULL, &event), &event, VESTRY_INVALID);
    expect_error(vestry_event_navigate(NULL, bad[i], NULL, &event), &event, VESTRY_INVALID);
    expect_error(vestry_event_navigate_replace(NULL, bad[i], NULL, &event), &event, VESTRY_INVALID);
    expect_error(vestry_event_prefetch(NULL, &bad[i], 1, NULL, &event), &event, VESTRY_INVALID);
    const char *second[] = {"/fine", bad[i]};
    expect_error(vestry_event_prefetch(NULL, second, 2, NULL, &event), &event, VESTRY_INVALID);
  }
  static const char *const good[] = {
      "/",
      "x",
      "?javascript:alert(1)",
      "#javascript:x",
      "./javascript:x",
      "/javascript:x",
      "1javascript:x",
      ":x",
      "java script:x",
      "\xC3\xA4:x",
      "http://example.org",
      "HTTPS://example.org/\xC3\xA4",
      " https://example.org",
      "http:relative",
  };
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    assert_int_equal(vestry_event_redirect(NULL, good[i], NULL, &event), VESTRY_OK);
    vestry_event_unref(event);
    assert_int_equal(vestry_event_replace_url(NULL, good[i], NULL, &event), VESTRY_OK);
    vestry_event_unref(event);
    assert_int_equal(vestry_event_navigate(NULL, good[i], NULL, &event), VESTRY_OK);
    vestry_event_unref(event);
    assert_int_equal(vestry_event_prefetch(NULL, &good[i], 1, NULL, &event), VESTRY_OK);
    vestry_event_unref(event);
  }
}

static void expect_custom(const char *name, const char *detail, const vestry_custom_event_options *options,
                          const char *script) {
  char bytes[1024];
  snprintf(bytes, sizeof bytes, OPEN "%s" CLOSE, script);
  event = expect_untouched;
  expect_event(vestry_event_custom(NULL, name, detail, detail ? strlen(detail) : 0, options, &event), &event, bytes);
}

/* capability: C3 */
static void c3_custom_events_have_target_detail_and_flags(void **state) {
  expect_custom("saved", NULL, NULL,
                "document.dispatchEvent(new CustomEvent('saved', {bubbles: true, cancelable: true, composed: true}))");
  vestry_custom_event_options options = {0};
  options.selector = "#list > li[data-x='1']";
  options.no_bubbles = options.not_composed = true;
  expect_custom(
      "a\"b", "{\"id\":7,\"__proto__\":\"</i>\"}", &options,
      "for (const to of document.querySelectorAll('#list \\x3e li[data-x=\\x271\\x27]')) to.dispatchEvent(new "
      "CustomEvent('a\\x22b', {bubbles: false, cancelable: true, composed: false, detail: "
      "JSON.parse('{\\x22id\\x22:7,\\x22__proto__\\x22:\\x22\\x3c/i\\x3e\\x22}')}))");
  options = (vestry_custom_event_options){.not_cancelable = true, .selector = ""};
  expect_custom("x", " [1,\n2] ", &options,
                "document.dispatchEvent(new CustomEvent('x', {bubbles: true, cancelable: false, composed: true, "
                "detail: JSON.parse(' [1,\\x0a2] ')}))");
}

static void c3_invalid_custom_events_are_refused(void **state) {
  static const char *const bad[] = {" ", "alert(1)", "{", "1 2", "'a'", "undefined", "\"\n\"", "\"\xFF\"", "[1,]"};
  event = expect_untouched;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    expect_error(vestry_event_custom(NULL, "x", bad[i], strlen(bad[i]), NULL, &event), &event, VESTRY_INVALID);
  static const char *const good[] = {"1", "-0.5e3", "\"a\"", "true", "false", "null", "[]", "{}", " 7 "};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    assert_int_equal(vestry_event_custom(NULL, "x", good[i], strlen(good[i]), NULL, &event), VESTRY_OK);
    vestry_event_unref(event);
  }
  event = expect_untouched;
  expect_error(vestry_event_custom(NULL, NULL, NULL, 0, NULL, &event), &event, VESTRY_INVALID);
  expect_error(vestry_event_custom(NULL, "", NULL, 0, NULL, &event), &event, VESTRY_INVALID);
  expect_error(vestry_event_custom(NULL, "x", NULL, 1, NULL, &event), &event, VESTRY_INVALID);
  vestry_custom_event_options options = {.script = &(vestry_script_options){.event.id = "\n"}};
  expect_error(vestry_event_custom(NULL, "x", NULL, 0, &options, &event), &event, VESTRY_INVALID);
  char deep[600] = "";
  memset(deep, '[', 257);
  memset(deep + 257, ']', 257);
  expect_error(vestry_event_custom(NULL, "x", deep, 514, NULL, &event), &event, VESTRY_TOO_LARGE);
  assert_int_equal(vestry_event_custom(NULL, "x", deep + 1, 512, NULL, &event), VESTRY_OK);
  vestry_event_unref(event);
}

/* capability: C3 */
static void c3_prefetch_lists_its_urls(void **state) {
  static const char *const urls[] = {"/a?\"</script>", "https://example.org/"};
  event = expect_untouched;
  expect_event(vestry_event_prefetch(NULL, urls, 2, NULL, &event), &event,
               TYPE TARGET "data: elements <script type=\"speculationrules\">{\"prefetch\":[{\"source\":\"list\","
                           "\"urls\":[\"/a?\\\"\\u003C/script>\",\"https://example.org/\"]}]}</script>\n\n");
  vestry_attribute nonce = {"nonce", "x"};
  vestry_script_options options = {.event.id = "3", .attributes = &nonce, .attributes_count = 1};
  expect_event(vestry_event_prefetch(NULL, urls + 1, 1, &options, &event), &event,
               TYPE "id: 3\n" TARGET
                    "data: elements <script type=\"speculationrules\" nonce=\"x\">{\"prefetch\":[{\"source\":\"list\","
                    "\"urls\":[\"https://example.org/\"]}]}</script>\n\n");
  event = expect_untouched;
  expect_error(vestry_event_prefetch(NULL, urls, 0, NULL, &event), &event, VESTRY_INVALID);
  expect_error(vestry_event_prefetch(NULL, NULL, 1, NULL, &event), &event, VESTRY_INVALID);
  vestry_attribute type = {"TYPE", "module"}, many[64];
  options.attributes = &type;
  expect_error(vestry_event_prefetch(NULL, urls, 1, &options, &event), &event, VESTRY_INVALID);
  for (size_t i = 0; i < 64; i++) many[i] = (vestry_attribute){"a", NULL};
  options = (vestry_script_options){.attributes = many, .attributes_count = 64};
  expect_error(vestry_event_prefetch(NULL, urls, 1, &options, &event), &event, VESTRY_INVALID);
  options.attributes_count = 63;
  assert_int_equal(vestry_event_prefetch(NULL, urls, 1, &options, &event), VESTRY_OK);
  vestry_event_unref(event);
  event = expect_untouched;
  options = (vestry_script_options){.attributes_count = 1};
  expect_error(vestry_event_prefetch(NULL, urls, 1, &options, &event), &event, VESTRY_INVALID);
}

/* An event has at most 64 MiB; a text that exceeds this by its escapes is refused. */
static void c3_event_over_size_limit_is_too_large(void **state) {
  size_t len = VESTRY_EVENT_MAX_BYTES / 4;
  char *text = test_malloc(len + 1);
  memset(text, '<', len);
  text[len] = '\0';
  event = expect_untouched;
  expect_error(vestry_event_console_log(NULL, text, len, NULL, &event), &event, VESTRY_TOO_LARGE);
  expect_error(vestry_event_console_log(NULL, text, VESTRY_EVENT_MAX_BYTES + 1, NULL, &event), &event,
               VESTRY_TOO_LARGE);
  const char *urls[] = {text, "/"};
  expect_error(vestry_event_prefetch(NULL, urls, 2, NULL, &event), &event, VESTRY_TOO_LARGE);
  test_free(text);
}

static vestry_err make_each(test_host *th, void *ctx) {
  static const char *const urls[] = {"/a", "/b"};
  vestry_event *made = NULL;
  vestry_err error = vestry_event_console_log(&th->host, "a", 1, NULL, &made);
  vestry_event_unref(made);
  made = NULL;
  if (!error) error = vestry_event_redirect(&th->host, "/", NULL, &made);
  vestry_event_unref(made);
  made = NULL;
  if (!error) error = vestry_event_custom(&th->host, "a", "{}", 2, NULL, &made);
  vestry_event_unref(made);
  made = NULL;
  if (!error) error = vestry_event_prefetch(&th->host, urls, 2, NULL, &made);
  vestry_event_unref(made);
  return error;
}

static void c3_failed_allocation_is_reported(void **state) {
  test_host_fail_each(make_each, NULL, false);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(c3_console_texts_are_escaped),
      cmocka_unit_test(c3_redirect_and_replace_url_escape_the_url),
      cmocka_unit_test(l3_navigate_escapes_the_url),
      cmocka_unit_test(c3_script_urls_are_refused),
      cmocka_unit_test(c3_custom_events_have_target_detail_and_flags),
      cmocka_unit_test(c3_invalid_custom_events_are_refused),
      cmocka_unit_test(c3_prefetch_lists_its_urls),
      cmocka_unit_test(c3_event_over_size_limit_is_too_large),
      cmocka_unit_test(c3_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
