/* SPDX-License-Identifier: MIT */
/* Renders that request another render, and are shown. */
#include "page/tabs.h"

static void request_again(suite *s, vestry_render *render) {
  vestry_render_again(render);
}

/* Return how often the page was rendered during this time. */
static size_t renders_in(suite *s, uint64_t ms) {
  const size_t before = s->calls;
  for (; ms; ms -= ms < 500 ? ms : 500) site_pass_ms(&s->on, ms < 500 ? ms : 500);
  return s->calls - before;
}

/* The content is shown and no failure is reported. The page is rendered again after 1, 2, 4, … 30 s. */
TEST_CASE(render_is_repeated_on_request_with_backoff) {
  static const uint64_t waits_ms[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000};
  static const char *const paths[] = {"/private", "/shared"};
  for (size_t i = 0; i < 2; i++) {
    suite s;
    tab t, late;
    tabs_begin(&s);
    s.inside = request_again;
    tabs_open(&s, &t, paths[i], NULL);
    site_pass_ms(&s.on, 0);
    for (size_t wait = 0; wait < sizeof waits_ms / sizeof *waits_ms; wait++) {
      s.heading++;
      assert_int_equal(renders_in(&s, waits_ms[wait] - 500), 0);
      assert_int_equal(renders_in(&s, 500), 1);
      assert_null(strstr(tabs_read(&t), "\"failing\":true"));
      tabs_check(&s, &t);
    }
    s.heading++;
    tabs_refresh(&s, "all"); /* after a change of its data, it waits no longer than its interval */
    site_settle(&s.on);
    assert_int_equal(renders_in(&s, 100), 1);
    tabs_check(&s, &t);
    s.heading++;
    tabs_open(&s, &late, paths[i], NULL); /* nor does a new tab wait */
    site_pass_ms(&s.on, 100);
    tabs_check(&s, &late);
    s.inside = NULL;
    assert_int_equal(renders_in(&s, 30000), i ? 1 : 2); /* the last renders */
    assert_int_equal(renders_in(&s, 120000), 0);
    tabs_check(&s, &t);
    tabs_leave(&s, &late);
    tabs_end_one(&s, &t);
  }
}

/* The page was shown and then fails: streams receive the failure, and later the recovery. */
TEST_CASE(failure_after_a_requested_render_is_reported) {
  suite s;
  tab t;
  tabs_begin(&s);
  s.inside = request_again;
  tabs_open(&s, &t, "/private", NULL);
  site_pass_ms(&s.on, 0);
  s.error = VESTRY_FAILED;
  assert_int_equal(renders_in(&s, 1000), 1);
  assert_non_null(strstr(tabs_read(&t), "\"failing\":true"));
  s.error = VESTRY_OK;
  s.heading++;
  assert_int_equal(renders_in(&s, 2000), 1);
  assert_non_null(strstr(tabs_read(&t), "\"failing\":false"));
  tabs_check(&s, &t);
  tabs_end_one(&s, &t);
}

static vestry_err make_poor_part(vestry_render *render, vestry_html *html, void *app) {
  unsigned *renders = app;
  if (++*renders < 3) vestry_render_again(render);
  return vestry_html_add(html, "<i>%u</i>", *renders);
}

static vestry_err make_page_of_poor_part(vestry_render *render, vestry_html *html, void *app) {
  vestry_render_begin(render, html);
  vestry_render_part(render, html,
                     &(vestry_page_part){.id = "poor", .share = "", .render = make_poor_part, .app = app});
  return vestry_render_end(render, html);
}

/* The page renders the part when it sends its content, and the part is then rendered until it no longer requests
 * it. */
TEST_CASE(part_is_rendered_again_on_request) {
  site on;
  vestry_page *page;
  unsigned renders = 0;
  site_begin_pages(&on, (vestry_options){0}, NULL);
  assert_int_equal(
      vestry_page_create(on.pages, &(vestry_page_options){.render = make_page_of_poor_part, .app = &renders}, &page),
      VESTRY_OK);
  assert_int_equal(vestry_route(on.v, "GET", "/", vestry_page_handler, page), VESTRY_OK);
  vestry_memory_exchange *stream = site_request(&on, &(vestry_memory_call){.path = "/", .datastar = true});
  site_settle(&on);
  const unsigned first = renders;
  assert_true(first < 3);
  site_pass_ms(&on, 999);
  assert_int_equal(renders, first);
  site_pass_ms(&on, 1);
  assert_int_equal(renders, first + 1);
  for (int i = 0; i < 60; i++) site_pass_ms(&on, 1000);
  assert_int_equal(renders, 3);
  assert_non_null(strstr(vestry_memory_look(stream).received.data, "<i>3</i>"));
  vestry_memory_destroy(stream);
  site_end(&on);
}

static vestry_err show_parameters(vestry_render *render, vestry_html *html, void *app) {
  const vestry_request *req = render->request;
  unsigned *renders = app;
  vestry_render_begin(render, html);
  if (++*renders < 3) vestry_render_again(render);
  (void)vestry_html_add(html, "<i>%s %s %u</i>", vestry_request_value(req, VESTRY_IN_PATH, "list"),
                        vestry_request_value(req, VESTRY_IN_PATH, "item"), *renders);
  return vestry_render_end(render, html);
}

/* Further renders read a copy of the request. */
TEST_CASE(every_render_has_the_parameters_of_the_path) {
  site on;
  vestry_page *page;
  unsigned renders = 0;
  site_begin_pages(&on, (vestry_options){0}, NULL);
  assert_int_equal(
      vestry_page_create(on.pages, &(vestry_page_options){.render = show_parameters, .app = &renders}, &page),
      VESTRY_OK);
  assert_int_equal(vestry_route(on.v, "GET", "/{list}/{item}", vestry_page_handler, page), VESTRY_OK);
  vestry_memory_exchange *stream = site_request(&on, &(vestry_memory_call){.path = "/old/7", .datastar = true});
  for (int i = 0; i < 60; i++) site_pass_ms(&on, 1000);
  assert_int_equal(renders, 3);
  assert_non_null(strstr(vestry_memory_look(stream).received.data, "<i>old 7 3</i>"));
  vestry_memory_destroy(stream);
  site_end(&on);
}
