/* SPDX-License-Identifier: MIT */
/* What a page contains for actions that run once: attributes with a nonce and a script that keeps submissions in order,
 * and forms with a nonce. tests/browser/retries.test.js runs that script. */
#include <string.h>

#include "serve/wire.h"
#include "vestry/app/once.h"

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *app) {
  char attributes[VESTRY_ONCE_ATTRIBUTES_BYTES], small[VESTRY_ONCE_ATTRIBUTES_BYTES] = "as it was";
  assert_int_equal(vestry_once_attributes(req, NULL, 1), VESTRY_INVALID);
  assert_int_equal(vestry_once_attributes(req, NULL, 0), VESTRY_TOO_LARGE);
  assert_int_equal(vestry_once_attributes(req, attributes, sizeof attributes), VESTRY_OK);
  assert_int_equal(vestry_once_attributes(req, small, strlen(attributes)), VESTRY_TOO_LARGE);
  assert_string_equal(small, "as it was");
  assert_int_equal(vestry_once_attributes(req, small, strlen(attributes) + 1), VESTRY_OK);
  return vestry_reply_bodyf(reply, "<body %-s>", attributes);
}

static vestry_err act(const vestry_request *req, vestry_reply *reply, void *app) {
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
SITE_CASE(page_attributes_contain_a_valid_nonce) {
  static const char before[] = "<body data-signals:_once=\"'", behind[] = "'\" data-init__once=\"window.vestryOnce = ";
  vestry_once *once;
  int acts = 0;
  assert_int_equal(vestry_once_create(w->v, NULL, &once), VESTRY_OK);
  assert_int_equal(vestry_guard(w->v, "/", vestry_once_guard, once), VESTRY_OK);
  assert_int_equal(vestry_route(w->v, "GET", "/", page, NULL), VESTRY_OK);
  assert_int_equal(vestry_route(w->v, "POST", "/act", act, &acts), VESTRY_OK);
  wire r = {.path = "/"};
  wire_request(w, &r, NULL, NULL);
  assert_int_equal(r.status, 200);
  assert_memory_equal(r.text, before, strlen(before));
  assert_memory_equal(r.text + strlen(before) + VESTRY_ONCE_NONCE_BYTES - 1, behind, strlen(behind));
  char nonce[VESTRY_ONCE_NONCE_BYTES + 2];
  snprintf(nonce, sizeof nonce, "%.64s.1", r.text + strlen(before));
  wire_finish(&r);
  for (int i = 0; i < 2; i++) assert_int_equal(act_with(w, nonce), 204);
  assert_int_equal(acts, 1);
  nonce[0] = nonce[0] == '0' ? '1' : '0';
  assert_int_equal(act_with(w, nonce), 403);
  vestry_once_destroy(once);
}

static vestry_err nonce_page(const vestry_request *req, vestry_reply *reply, void *app) {
  assert_int_equal(vestry_once_nonce(req, app), VESTRY_OK);
  return vestry_reply_status(reply, 204);
}

/* Two forms of one document have one nonce, and differ only in the query of their address. */
/* capability: D18 */
SITE_CASE(nonce_belongs_to_one_query) {
  static const char *const types[] = {"application/x-www-form-urlencoded", "application/json"};
  vestry_once *once;
  int acts = 0;
  char nonce[VESTRY_ONCE_NONCE_BYTES], body[128];
  assert_int_equal(vestry_once_create(w->v, NULL, &once), VESTRY_OK);
  assert_int_equal(vestry_guard(w->v, "/", vestry_once_guard, once), VESTRY_OK);
  assert_int_equal(vestry_route(w->v, "GET", "/", nonce_page, nonce), VESTRY_OK);
  assert_int_equal(vestry_route(w->v, "POST", "/act", act, &acts), VESTRY_OK);
  for (int i = 0; i < 2; i++) {
    wire page_visit = {.path = "/"};
    wire_request(w, &page_visit, NULL, NULL);
    wire_finish(&page_visit);
    if (i)
      snprintf(body, sizeof body, "{\"once\": \"%s\"}", nonce);
    else
      snprintf(body, sizeof body, "once=%s", nonce);
    static const char *const queries[] = {"id=1", "id=2", "", "id=1"};
    static const int statuses[] = {204, 409, 409, 204};
    for (int k = 0; k < 4; k++) {
      wire r = {.method = "POST",
                .path = "/act",
                .query = queries[k],
                .datastar = i,
                .body = body,
                .body_len = strlen(body),
                .headers = {{"Content-Type", types[i]}}};
      wire_request(w, &r, NULL, NULL);
      assert_int_equal(r.status, statuses[k]);
      wire_finish(&r);
    }
    assert_int_equal(acts, i + 1);
  }
  vestry_once_destroy(once);
}

static vestry_err run_script(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_body(reply, "text/javascript; charset=utf-8", "x()", 3);
}

/* For the client such an action never finishes, and later submissions wait behind it; hence the log line. */
/* capability: D18 */
SITE_CASE(script_sent_to_the_datastar_client_is_logged) {
  assert_int_equal(vestry_route(w->v, "POST", "/script", run_script, NULL), VESTRY_OK);
  for (int is_datastar = 0; is_datastar < 2; is_datastar++) {
    wire r = {.method = "POST", .path = "/script", .datastar = is_datastar};
    wire_request(w, &r, NULL, NULL);
    assert_int_equal(r.status, 200);
    assert_int_equal(atomic_load(&w->th.log_lines), is_datastar);
    wire_finish(&r);
  }
  assert_non_null(strstr(w->th.last_log, "request: POST /script: answered the Datastar client with text/javascript"));
}
