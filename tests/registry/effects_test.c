/* SPDX-License-Identifier: MIT */
/* The exact bytes of the built-in effects, and the arguments that they refuse. */
#include "serve/wire.h"
#include "vestry/dispatch.h"

/* Dispatch this effect (JSON text) to a stream. Returns the error, its detail, and the bytes that the stream
 * received. */
typedef struct tried {
  vestry_err error;
  char detail[96];
  char text[2048];
} tried;

static tried try_effect(const char *effect) {
  tried t = {0};
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_plan(&w, &r, &(plan){.keep = true, .key = "a"});
  json_t *effects = json_array();
  json_array_append_new(effects, json_loads(effect, JSON_ALLOW_NUL | JSON_DECODE_ANY, NULL));
  assert_int_equal(json_array_size(effects), 1);
  vestry_dispatch_result result = {0};
  t.error = vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.key = ROOM("a")}, &result);
  assert_int_equal(result.connections_count, 1);
  assert_int_equal(result.effects_count, t.error ? 0 : 1);
  assert_int_equal(result.errors_count, t.error ? 1 : 0);
  if (t.error) {
    assert_int_equal(result.errors[0].error, t.error);
    assert_int_equal(result.errors[0].phase, VESTRY_PHASE_EFFECT);
    snprintf(t.detail, sizeof t.detail, "%s", result.errors[0].detail);
  }
  json_decref(effects);
  site_settle(&w);
  snprintf(t.text, sizeof t.text, "%s", r.text);
  wires_end(&w, &r);
  return t;
}

/* capability: B2 */
TEST_CASE(effects_send_the_bytes_of_the_protocol) {
  static const struct {
    const char *effect, *text;
  } cases[] = {
      {"[\"patch-elements\",\"<p id=\\\"a\\\">1</p>\"]",
       "event: datastar-patch-elements\ndata: elements <p id=\"a\">1</p>\n\n"},
      {"[\"patch-elements\",\"<p>1</p>\",null]", "event: datastar-patch-elements\ndata: elements <p>1</p>\n\n"},
      {"[\"patch-elements\",\"<g/>\",{\"selector\":\"#x\",\"mode\":\"append\",\"namespace\":\"svg\","
       "\"useViewTransition\":true,\"viewTransitionSelector\":\"#y\",\"eventId\":\"7\",\"retryDuration\":50}]",
       "event: datastar-patch-elements\nid: 7\nretry: 50\ndata: selector #x\ndata: mode append\n"
       "data: useViewTransition true\ndata: viewTransitionSelector #y\ndata: namespace svg\ndata: elements <g/>\n\n"},
      {"[\"patch-elements\",\"\",{\"selector\":\"#x\",\"mode\":\"remove\",\"useViewTransition\":false}]",
       "event: datastar-patch-elements\ndata: selector #x\ndata: mode remove\n\n"},
      {"[\"patch-elements-seq\",[\"<p>1</p>\",\"<p>2\\n</p>\"]]",
       "event: datastar-patch-elements\ndata: elements <p>1</p>\ndata: elements <p>2\ndata: elements </p>\n\n"},
      {"[\"patch-elements-seq\",[\"<p>1</p>\"],{\"mode\":\"inner\",\"selector\":\"#x\"}]",
       "event: datastar-patch-elements\ndata: selector #x\ndata: mode inner\ndata: elements <p>1</p>\n\n"},
      {"[\"patch-elements-seq\",[]]", "event: datastar-patch-elements\n\n"},
      {"[\"patch-signals\",{\"a\":1,\"b\":{\"c\":null}}]",
       "event: datastar-patch-signals\ndata: signals {\"a\":1,\"b\":{\"c\":null}}\n\n"},
      {"[\"patch-signals\",\"{\\\"a\\\" : 1}\",{\"onlyIfMissing\":true,\"eventId\":\"\",\"retryDuration\":0}]",
       "event: datastar-patch-signals\nid:\ndata: onlyIfMissing true\ndata: signals {\"a\" : 1}\n\n"},
      {"[\"execute-script\",\"f()\"]", "event: datastar-patch-elements\ndata: selector body\ndata: mode append\n"
                                       "data: elements <script data-effect=\"el.remove()\">f()</script>\n\n"},
      {"[\"execute-script\",\"f()\",{\"autoRemove\":false,\"attributes\":{\"type\":\"module\",\"async\":true}}]",
       "event: datastar-patch-elements\ndata: selector body\ndata: mode append\n"
       "data: elements <script type=\"module\" async>f()</script>\n\n"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tried t = try_effect(cases[i].effect);
    assert_int_equal(t.error, VESTRY_OK);
    assert_string_equal(t.text, cases[i].text);
  }
}

#define SCRIPT(text)                                                                                                   \
  "event: datastar-patch-elements\ndata: selector body\ndata: mode append\n"                                           \
  "data: elements <script data-effect=\"el.remove()\">" text "</script>\n\n"
#define ACTION(text)                                                                                                   \
  "event: datastar-patch-elements\ndata: selector body\ndata: mode append\n"                                           \
  "data: elements <i hidden data-init=\"" text "; el.remove()\"></i>\n\n"

/* capability: C2 */
TEST_CASE(c2_c3_helpers_send_the_bytes_of_the_protocol) {
  static const struct {
    const char *effect, *text;
  } cases[] = {
      {"[\"remove-elements\",\"#a > b\"]",
       "event: datastar-patch-elements\ndata: selector #a > b\ndata: mode remove\n\n"},
      {"[\"remove-elements\",\"#a\",{\"useViewTransition\":true,\"viewTransitionSelector\":\"#b\",\"eventId\":\"7\","
       "\"retryDuration\":50}]",
       "event: datastar-patch-elements\nid: 7\nretry: 50\ndata: selector #a\ndata: mode remove\n"
       "data: useViewTransition true\ndata: viewTransitionSelector #b\n\n"},
      {"[\"remove-signals\",\"user.name\"]",
       "event: datastar-patch-signals\ndata: signals {\"user\":{\"name\":null}}\n\n"},
      {"[\"remove-signals\",[\"user.name\",\"x\"],{\"eventId\":\"7\"}]",
       "event: datastar-patch-signals\nid: 7\ndata: signals {\"user\":{\"name\":null},\"x\":null}\n\n"},
      {"[\"console-log\",\"a\\\"b\"]", ACTION("console.log('a\\x22b')")},
      {"[\"console-error\",\"a\\u0000b\",null]", ACTION("console.error('a\\x00b')")},
      {"[\"console-error\",\"\",{\"autoRemove\":false,\"attributes\":{\"nonce\":\"x\"}}]",
       "event: datastar-patch-elements\ndata: selector body\ndata: mode append\n"
       "data: elements <i hidden nonce=\"x\" data-init=\"console.error('')\"></i>\n\n"},
      {"[\"redirect\",\"/cart?a=1\"]", ACTION("setTimeout(() => window.location.href = '/cart?a=1')")},
      {"[\"replace-url\",\"?page=2\"]", ACTION("window.history.replaceState(window.history.state, '', '?page=2')")},
      {"[\"navigate\",\"?page=2\"]", ACTION("setTimeout((url) => window.vestryNavigate?.(url, 'push') || "
                                            "window.location.assign(url), 0, '?page=2')")},
      {"[\"navigate-replace\",\"/a\"]", ACTION("setTimeout((url) => window.vestryNavigate?.(url, 'replace') || "
                                               "window.location.replace(url), 0, '/a')")},
      {"[\"dispatch-event\",\"saved\"]",
       ACTION("document.dispatchEvent(new CustomEvent('saved', {bubbles: true, cancelable: true, composed: true}))")},
      {"[\"dispatch-event\",\"saved\",{\"id\":7},{\"selector\":\"#a\",\"bubbles\":false,\"cancelable\":false,"
       "\"composed\":false,\"autoRemove\":true}]",
       ACTION("for (const to of document.querySelectorAll('#a')) to.dispatchEvent(new CustomEvent('saved', "
              "{bubbles: false, cancelable: false, composed: false, detail: JSON.parse('{\\x22id\\x22:7}')}))")},
      {"[\"dispatch-event\",\"saved\",null,null]",
       ACTION("document.dispatchEvent(new CustomEvent('saved', {bubbles: true, cancelable: true, composed: true, "
              "detail: JSON.parse('null')}))")},
      {"[\"dispatch-event\",\"saved\",\"text\",{\"attributes\":{\"nonce\":\"x\"}}]",
       "event: datastar-patch-elements\ndata: selector body\ndata: mode append\n"
       "data: elements <i hidden nonce=\"x\" data-init=\"document.dispatchEvent(new CustomEvent('saved', "
       "{bubbles: true, cancelable: true, composed: true, detail: JSON.parse('\\x22text\\x22')})); "
       "el.remove()\"></i>\n\n"},
      {"[\"prefetch\",\"/a\"]",
       "event: datastar-patch-elements\ndata: selector body\ndata: mode append\ndata: elements <script "
       "type=\"speculationrules\">{\"prefetch\":[{\"source\":\"list\",\"urls\":[\"/a\"]}]}</script>\n\n"},
      {"[\"prefetch\",[\"/a\",\"/b\"],{\"eventId\":\"7\"}]",
       "event: datastar-patch-elements\nid: 7\ndata: selector body\ndata: mode append\ndata: elements <script "
       "type=\"speculationrules\">{\"prefetch\":[{\"source\":\"list\",\"urls\":[\"/a\",\"/b\"]}]}</script>\n\n"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tried t = try_effect(cases[i].effect);
    assert_string_equal(t.detail, "");
    assert_string_equal(t.text, cases[i].text);
  }
}

#define PATH    "a path (a string without NUL, or a list of such) or an option is not allowed in an event"
#define ADDRESS "the address (relative, http or https) or an option is not allowed in an event"

TEST_CASE(c2_c3_helpers_refuse_invalid_arguments_with_detail) {
  static const struct {
    const char *effect, *detail;
  } cases[] = {
      {"[\"remove-elements\"]", "an argument is missing"},
      {"[\"remove-elements\",7]", "the selector must be a string without NUL"},
      {"[\"remove-elements\",\"\"]", "the selector or an option is not allowed in an event"},
      {"[\"remove-elements\",\"a\\nb\"]", "the selector or an option is not allowed in an event"},
      {"[\"remove-elements\",\"#a\",{\"mode\":\"inner\"}]", "unknown option mode"},
      {"[\"remove-elements\",\"#a\",{\"selector\":\"#b\"}]", "unknown option selector"},
      {"[\"remove-signals\"]", "an argument is missing"},
      {"[\"remove-signals\",[]]", PATH},
      {"[\"remove-signals\",[\"a\",1]]", PATH},
      {"[\"remove-signals\",{}]", PATH},
      {"[\"remove-signals\",\"a\\u0000\"]", PATH},
      {"[\"remove-signals\",\"a..b\"]", PATH},
      {"[\"remove-signals\",\"a\",{\"onlyIfMissing\":true}]", PATH},
      {"[\"console-log\"]", "an argument is missing"},
      {"[\"console-log\",1]", "the logged text must be a string"},
      {"[\"console-error\",{}]", "the logged text must be a string"},
      {"[\"console-log\",\"\",{\"mode\":1}]", "unknown option mode"},
      {"[\"redirect\",1]", "the address (relative, http or https) must be a string without NUL"},
      {"[\"redirect\",\"/a\\u0000\"]", "the address (relative, http or https) must be a string without NUL"},
      {"[\"redirect\",\"JavaScript:alert(1)\"]", ADDRESS},
      {"[\"redirect\",\" java\\tscript:alert(1)\"]", ADDRESS},
      {"[\"redirect\",\"\"]", ADDRESS},
      {"[\"replace-url\",\"javascript:alert(1)\"]", ADDRESS},
      {"[\"navigate\",\"javascript:alert(1)\"]", ADDRESS},
      {"[\"navigate-replace\",\"data:text/html,x\"]", ADDRESS},
      {"[\"replace-url\",\"/\",{\"bubbles\":true}]", "unknown option bubbles"},
      {"[\"dispatch-event\"]", "an argument is missing"},
      {"[\"dispatch-event\",7]", "the event's name must be a string without NUL"},
      {"[\"dispatch-event\",\"\"]", "the event's name or an option is not allowed in an event"},
      {"[\"dispatch-event\",\"a\",1,{\"bubbles\":1}]", "option bubbles: expected true or false"},
      {"[\"dispatch-event\",\"a\",1,{\"attributes\":[]}]",
       "option attributes: expected an object of at most 64 attributes, each a string or true"},
      {"[\"dispatch-event\",\"a\",1,{},1]", "expected at most 3 arguments"},
      {"[\"send-event\"]", "an argument is missing"},
      {"[\"send-event\",7]", "the event's name must be a string without NUL"},
      {"[\"send-event\",\"a\\nb\"]", "the event's name or an option is not allowed in an event"},
      {"[\"send-event\",\"datastar-patch-elements\",\"elements <b>\"]",
       "the event's name or an option is not allowed in an event"},
      {"[\"send-event\",\"a\",1,{\"onlyIfMissing\":true}]", "unknown option onlyIfMissing"},
      {"[\"prefetch\",[]]", "an address (relative, http or https) or an option is not allowed in an event"},
      {"[\"prefetch\",[[]]]", "an address (relative, http or https) or an option is not allowed in an event"},
      {"[\"prefetch\",[\"/\",\"data:,\"]]",
       "an address (relative, http or https) or an option is not allowed in an event"},
      {"[\"prefetch\",\"/\",{\"attributes\":{\"type\":\"module\"}}]",
       "an address (relative, http or https) or an option is not allowed in an event"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tried t = try_effect(cases[i].effect);
    assert_string_equal(t.detail, cases[i].detail);
    assert_int_equal(t.error, VESTRY_INVALID);
    assert_string_equal(t.text, "");
  }
}

TEST_CASE(hostile_text_cannot_inject_events_or_markup) {
  tried t = try_effect("[\"patch-elements\",\"<p>\\n\\nevent: x\\r\\ndata: y</p>\"]");
  assert_string_equal(t.text, "event: datastar-patch-elements\ndata: elements <p>\ndata: elements \n"
                              "data: elements event: x\ndata: elements data: y</p>\n\n");
  t = try_effect("[\"patch-signals\",{\"a\":\"\\n\\nevent: x\"}]");
  assert_string_equal(t.text, "event: datastar-patch-signals\ndata: signals {\"a\":\"\\n\\nevent: x\"}\n\n");
  t = try_effect("[\"execute-script\",\"'</script><b>'\"]");
  assert_non_null(strstr(t.text, "'\\u003C/script><b>'</script>"));
}

/* capability: B2 */
TEST_CASE(effects_refuse_invalid_arguments_with_detail) {
  static const struct {
    const char *effect, *detail;
    vestry_err error;
  } cases[] = {
      {"7", "an effect must be an array that begins with its name", VESTRY_INVALID},
      {"{}", "an effect must be an array that begins with its name", VESTRY_INVALID},
      {"[]", "an effect must be an array that begins with its name", VESTRY_INVALID},
      {"[[\"patch-elements\"]]", "an effect must be an array that begins with its name", VESTRY_INVALID},
      {"[\"no-such\"]", "no effect of this name is registered", VESTRY_NOT_FOUND},
      {"[\"patch-elements\"]", "an argument is missing", VESTRY_INVALID},
      {"[\"patch-elements\",\"\",{},1]", "expected at most 2 arguments", VESTRY_INVALID},
      {"[\"patch-elements\",1]", "the elements must be a string", VESTRY_INVALID},
      {"[\"patch-elements\",\"\",[]]", "the options must be an object", VESTRY_INVALID},
      {"[\"patch-elements\",\"\",{\"Selector\":\"x\"}]", "unknown option Selector", VESTRY_INVALID},
      {"[\"patch-elements\",\"\",{\"onlyIfMissing\":true}]", "unknown option onlyIfMissing", VESTRY_INVALID},
      {"[\"patch-elements\",\"\",{\"selector\":1}]", "option selector: expected a string without NUL", VESTRY_INVALID},
      {"[\"patch-elements\",\"\",{\"selector\":\"a\\u0000b\"}]", "option selector: expected a string without NUL",
       VESTRY_INVALID},
      {"[\"patch-elements\",\"\",{\"selector\":null}]", "option selector: expected a string without NUL",
       VESTRY_INVALID},
      {"[\"patch-elements\",\"\",{\"selector\":\"a\\nevent: x\"}]",
       "the elements or an option is not allowed in an event", VESTRY_INVALID},
      {"[\"patch-elements\",\"\",{\"mode\":\"append\"}]", "this mode needs a selector: {\"selector\": \"#id\", …}",
       VESTRY_INVALID},
      {"[\"patch-elements\",\"\",{\"mode\":\"Outer\"}]",
       "option mode: expected outer, inner, replace, prepend, append, before, after or remove", VESTRY_INVALID},
      {"[\"patch-elements\",\"\",{\"mode\":2}]",
       "option mode: expected outer, inner, replace, prepend, append, before, after or remove", VESTRY_INVALID},
      {"[\"patch-elements\",\"\",{\"namespace\":\"xul\"}]", "option namespace: expected html, svg or mathml",
       VESTRY_INVALID},
      {"[\"patch-elements\",\"\",{\"useViewTransition\":1}]", "option useViewTransition: expected true or false",
       VESTRY_INVALID},
      {"[\"patch-elements\",\"\",{\"retryDuration\":-1}]",
       "option retryDuration: expected an integer from 0 to 4294967295, in ms", VESTRY_INVALID},
      {"[\"patch-elements\",\"\",{\"retryDuration\":4294967296}]",
       "option retryDuration: expected an integer from 0 to 4294967295, in ms", VESTRY_INVALID},
      {"[\"patch-elements\",\"\",{\"retryDuration\":1.5}]",
       "option retryDuration: expected an integer from 0 to 4294967295, in ms", VESTRY_INVALID},
      {"[\"patch-elements-seq\",\"x\"]", "the elements must be a list of strings", VESTRY_INVALID},
      {"[\"patch-elements-seq\",[\"x\",2]]", "element 1 is not a string", VESTRY_INVALID},
      {"[\"patch-signals\"]", "an argument is missing", VESTRY_INVALID},
      {"[\"patch-signals\",[1]]", "the signals must be an object, or its JSON text", VESTRY_INVALID},
      {"[\"patch-signals\",\"alert(1)\"]", "the signals or an option is not allowed in an event", VESTRY_INVALID},
      {"[\"patch-signals\",\"[1]\"]", "the signals or an option is not allowed in an event", VESTRY_INVALID},
      {"[\"patch-signals\",{},{\"mode\":\"outer\"}]", "unknown option mode", VESTRY_INVALID},
      {"[\"execute-script\",{}]", "the script must be a string", VESTRY_INVALID},
      {"[\"execute-script\",\"f()\",{\"autoRemove\":\"no\"}]", "option autoRemove: expected true or false",
       VESTRY_INVALID},
      {"[\"execute-script\",\"f()\",{\"attributes\":[\"async\"]}]",
       "option attributes: expected an object of at most 64 attributes, each a string or true", VESTRY_INVALID},
      {"[\"execute-script\",\"f()\",{\"attributes\":{\"async\":false}}]",
       "option attributes: expected an object of at most 64 attributes, each a string or true", VESTRY_INVALID},
      {"[\"execute-script\",\"f()\",{\"attributes\":{\"on click\":\"x\"}}]",
       "the script or an option is not allowed in an event", VESTRY_INVALID},
      {"[\"close-sse\",1]", "expected at most 0 arguments", VESTRY_INVALID},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    tried t = try_effect(cases[i].effect);
    assert_string_equal(t.detail, cases[i].detail);
    assert_int_equal(t.error, cases[i].error);
    assert_string_equal(t.text, "");
  }
}

TEST_CASE(script_attributes_are_limited) {
  for (int count = 64; count <= 65; count++) {
    char effect[2048];
    size_t len = (size_t)snprintf(effect, sizeof effect, "[\"execute-script\",\"f()\",{\"attributes\":{");
    for (int i = 0; i < count; i++)
      len += (size_t)snprintf(effect + len, sizeof effect - len, "%s\"a%d\":true", i ? "," : "", i);
    snprintf(effect + len, sizeof effect - len, "}}]");
    tried t = try_effect(effect);
    assert_int_equal(t.error, count == 64 ? VESTRY_OK : VESTRY_INVALID);
    if (t.error)
      assert_string_equal(t.detail,
                          "option attributes: expected an object of at most 64 attributes, each a string or true");
  }
}

/* capability: B2 */
TEST_CASE(close_sse_ends_cleanly_after_earlier_events) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_plan(&w, &r, &(plan){.keep = true, .key = "a"});
  assert_int_equal(
      vestry_dispatch(w.v, NOWHERE, ROOM("a"),
                      VESTRY_LIST(VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1)), VESTRY_LIST("close-sse"))),
      VESTRY_OK);
  site_settle(&w);
  assert_int_equal(wire_count(&r, "{\"n\":1}"), 1);
  assert_true(r.clean);
  assert_int_equal(r.cause, VESTRY_CAUSE_CLOSED);
  wires_end(&w, &r);
}

static vestry_err mine(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  *(json_int_t *)ctx = json_integer_value(json_array_get(args, 0));
  return VESTRY_OK;
}

/* capability: B2 */
TEST_CASE(application_can_replace_a_built_in_effect) {
  site w;
  site_begin(&w, (vestry_options){0});
  json_int_t got = 0;
  assert_int_equal(vestry_registry_effect(vestry_parts_of(w.v)->registry, "patch-signals", mine, &got), VESTRY_OK);
  wire r = {0};
  wire_plan(&w, &r, &(plan){.effects = "[[\"patch-signals\",7]]"});
  assert_int_equal(got, 7);
  wire_assert_text(&r, "");
  wires_end(&w, &r);
}
