/* SPDX-License-Identifier: MIT */
/* Asks: streams of pages that end with the first thing that is put into them, or when they were held long enough. */
#include "app/page/long_poll.h"

#include <stdlib.h>

#include "page/tabs.h"

/* An ask that says what the tab has, held for so long; of a hundred places of the server so many are taken. */
static void ask_at(suite *s, tab *t, const char *path, const char *hold, uint32_t streams) {
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

static void ask(suite *s, tab *t, const char *path, const char *hold) {
  ask_at(s, t, path, hold, 0);
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
static void an_answer_is_what_has_changed_and_nothing_is_missed(void **state) {
  static const char *const paths[] = {"/private", "/shared"};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    suite s;
    tab t = {0};
    tabs_begin(&s);
    ask(&s, &t, paths[i], "25000"); /* it says nothing of what it has, and is sent all */
    assert_non_null(strstr(tabs_read(&t), "patch-elements"));
    assert_clean_end(&s, &t);
    for (int round = 0; round < 3; round++) {
      ask(&s, &t, paths[i], "25000");
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
      s.heading++; /* between two asks */
      tabs_refresh(&s, "all");
      ask(&s, &t, paths[i], "25000");
      (void)tabs_read(&t);
      assert_int_equal(t.heading, s.heading);
      assert_clean_end(&s, &t);
    }
    site_end(&s.on);
  }
}

/* capability: L8 */
static void it_is_held_no_longer_than_it_may_be(void **state) {
  static const struct {
    const char *hold;
    uint64_t ms; /* 0: it is a stream */
  } rows[] = {{"500", 500}, {"1", 1},  {"25000", 25000}, {"25001", 25000}, {"9007199254740991", 25000},
              {"0", 0},     {"-1", 0}, {"1.5", 0},       {"%22500%22", 0}, {"null", 0}};
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    suite s;
    tab t = {0};
    tabs_begin(&s);
    ask(&s, &t, "/private", "1000");
    (void)tabs_read(&t);
    assert_clean_end(&s, &t);
    ask(&s, &t, "/private", rows[i].hold);
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
static void a_part_that_changes_ends_an_ask_and_comes_back_exactly(void **state) {
  (void)state;
  suite s;
  tab t = {0};
  tabs_begin(&s);
  ask(&s, &t, "/private", "25000");
  (void)tabs_read(&t);
  assert_clean_end(&s, &t);
  for (int round = 0; round < 4; round++) {
    ask(&s, &t, "/private", "25000");
    assert_false(has_ended(&t));
    int item = ++s.lists[s.which];
    tabs_refresh(&s, s.which ? "list/1" : "list/0");
    site_settle_pages(&s.on);
    site_settle(&s.on);
    (void)tabs_read(&t);
    assert_int_equal(t.item, item);
    assert_clean_end(&s, &t);
    ask(&s, &t, "/private", "25000"); /* what it lacks, as far as the server knows */
    if (has_ended(&t)) {
      (void)tabs_read(&t);
      assert_int_equal(t.item, item);
      assert_clean_end(&s, &t);
      continue;
    }
    vestry_memory_destroy(t.stream);
    site_settle(&s.on);
  }
  site_end(&s.on);
}

/* capability: L8 */
static void what_anybody_puts_into_it_ends_it(void **state) {
  static const char *const paths[] = {"/private", "/shared"};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    suite s;
    tab t = {0};
    tabs_begin(&s);
    ask(&s, &t, paths[i], "25000");
    (void)tabs_read(&t);
    assert_clean_end(&s, &t);
    ask(&s, &t, paths[i], "25000");
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
static void a_failing_page_says_so_and_is_answered_when_it_is_well(void **state) {
  (void)state;
  suite s;
  tab t = {0};
  tabs_begin(&s);
  ask(&s, &t, "/private", "25000");
  (void)tabs_read(&t);
  assert_clean_end(&s, &t);
  s.error = VESTRY_IO;
  s.heading++;
  ask(&s, &t, "/private", "25000");
  assert_non_null(strstr(tabs_read(&t), "failing\":true"));
  assert_clean_end(&s, &t);
  s.error = VESTRY_OK;
  ask(&s, &t, "/private", "25000");
  (void)tabs_read(&t);
  assert_int_equal(t.heading, s.heading);
  assert_clean_end(&s, &t);
  site_end(&s.on);
}

/* capability: L8 */
static void a_stop_waits_for_no_ask(void **state) {
  static const char *const paths[] = {"/private", "/shared"};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    suite s;
    tab t = {0};
    tabs_begin(&s);
    ask(&s, &t, paths[i], "25000");
    (void)tabs_read(&t);
    assert_clean_end(&s, &t);
    ask(&s, &t, paths[i], "25000");
    assert_false(has_ended(&t));
    site_close(&s.on); /* no time passes, and all that was counted adds up */
    assert_true(has_ended(&t));
    vestry_memory_destroy(t.stream);
    test_host_assert_clean(&s.on.th);
  }
}

/* capability: L8 */
static void a_thousand_are_held_and_cost_what_streams_cost(void **state) {
  enum { TABS = 1000, MORE = 2 }; /* allocations that an ask has and a stream has not */
  static tab tabs[TABS];
  static const char *const paths[] = {"/private", "/shared"};
  static const char *const holds[] = {"0", "25000"};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    long held[2];
    for (size_t j = 0; j < 2; j++) {
      suite s;
      tab first = {0};
      tabs_begin(&s);
      ask(&s, &first, paths[i], "25000");
      (void)tabs_read(&first);
      assert_clean_end(&s, &first);
      const long before = s.on.th.live;
      for (int n = 0; n < TABS; n++) {
        tabs[n] = (tab){0};
        strcpy(tabs[n].id, first.id);
        ask(&s, &tabs[n], paths[i], holds[j]);
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

/* A client that asks at once again, with what is no tag, one of another page, and one that was changed. */
/* capability: L8 */
static void forged_asks_get_the_content_and_leave_nothing(void **state) {
  (void)state;
  suite s;
  tab t = {0}, good = {0};
  tabs_begin(&s);
  ask(&s, &good, "/private", "25000");
  (void)tabs_read(&good);
  assert_clean_end(&s, &good);
  static const char *const forged[] = {"", "0", "-1", "zz", "9999999999999999999999999999999999", "\x7f", "..,,"};
  const size_t count = sizeof forged / sizeof *forged, id_len = strlen(good.id);
  long live = 0;
  for (size_t i = 0; i < 1000; i++) {
    t = (tab){0};
    strcpy(t.id, i % 2 ? good.id : forged[i / 2 % count]);
    if (i % 2) t.id[i / 2 % id_len] ^= 1;
    ask(&s, &t, "/private", i % 3 ? "1" : "25000");
    if (!has_ended(&t)) site_pass_ms(&s.on, 2);
    (void)tabs_read(&t);
    if (!(i % 2)) assert_int_equal(t.heading, s.heading);
    vestry_memory_destroy(t.stream);
    site_settle(&s.on);
    site_check_pages(&s.on);
    assert_int_equal(site_pages_stats(&s.on).streams_count, 0);
    assert_int_equal(site_pages_stats(&s.on).requests_bytes, 0);
    if (i == 500) live = s.on.th.live;
  }
  assert_true(s.on.th.live <= live);
  site_end(&s.on);
}

/* How long a tab waits before it asks again: longer after the whole content, whatever its pages say of streams. */
static long again_ms(suite *s, const char *id) {
  tab t = {0};
  strcpy(t.id, id);
  ask(s, &t, "/private", "1");
  const char *text = tabs_read(&t), *retry = strstr(text, "retry: ");
  assert_non_null(retry);
  const long ms = strtol(retry + strlen("retry: "), NULL, 10);
  site_pass_ms(&s->on, 2);
  vestry_memory_destroy(t.stream);
  site_settle(&s->on);
  return ms;
}

/* capability: L8 */
static void it_comes_soon_again_and_later_after_the_whole(void **state) {
  (void)state;
  suite s;
  tab t = {0};
  tabs_begin(&s);
  ask(&s, &t, "/private", "25000");
  (void)tabs_read(&t);
  assert_clean_end(&s, &t);
  for (int i = 0; i < 50; i++) {
    long soon = again_ms(&s, t.id), later = again_ms(&s, "");
    assert_in_range(soon, 500, 1000);
    assert_in_range(later, 1000, 2000);
  }
  site_end(&s.on);
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

/* Three quarters of the places are taken: it is answered when the page was looked at, and says so by a second sign:
 * a page that hears one sign takes an ask that ends early for one that was cut. */
/* capability: L8 */
static void a_server_with_little_room_holds_none(void **state) {
  static const char *const paths[] = {"/bare", "/shared"};
  (void)state;
  for (size_t i = 0; i < 2; i++) {
    suite s;
    tab t = {0};
    tabs_begin(&s);
    add_bare(&s);
    ask_at(&s, &t, paths[i], "25000", 75);
    assert_non_null(strstr(tabs_read(&t), "patch-elements"));
    assert_clean_end(&s, &t);
    for (int round = 0; round < 3; round++) {
      ask_at(&s, &t, paths[i], "25000", 75 + (uint32_t)round * 30); /* more than there are: it had room nevertheless */
      assert_null(strstr(tabs_read(&t), "patch-elements"));
      assert_in_range(signs_of(&t), 2, 3);
      assert_clean_end(&s, &t);
      s.heading++;
      tabs_refresh(&s, "all");
      site_settle_pages(&s.on);
      ask_at(&s, &t, paths[i], "25000", 99);
      (void)tabs_read(&t);
      assert_int_equal(t.heading, s.heading);
      assert_in_range(signs_of(&t), 2, 3);
      assert_clean_end(&s, &t);
    }
    assert_int_equal(site_pages_stats(&s.on).long_polls_brief_count, 7);
    ask_at(&s, &t, paths[i], "25000", 74);
    assert_false(has_ended(&t));
    assert_int_equal(signs_of(&t), 1);
    assert_int_equal(site_pages_stats(&s.on).long_polls_brief_count, 7);
    vestry_memory_destroy(t.stream);
    site_settle(&s.on);
    site_end(&s.on);
  }
}

/* Its parts are looked at after the page. */
/* capability: L8 */
static void a_page_with_parts_is_held_for_a_moment(void **state) {
  (void)state;
  suite s;
  tab t = {0};
  tabs_begin(&s);
  ask(&s, &t, "/private", "25000");
  (void)tabs_read(&t);
  assert_clean_end(&s, &t);
  ask_at(&s, &t, "/private", "25000", 99);
  site_pass_ms(&s.on, 2999);
  assert_false(has_ended(&t));
  site_pass_ms(&s.on, 2);
  assert_null(strstr(tabs_read(&t), "patch-elements"));
  assert_int_equal(signs_of(&t), 2);
  assert_clean_end(&s, &t);
  int item = ++s.lists[s.which];
  tabs_refresh(&s, s.which ? "list/1" : "list/0");
  site_settle_pages(&s.on);
  ask_at(&s, &t, "/private", "25000", 99);
  (void)tabs_read(&t);
  assert_int_equal(t.item, item);
  assert_clean_end(&s, &t);
  site_end(&s.on);
}

/* capability: L8 */
static void without_memory_it_is_answered_late_or_refused(void **state) {
  (void)state;
  suite s;
  tab t = {0};
  tabs_begin(&s);
  bool has_failed = true;
  for (long i = 0; has_failed; i++) {
    static const char query[] = "datastar=%7B%22_vestry%22:%7B%22poll%22:1000%7D%7D";
    test_host_fail_in(&s.on.th, i);
    vestry_err error = vestry_memory_request(
        s.on.v, &(vestry_memory_call){.path = "/private", .query = query, .datastar = true}, NULL, NULL, &t.stream);
    site_settle(&s.on);
    has_failed = test_host_has_failed(&s.on.th);
    test_host_fail_no_more(&s.on.th);
    for (int n = 0; n < 40; n++) site_pass_ms(&s.on, 1000);
    if (!has_failed) assert_true(has_ended(&t));
    if (!error) vestry_memory_destroy(t.stream);
    site_settle(&s.on);
    site_check_pages(&s.on);
  }
  site_end(&s.on);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_answer_is_what_has_changed_and_nothing_is_missed),
      cmocka_unit_test(it_is_held_no_longer_than_it_may_be),
      cmocka_unit_test(a_part_that_changes_ends_an_ask_and_comes_back_exactly),
      cmocka_unit_test(what_anybody_puts_into_it_ends_it),
      cmocka_unit_test(a_failing_page_says_so_and_is_answered_when_it_is_well),
      cmocka_unit_test(a_stop_waits_for_no_ask),
      cmocka_unit_test(a_thousand_are_held_and_cost_what_streams_cost),
      cmocka_unit_test(forged_asks_get_the_content_and_leave_nothing),
      cmocka_unit_test(it_comes_soon_again_and_later_after_the_whole),
      cmocka_unit_test(without_memory_it_is_answered_late_or_refused),
      cmocka_unit_test(a_server_with_little_room_holds_none),
      cmocka_unit_test(a_page_with_parts_is_held_for_a_moment),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
