/* SPDX-License-Identifier: MIT */
/* Forms of an application: declared once, shown by a page, read by a handler, with and without JavaScript. */
#include "vestry/app/application.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/testing/browser.h"

typedef struct note {
  char text[4 * 20 + 1], code[9], tag[7];
  int64_t size;
  bool is_urgent;
} note;

static const vestry_input fields[] = {
    VESTRY_INPUT(note, text, .label = "Note", .min = 2, .max = 20, .has_lines = true),
    VESTRY_INPUT(note, code, .allowed = "a-z0-9-"), VESTRY_INPUT(note, size, .label = "Size", .min = 1, .max = 9),
    VESTRY_INPUT(note, is_urgent, .label = "Urgent"), VESTRY_INPUT(note, tag, .label = "Tag")};
static const vestry_application_form form = {.action = "/note",
                                             .name = "note",
                                             .inputs = fields,
                                             .inputs_count = 5,
                                             .button = "Add",
                                             .is_kept = true,
                                             .document = &(vestry_application_document){.title = "Refused"}};

static note last;
static int notes;
static bool is_full, is_inside;

static vestry_err home(vestry_render *render, vestry_html *html, void *app) {
  const note first = {.text = "", .code = "a-1", .size = 3};
  vestry_render_topic(render, "notes");
  vestry_err error = vestry_application_document_begin(app, render, html, NULL);
  if (!error && !is_inside) error = vestry_application_form_add(app, render, html, &form, &first);
  vestry_render_begin(render, html);
  if (!error && is_inside) error = vestry_application_form_add(app, render, html, &form, &first);
  vestry_html_add(html, "<p>%d notes, last: %s</p>", notes, last.text);
  vestry_render_end(render, html);
  return error ? error : vestry_application_document_end(html);
}

static vestry_err add(const vestry_request *req, vestry_reply *reply, void *ctx) {
  vestry_application *app = ctx;
  note sent;
  vestry_err error = vestry_application_form_read(app, req, reply, &form, &sent);
  if (!error && is_full) error = vestry_application_form_refuse(app, req, reply, &form, "No <room> is left.");
  if (!error) last = sent, notes++;
  if (!error) error = vestry_refresh(app->pages, "notes", NULL);
  return vestry_application_form_end(app, req, reply, &form, error, "/");
}

/* GET /plain: an ordinary handler. */
static vestry_err plain(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_html html;
  vestry_html_init(&html, NULL);
  vestry_err error = vestry_application_form_show(app, req, reply, &html, &form, NULL);
  if (!error) error = vestry_reply_html(reply, &html);
  vestry_html_finish(&html);
  return error;
}

static vestry_err begin(test_host *th, vestry_application **ret_app) {
  const vestry_options instance = {.host = &th->host, .threads_count = VESTRY_THREADS_NONE};
  const vestry_application_options options = {
      .insecure = true,
      .instance = &instance,
      .forms = &(vestry_forms_options){0},
      .once = &(vestry_once_options){.required = true},
      .secret = &(vestry_secret){.secret = "0123456789abcdef0123456789abcdef", .secret_len = 32}};
  memset(&last, 0, sizeof last);
  notes = 0;
  is_full = is_inside = false;
  vestry_err error = vestry_application_create(&options, ret_app);
  if (!error) error = vestry_application_page(*ret_app, "/", &(vestry_page_options){.render = home});
  if (!error) error = vestry_route((*ret_app)->instance, "GET", "/plain", plain, *ret_app);
  return error ? error : vestry_application_form_route(*ret_app, &form, add, *ret_app);
}

typedef struct world {
  test_host th;
  vestry_application *app;
  vestry_browser *ada;
  vestry_browser_page *page;
} world;

static void open_world(world *w) {
  test_host_init(&w->th);
  assert_int_equal(begin(&w->th, &w->app), VESTRY_OK);
  assert_int_equal(vestry_browser_create(w->app->instance, &w->ada), VESTRY_OK);
  assert_int_equal(vestry_browser_open(w->ada, "/", &w->page), VESTRY_OK);
  assert_int_equal(vestry_browser_status(w->page), 200);
}

static void close_world(world *w) {
  vestry_browser_close(w->page);
  vestry_browser_destroy(w->ada);
  assert_int_equal(vestry_application_destroy(w->app), VESTRY_OK);
  test_host_assert_clean(&w->th);
}

/* Press the button, and return the message that the page then shows. */
static const char *said_after_press(world *w) {
  assert_int_equal(vestry_browser_press(w->page, "Add"), VESTRY_OK);
  assert_int_equal(vestry_browser_status(w->page), 200);
  return json_string_value(vestry_browser_signal(w->page, "_said.note"));
}

/* capability: L22 */
static void form_is_sent_by_the_client(void **state) {
  (void)state;
  world w;
  open_world(&w);
  assert_int_equal(vestry_browser_fill(w.page, "Note", " \n\xC2\xA0Tea\r\nat <4> \xE2\x80\x83"), VESTRY_OK);
  assert_int_equal(vestry_browser_fill(w.page, "Urgent", "on"), VESTRY_OK);
  assert_string_equal(said_after_press(&w), "");
  assert_string_equal(last.text, "Tea\nat <4>");
  assert_string_equal(last.code, "a-1");
  assert_int_equal(last.size, 3);
  assert_true(last.is_urgent);
  const char *done = json_string_value(vestry_browser_signal(w.page, "_done.note"));
  assert_true(done && *done);
  assert_int_equal(vestry_application_settle(w.app, 1000), VESTRY_OK);
  assert_true(vestry_browser_shows(w.page, "1 notes, last: Tea at <4>"));
  close_world(&w);
}

/* capability: L22 */
static void broken_rule_is_reported_in_the_form(void **state) {
  static const struct {
    const char *label, *text, *said;
  } cases[] = {
      {"Note", " \xE3\x80\x80\n", "Note: at least 2 characters."},
      {"Note", "x", "Note: at least 2 characters."},
      {"Note", "twenty characters and one more", "Note: at most 20 characters."},
      {"Note", "a bell \a", "Note: no control characters."},
      {"code", "Upper", "code: only the characters a-z0-9-."},
      {"code", "too-long-9", "code: at most 8 characters."},
      {"Tag", "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4",
       "Tag: at most 6 letters; one with an accent counts as 2, an emoji as 4."},
      {"Size", "10", "Size: a whole number from 1 to 9."},
      {"Size", "", "Size: a whole number from 1 to 9."},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    world w;
    open_world(&w);
    assert_int_equal(vestry_browser_fill(w.page, "Note", "\xF0\x9F\x8D\xB5\xF0\x9F\x8D\xB5"), VESTRY_OK);
    assert_int_equal(vestry_browser_fill(w.page, cases[i].label, cases[i].text), VESTRY_OK);
    assert_string_equal(said_after_press(&w), cases[i].said);
    assert_int_equal(notes, 0);
    assert_int_equal(vestry_browser_fill(w.page, "Note", "\xF0\x9F\x8D\xB5\xF0\x9F\x8D\xB5"), VESTRY_OK);
    assert_int_equal(vestry_browser_fill(w.page, "code", "b"), VESTRY_OK);
    assert_int_equal(vestry_browser_fill(w.page, "Tag", "\xC3\xA4\xC3\xA4\xC3\xA4"), VESTRY_OK);
    assert_int_equal(vestry_browser_fill(w.page, "Size", "9"), VESTRY_OK);
    assert_string_equal(said_after_press(&w), "");
    assert_int_equal(notes, 1);
    close_world(&w);
  }
}

/* capability: L22 */
static void handler_refuses_with_a_message(void **state) {
  (void)state;
  world w;
  open_world(&w);
  is_full = true;
  assert_int_equal(vestry_browser_fill(w.page, "Note", "Tea"), VESTRY_OK);
  assert_string_equal(said_after_press(&w), "No <room> is left.");
  assert_true(vestry_browser_shows(w.page, "No <room> is left."));
  assert_int_equal(notes, 0);
  close_world(&w);
}

static void cut(const char *html, const char *before, char *ret_text, size_t capacity) {
  const char *at = strstr(html, before);
  assert_non_null(at);
  at += strlen(before);
  snprintf(ret_text, capacity, "%.*s", (int)strcspn(at, "\""), at);
}

/* Send the form of a document as a browser without JavaScript does. */
static vestry_memory_exchange *send_plain(world *w, const char *html, const char *text) {
  char token[VESTRY_CSRF_TOKEN_BYTES], once[VESTRY_ONCE_NONCE_BYTES];
  vestry_memory_exchange *answer;
  cut(html, "name=\"csrf\" value=\"", token, sizeof token);
  cut(html, "name=\"once\" value=\"", once, sizeof once);
  assert_int_equal(vestry_browser_form(w->ada, "/note",
                                       VESTRY_OBJECT("csrf", (const char *)token, "once", (const char *)once, "tabId",
                                                     "", "text", text, "code", "a", "size", 4),
                                       &answer),
                   VESTRY_OK);
  return answer;
}

/* capability: L22 */
static void form_is_sent_without_javascript(void **state) {
  (void)state;
  world w;
  vestry_memory_exchange *document, *refused, *accepted;
  open_world(&w);
  assert_int_equal(vestry_browser_get(w.ada, "/", &document), VESTRY_OK);
  const char *html = vestry_memory_look(document).received.data;
  assert_non_null(strstr(html, "<textarea name=\"text\" dir=\"auto\" maxlength=\"20\" required"));
  assert_non_null(strstr(html, "<input name=\"code\" dir=\"auto\" maxlength=\"8\" pattern=\"[a-z0-9\\-]*\""));
  assert_non_null(strstr(html, "type=\"number\" required min=\"1\" max=\"9\""));
  refused = send_plain(&w, html, "x");
  assert_int_equal(vestry_memory_look(refused).status, 422);
  html = vestry_memory_look(refused).received.data;
  assert_non_null(strstr(html, "<title>Refused</title>"));
  assert_non_null(strstr(html, "Note: at least 2 characters.</p>"));
  assert_non_null(strstr(html, ">\nx</textarea>")); /* what the user has sent */
  assert_non_null(strstr(html, "value=\"4\""));
  assert_int_equal(notes, 0);
  accepted = send_plain(&w, html, "Tea"); /* with the nonce of the refused form's document */
  assert_int_equal(vestry_memory_look(accepted).status, 200);
  assert_int_equal(notes, 1);
  assert_int_equal(last.size, 4);
  assert_false(last.is_urgent);
  assert_non_null(strstr(vestry_memory_look(accepted).received.data, "1 notes, last: Tea")); /* it leads to / */
  vestry_memory_destroy(document);
  vestry_memory_destroy(refused);
  vestry_memory_destroy(accepted);
  close_world(&w);
}

/* capability: L22 */
static void ordinary_document_has_a_plain_form(void **state) {
  (void)state;
  world w;
  vestry_memory_exchange *document, *accepted;
  open_world(&w);
  assert_int_equal(vestry_browser_get(w.ada, "/plain", &document), VESTRY_OK);
  const char *html = vestry_memory_look(document).received.data;
  assert_null(strstr(html, "data-on"));
  assert_null(strstr(html, "data-text"));
  accepted = send_plain(&w, html, "Tea");
  assert_int_equal(vestry_memory_look(accepted).status, 200);
  assert_int_equal(notes, 1);
  vestry_memory_destroy(document);
  vestry_memory_destroy(accepted);
  close_world(&w);
}

static void form_in_the_content_is_refused(void **state) {
  (void)state;
  world w;
  vestry_memory_exchange *document;
  open_world(&w);
  is_inside = true;
  assert_int_equal(vestry_browser_get(w.ada, "/", &document), VESTRY_OK);
  assert_int_equal(vestry_memory_look(document).status, 500);
  assert_true(w.th.log_lines > 0);
  vestry_memory_destroy(document);
  close_world(&w);
}

static void characters_of_texts_are_counted(void **state) {
  (void)state;
  assert_true(vestry_text_has(" \xF0\x9F\x8D\xB5 ", 1, 3));
  assert_false(vestry_text_has(" \xF0\x9F\x8D\xB5 ", 1, 2));
  assert_false(vestry_text_has(" \xF0\x9F\x8D\xB5 ", 2, 3));
  assert_false(vestry_text_has("\xC2\xA0\xE2\x80\x83\xE3\x80\x80\xEF\xBB\xBF\xE2\x81\x9F", 1, 9));
  assert_true(vestry_text_has("", 0, 0));
  assert_true(vestry_text_has("\xC3\x84\xC3\x84\xC3\x84", 0, 3));
  assert_false(vestry_text_has("\xC3\x84\xC3\x84\xC3\x84", 0, 2));
  assert_true(vestry_text_has("\xC2\xA1", 1, 1)); /* begins like a no-break space */
  assert_false(vestry_text_has(NULL, 0, 9));
  assert_true(vestry_text_has("\xE2\x82\xAC", 1, 1)); /* a euro begins like some blanks */
  assert_int_equal(VESTRY_TEXT_BYTES(1), 5);
}

static void declaration_is_checked(void **state) {
  (void)state;
  world w;
  open_world(&w);
  static const vestry_input own[] = {{.name = "x", .kind = VESTRY_INPUT_TEXT, .bytes = 9},
                                     {.name = "once", .kind = VESTRY_INPUT_TEXT, .bytes = 9}};
  static const vestry_application_form wrong[] = {{.action = "/x", .name = "a-b"},
                                                  {.action = "/x", .name = "1"},
                                                  {.action = "x"},
                                                  {.action = "/x/{id}"},
                                                  {.action = "/x", .inputs = own, .inputs_count = 2},
                                                  {.name = "x"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_int_equal(vestry_application_form_route(w.app, &wrong[i], add, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_application_form_route(w.app, NULL, add, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_application_form_route(NULL, &form, add, NULL), VESTRY_INVALID);
  close_world(&w);
}

/* Read one text from the form of a request of a browser, by the rules of a field. The message is that of the field. */
static const vestry_input *read_field;
static char read_text[64], read_message[VESTRY_INPUT_MESSAGE_BYTES];
static vestry_err read_error;

static vestry_err read_one(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  read_error = vestry_inputs_read(req, read_field, 1, read_text, read_message);
  return vestry_reply_status(reply, 204);
}

static void read_as(world *w, const vestry_input *field, const char *text) {
  vestry_memory_exchange *answer;
  char csrf[VESTRY_CSRF_TOKEN_BYTES], nonce[VESTRY_ONCE_NONCE_BYTES];
  vestry_memory_exchange *document;
  assert_int_equal(vestry_browser_get(w->ada, "/", &document), VESTRY_OK);
  cut(vestry_memory_look(document).received.data, "name=\"csrf\" value=\"", csrf, sizeof csrf);
  cut(vestry_memory_look(document).received.data, "name=\"once\" value=\"", nonce, sizeof nonce);
  vestry_memory_destroy(document);
  read_field = field;
  assert_int_equal(
      vestry_browser_form(w->ada, "/one",
                          VESTRY_OBJECT("csrf", (const char *)csrf, "once", (const char *)nonce, "x", text), &answer),
      VESTRY_OK);
  assert_int_equal(vestry_memory_look(answer).status, 204);
  vestry_memory_destroy(answer);
}

/* A long label or message is cut between two characters: half of one could not be sent. */
static void message_is_a_text(void **state) {
  (void)state;
  world w;
  char text[400];
  open_world(&w);
  assert_int_equal(vestry_route(w.app->instance, "POST", "/one", read_one, w.app), VESTRY_OK);
  for (size_t i = 0; i < 3; i++) {
    memset(text, 'x', i);
    for (size_t at = i; at + 3 < sizeof text; at += 3) memcpy(text + at, "\xE2\x82\xAC", 4);
    read_as(&w, &(vestry_input){.name = "x", .kind = VESTRY_INPUT_TEXT, .bytes = 9, .min = 1, .label = text}, "");
    assert_int_equal(read_error, VESTRY_MALFORMED);
    assert_true(vsi_is_utf8(read_message, strlen(read_message)));
    assert_non_null(strstr(read_message, "\xE2\x82\xAC: enter something."));
    read_as(&w, &(vestry_input){.name = "x", .kind = VESTRY_INPUT_TEXT, .bytes = 9, .min = 1, .message = text}, "");
    assert_int_equal(read_error, VESTRY_MALFORMED);
    assert_true(vsi_is_utf8(read_message, strlen(read_message)) && strlen(read_message) > 250);
  }
  close_world(&w);
}

static void control_characters_are_refused(void **state) {
  static const char *const texts[] = {"a\x1F"
                                      "b",
                                      "a\x7F",
                                      "a\xC2\x80"
                                      "b",
                                      "\xC2\x9B"
                                      "31m"};
  static const vestry_input field = {.name = "x", .kind = VESTRY_INPUT_TEXT, .bytes = 20};
  (void)state;
  world w;
  open_world(&w);
  assert_int_equal(vestry_route(w.app->instance, "POST", "/one", read_one, w.app), VESTRY_OK);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    read_as(&w, &field, texts[i]);
    assert_int_equal(read_error, VESTRY_MALFORMED);
    assert_string_equal(read_message, "x: no control characters.");
  }
  read_as(&w, &field,
          "\xC2\xA1"
          "a\xC3\x80");
  assert_int_equal(read_error, VESTRY_OK);
  assert_string_equal(read_text, "\xC2\xA1"
                                 "a\xC3\x80");
  close_world(&w);
}

static void allowed_characters_are_a_pattern(void **state) {
  static const struct {
    const char *allowed, *pattern;
  } cases[] = {{"a-z0-9-", "[a-z0-9\\-]*"}, {"a-z0-9-_", "[a-z0-9\\-_]*"}, {"-a", "[\\-a]*"}, {"+-9]", "[\\+-9\\]]*"}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const vestry_input field = {.name = "x", .kind = VESTRY_INPUT_TEXT, .bytes = 20, .allowed = cases[i].allowed};
    vestry_html html;
    vestry_html_init(&html, NULL);
    assert_int_equal(vestry_inputs_add(&html, &field, 1, NULL), VESTRY_OK);
    vestry_slice made;
    assert_int_equal(vestry_html_result(&html, &made), VESTRY_OK);
    assert_non_null(memmem(made.data, made.len, cases[i].pattern, strlen(cases[i].pattern)));
    vestry_html_finish(&html);
  }
}

/* Each failure is an error, or the form is not accepted; nothing leaks. */
static void each_allocation_may_fail(void **state) {
  (void)state;
  bool has_failed = true;
  for (long n = 0; has_failed; n++) {
    world w;
    open_world(&w);
    assert_int_equal(vestry_browser_fill(w.page, "Note", "Tea"), VESTRY_OK);
    test_host_fail_in(&w.th, n);
    const vestry_err error = vestry_browser_press(w.page, "Add");
    has_failed = test_host_has_failed(&w.th);
    test_host_fail_no_more(&w.th);
    assert_true(notes <= 1);
    assert_true(has_failed || error == VESTRY_OK);
    close_world(&w);
  }
  assert_int_equal(notes, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(form_is_sent_by_the_client),
                                     cmocka_unit_test(broken_rule_is_reported_in_the_form),
                                     cmocka_unit_test(handler_refuses_with_a_message),
                                     cmocka_unit_test(form_is_sent_without_javascript),
                                     cmocka_unit_test(ordinary_document_has_a_plain_form),
                                     cmocka_unit_test(form_in_the_content_is_refused),
                                     cmocka_unit_test(characters_of_texts_are_counted),
                                     cmocka_unit_test(declaration_is_checked),
                                     cmocka_unit_test(message_is_a_text),
                                     cmocka_unit_test(control_characters_are_refused),
                                     cmocka_unit_test(allowed_characters_are_a_pattern),
                                     cmocka_unit_test(each_allocation_may_fail)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
