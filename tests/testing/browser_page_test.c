/* SPDX-License-Identifier: MIT */
/* A page of the browser of tests is used by its labels and texts, and shows what a person would see. */
#include <stdlib.h>

#include "support/locale.h"
#include "support/test.h"
#include "support/test_host.h"
#include "testing/markup.h"
#include "vestry/app/application.h"
#include "vestry/app/press.h"
#include "vestry/testing/browser.h"

static char note[200], answer[400];
static bool is_urgent;
static double size_of;
static int runs;

static void action(vestry_html *html, vestry_method method, vestry_action_content content, const char *url) {
  const vestry_backend_action_options options = {.csrf = true, .once = true, .content = content};
  vestry_html_backend_action(html, method, &options, "%-s", url);
}

static void home(vestry_call *call) {
  vestry_html *html = call->html;
  vestry_render_topic(call->render, "note");
  vestry_call_document(call, NULL);
  vestry_html_add(html, "<form data-signals=\"{form: {text: ''}, error: ''}\" data-on:submit=\"");
  action(html, VESTRY_METHOD_POST, VESTRY_CONTENT_SIGNALS, "/note");
  vestry_html_add(html, "\"><label>Your  note <input data-bind=\"form.text\"></label>"
                        "<label for=\"u\">Urgent</label><input type=\"checkbox\" id=\"u\" data-bind:is-urgent>"
                        "<input type=\"number\" aria-label=\"Size\" data-bind:size>"
                        "<button>Add &amp; <b>show</b></button><p data-text=\"$error\"></p></form>");
  vestry_html_add(html, "<form><label>Name <input name=\"name\" value=\"ada\"></label>"
                        "<label>Stays <input type=\"checkbox\" name=\"stays\"></label>"
                        "<input type=\"hidden\" name=\"kind\" value=\"x y\"><button type=\"button\" data-on:click=\"");
  action(html, VESTRY_METHOD_POST, VESTRY_CONTENT_FORM, "/fields");
  vestry_html_add(html, "\">Send fields</button></form><a href=\"/plain\">Elsewhere</a>"
                        "<button data-on:click=\"$count++\">Count</button><button data-on:click=\"");
  action(html, VESTRY_METHOD_DELETE, VESTRY_CONTENT_SIGNALS, "/note");
  vestry_html_add(html, "\">Remove</button><ul ");
  vestry_html_presses(html, VESTRY_METHOD_POST, &(vestry_backend_action_options){.csrf = true, .once = true});
  vestry_html_add(html, "><li><button data-press=\"/move/7\" data-payload='{\"to\":3}'>Move</button></li>"
                        "<button data-press=\"/move/8\">Stay</button>"
                        "<button data-press=\"/move/9\" data-payload=\"no JSON\">Fail</button></ul>"
                        "<button data-press=\"/move/9\">Alone</button>");
  vestry_call_content(call);
  vestry_html_add(html, "<p>Note: <b>%s</b></p><script>hidden text</script>", note);
}

static vestry_err add(const vestry_request *req, vestry_reply *reply, void *ctx) {
  vestry_application *app = ctx;
  const char *text;
  runs++;
  if (vestry_signals_get(req->signals, "form.text", VESTRY_INTO(&text), NULL)) return VESTRY_INVALID;
  if (vestry_signals_get(req->signals, "isUrgent", VESTRY_INTO(&is_urgent), NULL)) return VESTRY_INVALID;
  if (!*text) return vestry_reply_patch_signals(reply, VESTRY_OBJECT("error", "Write something."));
  size_of = json_number_value(json_object_get(req->signals, "size"));
  snprintf(note, sizeof note, "%s", text);
  vestry_refresh(app->pages, "note", NULL);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("error", ""));
}

static vestry_err take_away(const vestry_request *req, vestry_reply *reply, void *ctx) {
  vestry_application *app = ctx;
  note[0] = '\0';
  vestry_refresh(app->pages, "note", NULL);
  return vestry_reply_redirect(reply, 303, "/plain");
}

static vestry_err move(const vestry_request *req, vestry_reply *reply, void *app) {
  int64_t to = 0;
  if (vestry_signals_get(req->signals, "to", VESTRY_INTO(&to), NULL)) to = 0;
  snprintf(answer, sizeof answer, "%s to %d, once %d", vestry_request_value(req, VESTRY_IN_PATH, "card"), (int)to,
           vestry_request_header(req, "X-Once") != NULL);
  return vestry_reply_status(reply, 204);
}

static vestry_err fields(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *name = vestry_request_value(req, VESTRY_IN_FORM, "name"), *kind;
  const char *stays = vestry_request_value(req, VESTRY_IN_FORM, "stays");
  kind = vestry_request_value(req, VESTRY_IN_FORM, "kind");
  snprintf(answer, sizeof answer, "%s/%s/%s", name ? name : "-", kind ? kind : "-", stays ? stays : "-");
  return vestry_reply_status(reply, 204);
}

static vestry_err plain(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_reply_bodyf(reply, "<!doctype html><body><h1>Plain</h1><form method=\"get\" action=\"/found\">"
                                   "<label>Word<input name=\"q\"></label><input type=\"submit\" value=\"Find\"></form>"
                                   "<ul><li>one</li><li>two</li></ul></body>");
}

static vestry_err found(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *word = vestry_request_value(req, VESTRY_IN_QUERY, "q");
  return vestry_reply_bodyf(reply, "<!doctype html><body>Found %s</body>", word ? word : "nothing");
}

static void composer(vestry_call *call) {
  vestry_html *html = call->html;
  vestry_call_document(call, NULL);
  vestry_html_add(html,
                  "<label>Text <input data-bind:draft disabled></label><label>Text <input data-bind:draft></label>"
                  "<button disabled>Send</button><button data-on:click=\"if (!$draft) return; $form = {text: ''}; "
                  "$form.text = $draft; $isUrgent = true; $draft = ''; $count = $count + 1; ");
  action(html, VESTRY_METHOD_POST, VESTRY_CONTENT_SIGNALS, "/note");
  vestry_html_add(html, "\">Send</button><section ");
  vestry_html_presses(html, VESTRY_METHOD_DELETE, &(vestry_backend_action_options){.csrf = true, .once = true});
  vestry_html_add(html, "><p><b data-press=\"/note\">Take back</b></p></section>");
  vestry_call_content(call);
}

static const vestry_page_options composed = {.id = "composer"};
static const vestry_entry entries[] = {
    VESTRY_PAGE("/", home), VESTRY_PAGE("/composer", composer, .page = &composed), {0}};

static vestry_err begin(test_host *th, vestry_application **ret_app) {
  const vestry_options instance = {.host = &th->host, .threads_count = VESTRY_THREADS_NONE};
  const vestry_application_options options = {
      .insecure = true,
      .instance = &instance,
      .secret = &(vestry_secret){.secret = "0123456789abcdef0123456789abcdef", .secret_len = 32},
      .once = &(vestry_once_options){.required = true},
      .entries = entries};
  static const vestry_mounted routes[] = {{"POST", "/note", add},      {"DELETE", "/note", take_away},
                                          {"POST", "/fields", fields}, {"POST", "/move/{card}", move},
                                          {"GET", "/plain", plain},    {"GET", "/found", found}};
  vestry_application *app = NULL;
  vestry_err error = vestry_application_create(&options, &app);
  if (!error) error = vestry_mount(app->instance, "", routes, sizeof routes / sizeof *routes, app);
  if (error)
    vestry_application_destroy(app);
  else
    *ret_app = app;
  return error;
}

typedef struct world {
  test_host th;
  vestry_application *app;
  vestry_browser *ada;
  vestry_browser_page *page;
} world;

static void open_world(world *w) {
  note[0] = answer[0] = '\0';
  is_urgent = false;
  runs = 0;
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

#define WORLD_CASE(name) TEST_CASE_WITH(name, world, w, open_world(w), close_world(w))

/* capability: K11 */
WORLD_CASE(form_is_filled_and_submitted_by_its_labels) {
  assert_int_equal(vestry_browser_press(w->page, "Add & show"), VESTRY_OK);
  assert_true(vestry_browser_shows(w->page, "Write something."));
  assert_int_equal(vestry_browser_fill(w->page, "Your note", "Tea <at> four"), VESTRY_OK);
  assert_int_equal(vestry_browser_fill(w->page, "Urgent", "on"), VESTRY_OK);
  assert_int_equal(vestry_browser_fill(w->page, "Size", "2.5"), VESTRY_OK);
  assert_false(vestry_browser_shows(w->page, "Tea"));
  assert_int_equal(vestry_browser_press(w->page, "Add & show"), VESTRY_OK);
  assert_int_equal(vestry_browser_status(w->page), 200); /* the guards have accepted token and nonce */
  assert_int_equal(vestry_application_settle(w->app, 1000), VESTRY_OK);
  assert_true(vestry_browser_shows(w->page, "Note: Tea <at> four"));
  assert_false(vestry_browser_shows(w->page, "Write something."));
  assert_false(vestry_browser_shows(w->page, "hidden text"));
  assert_true(is_urgent);
  assert_true(size_of == 2.5);
  assert_int_equal(runs, 2); /* each press has another nonce */
  assert_string_equal(json_string_value(vestry_browser_signal(w->page, "form.text")), "Tea <at> four");
  assert_int_equal(vestry_browser_fill(w->page, "Urgent", "off"), VESTRY_OK);
  assert_true(json_is_false(vestry_browser_signal(w->page, "isUrgent")));
  assert_null(vestry_browser_signal(w->page, "form.nothing"));
}

/* capability: K11 */
WORLD_CASE(fields_links_and_plain_forms_work) {
  assert_int_equal(vestry_browser_press(w->page, "Send fields"), VESTRY_OK);
  assert_int_equal(vestry_browser_status(w->page), 204);
  assert_string_equal(answer, "ada/x y/-");
  assert_int_equal(vestry_browser_fill(w->page, "Name", "b&b"), VESTRY_OK);
  assert_int_equal(vestry_browser_fill(w->page, "Stays", "on"), VESTRY_OK);
  assert_int_equal(vestry_browser_press(w->page, "Send fields"), VESTRY_OK);
  assert_string_equal(answer, "b&b/x y/on");
  assert_int_equal(vestry_browser_press(w->page, "Elsewhere"), VESTRY_OK);
  assert_string_equal(vestry_browser_text(w->page), "Plain Word one two");
  assert_int_equal(vestry_browser_fill(w->page, "Word", "a b"), VESTRY_OK);
  assert_int_equal(vestry_browser_press(w->page, "Find"), VESTRY_OK);
  assert_string_equal(vestry_browser_text(w->page), "Found a b");
}

/* capability: K11 */
WORLD_CASE(delegated_action_is_that_of_the_pressed_button) {
  assert_int_equal(vestry_browser_press(w->page, "Move"), VESTRY_OK);
  assert_string_equal(answer, "7 to 3, once 1");
  assert_int_equal(vestry_browser_press(w->page, "Stay"), VESTRY_OK);
  assert_int_equal(vestry_browser_status(w->page), 204);
  assert_string_equal(answer, "8 to 0, once 1");
  assert_int_equal(vestry_browser_press(w->page, "Fail"), VESTRY_UNSUPPORTED);
  assert_int_equal(vestry_browser_press(w->page, "Alone"), VESTRY_UNSUPPORTED); /* no listener is around it */
}

WORLD_CASE(redirect_of_an_action_is_followed) {
  assert_int_equal(vestry_browser_press(w->page, "Remove"), VESTRY_OK);
  assert_true(vestry_browser_shows(w->page, "Plain"));
}

WORLD_CASE(what_is_missing_is_reported) {
  assert_int_equal(vestry_browser_press(w->page, "Nowhere"), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_browser_press(w->page, "Count"), VESTRY_UNSUPPORTED);
  assert_int_equal(vestry_browser_fill(w->page, "Nothing", "x"), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_browser_wait(w->page, "never", 2), VESTRY_TIMEOUT);
  assert_int_equal(vestry_browser_wait(w->page, "Note:", 2), VESTRY_OK);
}

/* capability: K11 */
WORLD_CASE(browser_takes_its_cookies_to_another_instance) {
  vestry_application *other;
  vestry_browser *there;
  vestry_browser_page *page;
  assert_int_equal(begin(&w->th, &other), VESTRY_OK);
  assert_int_equal(vestry_browser_move(w->ada, other->instance, &there), VESTRY_OK);
  assert_string_equal(vestry_browser_cookie(there, "session"), vestry_browser_cookie(w->ada, "session"));
  assert_int_equal(vestry_browser_open(there, "/", &page), VESTRY_OK);
  assert_string_equal(vestry_browser_cookie(there, "session"), vestry_browser_cookie(w->ada, "session"));
  assert_int_equal(vestry_browser_fill(page, "Your note", "moved"), VESTRY_OK);
  assert_int_equal(vestry_browser_press(page, "Add & show"), VESTRY_OK);
  assert_int_equal(vestry_application_settle(other, 1000), VESTRY_OK);
  assert_int_equal(vestry_browser_wait(page, "Note: moved", 1000), VESTRY_OK);
  vestry_browser_close(page);
  vestry_browser_destroy(there);
  assert_int_equal(vestry_application_destroy(other), VESTRY_OK);
}

static vestry_err use(test_host *th, void *ctx) {
  vestry_application *app = ctx;
  vestry_browser *ada = NULL;
  vestry_browser_page *page = NULL;
  vestry_err error = vestry_browser_create(app->instance, &ada);
  if (!error) error = vestry_browser_open(ada, "/plain", &page);
  if (!error) error = vestry_browser_fill(page, "Word", "x");
  if (!error) error = vestry_browser_press(page, "Find");
  vestry_browser_close(page);
  vestry_browser_destroy(ada);
  return error;
}

/* Each failure is an error, or the page lacks a part; nothing leaks. */
WORLD_CASE(each_allocation_may_fail) {
  for (long number = 0;; number++) {
    const long before = atomic_load(&w->th.live);
    test_host_fail_in(&w->th, number);
    (void)use(&w->th, w->app);
    const bool has_failed = test_host_has_failed(&w->th);
    assert_true(atomic_load(&w->th.live) <= before + 2); /* the instance may keep some memory */
    if (!has_failed) break;
  }
}

static void assert_literal(const char *text, const char *wanted) {
  json_t *made = vsi_js_literal(&text);
  char *dumped = made ? json_dumps(made, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS) : NULL;
  if (wanted)
    assert_string_equal(dumped, wanted);
  else
    assert_null(dumped);
  free(dumped);
  json_decref(made);
}

TEST_CASE(literals_of_javascript_are_read) {
  assert_literal("{a: 1, 'b-c': [true, null, -2.5], d: {e: ''}}",
                 "{\"a\":1,\"b-c\":[true,null,-2.5],\"d\":{\"e\":\"\"}}");
  assert_literal("'it\\'s \\x26 \\u00e4\\n'", "\"it's & \xc3\xa4\\n\"");
  assert_literal("$x + 1", NULL);
  assert_literal("{a: f()}", NULL);
  assert_literal("'open", NULL);
  assert_literal("", NULL);
}

TEST_CASE(numbers_do_not_depend_on_the_locale) {
  test_locale locale;
  if (!test_locale_begin(&locale, "de_DE")) TEST_SKIP("the definitions of locales are not installed");
  const char *text = "-2.5";
  json_t *made = vsi_js_literal(&text);
  assert_true(json_real_value(made) == -2.5);
  json_decref(made);
  form_is_filled_and_submitted_by_its_labels(state);
  test_locale_end(&locale);
}

TEST_CASE(damaged_documents_are_read_to_their_end) {
  static const char *const texts[] = {
      "<",        "</",        "<a", "<a href='", "<!--",       "<p>a<b>b</p>c",
      "</p></p>", "<script>a", "&",  "&#",        "&#x110000;", "<textarea><p></textarea>"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    vsi_markup markup;
    vsi_buffer text;
    vsi_buffer_init(&text, vestry_host_default());
    assert_int_equal(vsi_markup_read(&markup, vestry_host_default(), texts[i], strlen(texts[i])), VESTRY_OK);
    for (size_t n = 0; n < markup.count; n++) {
      assert_true(markup.elements[n].begin < markup.elements[n].inner);
      assert_true(markup.elements[n].inner <= markup.elements[n].inner_end);
      assert_true(markup.elements[n].end <= strlen(texts[i]));
      vsi_markup_text(&markup, n, NULL, &text);
    }
    vsi_markup_finish(&markup);
    vsi_buffer_finish(&text);
  }
}

static unsigned any(unsigned *seed, unsigned below) {
  *seed = *seed * 1103515245u + 12345u;
  return (*seed >> 16) % below;
}

/* Append random elements and texts, all of which are closed. */
static void put_random(vsi_buffer *to, unsigned *seed, int depth) {
  static const char *const names[] = {"div", "p", "b", "ul", "textarea"};
  for (unsigned i = any(seed, 4); i-- > 0;) {
    const unsigned kind = any(seed, 7);
    if (kind == 5) vsi_buffer_printf(to, "<br id=\"%u\">", any(seed, 20));
    if (kind >= 5) vsi_buffer_append_str(to, "text <!-- <p> --> ");
    if (kind >= 5) continue;
    vsi_buffer_printf(to, "<%s id=\"%u\" data-x='<p id=\"3\">'>", names[kind], any(seed, 20));
    if (depth && kind < 4) put_random(to, seed, depth - 1);
    vsi_buffer_printf(to, "</%s>", names[kind]);
  }
}

/* After each of many patches, the index of elements is that of the whole document. */
TEST_CASE(patched_index_is_that_of_the_document) {
  const vestry_host *host = vestry_host_default();
  for (unsigned seed = 1; seed <= 2000; seed++) {
    vsi_buffer html, part;
    vsi_markup index, whole, by;
    unsigned random = seed;
    vsi_buffer_init(&html, host);
    vsi_buffer_init(&part, host);
    vsi_buffer_append_str(&html, "<body>");
    put_random(&html, &random, 4);
    vsi_buffer_append_str(&html, "</body>");
    assert_non_null(vsi_buffer_terminate(&html));
    assert_int_equal(vsi_markup_read(&index, host, html.data, html.len), VESTRY_OK);
    for (int i = 0; i < 8; i++) {
      const vsi_markup_element of = index.elements[any(&random, (unsigned)index.count)];
      const size_t places[][2] = {{of.begin, of.end}, {of.inner, of.inner_end}, {of.begin, of.begin},
                                  {of.end, of.end},   {of.inner, of.inner},     {of.inner_end, of.inner_end}};
      const bool is_body = of.begin == 0, has_inner = of.end != of.inner && strcmp(of.name, "textarea") != 0;
      const unsigned which = is_body ? 1 : any(&random, has_inner ? 6 : 4);
      if (!has_inner && which == 1) continue;
      const size_t begin = places[which][0], end = places[which][1];
      size_t first;
      vsi_buffer made;
      vsi_buffer_init(&made, host);
      vsi_buffer_clear(&part);
      put_random(&part, &random, 2);
      vsi_buffer_append(&made, html.data, begin);
      vsi_buffer_append(&made, part.data, part.len);
      vsi_buffer_append(&made, html.data + end, html.len - end);
      assert_non_null(vsi_buffer_terminate(&made));
      vsi_buffer_finish(&html);
      html = made;
      assert_int_equal(vsi_markup_read(&by, host, part.data, part.len), VESTRY_OK);
      const vsi_markup_part all = {.of = &by, .end = part.len, .count = by.count};
      assert_int_equal(vsi_markup_replace(&index, html.data, begin, end, &all, &first), VESTRY_OK);
      assert_int_equal(vsi_markup_read(&whole, host, html.data, html.len), VESTRY_OK);
      if (index.count != whole.count ||
          memcmp(index.elements, whole.elements, whole.count * sizeof *whole.elements) != 0)
        fail_msg("seed %u, patch %d: %s", seed, i, html.data);
      for (size_t j = 0; j < whole.count; j++)
        assert_true((j >= first && j < first + by.count) ==
                    (whole.elements[j].begin >= begin && whole.elements[j].begin < begin + part.len));
      vsi_markup_finish(&whole);
      vsi_markup_finish(&by);
    }
    vsi_markup_finish(&index);
    vsi_buffer_finish(&html);
    vsi_buffer_finish(&part);
  }
}

/* capability: K11 */
WORLD_CASE(signals_are_assigned_before_the_request) {
  vestry_browser_page *page;
  assert_int_equal(vestry_browser_open(w->ada, "/composer", &page), VESTRY_OK);
  assert_int_equal(vestry_browser_fill(page, "Text", "from a draft"), VESTRY_OK);
  assert_int_equal(vestry_browser_press(page, "Send"), VESTRY_OK); /* the button that is not disabled */
  assert_string_equal(note, "from a draft");
  assert_true(is_urgent);
  assert_string_equal(json_string_value(vestry_browser_signal(page, "draft")), "");
  assert_null(vestry_browser_signal(page, "count"));
  assert_string_equal(note, "from a draft");
  assert_int_equal(vestry_browser_press(page, "Take back"), VESTRY_OK); /* a delegated action */
  assert_string_equal(note, "");
  vestry_browser_close(page);
}

TEST_CASE(arguments_of_a_network_are_checked) {
  vestry_browser *browser = NULL;
  bool arrived;
  assert_int_equal(vestry_browser_connect(NULL, &browser), VESTRY_INVALID);
  assert_int_equal(vestry_browser_connect(&(vestry_browser_server){.address = "localhost", .port = 1}, &browser),
                   VESTRY_INVALID);
  assert_int_equal(vestry_browser_connect(&(vestry_browser_server){.port = 1}, NULL), VESTRY_INVALID);
  assert_null(browser);
  assert_int_equal(vestry_browser_poll(NULL, 0, 0, &arrived), VESTRY_INVALID);
}
