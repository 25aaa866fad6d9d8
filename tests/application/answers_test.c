/* SPDX-License-Identifier: MIT */
/* How an application answers what it refuses: forbidden calls, sentences of acts, secrets of forms. */
#include "app/page/input.h"
#include "application/world.h"
#include "vestry/app/upload.h"

/* A log-in: the secret is declared in both ways. */
typedef struct login {
  char name[41], password[41], code[9];
} login;

static const vestry_application_form form = {
    .action = "/login",
    .is_kept = true,
    .button = "Log in",
    VESTRY_INPUTS(VESTRY_INPUT(login, name, .label = "Name", .min = 2, .max = 20),
                  VESTRY_INPUT(login, password, .type = "password"),
                  VESTRY_INPUT(login, code, .allowed = "0-9a-z", .attributes = "autocomplete=\"one-time-code\""))};

static bool is_forbidden;
static char password[41];

static void home(vestry_call *call) {
  const login first = {.name = "ada", .password = "first secret", .code = "first"};
  vestry_call_document(call, "Home");
  vestry_call_form(call, &form, &first);
  vestry_html_add(call->html, "<p role=\"alert\" data-text=\"$_said.act\"></p><button data-press=\"/no\">No</button>"
                              "<button data-press=\"/yes\">Yes</button><button data-press=\"/forbidden\">Forbidden"
                              "</button>");
}

static void take(vestry_call *call) {
  if (is_forbidden) vestry_call_fail(call, VESTRY_FAILED);
  snprintf(password, sizeof password, "%s", ((const login *)call->values)->password);
  vestry_call_refuse(call, "Wrong.");
}

static void no(vestry_call *call) {
  vestry_call_refuse(call, "Nobody is waiting.");
}

static void yes(vestry_call *call) {}

static void forbidden(vestry_call *call) {
  vestry_call_fail(call, VESTRY_FAILED);
}

static void forbidden_later(vestry_call *call) {
  vestry_call_document(call, "Half a document");
  forbidden(call);
}

static void gone(vestry_call *call) {
  vestry_reply_status(call->reply, 410);
  forbidden(call);
}

static void own_words(vestry_call *call) {
  vestry_reply_status(call->reply, 451);
  vestry_reply_bodyf(call->reply, "own words");
  forbidden(call);
}

static const vestry_entry entries[] = {VESTRY_PAGE("/", home),
                                       VESTRY_FORM(&form, take),
                                       VESTRY_ACT("/no", no),
                                       VESTRY_ACT("/yes", yes),
                                       VESTRY_ACT("/forbidden", forbidden),
                                       VESTRY_DOCUMENT("/document", forbidden),
                                       VESTRY_DOCUMENT("/half", forbidden_later),
                                       VESTRY_HANDLER("GET", "/handler", forbidden),
                                       VESTRY_HANDLER("GET", "/gone", gone),
                                       VESTRY_HANDLER("GET", "/own", own_words),
                                       VESTRY_GUARD("/guarded", forbidden),
                                       VESTRY_HANDLER("GET", "/guarded/by", yes),
                                       {0}};

static void open_world(world *w) {
  is_forbidden = false;
  world_open(w, (vestry_application_options){.entries = entries}, "/");
}

/* capability: L23 */
TEST_CASE(next_press_clears_the_sentence_of_a_refused_act) {
  static const char *const next[] = {"Yes", "Forbidden"};
  for (size_t i = 0; i < sizeof next / sizeof *next; i++) {
    world w;
    open_world(&w);
    assert_int_equal(vestry_browser_press(w.page, "No"), VESTRY_OK);
    assert_true(vestry_browser_shows(w.page, "Nobody is waiting."));
    assert_int_equal(vestry_browser_press(w.page, next[i]), VESTRY_OK);
    assert_false(vestry_browser_shows(w.page, "Nobody is waiting."));
    world_close(&w);
  }
}

/* capability: L23 */
TEST_CASE(failed_of_each_kind_of_entry_is_forbidden) {
  static const struct {
    const char *url;
    int status;
    const char *body;
  } cases[] = {{"/document", 403, "not for you"}, {"/half", 403, "not for you"}, {"/handler", 403, "not for you"},
               {"/gone", 410, "did not work"},    {"/own", 451, "own words"},    {"/guarded/by", 403, "not for you"}};
  world w;
  open_world(&w);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    vestry_memory_exchange *answer;
    assert_int_equal(vestry_browser_get(w.ada, cases[i].url, &answer), VESTRY_OK);
    assert_int_equal(vestry_memory_look(answer).status, cases[i].status);
    assert_non_null(strstr(vestry_memory_look(answer).received.data, cases[i].body));
    vestry_memory_destroy(answer);
  }
  assert_int_equal(vestry_browser_press(w.page, "Forbidden"), VESTRY_OK);
  assert_int_equal(vestry_browser_status(w.page), 403);
  is_forbidden = true;
  assert_int_equal(vestry_browser_fill(w.page, "Name", "ada"), VESTRY_OK);
  assert_int_equal(vestry_browser_press(w.page, "Log in"), VESTRY_OK);
  assert_int_equal(vestry_browser_status(w.page), 403);
  world_close(&w);
}

/* capability: L22 */
TEST_CASE(secret_is_in_no_document_and_not_stored) {
  vestry_memory_exchange *document, *refused;
  world w;
  open_world(&w);
  assert_int_equal(vestry_browser_get(w.ada, "/", &document), VESTRY_OK);
  const char *html = vestry_memory_look(document).received.data;
  assert_null(strstr(html, "value=\"first"));
  assert_non_null(strstr(html, "name=\"password\" dir=\"auto\" maxlength=\"40\" type=\"password\""));
  assert_non_null(strstr(html, "name=\"name\" dir=\"auto\" maxlength=\"20\" required " VESTRY_FORM_FIELD));
  assert_null(strstr(html, "type=\"password\" " VESTRY_FORM_FIELD));
  const world_proofs proofs = world_proofs_in(html);
  assert_int_equal(
      vestry_browser_form(w.ada, "/login",
                          VESTRY_OBJECT("csrf", (const char *)proofs.csrf, "once", (const char *)proofs.once, "name",
                                        "ada", "password", " s3cret ", "code", "c0de"),
                          &refused),
      VESTRY_OK);
  assert_int_equal(vestry_memory_look(refused).status, 422);
  assert_non_null(strstr(vestry_memory_look(refused).received.data, "value=\"ada\""));
  assert_null(strstr(vestry_memory_look(refused).received.data, "s3cret"));
  assert_null(strstr(vestry_memory_look(refused).received.data, "c0de"));
  assert_string_equal(password, " s3cret ");
  vestry_memory_destroy(document);
  vestry_memory_destroy(refused);
  world_close(&w);
}

/* capability: L22 */
TEST_CASE(each_field_has_its_own_message) {
  vestry_memory_exchange *refused;
  world w;
  open_world(&w);
  assert_int_equal(vestry_browser_fill(w.page, "Name", "a"), VESTRY_OK);
  assert_int_equal(vestry_browser_fill(w.page, "code", "C0DE"), VESTRY_OK);
  assert_int_equal(vestry_browser_press(w.page, "Log in"), VESTRY_OK);
  assert_string_equal(json_string_value(vestry_browser_signal(w.page, "_said.form")), "Name: at least 2 characters.");
  assert_string_equal(json_string_value(vestry_browser_signal(w.page, "_wrong.form")),
                      "{\"name\":\"Name: at least 2 characters.\",\"code\":\"code: only the characters 0-9a-z.\"}");
  assert_int_equal(vestry_browser_fill(w.page, "Name", "ada"), VESTRY_OK);
  assert_int_equal(vestry_browser_fill(w.page, "code", "1"), VESTRY_OK);
  assert_int_equal(vestry_browser_press(w.page, "Log in"), VESTRY_OK); /* refused by its function */
  assert_string_equal(json_string_value(vestry_browser_signal(w.page, "_said.form")), "Wrong.");
  assert_string_equal(json_string_value(vestry_browser_signal(w.page, "_wrong.form")), "");
  const world_proofs proofs = world_proofs_at(&w, "/");
  assert_int_equal(vestry_browser_form(w.ada, "/login",
                                       VESTRY_OBJECT("csrf", (const char *)proofs.csrf, "once",
                                                     (const char *)proofs.once, "name", "a", "code", "C0DE"),
                                       &refused),
                   VESTRY_OK);
  const char *html = vestry_memory_look(refused).received.data;
  assert_int_equal(vestry_memory_look(refused).status, 422);
  assert_non_null(strstr(html, " aria-describedby=\"form-name-wrong\" aria-invalid=\"true\""));
  assert_non_null(strstr(
      html,
      "<small id=\"form-name-wrong\" data-ignore-morph data-wrong=\"name\">Name: at least 2 characters.</small>"));
  assert_non_null(strstr(html, "data-wrong=\"password\"></small>"));
  assert_non_null(strstr(html, "data-wrong=\"code\">code: only the characters 0-9a-z.</small>"));
  vestry_memory_destroy(refused);
  world_close(&w);
}

TEST_CASE(secret_that_cannot_be_one_is_refused_by_name) {
  static const vestry_choice choices[] = {{"a", NULL}, {0}};
  static const vestry_input wrong[] = {VESTRY_INPUT(login, name, .type = "password", .is_hidden = true),
                                       VESTRY_INPUT(login, name, .type = "password", .has_lines = true),
                                       VESTRY_INPUT(login, name, .type = "password", .choices = choices)};
  test_host th;
  test_host_init(&th);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_int_equal(vsi_inputs_check(&th.host, &wrong[i], 1), VESTRY_INVALID);
    assert_non_null(strstr(th.last_log, "field \"name\": a field with a type is one line"));
  }
  test_host_assert_clean(&th);
}

/* A script that sends files shows the text of a refusal, and would show the source of a document. */
TEST_CASE(refusal_for_a_script_that_sends_files_is_a_line) {
  static const vestry_header header = {"Vestry-Upload", "1"};
  static const char *const urls[] = {"/nowhere", "/handler", "/gone"};
  world w;
  open_world(&w);
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    const vestry_memory_call get = {.path = urls[i], .headers = &header, .headers_count = 1};
    vestry_memory_exchange *answer;
    assert_int_equal(vestry_memory_request(w.app->instance, &get, NULL, NULL, &answer), VESTRY_OK);
    assert_true(vestry_memory_look(answer).status >= 403);
    assert_string_equal(vestry_memory_header(answer, "Content-Type", 0), "text/plain; charset=utf-8");
    assert_null(strchr(vestry_memory_look(answer).received.data, '<'));
    vestry_memory_destroy(answer);
  }
  world_close(&w);
}
