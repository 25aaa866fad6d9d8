/* SPDX-License-Identifier: MIT */
/* Delegated actions: the attribute of their listener. tests/browser/sent.test.js presses its buttons. */
#include "support/test.h"
#include "vestry/app/press.h"

static const char *made_with(vestry_html *html, vestry_method method, const vestry_backend_action_options *options) {
  vestry_slice made = {"", 0};
  vestry_html_init(html, NULL);
  vestry_html_add(html, "<ul ");
  assert_int_equal(vestry_html_presses(html, method, options), VESTRY_OK);
  vestry_html_add(html, ">");
  assert_int_equal(vestry_html_result(html, &made), VESTRY_OK);
  return made.data;
}

#define HELD                                                                                                           \
  "data-on:keydown=\"evt.repeat && evt.key === 'Enter' && evt.target.closest('[data-press]') && "                      \
  "evt.preventDefault()\" "
#define BEGIN   "<ul " HELD "data-on:click=\"(b => b && el.contains(b) && (evt.preventDefault(),"
#define END     "))(evt.target.closest('[data-press]:not([aria-disabled=true])'))\">"
#define PAYLOAD "payload:b.dataset.payload?JSON.parse(b.dataset.payload):"

/* capability: L18 */
TEST_CASE(listener_takes_the_address_of_the_pressed_button) {
  vestry_html html;
  assert_string_equal(made_with(&html, VESTRY_METHOD_POST, NULL),
                      BEGIN "@post(b.dataset.press,{" PAYLOAD "void 0,requestCancellation:&#39;disabled&#39;})" END);
  vestry_html_finish(&html);
  const vestry_backend_action_options often = {.csrf = true, .cancellation = VESTRY_CANCEL_CLEANUP};
  assert_string_equal(made_with(&html, VESTRY_METHOD_DELETE, &often),
                      BEGIN "@delete(b.dataset.press,{headers:{&#39;X-CSRF-Token&#39;:$_csrf}," PAYLOAD
                            "void 0,requestCancellation:&#39;cleanup&#39;})" END);
  vestry_html_finish(&html);
  json_t *always = json_pack("{s:i}", "to", 1);
  const vestry_backend_action_options same = {.payload = always};
  assert_string_equal(made_with(&html, VESTRY_METHOD_POST, &same),
                      BEGIN "@post(b.dataset.press,{" PAYLOAD
                            "{&quot;to&quot;:1},requestCancellation:&#39;disabled&#39;})" END);
  vestry_html_finish(&html);
  json_decref(always);
  const vestry_backend_action_options form = {.content = VESTRY_CONTENT_FORM};
  assert_string_equal(made_with(&html, VESTRY_METHOD_POST, &form), BEGIN
                      "@post(b.dataset.press,{contentType:&#39;form&#39;,requestCancellation:&#39;disabled&#39;})" END);
  vestry_html_finish(&html);
}

/* capability: L18 */
TEST_CASE(submission_knows_its_button) {
  vestry_html html;
  char own[2048];
  const vestry_backend_action_options once = {.csrf = true, .once = true, .sent = "_saving"};
  assert_int_equal(vestry_backend_action_string(own, sizeof own, VESTRY_METHOD_POST, &once, "/x"), VESTRY_OK);
  const char *text = made_with(&html, VESTRY_METHOD_POST, &once);
  assert_non_null(strstr(text, "(b.dataset.press,{headers:{&#39;X-CSRF-Token&#39;:$_csrf,&#39;X-Once&#39;:$_once"));
  assert_non_null(strstr(text, ",(u,o)=&gt;@post(u,o),el,evt,b)" END));
  assert_non_null(strstr(text, PAYLOAD "@peek("));
  assert_non_null(strstr(text, "sent:&#39;_saving&#39;}"));
  vestry_html_finish(&html);
  assert_true(strlen(own) > 500);
  assert_true(sizeof "<button data-press=\"/kick/1234567\">Kick</button>" - 1 <= 60);
  assert_true(sizeof "<button data-press=\"/move/17\" data-payload='{\"to\":2}'>" - 1 <= 60);
}

TEST_CASE(invalid_options_are_refused) {
  vestry_html html;
  vestry_html_init(&html, NULL);
  vestry_html_add(&html, "<ul ");
  const vestry_backend_action_options wrong = {.deduplicate = true};
  assert_int_equal(vestry_html_presses(&html, VESTRY_METHOD_POST, &wrong), VESTRY_INVALID);
  vestry_html_finish(&html);
}
