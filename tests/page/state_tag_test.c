/* SPDX-License-Identifier: MIT */
/* Tags of tabs, true and forged: a tab receives what it lacks, and no other tab is affected. */
#include <stdlib.h>

#include "page/tabs.h"

enum { LIARS = TEST_UNDER_TSAN || TEST_UNDER_ASAN ? 10000 : 100000 };

/* A part changes and changes back while the tab is away. */
/* capability: D14 */
TEST_CASE(part_that_changed_back_is_sent) {
  suite s;
  tab t;
  tabs_begin_one(&s, &t);
  s.lists[1] = 5;
  tabs_refresh(&s, "list/1");
  site_settle_pages(&s.on);
  tabs_leave(&s, &t);
  assert_int_equal(t.item, 5);
  s.lists[1] = 1;
  tabs_refresh(&s, "list/1");
  tabs_stream(&s, &t);
  site_settle_pages(&s.on);
  tabs_check(&s, &t);
  tabs_leave(&s, &t);
  s.lists[1] = 5; /* an unchanged part is not sent */
  tabs_refresh(&s, "list/1");
  tabs_stream(&s, &t);
  site_settle_pages(&s.on);
  tabs_refresh(&s, "list/1");
  site_settle_pages(&s.on);
  tabs_leave(&s, &t);
  tabs_stream(&s, &t);
  site_settle_pages(&s.on);
  assert_null(strstr(tabs_read(&t), "<li>"));
  tabs_check(&s, &t);
  tabs_end_one(&s, &t);
}

/* A stream may break after any event, so the events that an id covers come before it. */
/* capability: D14 */
TEST_CASE(id_comes_after_all_events_that_it_covers) {
  suite s;
  tab t;
  bool is_all = false;
  tabs_begin_one(&s, &t);
  (void)tabs_read(&t);
  const tab before = t;
  s.which = 2;
  s.heading++;
  tabs_refresh(&s, "all");
  site_settle_pages(&s.on);
  char *text = strdup(vestry_memory_since(t.stream).data);
  assert_non_null(text);
  for (size_t events = 0; !is_all; events++) {
    tab again = before;
    char *end = text, *cut = strdup(text);
    assert_non_null(cut);
    for (size_t i = 0; i < events && end; i++) end = strstr(end, "\n\n") ? strstr(end, "\n\n") + 2 : NULL;
    is_all = !end || !*end;
    if (!is_all) cut[end - text] = '\0';
    tabs_take(&again, cut);
    tabs_stream(&s, &again);
    site_settle_pages(&s.on);
    const char *more = tabs_read(&again);
    if (is_all) assert_true(!strstr(more, "<h1>") && !strstr(more, "<li>")); /* it has all */
    assert_int_equal(again.heading, s.heading);
    assert_int_equal(again.item, s.lists[s.which]);
    tabs_leave(&s, &again);
    free(cut);
  }
  free(text);
  tabs_end_one(&s, &t);
}

/* capability: D14 */
TEST_CASE(current_version_does_not_suppress_part_changes) {
  suite s;
  tab t;
  tabs_begin(&s);
  s.version = 1;
  tabs_open(&s, &t, "/private", NULL);
  site_settle_pages(&s.on); /* the fragments of the document's parts are new: so it is rendered */
  vestry_pages_stats stats = {0};
  tabs_refresh(&s, "all");
  site_settle_pages(&s.on);
  vestry_pages_stats_get(s.on.pages, &stats);
  assert_int_equal(stats.current_count, 1);
  s.lists[1] = 9; /* a part does not belong to the version of the page */
  tabs_refresh(&s, "list/1");
  site_settle_pages(&s.on);
  tabs_check(&s, &t);
  tabs_refresh(&s, "all");
  s.lists[1] = 10;
  tabs_refresh(&s, "list/1");
  site_settle_pages(&s.on);
  tabs_check(&s, &t);
  s.which = 2;
  s.version = 2;
  tabs_refresh(&s, "all");
  site_settle_pages(&s.on);
  tabs_check(&s, &t);
  tabs_end_one(&s, &t);
}

/* capability: D14 */
TABS_CASE(forged_tags_do_not_affect_other_tabs) {
  tab honest;
  tabs_open(s, &honest, "/private", NULL);
  site_settle_pages(&s->on);
  (void)tabs_read(&honest);
  size_t len = strlen(honest.id);
  long live = atomic_load(&s->on.th.live);
  for (int i = 0; i < LIARS; i++) {
    tab liar = {.path = i % 2 ? "/private" : "/shared", .heading = -1, .item = -1};
    memcpy(liar.id, honest.id, len + 1);
    if (i % 3 == 0)
      liar.id[(size_t)rand() % len] = "A.~-_z "[rand() % 7];
    else if (i % 3 == 1)
      liar.id[(size_t)rand() % len] = '\0';
    else
      for (size_t at = len; at + 13 < sizeof liar.id && rand() % 3; at += 12) memcpy(liar.id + at, "~ABCDEFGHIJK", 13);
    tabs_stream(s, &liar);
    if (i % 1000 == 0) site_settle_pages(&s->on);
    tabs_break_off(&liar);
    if (i % 100 == 0) site_settle(&s->on);
  }
  site_settle(&s->on);
  site_pass_ms(&s->on, 60000);
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(s->on.pages, &stats);
  assert_int_equal(stats.streams_count, 1);
  assert_int_equal(stats.fragments_count, 2);
  assert_in_range(atomic_load(&s->on.th.live) + 100, live, live + 200); /* live may be below 100 */
  s->heading++;
  tabs_refresh(s, "all");
  site_settle_pages(&s->on);
  tabs_check(s, &honest);
  tabs_break_off(&honest);
}

static vestry_err make_plain(vestry_render *render, vestry_html *html, void *app) {
  vestry_render_topic(render, "all");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<h1>%d</h1>", ((suite *)app)->heading);
  return vestry_render_end(render, html);
}

static vestry_err serve_by_cookie(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, app, vestry_request_header(req, "Cookie"));
}

/* A share key may be a secret: it is compared, and never leaves the process. */
/* capability: D7 */
TABS_CASE(share_key_is_not_leaked) {
  tab ada, bob;
  vestry_page *page;
  vestry_pages_stats stats = {0};
  assert_int_equal(vestry_page_create(s->on.pages, &(vestry_page_options){.render = make_plain, .app = s}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/mine", serve_by_cookie, page), VESTRY_OK);
  tabs_open(s, &ada, "/mine", "session=adas-secret");
  tabs_open(s, &bob, "/mine", "session=bobs-secret");
  site_settle_pages(&s->on);
  vestry_pages_stats_get(s->on.pages, &stats);
  assert_int_equal(stats.fragments_count, 2); /* two keys are two fragments */
  vestry_memory_exchange *document;
  assert_int_equal(tabs_get(s, &ada, false, &document), VESTRY_OK);
  assert_null(strstr(vestry_memory_look(document).received.data, "secret"));
  vestry_memory_destroy(document);
  s->heading++;
  tabs_refresh(s, "all");
  site_settle_pages(&s->on);
  tabs_check(s, &ada);
  tabs_check(s, &bob);
  assert_null(strstr(vestry_memory_look(ada.stream).received.data, "secret"));
  assert_null(strstr(s->on.th.last_log, "secret"));
  s->error = VESTRY_OK;
  char tag[400];
  memcpy(tag, ada.id, sizeof tag);
  tabs_break_off(&bob);
  memcpy(bob.id, tag, sizeof tag); /* ada's tag does not identify her */
  tabs_stream(s, &bob);
  site_settle_pages(&s->on);
  assert_int_equal(bob.heading, s->heading);
  char longest[1026];
  memset(longest, 'k', sizeof longest - 1);
  longest[sizeof longest - 1] = '\0';
  tab mallory = {.path = "/mine", .cookie = longest};
  assert_int_equal(tabs_get(s, &mallory, true, &mallory.stream), VESTRY_OK);
  assert_int_equal(vestry_memory_look(mallory.stream).status, 500);
  tabs_break_off(&ada);
  tabs_break_off(&bob);
  vestry_memory_destroy(mallory.stream);
}
