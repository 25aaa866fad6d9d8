/* SPDX-License-Identifier: MIT */
/* Documents of pages without a content, of forms that cannot be sent, and of forms in the content, whose language and
 * choices are those of the request. */
#include "application/world.h"

typedef struct note {
  char text[81];
} note;

static const vestry_application_form form = {
    .action = "/note", .name = "note", .is_kept = true, VESTRY_INPUTS(VESTRY_INPUT(note, text, .max = 20))};
static const vestry_application_form lost_form = {.action = "/lost"}, aimless_form = {.name = "aimless"};

static void take(vestry_call *call) {
  assert_non_null(call->values);
}

static void form_only(vestry_call *call) {
  vestry_call_document(call, NULL);
  vestry_call_form(call, &form, NULL);
}

static void forgotten(vestry_call *call) {
  vestry_render_topic(call->render, "notes");
  form_only(call);
}

static void nothing(vestry_call *call) {
  vestry_call_document(call, NULL);
}

static void lost(vestry_call *call) {
  vestry_call_document(call, NULL);
  vestry_call_form(call, strstr(call->req->path, "aimless") ? &aimless_form : &lost_form, NULL);
}

VESTRY_STRUCT(seat, (const char *, row));
static bool is_german, is_closed;
static size_t free_row;
static char seated[9];

static const char *language_of(vestry_call *call) {
  return is_german ? "de" : NULL;
}

static void adapt_seat(vestry_call *call, vestry_application_form *to, vestry_input *inputs) {
  static const vestry_choice of[] = {{"a", "Row a"}, {0}, {"b", "Row b"}, {0}};
  inputs->choices = &of[2 * free_row];
  if (!language_of(call)) return;
  to->button = "Setzen";
  inputs->message = "Diese Reihe ist voll.";
}

static const vestry_application_form seat_form = {
    .action = "/seat",
    .name = "seat",
    .button = "Sit down",
    .adapt = adapt_seat,
    VESTRY_INPUTS(VESTRY_INPUT(seat, row, .label = "Row", .min = 1, .max = 1, .is_list = true))};

static void hall(vestry_call *call) {
  vestry_render_topic(call->render, "notes");
  vestry_call_document(call, NULL);
  vestry_call_content(call);
  if (!is_closed) vestry_call_form(call, &seat_form, NULL);
}

static void take_seat(vestry_call *call) {
  snprintf(seated, sizeof seated, "%s", ((const seat *)call->values)->row);
}

static const vestry_entry entries[] = {VESTRY_FORM(&form, take),
                                       VESTRY_FORM(&seat_form, take_seat),
                                       VESTRY_PAGE("/hall", hall),
                                       VESTRY_PAGE("/only", form_only),
                                       VESTRY_PAGE("/forgotten", forgotten),
                                       VESTRY_PAGE("/nothing", nothing),
                                       VESTRY_PAGE("/lost-page", lost),
                                       VESTRY_DOCUMENT("/lost-document", lost),
                                       VESTRY_PAGE("/aimless-page", lost),
                                       {0}};

static const vestry_application_document frame = {.language = language_of};

static void open_world(world *w) {
  world_open(w, (vestry_application_options){.entries = entries, .document = &frame}, NULL);
}

static int status_at(world *w, const char *url) {
  vestry_memory_exchange *page;
  assert_int_equal(vestry_browser_get(w->ada, url, &page), VESTRY_OK);
  const int status = vestry_memory_look(page).status;
  vestry_memory_destroy(page);
  return status;
}

/* A page of forms alone is no mistake. A topic without a content is one, because nothing shows it. */
TEST_CASE(page_without_a_content_is_reported_unless_it_is_a_form) {
  static const char *const urls[] = {"/forgotten", "/nothing"};
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    world w;
    open_world(&w);
    const long lines = w.th.log_lines;
    assert_int_equal(status_at(&w, "/only"), 200);
    assert_int_equal(w.th.log_lines, lines);
    assert_int_equal(status_at(&w, urls[i]), 200);
    assert_int_equal(w.th.log_lines, lines + 1);
    assert_non_null(strstr(w.th.last_log, "has no content"));
    world_close(&w);
  }
}

/* Its user would get 404 for what is typed. */
TEST_CASE(form_whose_action_has_no_route_is_reported) {
  static const char *const urls[] = {"/lost-page", "/lost-document", "/aimless-page"};
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    world w;
    open_world(&w);
    assert_int_equal(status_at(&w, urls[i]), 500);
    world_close(&w);
  }
}

static uint64_t changed_after_refresh(world *w) {
  vestry_pages_stats stats;
  assert_int_equal(vestry_refresh(w->app->pages, "notes", NULL), VESTRY_OK);
  assert_int_equal(vestry_application_settle(w->app, 1000), VESTRY_OK);
  vestry_pages_stats_get(w->app->pages, &stats);
  return stats.changed_count;
}

/* capability: L22 */
TEST_CASE(form_in_the_content_comes_and_goes) {
  world w;
  vestry_browser_page *page;
  free_row = 0;
  open_world(&w);
  assert_int_equal(vestry_browser_open(w.ada, "/hall", &page), VESTRY_OK);
  const uint64_t before = changed_after_refresh(&w);
  assert_int_equal(changed_after_refresh(&w), before); /* it has no nonce, which each render would change */
  for (; free_row < 2; free_row++) {
    changed_after_refresh(&w);
    assert_int_equal(vestry_browser_fill(page, "Row", free_row ? "Row b" : "Row a"), VESTRY_OK);
    assert_int_equal(vestry_browser_press(page, "Sit down"), VESTRY_OK);
    assert_string_equal(seated, free_row ? "b" : "a");
    is_closed = true;
    changed_after_refresh(&w);
    assert_int_equal(vestry_browser_press(page, "Sit down"), VESTRY_NOT_FOUND);
    is_closed = false;
  }
  vestry_browser_close(page);
  world_close(&w);
}

/* capability: L22 */
TEST_CASE(form_without_javascript_has_the_language_and_the_choices_of_its_request) {
  for (int i = 0; i < 2; i++) {
    world w;
    vestry_memory_exchange *document, *refused;
    free_row = 0;
    is_german = i == 1;
    open_world(&w);
    assert_int_equal(vestry_browser_get(w.ada, "/hall", &document), VESTRY_OK);
    const char *html = vestry_memory_look(document).received.data;
    assert_non_null(strstr(html, i ? "<html lang=\"de\">" : "<html lang=\"en\">"));
    const world_proofs proofs = world_proofs_in(strstr(html, "</main>")); /* the form follows the content */
    const char *csrf = proofs.csrf, *nonce = proofs.once;
    assert_int_equal(
        vestry_browser_form(w.ada, "/seat", VESTRY_OBJECT("csrf", csrf, "once", nonce, "row", "b"), &refused),
        VESTRY_OK);
    assert_int_equal(vestry_memory_look(refused).status, 422);
    html = vestry_memory_look(refused).received.data;
    assert_non_null(strstr(html, i ? "Diese Reihe ist voll." : "Row: choose one of the options."));
    assert_non_null(strstr(html, i ? "<button>Setzen</button>" : "<button>Sit down</button>"));
    assert_non_null(strstr(html, ">Row a</option></select>"));
    vestry_memory_destroy(document);
    vestry_memory_destroy(refused);
    world_close(&w);
  }
}
