/* SPDX-License-Identifier: MIT */
/* Attributes of a page for actions that run once: a nonce, and a script that keeps submissions in order.
 * tests/browser/retries.test.js runs that script. */
#include <string.h>

#include "serve/wire.h"
#include "vestry/app/once.h"

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *app) {
  char attributes[VESTRY_ONCE_ATTRIBUTES_BYTES], small[VESTRY_ONCE_ATTRIBUTES_BYTES] = "as it was";
  (void)app;
  assert_int_equal(vestry_once_attributes(req, NULL, 1), VESTRY_INVALID);
  assert_int_equal(vestry_once_attributes(req, NULL, 0), VESTRY_TOO_LARGE);
  assert_int_equal(vestry_once_attributes(req, attributes, sizeof attributes), VESTRY_OK);
  assert_int_equal(vestry_once_attributes(req, small, strlen(attributes)), VESTRY_TOO_LARGE);
  assert_string_equal(small, "as it was");
  assert_int_equal(vestry_once_attributes(req, small, strlen(attributes) + 1), VESTRY_OK);
  return vestry_reply_bodyf(reply, "<body %-s>", attributes);
}

static vestry_err act(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req;
  *(int *)app += 1;
  return vestry_reply_status(reply, 204);
}

static int act_with(site *w, const char *nonce) {
  wire r = {.method = "POST", .path = "/act", .datastar = true, .headers = {{"X-Once", nonce}}};
  wire_request(w, &r, NULL, NULL);
  int status = r.status;
  wire_finish(&r);
  return status;
}

/* capability: D18 */
static void page_attributes_contain_a_valid_nonce(void **state) {
  (void)state;
  static const char before[] = "<body data-signals:_once=\"'", behind[] = "'\" data-init__once=\"window.vestryOnce = ";
  site w;
  vestry_once *once;
  int acts = 0;
  site_begin(&w, (vestry_options){.size = 0});
  assert_int_equal(vestry_once_create(w.v, NULL, &once), VESTRY_OK);
  assert_int_equal(vestry_guard(w.v, "/", vestry_once_guard, once), VESTRY_OK);
  assert_int_equal(vestry_route(w.v, "GET", "/", page, NULL), VESTRY_OK);
  assert_int_equal(vestry_route(w.v, "POST", "/act", act, &acts), VESTRY_OK);
  wire r = {.path = "/"};
  wire_request(&w, &r, NULL, NULL);
  assert_int_equal(r.status, 200);
  assert_memory_equal(r.text, before, strlen(before));
  assert_memory_equal(r.text + strlen(before) + VESTRY_ONCE_NONCE_BYTES - 1, behind, strlen(behind));
  char nonce[VESTRY_ONCE_NONCE_BYTES + 2];
  snprintf(nonce, sizeof nonce, "%.64s.1", r.text + strlen(before));
  wire_finish(&r);
  for (int i = 0; i < 2; i++) assert_int_equal(act_with(&w, nonce), 204);
  assert_int_equal(acts, 1);
  nonce[0] = nonce[0] == '0' ? '1' : '0';
  assert_int_equal(act_with(&w, nonce), 403);
  vestry_once_destroy(once);
  site_end(&w);
}

static vestry_err run_script(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  return vestry_reply_body(reply, "text/javascript; charset=utf-8", "x()", 3);
}

/* For the client such an action never finishes, and later submissions wait behind it; hence the log line. */
/* capability: D18 */
static void script_sent_to_the_datastar_client_is_logged(void **state) {
  (void)state;
  site w;
  site_begin(&w, (vestry_options){.size = 0});
  assert_int_equal(vestry_route(w.v, "POST", "/script", run_script, NULL), VESTRY_OK);
  for (int is_datastar = 0; is_datastar < 2; is_datastar++) {
    wire r = {.method = "POST", .path = "/script", .datastar = is_datastar};
    wire_request(&w, &r, NULL, NULL);
    assert_int_equal(r.status, 200);
    assert_int_equal(atomic_load(&w.th.log_lines), is_datastar);
    wire_finish(&r);
  }
  assert_non_null(strstr(w.th.last_log, "POST /script: answered the Datastar client with text/javascript"));
  site_end(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(page_attributes_contain_a_valid_nonce),
      cmocka_unit_test(script_sent_to_the_datastar_client_is_logged),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
