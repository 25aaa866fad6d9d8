/* SPDX-License-Identifier: MIT */
/* Documents of pages without a content, and of forms that cannot be sent. */
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/app/application.h"
#include "vestry/testing/browser.h"

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

static const vestry_entry entries[] = {VESTRY_FORM(&form, take),
                                       VESTRY_PAGE("/only", form_only),
                                       VESTRY_PAGE("/forgotten", forgotten),
                                       VESTRY_PAGE("/nothing", nothing),
                                       VESTRY_PAGE("/lost-page", lost),
                                       VESTRY_DOCUMENT("/lost-document", lost),
                                       VESTRY_PAGE("/aimless-page", lost),
                                       {0}};

typedef struct world {
  test_host th;
  vestry_application *app;
  vestry_browser *ada;
} world;

static void open_world(world *w) {
  test_host_init(&w->th);
  const vestry_options instance = {.host = &w->th.host, .threads_count = VESTRY_THREADS_NONE};
  const vestry_application_options options = {
      .insecure = true,
      .instance = &instance,
      .forms = &(vestry_forms_options){0},
      .entries = entries,
      .secret = &(vestry_secret){.secret = "0123456789abcdef0123456789abcdef", .secret_len = 32}};
  assert_int_equal(vestry_application_create(&options, &w->app), VESTRY_OK);
  assert_int_equal(vestry_browser_create(w->app->instance, &w->ada), VESTRY_OK);
}

static void close_world(world *w) {
  vestry_browser_destroy(w->ada);
  assert_int_equal(vestry_application_destroy(w->app), VESTRY_OK);
  test_host_assert_clean(&w->th);
}

static int status_at(world *w, const char *url) {
  vestry_memory_exchange *page;
  assert_int_equal(vestry_browser_get(w->ada, url, &page), VESTRY_OK);
  const int status = vestry_memory_look(page).status;
  vestry_memory_destroy(page);
  return status;
}

/* A page of forms alone is no mistake. A topic without a content is one, because nothing shows it. */
static void page_without_a_content_is_reported_unless_it_is_a_form(void **state) {
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
    close_world(&w);
  }
}

/* Its user would get 404 for what is typed. */
static void form_whose_action_has_no_route_is_reported(void **state) {
  static const char *const urls[] = {"/lost-page", "/lost-document", "/aimless-page"};
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    world w;
    open_world(&w);
    assert_int_equal(status_at(&w, urls[i]), 500);
    close_world(&w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(page_without_a_content_is_reported_unless_it_is_a_form),
      cmocka_unit_test(form_whose_action_has_no_route_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
