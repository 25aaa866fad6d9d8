/* SPDX-License-Identifier: MIT */
/* Long polls: streams of pages that end with the first event, or when they were held long enough. */
#include "app/page/page_script.h"

#include <stdlib.h>

#include "page/tabs.h"

/* Send a long poll with the tab's tag and this hold time, while this many of the server's 100 streams are in use. */
static void long_poll_at(suite *s, tab *t, const char *path, const char *hold, uint32_t streams) {
  char query[100];
  const vestry_header header = {"Last-Event-ID", t->id};
  snprintf(query, sizeof query, "datastar=%%7B%%22_vestry%%22:%%7B%%22poll%%22:%s%%7D%%7D", hold);
  t->path = path;
  t->stream = site_request(&s->on, &(vestry_memory_call){.path = path,
                                                         .query = query,
                                                         .datastar = true,
                                                         .headers = &header,
                                                         .headers_count = *t->id ? 1 : 0,
                                                         .streams = streams,
                                                         .capacity = 100});
  site_settle_pages(&s->on);
  site_settle(&s->on);
}

static void long_poll(suite *s, tab *t, const char *path, const char *hold) {
  long_poll_at(s, t, path, hold, 0);
}

static bool has_ended(const tab *t) {
  return vestry_memory_look(t->stream).ended;
}

static void assert_clean_end(suite *s, tab *t) {
  assert_true(has_ended(t));
  assert_true(vestry_memory_look(t->stream).clean);
  vestry_memory_destroy(t->stream);
  t->stream = NULL;
  site_settle(&s->on);
  site_check_pages(&s->on);
}

/* capability: L8 */
TEST_CASE(long_poll_answers_with_each_change) {
  static const char *const paths[] = {"/private", "/shared"};
  for (size_t i = 0; i < 2; i++) {
    suite s;
    tab t = {0};
    tabs_begin(&s);
    long_poll(&s, &t, paths[i], "25000"); /* it sends no tag, and receives everything */
    assert_non_null(strstr(tabs_read(&t), "patch-elements"));
    assert_clean_end(&s, &t);
    for (int round = 0; round < 3; round++) {
      long_poll(&s, &t, paths[i], "25000");
      site_pass_ms(&s.on, 24000);
      assert_false(has_ended(&t));
      assert_null(strstr(tabs_read(&t), "patch-elements"));
      s.heading++;
      tabs_refresh(&s, "all");
      site_settle_pages(&s.on);
      site_settle(&s.on);
      (void)tabs_read(&t);
      assert_int_equal(t.heading, s.heading);
      assert_clean_end(&s, &t);
      s.heading++; /* between two polls */
      tabs_refresh(&s, "all");
      long_poll(&s, &t, paths[i], "25000");
      (void)tabs_read(&t);
      assert_int_equal(t.heading, s.heading);
      assert_clean_end(&s, &t);
    }
    site_end(&s.on);
  }
}

/* capability: L8 */
TEST_CASE(long_poll_ends_after_its_hold_time) {
  static const struct {
    const char *hold;
    uint64_t ms; /* 0: an ordinary stream */
  } rows[] = {{"500", 500}, {"1", 1},  {"25000", 25000}, {"25001", 25000}, {"9007199254740991", 25000},
              {"0", 0},     {"-1", 0}, {"1.5", 0},       {"%22500%22", 0}, {"null", 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    suite s;
    tab t = {0};
    tabs_begin(&s);
    long_poll(&s, &t, "/private", "1000");
    (void)tabs_read(&t);
    assert_clean_end(&s, &t);
    long_poll(&s, &t, "/private", rows[i].hold);
    if (rows[i].ms > 1) site_pass_ms(&s.on, rows[i].ms - 1);
    if (rows[i].ms > 1) assert_false(has_ended(&t));
    site_pass_ms(&s.on, rows[i].ms ? 2 : 100000);
    assert_null(strstr(tabs_read(&t), "patch-elements"));
    if (rows[i].ms) {
      assert_clean_end(&s, &t);
    } else {
      assert_false(has_ended(&t));
      vestry_memory_destroy(t.stream);
    }
    site_end(&s.on);
  }
}

/* capability: L8 */
TABS_CASE(changed_part_ends_long_poll_and_next_one_resumes) {
  tab t = {0};
  long_poll(s, &t, "/private", "25000");
  (void)tabs_read(&t);
  assert_clean_end(s, &t);
  for (int round = 0; round < 4; round++) {
    long_poll(s, &t, "/private", "25000");
    assert_false(has_ended(&t));
    int item = ++s->lists[s->which];
    tabs_refresh(s, s->which ? "list/1" : "list/0");
    site_settle_pages(&s->on);
    site_settle(&s->on);
    (void)tabs_read(&t);
    assert_int_equal(t.item, item);
    assert_clean_end(s, &t);
    long_poll(s, &t, "/private", "25000"); /* the content that it lacks, as far as the server knows */
    if (has_ended(&t)) {
      (void)tabs_read(&t);
      assert_int_equal(t.item, item);
      assert_clean_end(s, &t);
      continue;
    }
    vestry_memory_destroy(t.stream);
    site_settle(&s->on);
  }
}

/* capability: L8 */
TEST_CASE(any_event_ends_long_poll) {
  static const char *const paths[] = {"/private", "/shared"};
  for (size_t i = 0; i < 2; i++) {
    suite s;
    tab t = {0};
    tabs_begin(&s);
    long_poll(&s, &t, paths[i], "25000");
    (void)tabs_read(&t);
    assert_clean_end(&s, &t);
    long_poll(&s, &t, paths[i], "25000");
    assert_false(has_ended(&t));
    vestry_event *event;
    assert_int_equal(vestry_event_signals(&s.on.th.host, VESTRY_OBJECT("news", 1), NULL, &event), VESTRY_OK);
    vestry_connection *connection = vestry_memory_look(t.stream).connection;
    assert_int_equal(vestry_connection_send(connection, event), VESTRY_OK);
    vestry_event_unref(event);
    site_settle(&s.on);
    assert_non_null(strstr(tabs_read(&t), "news"));
    assert_clean_end(&s, &t);
    site_end(&s.on);
  }
}

/* capability: L8 */
TABS_CASE(failing_page_ends_long_poll_with_failing_signal) {
  tab t = {0};
  long_poll(s, &t, "/private", "25000");
  (void)tabs_read(&t);
  assert_clean_end(s, &t);
  s->error = VESTRY_IO;
  s->heading++;
  long_poll(s, &t, "/private", "25000");
  assert_non_null(strstr(tabs_read(&t), "failing\":true"));
  assert_clean_end(s, &t);
  s->error = VESTRY_OK;
  long_poll(s, &t, "/private", "25000");
  (void)tabs_read(&t);
  assert_int_equal(t.heading, s->heading);
  assert_clean_end(s, &t);
}

/* capability: L8 */
TEST_CASE(stop_ends_long_polls_at_once) {
  static const char *const paths[] = {"/private", "/shared"};
  for (size_t i = 0; i < 2; i++) {
    suite s;
    tab t = {0};
    tabs_begin(&s);
    long_poll(&s, &t, paths[i], "25000");
    (void)tabs_read(&t);
    assert_clean_end(&s, &t);
    long_poll(&s, &t, paths[i], "25000");
    assert_false(has_ended(&t));
    site_close(&s.on); /* without any time passing, and the counters are consistent */
    assert_true(has_ended(&t));
    vestry_memory_destroy(t.stream);
    test_host_assert_clean(&s.on.th);
  }
}

/* capability: L8 */
TEST_CASE(thousand_long_polls_use_no_more_memory_than_streams) {
  enum { TABS = 1000, MORE = 2 }; /* allocations of a long poll that a stream does not have */
  static tab tabs[TABS];
  static const char *const paths[] = {"/private", "/shared"};
  static const char *const holds[] = {"0", "25000"};
  for (size_t i = 0; i < 2; i++) {
    long held[2];
    for (size_t j = 0; j < 2; j++) {
      suite s;
      tab first = {0};
      tabs_begin(&s);
      long_poll(&s, &first, paths[i], "25000");
      (void)tabs_read(&first);
      assert_clean_end(&s, &first);
      const long before = s.on.th.live;
      for (int n = 0; n < TABS; n++) {
        tabs[n] = (tab){0};
        strcpy(tabs[n].id, first.id);
        long_poll(&s, &tabs[n], paths[i], holds[j]);
      }
      held[j] = s.on.th.live - before;
      assert_int_equal(site_pages_stats(&s.on).streams_count, TABS);
      assert_int_equal(site_pages_stats(&s.on).long_polls_count, j ? TABS + 1 : 1);
      site_check_pages(&s.on);
      s.heading++;
      tabs_refresh(&s, "all");
      site_settle_pages(&s.on);
      site_settle(&s.on);
      assert_int_equal(site_pages_stats(&s.on).streams_count, j ? 0 : TABS);
      for (int n = 0; n < TABS; n++) {
        (void)tabs_read(&tabs[n]);
        assert_int_equal(tabs[n].heading, s.heading);
        assert_int_equal(has_ended(&tabs[n]), j);
        vestry_memory_destroy(tabs[n].stream);
      }
      site_settle(&s.on);
      site_end(&s.on);
    }
    assert_true(held[1] <= held[0] + MORE * TABS);
  }
}

/* A client that polls again at once, with invalid tags, tags of other pages and modified ones. */
/* capability: L8 */
TABS_CASE(long_poll_with_forged_tag_gets_content_and_leaks_nothing) {
  tab t = {0}, good = {0};
  long_poll(s, &good, "/private", "25000");
  (void)tabs_read(&good);
  assert_clean_end(s, &good);
  static const char *const forged[] = {"", "0", "-1", "zz", "9999999999999999999999999999999999", "\x7f", "..,,"};
  const size_t count = sizeof forged / sizeof *forged, id_len = strlen(good.id);
  long live = 0;
  for (size_t i = 0; i < 1000; i++) {
    t = (tab){0};
    strcpy(t.id, i % 2 ? good.id : forged[i / 2 % count]);
    if (i % 2) t.id[i / 2 % id_len] ^= 1;
    long_poll(s, &t, "/private", i % 3 ? "1" : "25000");
    if (!has_ended(&t)) site_pass_ms(&s->on, 2);
    (void)tabs_read(&t);
    if (!(i % 2)) assert_int_equal(t.heading, s->heading);
    vestry_memory_destroy(t.stream);
    site_settle(&s->on);
    site_check_pages(&s->on);
    assert_int_equal(site_pages_stats(&s->on).streams_count, 0);
    assert_int_equal(site_pages_stats(&s->on).requests_bytes, 0);
    if (i == 500) live = s->on.th.live;
  }
  assert_true(s->on.th.live <= live);
}

/* Return the delay before the tab polls again. It is longer after the whole content, whatever delay the pages have for
 * streams. */
static long again_ms(suite *s, const char *id) {
  tab t = {0};
  strcpy(t.id, id);
  long_poll(s, &t, "/private", "1");
  const char *text = tabs_read(&t), *retry = strstr(text, "retry: ");
  assert_non_null(retry);
  const long ms = strtol(retry + strlen("retry: "), NULL, 10);
  site_pass_ms(&s->on, 2);
  vestry_memory_destroy(t.stream);
  site_settle(&s->on);
  return ms;
}

/* capability: L8 */
TABS_CASE(retry_delay_is_longer_after_whole_content) {
  tab t = {0};
  long_poll(s, &t, "/private", "25000");
  (void)tabs_read(&t);
  assert_clean_end(s, &t);
  for (int i = 0; i < 50; i++) {
    long soon = again_ms(s, t.id), later = again_ms(s, "");
    assert_in_range(soon, 500, 1000);
    assert_in_range(later, 1000, 2000);
  }
}

static int signs_of(const tab *t) {
  int count = 0;
  for (const char *at = vestry_memory_look(t->stream).received.data; (at = strstr(at, "event: datastar-patch-signals"));
       at++)
    count++;
  return count;
}

/* A private page without parts. */
static vestry_err render_bare(vestry_render *render, vestry_html *html, void *app) {
  vestry_render_topic(render, "all");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<h1>%d</h1>", ((suite *)app)->heading);
  return vestry_render_end(render, html);
}

static void add_bare(suite *s) {
  vestry_page *page;
  assert_int_equal(vestry_page_create(s->on.pages, &(vestry_page_options){.render = render_bare, .app = s}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/bare", vestry_page_handler, page), VESTRY_OK);
}

/* If three quarters of the streams are in use, the poll is answered as soon as the page was rendered, with a second
 * signals event. A page that receives only one such event takes a poll that ends early for a broken one. */
/* capability: L8 */
TEST_CASE(server_near_capacity_answers_long_polls_at_once) {
  static const char *const paths[] = {"/bare", "/shared"};
  for (size_t i = 0; i < 2; i++) {
    suite s;
    tab t = {0};
    tabs_begin(&s);
    add_bare(&s);
    long_poll_at(&s, &t, paths[i], "25000", 75);
    assert_non_null(strstr(tabs_read(&t), "patch-elements"));
    assert_clean_end(&s, &t);
    for (int round = 0; round < 3; round++) {
      /* more than the capacity, though this poll was accepted */
      long_poll_at(&s, &t, paths[i], "25000", 75 + (uint32_t)round * 30);
      assert_null(strstr(tabs_read(&t), "patch-elements"));
      assert_in_range(signs_of(&t), 2, 3);
      assert_clean_end(&s, &t);
      s.heading++;
      tabs_refresh(&s, "all");
      site_settle_pages(&s.on);
      long_poll_at(&s, &t, paths[i], "25000", 99);
      (void)tabs_read(&t);
      assert_int_equal(t.heading, s.heading);
      assert_in_range(signs_of(&t), 2, 3);
      assert_clean_end(&s, &t);
    }
    assert_int_equal(site_pages_stats(&s.on).long_polls_brief_count, 7);
    long_poll_at(&s, &t, paths[i], "25000", 74);
    assert_false(has_ended(&t));
    assert_int_equal(signs_of(&t), 1);
    assert_int_equal(site_pages_stats(&s.on).long_polls_brief_count, 7);
    vestry_memory_destroy(t.stream);
    site_settle(&s.on);
    site_end(&s.on);
  }
}

/* The parts are rendered after the page. */
/* capability: L8 */
TABS_CASE(page_with_parts_is_held_3_s_near_capacity) {
  tab t = {0};
  long_poll(s, &t, "/private", "25000");
  (void)tabs_read(&t);
  assert_clean_end(s, &t);
  long_poll_at(s, &t, "/private", "25000", 99);
  site_pass_ms(&s->on, 2999);
  assert_false(has_ended(&t));
  site_pass_ms(&s->on, 2);
  assert_null(strstr(tabs_read(&t), "patch-elements"));
  assert_int_equal(signs_of(&t), 2);
  assert_clean_end(s, &t);
  int item = ++s->lists[s->which];
  tabs_refresh(s, s->which ? "list/1" : "list/0");
  site_settle_pages(&s->on);
  long_poll_at(s, &t, "/private", "25000", 99);
  (void)tabs_read(&t);
  assert_int_equal(t.item, item);
  assert_clean_end(s, &t);
}

/* capability: L8 */
TABS_CASE(long_poll_ends_or_is_refused_without_memory) {
  tab t = {0};
  bool has_failed = true;
  for (long i = 0; has_failed; i++) {
    static const char query[] = "datastar=%7B%22_vestry%22:%7B%22poll%22:1000%7D%7D";
    test_host_fail_in(&s->on.th, i);
    vestry_err error = vestry_memory_request(
        s->on.v, &(vestry_memory_call){.path = "/private", .query = query, .datastar = true}, NULL, NULL, &t.stream);
    site_settle(&s->on);
    has_failed = test_host_has_failed(&s->on.th);
    test_host_fail_no_more(&s->on.th);
    for (int n = 0; n < 40; n++) site_pass_ms(&s->on, 1000);
    if (!has_failed) assert_true(has_ended(&t));
    if (!error) vestry_memory_destroy(t.stream);
    site_settle(&s->on);
    site_check_pages(&s->on);
  }
}
