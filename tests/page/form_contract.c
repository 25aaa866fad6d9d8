/* SPDX-License-Identifier: MIT */
#include "page/form_contract.h"

#include <inttypes.h>
#include <stdlib.h>

#include "vestry/app/form.h"
#include "vestry/app/input.h"
#include "vestry/app/session.h"
#include "vestry/app/tab.h"

static const char secret[] = "thirty-two bytes that nobody knows";
static const vestry_input fields[] = {{.name = "title"}, {.name = "text"}, {.name = "tags"}};

const form_world *form_contract_world;

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *app) {
  form_suite *s = app;
  vestry_html html;
  vestry_form *form;
  char attributes[VESTRY_TAB_ATTRIBUTES_BYTES];
  vestry_err error = vestry_tab_attributes(req, reply, attributes, sizeof attributes);
  if (error) return error;
  vestry_html_init(&html, s->on.v ? vestry_parts_of(s->on.v)->host : NULL);
  vestry_html_add(&html, "<body %-s><form ", attributes);
  error = vestry_form_open(s->forms, req, NULL, &html, "report:7", &form);
  if (!error) {
    vestry_html_add(&html, "><input name=\"title\" " VESTRY_FORM_FIELD " value=\"%s\">",
                    vestry_form_text(form, "title", "first"));
    vestry_html_add(&html, "<textarea name=\"text\">%s</textarea>", vestry_form_text(form, "text", ""));
    vestry_html_add(&html, "<option value=\"red\"%-s><option value=\"blue\"%-s></form>",
                    vestry_form_has(form, "tags", "red", true) ? " selected" : "",
                    vestry_form_has(form, "tags", "blue", false) ? " selected" : "");
    vestry_form_close(form);
    error = vestry_reply_html(reply, &html);
  }
  vestry_html_finish(&html);
  return error;
}

static vestry_err submit(const vestry_request *req, vestry_reply *reply, void *app) {
  form_suite *s = app;
  if (s->refuses) return vestry_reply_status(reply, 422);
  vestry_err error = vestry_forms_clear(s->forms, req, "report:7");
  return error ? error : vestry_reply_redirect(reply, 303, "/");
}

static vestry_err log_out(const vestry_request *req, vestry_reply *reply, void *app) {
  form_suite *s = app;
  vestry_forms_forget(s->forms, req);
  return vestry_session_logout(req, reply);
}

void form_begin(form_suite *s, const vestry_forms_options *given) {
  vestry_forms_options options = given ? *given : (vestry_forms_options){.path = NULL};
  *s = (form_suite){.refuses = false};
  site_begin_with(&s->on, (vestry_options){0},
                  (site_has){.sessions = &(vestry_session_options){.insecure = true}, .secret = secret});
  if (form_contract_world) options.storage = form_contract_world->open(s);
  assert_int_equal(vestry_forms_create(s->on.v, &options, &s->forms), VESTRY_OK);
  assert_int_equal(vestry_forms_add(s->forms, "report", fields, 3), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/", page, s), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "POST", "/known", page, s), VESTRY_OK); /* returns the tab's id */
  assert_int_equal(vestry_route(s->on.v, "POST", "/kept", vestry_forms_handler, s->forms), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "POST", "/report", submit, s), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "POST", "/logout", log_out, s), VESTRY_OK);
}

vestry_forms_stats form_stats(const form_suite *s) {
  vestry_forms_stats stats = {0};
  vestry_forms_stats_get(s->forms, &stats);
  assert_int_equal(stats.messages_count, stats.kept_count + stats.late_count + stats.refused_count);
  return stats;
}

void form_end(form_suite *s) {
  (void)form_stats(s);
  vestry_forms_destroy(s->forms);
  if (form_contract_world) form_contract_world->close(s);
  site_end(&s->on);
}

/* ------------------------------------------------------------------------------------------------ a browser ------- */

int form_call(form_suite *s, form_tab *t, const char *method, const char *path, const char *form, char *ret_text) {
  char *body = form ? malloc(strlen(form) + sizeof t->sealed + sizeof "tabId=&") : NULL, cookies[300];
  if (form) sprintf(body, "tabId=%s&%s", t->sealed, form);
  snprintf(cookies, sizeof cookies, "%s%s%s", t->cookie, *t->sealed ? "; vestry-tab=" : "", t->sealed);
  const vestry_header headers[] = {{"Cookie", cookies}, {"Content-Type", "application/x-www-form-urlencoded"}};
  const vestry_memory_call asked = {.method = method,
                                    .path = path,
                                    .headers = headers,
                                    .headers_count = form ? 2 : 1,
                                    .body = body,
                                    .body_len = body ? strlen(body) : 0};
  vestry_memory_exchange *answer = site_request(&s->on, &asked);
  vestry_memory_seen look = vestry_memory_look(answer);
  if (ret_text) snprintf(ret_text, sizeof t->html, "%.*s", (int)look.received.len, (const char *)look.received.data);
  for (size_t i = 0; vestry_memory_header(answer, "Set-Cookie", i); i++) {
    const char *set = vestry_memory_header(answer, "Set-Cookie", i);
    if (strncmp(set, "session=", 8) == 0) snprintf(t->cookie, sizeof t->cookie, "%.*s", (int)strcspn(set, ";"), set);
  }
  vestry_memory_destroy(answer);
  free(body);
  return look.status;
}

void form_load(form_suite *s, form_tab *t) {
  if (!*t->sealed) {
    assert_int_equal(form_call(s, t, "GET", "/", NULL, t->html), 200);
    snprintf(t->sealed, sizeof t->sealed, "%.64s", strstr(t->html, "take() || '") + 11);
  }
  assert_int_equal(form_call(s, t, "POST", "/known", "x=1", t->html), 200);
  t->generation = strtoull(strstr(t->html, "id=\"report:7-") + 13, NULL, 10);
}

int form_send(form_suite *s, form_tab *t, uint64_t number, const char *what) {
  char *form = malloc(strlen(what) + 100);
  sprintf(form, "form=report:7&generation=%llu&number=%llu&%s", (unsigned long long)t->generation,
          (unsigned long long)number, what);
  int status = form_call(s, t, "POST", "/kept", form, t->html);
  free(form);
  if (status == 200)
    assert_int_equal(sscanf(t->html, "{\"generation\":%" SCNu64 ",\"number\":%" SCNu64, &t->generation, &t->number), 2);
  return status;
}

void form_shows(form_suite *s, form_tab *t, const char *text) {
  form_load(s, t);
  if (!strstr(t->html, text)) fail_msg("the page does not show %s but %s", text, t->html);
}

/* ---------------------------------------------------------------------------------------------------- tests ------- */

/* capability: L4 */
FORM_CASE(typed_values_are_restored_in_their_fields) {
  form_tab t = {.cookie = ""}, other = {.cookie = ""};
  form_load(s, &t);
  assert_non_null(strstr(t.html, "value=\"first\""));
  assert_non_null(strstr(t.html, "<option value=\"red\" selected><option value=\"blue\">"));
  assert_int_equal(
      form_send(s, &t, 1, "v.title=a+%22b%22+%3C%26&v.text=one%0D%0Atwo+%F0%9F%8C%8D&v.tags=blue&v.tags=x"), 200);
  form_shows(s, &t, "value=\"a &quot;b&quot; &lt;&amp;\"");
  assert_non_null(strstr(t.html, "two \xf0\x9f\x8c\x8d</textarea>"));
  assert_non_null(strstr(t.html, "<option value=\"red\"><option value=\"blue\" selected>"));
  /* the tab of a document is unknown: it shows the initial values, and the page requests the stored ones */
  assert_int_equal(form_call(s, &t, "GET", "/", NULL, t.html), 200);
  assert_non_null(strstr(t.html, "id=\"report:7-0\""));
  assert_non_null(strstr(t.html, "value=\"first\""));
  assert_int_equal(form_send(s, &t, 2, "load=1"), 200);
  assert_string_equal(t.html, "{\"generation\":0,\"number\":1,\"values\":[[\"title\",\"a \\\"b\\\" <&\"],"
                              "[\"text\",\"one\\r\\ntwo \xf0\x9f\x8c\x8d\"],[\"tags\",\"blue\"],[\"tags\",\"x\"]]}");
  /* boxes that were all cleared stay cleared, instead of the initial values */
  assert_int_equal(form_send(s, &t, 2, "x=1"), 200);
  form_shows(s, &t, "<option value=\"red\"><option value=\"blue\">");
  assert_int_equal(form_send(s, &t, 3, "load=1"), 200);
  assert_string_equal(t.html, "{\"generation\":0,\"number\":2,\"values\":[]}");
  /* another tab of the same session has its own form */
  snprintf(other.cookie, sizeof other.cookie, "%s", t.cookie);
  form_shows(s, &other, "value=\"first\"");
}

/* capability: L4 */
FORM_CASE(submit_clears_the_form_unless_it_is_refused) {
  form_tab t = {.cookie = ""};
  form_load(s, &t);
  assert_int_equal(form_send(s, &t, 1, "v.title=typed"), 200);
  s->refuses = true;
  assert_int_equal(form_call(s, &t, "POST", "/report", "x=1", NULL), 422);
  form_shows(s, &t, "value=\"typed\"");
  s->refuses = false;
  assert_int_equal(form_call(s, &t, "POST", "/report", "x=1", NULL), 303);
  /* the page's last message arrives after its submit */
  uint64_t before = t.generation;
  assert_int_equal(form_send(s, &t, 2, "v.title=late"), 200);
  assert_true(t.generation > before);
  form_shows(s, &t, "value=\"first\"");
  assert_int_equal(form_send(s, &t, 3, "v.title=next"), 200);
  form_shows(s, &t, "value=\"next\"");
  assert_int_equal(form_stats(s).late_count, 1);
  assert_int_equal(form_stats(s).cleared_count, 1);
}

/* capability: L4 */
FORM_CASE(submit_before_the_first_message_clears_the_form) {
  form_tab t = {.cookie = ""};
  form_load(s, &t);
  assert_int_equal(form_call(s, &t, "POST", "/report", "x=1", NULL), 303);
  assert_int_equal(form_send(s, &t, 1, "v.title=late"), 200);
  form_shows(s, &t, "value=\"first\"");
  /* a reset clears as well, and a message that it overtook is late */
  uint64_t before = t.generation;
  assert_int_equal(form_send(s, &t, 5, "v.title=typed"), 200);
  assert_int_equal(form_send(s, &t, 6, "clear=1"), 200);
  t.generation = before;
  assert_int_equal(form_send(s, &t, 7, "v.title=late"), 200);
  form_shows(s, &t, "value=\"first\"");
}

/* capability: L4 */
FORM_CASE(message_with_the_higher_number_wins) {
  form_tab t = {.cookie = ""};
  form_load(s, &t);
  assert_int_equal(form_send(s, &t, 20, "v.title=second"), 200);
  assert_int_equal(form_send(s, &t, 10, "v.title=overtaken"), 200);
  assert_int_equal(t.number, 20); /* so the page continues from this number */
  assert_int_equal(form_send(s, &t, 20, "v.title=again"), 200);
  form_shows(s, &t, "value=\"second\"");
  assert_int_equal(form_stats(s).late_count, 2);
}

/* capability: L4 */
FORM_CASE(duplicated_tab_has_its_own_copy_of_the_form) {
  form_tab t = {.cookie = ""}, twin = {.cookie = ""};
  char from[80];
  form_load(s, &t);
  assert_int_equal(form_send(s, &t, 1, "v.title=typed"), 200);
  snprintf(twin.cookie, sizeof twin.cookie, "%s", t.cookie);
  form_load(s, &twin);
  snprintf(from, sizeof from, "load=1&from=%s", t.sealed);
  assert_int_equal(form_send(s, &twin, 1, from), 200);
  assert_true(twin.generation > t.generation);
  form_shows(s, &twin, "value=\"typed\"");
  assert_int_equal(form_send(s, &twin, 2, "v.title=twin"), 200);
  assert_int_equal(form_send(s, &twin, 3, from), 200); /* it has its own form by now */
  form_shows(s, &twin, "value=\"twin\"");
  form_shows(s, &t, "value=\"typed\"");
  /* nothing is copied from another session */
  form_tab thief = {.cookie = ""};
  form_load(s, &thief);
  assert_int_equal(form_send(s, &thief, 1, from), 200);
  assert_int_equal(thief.generation, 0);
  form_shows(s, &thief, "value=\"first\"");
}

/* capability: L4 */
TEST_CASE(invalid_or_foreign_message_is_refused) {
  form_suite s;
  form_tab t = {.cookie = ""}, other = {.cookie = ""};
  char long_text[66000];
  form_begin(&s, &(vestry_forms_options){.max_form_bytes = 65536});
  form_load(&s, &t);
  form_load(&s, &other);
  assert_int_equal(form_send(&s, &t, 1, "v.title=typed"), 200);
  static const char *const broken[] = {"form=report:7",
                                       "form=report:7&generation=1&number=-1",
                                       "form=report:7&generation=1&number=1234567890123456",
                                       "form=report:7&generation=&number=1",
                                       "form=report:7&generation=1&number=2&v.title=%FF",
                                       "form=report:7&generation=1&number=2&v.title=a%00b",
                                       "form=report:7:8&generation=1&number=1",
                                       "form=../7&generation=1&number=1",
                                       "form=:&generation=1&number=1",
                                       "form=&generation=1&number=1",
                                       "generation=1&number=1"};
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
    assert_int_equal(form_call(&s, &t, "POST", "/kept", broken[i], NULL), 400);
  assert_int_equal(form_call(&s, &t, "POST", "/kept", "form=unknown&generation=1&number=1", NULL), 404);
  /* a tab of another session */
  char sealed[65];
  memcpy(sealed, t.sealed, sizeof sealed);
  memcpy(t.sealed, other.sealed, sizeof sealed);
  assert_int_equal(form_send(&s, &t, 9, "v.title=stolen"), 400);
  memcpy(t.sealed, sealed, sizeof sealed);
  /* undeclared fields are dropped, for example a password */
  assert_int_equal(form_send(&s, &t, 10, "v.title=new&v.password=geheim&password=geheim"), 200);
  snprintf(long_text, sizeof long_text, "v.title=%065600d", 1);
  assert_int_equal(form_send(&s, &t, 11, long_text), 413);
  form_shows(&s, &t, "value=\"new\"");
  assert_null(strstr(t.html, "geheim"));
  assert_true(form_stats(&s).bytes < 1000);
  form_end(&s);
}

/* Send a title of this many letters. encoded: the letter, as in the message. */
static int say_letters(form_suite *s, form_tab *t, uint64_t number, const char *encoded, size_t count) {
  char *what = malloc(sizeof "v.title=" + count * strlen(encoded)), *at = stpcpy(what, "v.title=");
  for (size_t i = 0; i < count; i++) at = stpcpy(at, encoded);
  int status = form_send(s, t, number, what);
  free(what);
  return status;
}

/* capability: L4 */
TEST_CASE(long_text_of_any_script_is_kept) {
  enum { COUNT = 50000, BOUND = 256 << 10, NAME = sizeof "title" }; /* each value has a byte for its end */
  static const char *const letters[][2] = {{"a", "a"}, {"\xD0\x96", "%D0%96"}, {"\xE4\xBB\x8A", "%E4%BB%8A"}};
  form_suite s;
  form_tab t = {.cookie = ""};
  form_begin(&s, NULL);
  form_load(&s, &t);
  for (size_t i = 0; i < 3; i++) {
    char *text = malloc(COUNT * strlen(letters[i][0]) + sizeof "\"\""), *at = stpcpy(text, "\"");
    for (int n = 0; n < COUNT; n++) at = stpcpy(at, letters[i][0]);
    strcpy(at, "\"");
    assert_int_equal(say_letters(&s, &t, i + 1, letters[i][1], COUNT), 200);
    form_load(&s, &t);
    assert_non_null(strstr(t.html, text));
    free(text);
  }
  assert_int_equal(say_letters(&s, &t, 4, "a", BOUND - NAME - 1), 200);
  assert_int_equal(say_letters(&s, &t, 5, "a", BOUND - NAME), 413);
  form_end(&s);
}

static void pass(form_suite *s, int seconds) {
  if (form_contract_world)
    form_contract_world->pass_s(s, seconds);
  else
    site_pass_ms(&s->on, (uint64_t)seconds * 1000);
}

/* capability: L4 */
TEST_CASE(forms_expire_and_end_with_their_session) {
  form_suite s;
  form_tab t = {.cookie = ""};
  form_begin(&s, &(vestry_forms_options){.ttl_ms = 10000});
  form_load(&s, &t);
  assert_int_equal(form_send(&s, &t, 1, "v.title=typed"), 200);
  pass(&s, 9);
  form_shows(&s, &t, "value=\"typed\"");
  pass(&s, 1);
  form_shows(&s, &t, "value=\"first\"");
  assert_int_equal(form_send(&s, &t, 2, "v.title=typed"), 200);
  assert_int_equal(form_stats(&s).expired_count, 1);
  assert_int_equal(form_stats(&s).forms_count, 1);
  assert_int_equal(form_call(&s, &t, "POST", "/logout", "x=1", NULL), 204);
  assert_int_equal(form_stats(&s).forms_count, 0);
  assert_int_equal(form_stats(&s).bytes, 0);
  form_end(&s);
}

/* capability: L4 */
TEST_CASE(invented_tabs_and_sessions_are_limited) {
  form_suite s;
  form_tab user = {.cookie = ""};
  enum { MOST = 40000 };
  form_begin(&s, &(vestry_forms_options){.max_form_bytes = 1000, .max_bytes = MOST, .max_per_scope_count = 4});
  vestry_forms_stats stats;
  form_load(&s, &user);
  for (int i = 0; i < 10; i++) { /* tabs of one session */
    form_tab t = {.cookie = ""};
    snprintf(t.cookie, sizeof t.cookie, "%s", user.cookie);
    form_load(&s, &t);
    assert_int_equal(form_send(&s, &t, 1, "v.title=typed"), 200);
    stats = form_stats(&s);
    assert_int_equal(stats.forms_count, i < 4 ? i + 1 : 4);
  }
  assert_int_equal(stats.evicted_count, 6);
  char what[1000];
  snprintf(what, sizeof what, "v.title=%0900d", 1);
  for (int i = 0; i < 100; i++) { /* sessions */
    form_tab t = {.cookie = ""};
    form_load(&s, &t);
    assert_int_equal(form_send(&s, &t, 1, what), 200);
    form_shows(&s, &t, what + strlen("v.title=")); /* the newest form is stored */
    stats = form_stats(&s);
    assert_true(stats.bytes <= MOST / 2); /* limit of anonymous users */
  }
  assert_int_equal(stats.evicted_count + stats.forms_count, 110);
  form_end(&s);
}

int form_contract_run(const char *name) {
  return cases_run(name, NULL, NULL);
}
