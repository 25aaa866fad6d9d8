/* SPDX-License-Identifier: MIT */
/* The client actions that a page reports as seen: after the render that contains their changes, and not before. */
#include "app/bus/bus.h"
#include "app/page/sent.h"
#include "app/page/topic.h"
#include "instance/instance.h"
#include "page/tabs.h"

#define ADA          "00000000000000ad"
#define BOB          "00000000000000b0"
#define SEEN(number) "{\"_vestry\":{\"seen\":{\"" number "\":null}}}"

/* POST /act?heading changes the heading, ?list the list, ?fail is refused; others change nothing. */
static vestry_err act(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  if (strcmp(req->query, "fail") == 0) return vestry_reply_status(reply, 422);
  if (strcmp(req->query, "heading") == 0) {
    s->heading++;
    tabs_refresh(s, "all");
  } else if (strcmp(req->query, "list") == 0) {
    s->lists[1]++;
    tabs_refresh(s, "list/1");
  }
  return vestry_reply_status(reply, 204);
}

static void begin(suite *s) {
  tabs_begin(s);
  assert_int_equal(vestry_route(s->on.v, "POST", "/act", act, s), VESTRY_OK);
}

/* Open a stream with this Vestry-Sent header. */
static void open_tab(suite *s, tab *t, const char *path, const char *sent) {
  const vestry_header headers[] = {{"Vestry-Sent", sent}, {"Last-Event-ID", t->id}};
  t->path = path;
  const vestry_memory_call call = {.path = path, .headers = headers, .headers_count = *t->id ? 2 : 1, .datastar = true};
  t->stream = site_request(&s->on, &call);
}

static int send_action(suite *s, const char *what, const char *sent) {
  const vestry_header header = {"Vestry-Sent", sent};
  const vestry_memory_call call = {
      .method = "POST", .path = "/act", .query = what, .headers = &header, .headers_count = 1, .datastar = true};
  vestry_memory_exchange *answer = site_request(&s->on, &call);
  int status = vestry_memory_look(answer).status;
  vestry_memory_destroy(answer);
  return status;
}

static size_t count_of(const char *text, const char *what) {
  size_t count = 0;
  for (const char *at = text; (at = strstr(at, what)) != NULL; at++) count++;
  return count;
}

/* Assert that the action was reported as seen once, after `change` unless it is NULL. */
static void assert_seen(tab *t, const char *change, const char *seen) {
  const char *text = tabs_read(t), *at = strstr(text, seen);
  assert_non_null(at);
  assert_int_equal(count_of(text, "\"seen\""), 1);
  if (!change) return;
  assert_non_null(strstr(text, change));
  assert_true(strstr(text, change) < at);
}

static void assert_unseen(tab *t) {
  assert_null(strstr(tabs_read(t), "\"seen\""));
}

/* capability: L5 */
TEST_CASE(action_is_seen_after_its_change) {
  suite s;
  tab ada = {0}, bob = {0};
  begin(&s);
  open_tab(&s, &ada, "/private", ADA);
  open_tab(&s, &bob, "/private", BOB);
  site_settle_pages(&s.on);
  assert_unseen(&ada);
  assert_unseen(&bob);
  assert_int_equal(send_action(&s, "heading", ADA ".1"), 204);
  site_settle_pages(&s.on);
  assert_seen(&ada, "<h1>101", SEEN("1"));
  assert_int_equal(send_action(&s, "list", ADA ".2"), 204);
  site_settle_pages(&s.on);
  assert_seen(&ada, "<li>2", SEEN("2"));
  assert_unseen(&bob); /* the page shows both, but its tab has sent no action */
  assert_int_equal(bob.heading, 101);
  assert_int_equal(bob.item, 2);
  tabs_leave(&s, &bob);
  tabs_end_one(&s, &ada);
}

/* capability: L5 */
TEST_CASE(action_without_change_is_seen) {
  suite s;
  tab ada = {0};
  begin(&s);
  open_tab(&s, &ada, "/private", ADA);
  site_settle_pages(&s.on);
  (void)tabs_read(&ada);
  assert_int_equal(send_action(&s, "", ADA ".1"), 204);
  assert_int_equal(send_action(&s, "", ADA ".2"), 204);
  site_settle_pages(&s.on);
  const char *text = tabs_read(&ada);
  assert_null(strstr(text, "patch-elements"));
  assert_non_null(strstr(text, "\"1\":null"));
  assert_non_null(strstr(text, "\"2\":null"));
  s.version = 7; /* from now on the page has a version, and is not rendered */
  tabs_refresh(&s, "all");
  site_settle_pages(&s.on);
  (void)tabs_read(&ada);
  assert_int_equal(send_action(&s, "", ADA ".3"), 204);
  site_settle_pages(&s.on);
  assert_seen(&ada, NULL, SEEN("3"));
  tabs_end_one(&s, &ada);
}

static bool find_changes(void *ctx) {
  suite *s = ctx;
  if (s->heading == 101) tabs_refresh(s, "all"); /* the data has changed, and no topic was refreshed yet */
  return s->which == 1;
}

static void observe_nothing(vestry_render *render, void *ctx) {}

/* An action renders the fragments that it changed, and not the whole page, unless an observer of renders is unsure. */
/* capability: L5 */
TEST_CASE(action_renders_only_the_changed_fragments) {
  suite s;
  tab ada = {0};
  vestry_pages_stats before = {0}, after = {0};
  begin(&s);
  open_tab(&s, &ada, "/private", ADA);
  site_settle_pages(&s.on);
  (void)tabs_read(&ada);
  static const struct {
    const char *what, *sent, *seen, *change;
    unsigned renders;
  } presses[] = {{"", ADA ".1", SEEN("1"), NULL, 0},
                 {"list", ADA ".2", SEEN("2"), "<li>2", 1},
                 {"", ADA ".3", SEEN("3"), NULL, 0}};
  for (size_t i = 0; i < sizeof presses / sizeof *presses; i++) {
    vestry_pages_stats_get(s.on.pages, &before);
    assert_int_equal(send_action(&s, presses[i].what, presses[i].sent), 204);
    site_settle_pages(&s.on);
    vestry_pages_stats_get(s.on.pages, &after);
    assert_int_equal(after.renders_count - before.renders_count, presses[i].renders);
    assert_seen(&ada, presses[i].change, presses[i].seen);
  }
  const vestry_render_observer observer = {
      .begin = observe_nothing, .end = observe_nothing, .settle = find_changes, .ctx = &s};
  assert_int_equal(vestry_pages_observe(s.on.pages, &observer), VESTRY_OK);
  s.heading = 101;
  assert_int_equal(send_action(&s, "", ADA ".4"), 204);
  site_settle_pages(&s.on);
  assert_seen(&ada, "<h1>101", SEEN("4")); /* the observer found the change */
  s.heading = 102;
  assert_int_equal(send_action(&s, "", ADA ".5"), 204);
  site_settle_pages(&s.on);
  assert_seen(&ada, NULL, SEEN("5")); /* it found nothing, and no topic was refreshed */
  s.which = 2;
  s.lists[2] = 50;
  assert_int_equal(send_action(&s, "", ADA ".6"), 204);
  site_settle_pages(&s.on);
  assert_seen(&ada, "<h1>102", SEEN("6")); /* it is unsure, so everything is rendered */
  assert_int_equal(vestry_pages_unobserve(s.on.pages, &s), VESTRY_OK);
  tabs_end_one(&s, &ada);
}

/* capability: L5 */
TEST_CASE(refused_action_is_not_seen) {
  suite s;
  tab ada = {0};
  begin(&s);
  open_tab(&s, &ada, "/private", ADA);
  site_settle_pages(&s.on);
  (void)tabs_read(&ada);
  assert_int_equal(send_action(&s, "fail", ADA ".1"), 422);
  site_settle_pages(&s.on);
  assert_unseen(&ada);
  tabs_end_one(&s, &ada);
}

/* capability: L5 */
TEST_CASE(failed_render_reports_no_action_as_seen) {
  suite s;
  tab ada = {0};
  begin(&s);
  open_tab(&s, &ada, "/private", ADA);
  site_settle_pages(&s.on);
  (void)tabs_read(&ada);
  s.error = VESTRY_IO;
  assert_int_equal(send_action(&s, "heading", ADA ".1"), 204);
  site_pass_ms(&s.on, 20);
  assert_unseen(&ada);
  s.error = VESTRY_OK;
  site_settle_pages(&s.on);
  assert_seen(&ada, "<h1>101", SEEN("1"));
  s.part_error = VESTRY_IO;
  assert_int_equal(send_action(&s, "list", ADA ".2"), 204);
  site_pass_ms(&s.on, 20);
  assert_unseen(&ada); /* the page was rendered, its part was not */
  s.part_error = VESTRY_OK;
  site_settle_pages(&s.on);
  assert_seen(&ada, "<li>2", SEEN("2"));
  tabs_end_one(&s, &ada);
}

/* Report that the handler of an action has returned. */
static void publish_done(suite *s, const char *sent) {
  vestry_bus_message message = {.data = sent, .len = strlen(sent)};
  vsi_bus *bus;
  assert_int_equal(vsi_bus_use(s->on.v, &bus), VESTRY_OK);
  assert_int_equal(vsi_bus_publish(bus, VSI_BUS_DONE, &message, NULL), VESTRY_OK);
}

/* An observer of renders that finds changes in checks. During the first check, another action is done, whose change the
 * second check finds. */
typedef struct checks {
  suite *s;
  unsigned count;
  bool is_unsure, has_late_action, changes_heading;
} checks;

static bool check_changes(void *ctx) {
  checks *c = ctx;
  if (++c->count == 1 && c->has_late_action) publish_done(c->s, ADA ".2");
  if (c->count == 1 && c->changes_heading) {
    c->s->heading++;
    tabs_refresh(c->s, "all");
  }
  if (c->count == 2 && c->has_late_action) {
    c->s->lists[1]++;
    tabs_refresh(c->s, "list/1");
  }
  return !c->is_unsure;
}

/* Send an action without a change, with checks as in `c`. Returns the events of the tab. */
static const char *send_checked_action(suite *s, tab *ada, checks *c) {
  const vestry_render_observer observer = {
      .begin = observe_nothing, .end = observe_nothing, .settle = check_changes, .ctx = c};
  c->s = s;
  assert_int_equal(vestry_pages_observe(s->on.pages, &observer), VESTRY_OK);
  assert_int_equal(send_action(s, "", ADA ".1"), 204);
  site_settle_pages(&s->on);
  assert_int_equal(vestry_pages_unobserve(s->on.pages, c), VESTRY_OK);
  return tabs_read(ada);
}

/* An action costs one check, however many parts its page has. */
/* capability: L5 */
TEST_CASE(action_is_checked_once_for_all_parts) {
  suite s;
  tab ada = {0};
  checks c = {.count = 0};
  begin(&s);
  open_tab(&s, &ada, "/private", ADA);
  site_settle_pages(&s.on);
  (void)tabs_read(&ada);
  assert_non_null(strstr(send_checked_action(&s, &ada, &c), SEEN("1")));
  assert_int_equal(c.count, 1);
  c = (checks){.is_unsure = true};
  s.lists[1] = 50; /* no topic is refreshed */
  const char *text = send_checked_action(&s, &ada, &c);
  assert_non_null(strstr(text, "<li>50"));
  assert_non_null(strstr(strstr(text, "<li>50"), SEEN("1")));
  tabs_end_one(&s, &ada);
}

/* capability: L5 */
TEST_CASE(action_during_a_check_is_checked_after_it) {
  for (int changes_heading = 0; changes_heading < 2; changes_heading++) {
    suite s;
    tab ada = {0};
    checks c = {.has_late_action = true, .changes_heading = changes_heading};
    begin(&s);
    open_tab(&s, &ada, "/private", ADA);
    site_settle_pages(&s.on);
    (void)tabs_read(&ada);
    const char *text = send_checked_action(&s, &ada, &c), *first = strstr(text, SEEN("1"));
    assert_int_equal(c.count, 2);
    assert_int_equal(strstr(text, "<h1>101") != NULL, changes_heading);
    assert_non_null(first);
    const char *change = strstr(first, "<li>2");
    assert_non_null(change);
    assert_non_null(strstr(change, SEEN("2")));
    assert_int_equal(count_of(text, "\"seen\""), 2);
    tabs_end_one(&s, &ada);
  }
}

static void done_inside(suite *s, vestry_render *render) {
  s->inside = NULL;
  s->heading++; /* after this render has begun, perhaps after it has read */
  publish_done(s, ADA ".1");
}

/* capability: L5 */
TEST_CASE(render_begun_before_an_action_does_not_report_it) {
  suite s;
  tab ada = {0};
  begin(&s);
  open_tab(&s, &ada, "/private", ADA);
  site_settle_pages(&s.on);
  (void)tabs_read(&ada);
  site_pass_ms(&s.on, 1000);
  s.heading++;
  s.inside = done_inside;
  tabs_refresh(&s, "all");
  site_settle(&s.on);
  site_pass_ms(&s.on, 1); /* the first render is done, and the next one is not due */
  assert_null(s.inside);
  assert_unseen(&ada);
  assert_int_equal(ada.heading, 102);
  site_pass_ms(&s.on, 20);
  assert_seen(&ada, NULL, SEEN("1"));
  tabs_end_one(&s, &ada);
}

/* capability: L5 */
TEST_CASE(stream_of_a_shared_page_sees_only_its_own_actions) {
  suite s;
  tab ada = {0}, bob = {0}, cher = {0};
  begin(&s);
  open_tab(&s, &ada, "/shared", ADA);
  open_tab(&s, &bob, "/shared", BOB);
  open_tab(&s, &cher, "/shared", "none");
  site_settle_pages(&s.on);
  (void)tabs_read(&ada);
  assert_int_equal(send_action(&s, "heading", ADA ".1"), 204);
  site_settle_pages(&s.on);
  assert_seen(&ada, "<h1>101", SEEN("1"));
  assert_unseen(&bob);
  assert_unseen(&cher);
  assert_int_equal(send_action(&s, "", BOB ".1"), 204);
  site_settle_pages(&s.on);
  assert_seen(&bob, NULL, SEEN("1"));
  assert_unseen(&ada);
  s.error = VESTRY_IO;
  assert_int_equal(send_action(&s, "heading", ADA ".2"), 204);
  site_pass_ms(&s.on, 20);
  assert_unseen(&ada);
  tabs_leave(&s, &ada); /* while it waits */
  tabs_leave(&s, &bob);
  tabs_end_one(&s, &cher);
}

/* capability: L5 */
TEST_CASE(new_stream_sees_actions_answered_before) {
  suite s;
  tab ada = {0};
  begin(&s);
  open_tab(&s, &ada, "/private", ADA);
  site_settle_pages(&s.on);
  tabs_leave(&s, &ada);
  assert_int_equal(send_action(&s, "heading", ADA ".1"), 204);
  open_tab(&s, &ada, "/private", ADA ".1");
  site_settle_pages(&s.on);
  assert_seen(&ada, "<h1>101", SEEN("1"));
  tabs_leave(&s, &ada);
  assert_int_equal(send_action(&s, "", ADA ".2"), 204);
  open_tab(&s, &ada, "/private", ADA ".2"); /* it has all content */
  site_settle_pages(&s.on);
  const char *text = tabs_read(&ada);
  assert_null(strstr(text, "patch-elements"));
  assert_non_null(strstr(text, SEEN("2")));
  tab again = ada; /* a second stream, while the server does not know the end of the first */
  open_tab(&s, &again, "/private", ADA);
  site_settle_pages(&s.on);
  (void)tabs_read(&again);
  assert_int_equal(send_action(&s, "", ADA ".3"), 204);
  site_settle_pages(&s.on);
  assert_seen(&again, NULL, SEEN("3"));
  tabs_leave(&s, &ada);
  assert_int_equal(send_action(&s, "", ADA ".4"), 204);
  site_settle_pages(&s.on);
  assert_seen(&again, NULL, SEEN("4"));
  tabs_end_one(&s, &again);
}

/* capability: L5 */
TEST_CASE(invalid_action_ids_are_ignored) {
  static const char *const bad[] = {"",
                                    "0",
                                    "0000000000000000.1",
                                    "zzzzzzzzzzzzzzzz.1",
                                    ADA "1",
                                    ADA ".",
                                    ADA "..1",
                                    ADA ".x",
                                    ADA ".1.",
                                    ADA ".-1",
                                    ADA ".12345678901",
                                    ADA ".1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17"};
  suite s;
  tab ada = {0};
  begin(&s);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    open_tab(&s, &ada, "/private", bad[i]);
    site_settle_pages(&s.on);
    assert_unseen(&ada);
    tabs_leave(&s, &ada);
  }
  open_tab(&s, &ada, "/private", ADA);
  site_settle_pages(&s.on);
  (void)tabs_read(&ada);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_int_equal(send_action(&s, "", bad[i]), 204);
  site_settle_pages(&s.on);
  assert_unseen(&ada);
  s.error = VESTRY_IO;
  for (int i = 0; i < 100; i++) assert_int_equal(send_action(&s, "", ADA ".999999999"), 204); /* most of them wait */
  s.error = VESTRY_OK;
  site_settle_pages(&s.on);
  assert_int_equal(count_of(tabs_read(&ada), "\"999999999\":null"), 16);
  tabs_end_one(&s, &ada);
}

typedef struct reported {
  char topic[64];
  size_t len, count;
} reported;

static void note(bool is_report, const char *topic, size_t len, void *ctx) {
  reported *t = ctx;
  assert_true(is_report);
  assert_true(len < sizeof t->topic);
  memcpy(t->topic, topic, len);
  t->topic[len] = '\0';
  t->len = len;
  t->count++;
}

/* capability: L5 */
TEST_CASE(action_on_one_node_is_seen_on_another) {
  suite s;
  tab ada = {0};
  reported t = {.count = 0};
  begin(&s);
  vsi_pages_set_refreshed(s.on.pages, note, &t);
  open_tab(&s, &ada, "/private", ADA);
  site_settle_pages(&s.on);
  (void)tabs_read(&ada);
  assert_int_equal(send_action(&s, "", ADA ".1"), 204);
  assert_int_equal(t.count, 0); /* its stream is on this node */
  assert_int_equal(send_action(&s, "", BOB ".1"), 204);
  assert_int_equal(t.count, 1);
  assert_string_equal(t.topic, BOB ".1");
  site_settle_pages(&s.on);
  assert_seen(&ada, NULL, SEEN("1"));
  vsi_sent_done_elsewhere(s.on.pages, ADA ".2", sizeof ADA ".2" - 1);
  site_settle_pages(&s.on);
  assert_seen(&ada, NULL, SEEN("2"));
  assert_int_equal(t.count, 1); /* it is not forwarded */
  vsi_pages_set_refreshed(s.on.pages, NULL, NULL);
  tabs_end_one(&s, &ada);
}
