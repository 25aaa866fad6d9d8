/* SPDX-License-Identifier: MIT */
/* C3: events of effects that run code, with input that must not break out of them. tests/registry/effects_test.c has
 * the bytes of each effect and the reasons of refusals. */
#include "event/effect.h"

#include "event/expect.h"
#include "support/test.h"
#include "support/test_host.h"

#define TYPE   "event: datastar-patch-elements\n"
#define TARGET "data: selector body\ndata: mode append\n"
#define OPEN   TYPE TARGET "data: elements <i hidden data-init=\""
#define CLOSE  "; el.remove()\"></i>\n\n"

static void expect(const vestry_value *effect, const char *bytes) {
  vestry_event *event = expect_untouched;
  expect_event(vestry_event_effect(NULL, effect, &event), &event, bytes);
}

static void refuse(const vestry_value *effect, vestry_err why) {
  vestry_event *event = expect_untouched;
  expect_error(vestry_event_effect(NULL, effect, &event), &event, why);
}

/* capability: C3 */
TEST_CASE(c3_texts_are_escaped) {
  json_t *text = json_stringn("');alert(1)//</i>\n\nevent: x$y@z(&\0", 34);
  expect(VESTRY_LIST("console-log", text), OPEN
         "console.log('\\x27)\\x3balert\\x281)//\\x3c/i\\x3e\\x0a\\x0aevent: x\\x24y\\x40z\\x28\\x26\\x00')" CLOSE);
  json_decref(text);
  expect(VESTRY_LIST("redirect", "/cart?a=1&b=\"2\"#x"),
         OPEN "setTimeout(() => window.location.href = '/cart?a=1\\x26b=\\x222\\x22#x')" CLOSE);
  expect(VESTRY_LIST("replace-url", "?page=2</script>"),
         OPEN "window.history.replaceState(window.history.state, '', '?page=2\\x3c/script\\x3e')" CLOSE);
  expect(VESTRY_LIST("prefetch", "/a?\"</script>"),
         TYPE TARGET "data: elements <script type=\"speculationrules\">{\"prefetch\":[{\"source\":\"list\","
                     "\"urls\":[\"/a?\\\"\\u003c/script>\"]}]}</script>\n\n");
  expect(VESTRY_LIST("dispatch-event", "a\"b", VESTRY_OBJECT("__proto__", "</i>"),
                     VESTRY_OBJECT("selector", "#list > li[data-x='1']")),
         OPEN "for (const to of document.querySelectorAll('#list \\x3e li[data-x=\\x271\\x27]')) to.dispatchEvent(new "
              "CustomEvent('a\\x22b', {bubbles: true, cancelable: true, composed: true, detail: "
              "JSON.parse('{\\x22__proto__\\x22:\\x22\\x3c/i\\x3e\\x22}')}))" CLOSE);
}

/* capability: L3 */
TEST_CASE(l3_navigate_escapes_the_url) {
  expect(VESTRY_LIST("navigate", "/list?a=1&b='2'"),
         OPEN "setTimeout((url) => window.vestryNavigate?.(url, 'push') || window.location.assign(url), 0, "
              "'/list?a=1\\x26b=\\x272\\x27')" CLOSE);
}

/* URLs that a browser would run or that have a scheme other than http and https, and URLs that are allowed. */
/* capability: C3 */
TEST_CASE(c3_script_urls_are_refused) {
  static const char *const names[] = {"redirect", "replace-url", "navigate", "navigate-replace", "prefetch"};
  static const char *const bad[] = {
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
    for (size_t name = 0; name < sizeof names / sizeof *names; name++)
      refuse(VESTRY_LIST(names[name], bad[i]), VESTRY_INVALID);
    refuse(VESTRY_LIST("prefetch", VESTRY_LIST("/fine", bad[i])), VESTRY_INVALID);
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
    for (size_t name = 0; name < sizeof names / sizeof *names; name++) {
      vestry_event *event = NULL;
      assert_int_equal(vestry_event_effect(NULL, VESTRY_LIST(names[name], good[i]), &event), VESTRY_OK);
      vestry_event_unref(event);
    }
  }
}

/* capability: C3 */
TEST_CASE(c3_reserved_attributes_are_refused) {
  /* a parser drops the second of two attributes with the same name, which would be ours */
  const vestry_value *init = VESTRY_OBJECT("attributes", VESTRY_OBJECT("DATA-init", "alert(1)"));
  refuse(VESTRY_LIST("console-error", "", init), VESTRY_INVALID);
  refuse(VESTRY_LIST("prefetch", "/", VESTRY_OBJECT("attributes", VESTRY_OBJECT("TYPE", "module"))), VESTRY_INVALID);
  refuse(VESTRY_LIST("redirect", "/", VESTRY_OBJECT("eventId", "a\nb")), VESTRY_INVALID);
}

TEST_CASE(effects_without_an_event_are_not_found) {
  refuse(VESTRY_LIST("close-sse"), VESTRY_NOT_FOUND);
  refuse(VESTRY_LIST("no-such"), VESTRY_NOT_FOUND);
  refuse(VESTRY_VALUES("redirect"), VESTRY_NOT_FOUND);
  refuse(VESTRY_LIST("redirect", "\xff"), VESTRY_INVALID);
  refuse(NULL, VESTRY_INVALID);
}

/* An event has at most 64 MiB; a text that exceeds this by its escapes is refused. */
TEST_CASE(c3_event_over_size_limit_is_too_large) {
  size_t len = VESTRY_EVENT_MAX_BYTES / 4;
  char *text = test_malloc(len + 1);
  memset(text, '<', len);
  text[len] = '\0';
  refuse(VESTRY_LIST("console-log", text), VESTRY_TOO_LARGE);
  refuse(VESTRY_LIST("prefetch", VESTRY_LIST(text, "/")), VESTRY_TOO_LARGE);
  test_free(text);
}

static vestry_err make_each(test_host *th, void *ctx) {
  const vestry_value *effects[] = {VESTRY_LIST("console-log", "a"), VESTRY_LIST("dispatch-event", "a", 1),
                                   VESTRY_LIST("prefetch", VESTRY_LIST("/a", "/b")), VESTRY_LIST("send-event", "a", 1),
                                   VESTRY_LIST("remove-signals", VESTRY_LIST("a", "b"))};
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < sizeof effects / sizeof *effects && !error; i++) {
    vestry_event *made = NULL;
    error = vestry_event_effect(&th->host, effects[i], &made);
    vestry_event_unref(made);
  }
  return error;
}

TEST_CASE(c3_failed_allocation_is_reported) {
  test_host_fail_each(make_each, NULL, false);
}
