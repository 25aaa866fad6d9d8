/* SPDX-License-Identifier: MIT */
#include "http/reply.h"

#include "support/reply_effects.h"
#include "support/test.h"
#include "support/test_host.h"

/* capability: B1 */
HOST_CASE(formatted_bodies_and_elements_are_escaped) {
  vestry_reply reply;
  vsi_reply_init(&reply, &th->host);
  assert_int_equal(vestry_reply_bodyf(&reply, "<!doctype html><title>%s</title>", "</title>\xFF"), VESTRY_OK);
  assert_string_equal(reply.body, "<!doctype html><title>&lt;/title&gt;\xEF\xBF\xBD</title>");
  assert_int_equal(reply.body_len, strlen(reply.body));
  assert_string_equal(reply.body_type, "text/html; charset=utf-8");
  assert_int_equal(vestry_reply_bodyf(&reply, "<p %s", "a"), VESTRY_INVALID);
  assert_non_null(strstr(th->last_log, "byte 3"));
  assert_int_equal(vestry_reply_bodyf(&reply, "%s", ""), VESTRY_OK); /* an empty body is a body */
  assert_true(reply.has_body);
  assert_int_equal(reply.body_len, 0);

  /* whatever a client sends, the effect's text is valid UTF-8 */
  assert_int_equal(vestry_reply_patch_elementsf(&reply, "<p id=\"a\">%s %c</p>", "\"\xC3<", 0), VESTRY_OK);
  json_t *effects = reply_effects(&reply);
  const json_t *effect = json_array_get(effects, 0);
  assert_string_equal(json_string_value(json_array_get(effect, 0)), "patch-elements");
  assert_string_equal(json_string_value(json_array_get(effect, 1)),
                      "<p id=\"a\">&quot;\xEF\xBF\xBD&lt; \xEF\xBF\xBD</p>");
  json_decref(effects);
  assert_int_equal(vestry_reply_patch_elementsf(&reply, "<!-- %s", "a"), VESTRY_INVALID);
  assert_int_equal(reply.effects_count, 1);
  assert_false(reply.no_memory);
  vsi_reply_finish(&reply);
}

static vestry_err build(test_host *th, void *ctx) {
  vestry_reply reply;
  vsi_reply_init(&reply, &th->host);
  vestry_reply_bodyf(&reply, "<p>%s", "a");
  vestry_reply_patch_elementsf(&reply, "<p>%s", "a");
  bool no_memory = reply.no_memory;
  vsi_reply_finish(&reply);
  return no_memory ? VESTRY_NO_MEMORY : VESTRY_OK;
}

TEST_CASE(reply_without_memory_keeps_the_error) {
  test_host_fail_each(build, NULL, false);
}
