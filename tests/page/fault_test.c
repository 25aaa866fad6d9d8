/* SPDX-License-Identifier: MIT */
/* Live pages under failures: no memory, blocked streams, renders that fail or hang, streams that end at any moment.
 * After the failure, each page shows the current content. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "page/tabs.h"
#include "support/patience.h"
#include "support/until.h"

/* ------------------------------------------------------------------------------------------------ no memory ------- */

typedef void (*phase)(suite *s, tab tabs[3]);

static void open_streams(suite *s, tab tabs[3]) {
  for (size_t i = 0; i < 3; i++)
    if (!tabs[i].stream) tabs_stream(s, &tabs[i]);
  site_settle(&s->on);
}

static void change_all(suite *s, tab tabs[3]) {
  s->heading++;
  s->lists[1]++;
  s->version += s->version > 0;
  tabs_refresh(s, "all");
  tabs_refresh(s, "list/1");
  site_pass_ms(&s->on, 20);
}

static void change_part(suite *s, tab tabs[3]) {
  s->lists[1]++;
  tabs_refresh(s, "list/1");
  site_pass_ms(&s->on, 20);
}

static void switch_part(suite *s, tab tabs[3]) {
  s->which = 2;
  s->version += s->version > 0;
  tabs_refresh(s, "all");
  site_pass_ms(&s->on, 20);
}

static void refresh_all(suite *s, tab tabs[3]) {
  s->heading++;
  s->version += s->version > 0;
  tabs_refresh(s, NULL);
  site_pass_ms(&s->on, 20);
}

static void serve_documents(suite *s, tab tabs[3]) {
  for (size_t i = 0; i < 3; i++) (void)tabs_load(s, &tabs[i]);
}

/* Let one allocation fail, or all from there on. Returns whether an allocation failed. */
static bool survive(phase run, bool opened, bool versioned, long number, bool all) {
  suite s;
  static const char *const paths[] = {"/private", "/shared", "/private"};
  tab tabs[3];
  tabs_begin(&s);
  s.version = versioned;
  for (size_t i = 0; i < 3; i++) {
    tabs[i] = (tab){.path = paths[i]};
    assert_true(tabs_load(&s, &tabs[i]));
  }
  if (!opened) s.lists[1] = 77, s.heading = 78, s.version += versioned; /* content that the documents lack */
  if (opened) open_streams(&s, tabs);
  if (opened) site_settle_pages(&s.on);
  long before = atomic_load(&s.on.th.allocations);
  atomic_store(&s.on.th.fail_after, all);
  atomic_store(&s.on.th.fail_at, before + number);
  run(&s, tabs);
  bool failed = atomic_load(&s.on.th.allocations) > before + number;
  test_host_fail_no_more(&s.on.th);
  atomic_store(&s.on.th.fail_after, false);
  for (int i = 0; i < 70; i++) { /* longer than the longest wait; a rejected tab reconnects and sends its tag */
    for (size_t j = 0; j < 3; j++) {
      if (tabs[j].stream && vestry_memory_look(tabs[j].stream).ended) tabs_break_off(&tabs[j]);
      if (!tabs[j].stream) tabs_stream(&s, &tabs[j]);
      if (tabs[j].stream && !vestry_memory_look(tabs[j].stream).connection) tabs_break_off(&tabs[j]);
    }
    site_pass_ms(&s.on, 1000);
  }
  site_settle_pages(&s.on);
  for (size_t i = 0; i < 3; i++) tabs_check(&s, &tabs[i]);
  s.lists[s.which]++;
  s.heading++;
  s.version += versioned;
  tabs_refresh(&s, NULL);
  site_settle_pages(&s.on);
  for (size_t i = 0; i < 3; i++) {
    tabs_check(&s, &tabs[i]);
    tabs_break_off(&tabs[i]);
  }
  site_end(&s.on);
  return failed;
}

/* capability: D4 */
TEST_CASE(pages_recover_from_any_failed_allocation) {
  static const struct {
    phase run;
    bool opened;
  } phases[] = {{open_streams, false}, {change_all, true},  {change_part, true},
                {switch_part, true},   {refresh_all, true}, {serve_documents, false}};
  for (size_t i = 0; i < sizeof phases / sizeof *phases; i++)
    for (int kind = 0; kind < 4; kind++)
      for (long number = 0; survive(phases[i].run, phases[i].opened, kind & 1, number, kind & 2); number++) continue;
}

static vestry_err create_all(test_host *th, void *ctx) {
  vestry *v;
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v);
  if (error) return error;
  vestry_pages *pages = NULL;
  vestry_page *page;
  error = vestry_pages_create(v, NULL, &pages);
  if (!error) error = vestry_page_create(pages, &(vestry_page_options){.render = tabs_render}, &page);
  vestry_pages_destroy(pages);
  vestry_destroy(v);
  return error;
}

TEST_CASE(create_reports_failed_allocations) {
  test_host_fail_each(create_all, NULL, true);
}

/* ------------------------------------------------------------------------------------------ blocked streams ------- */

/* capability: D7 */
TEST_CASE(blocked_stream_of_a_shared_page_delays_no_other) {
  static const char *const cookies[] = {"slow", "small"};
  for (size_t i = 0; i < 2; i++) {
    suite s;
    tab slow, fast;
    tabs_begin(&s);
    tabs_open(&s, &fast, "/shared", NULL);
    tabs_open(&s, &slow, "/shared", cookies[i]);
    site_settle_pages(&s.on);
    if (i == 0) vestry_memory_mode_set(slow.stream, VESTRY_MEMORY_BLOCKS);
    (void)tabs_read(&fast);
    for (int change = 0; change < 20; change++) {
      s.heading += i ? LONG : 1;
      tabs_refresh(&s, "all");
      site_pass_ms(&s.on, 20);
      const char *text = tabs_read(&fast);
      assert_null(strstr(text, "failing"));
      assert_int_equal(fast.heading, s.heading);
      if (i) break;
    }
    if (i == 0) vestry_memory_mode_set(slow.stream, VESTRY_MEMORY_READS);
    site_settle(&s.on);
    if (vestry_memory_look(slow.stream).ended) { /* the tab reconnects */
      tabs_break_off(&slow);
      slow.cookie = NULL;
      tabs_stream(&s, &slow);
    }
    site_settle_pages(&s.on);
    tabs_check(&s, &slow);
    tabs_break_off(&slow);
    tabs_break_off(&fast);
    site_end(&s.on);
  }
}

/* A stream that joins receives what it lacks, or ends and reconnects. It never stays open without content. */
/* capability: D7 */
TEST_CASE(stream_too_small_for_its_content_ends) {
  suite s;
  tab t;
  tabs_begin(&s);
  t = (tab){.path = "/shared", .cookie = "small"};
  s.heading = LONG;
  tabs_stream(&s, &t); /* sends no tag */
  site_settle(&s.on);
  site_pass_ms(&s.on, 20);
  tabs_read(&t);
  assert_true(t.heading == s.heading || vestry_memory_look(t.stream).ended);
  tabs_end_one(&s, &t);
}

/* capability: D5 */
TABS_CASE(redirected_stream_is_rendered_once) {
  tab t;
  t = (tab){.path = "/shared"};
  assert_true(tabs_load(s, &t));
  s->error = VESTRY_NOT_FOUND;
  tabs_stream(s, &t);
  vestry_memory_mode_set(t.stream, VESTRY_MEMORY_BLOCKS); /* so the stream lasts until it ends itself */
  for (int i = 0; i < 1000; i++) (void)vestry_runtime_step(vestry_parts_of(s->on.v)->runtime);
  assert_int_equal(s->calls, 1);
  s->error = VESTRY_OK;
  s->heading++;
  tab late = {.path = "/shared"};
  tabs_stream(s, &late);
  site_settle_pages(&s->on);
  tabs_check(s, &late);
  tabs_break_off(&t);
  tabs_break_off(&late);
}

/* A result that ended one stream is not shown to the next one. */
/* capability: D7 */
TABS_CASE(late_stream_is_not_shown_a_page_that_is_gone) {
  tab t;
  tabs_open(s, &t, "/shared", NULL);
  site_settle_pages(&s->on);
  vestry_memory_mode_set(t.stream, VESTRY_MEMORY_BLOCKS);
  s->error = VESTRY_NOT_FOUND;
  tabs_refresh(s, "all");
  site_pass_ms(&s->on, 20);
  size_t calls = s->calls;
  tab late = {.path = "/shared"};
  tabs_stream(s, &late);
  site_pass_ms(&s->on, 20);
  assert_int_equal(s->calls, calls + 1);
  assert_null(strstr(tabs_read(&late), "<h1>"));
  tabs_break_off(&t);
  tabs_break_off(&late);
}

/* ------------------------------------------------------------------------------------------ failing renders ------- */

/* capability: D17 */
TEST_CASE(reconnected_stream_receives_failing_state) {
  static const char *const paths[] = {"/private", "/shared"};
  for (size_t i = 0; i < 2; i++) {
    suite s;
    tab t, other;
    tabs_begin(&s);
    tabs_open(&s, &t, paths[i], NULL);
    tabs_open(&s, &other, paths[i], NULL);
    site_settle_pages(&s.on);
    s.error = VESTRY_FAILED;
    tabs_refresh(&s, "all");
    site_pass_ms(&s.on, 20);
    assert_non_null(strstr(tabs_read(&t), "\"failing\":true"));
    tabs_break_off(&t);
    tabs_stream(&s, &t);
    site_pass_ms(&s.on, 40000);
    site_pass_ms(&s.on, 40000);
    assert_non_null(strstr(tabs_read(&t), "\"failing\":true")); /* it still fails */
    s.error = VESTRY_OK;
    site_pass_ms(&s.on, 40000);
    site_pass_ms(&s.on, 40000);
    assert_non_null(strstr(tabs_read(&t), "\"failing\":false"));
    s.error = VESTRY_FAILED;
    s.heading++;
    tabs_refresh(&s, "all");
    site_pass_ms(&s.on, 20);
    assert_non_null(strstr(tabs_read(&t), "\"failing\":true"));
    tabs_break_off(&t);
    s.error = VESTRY_OK; /* it recovers before the stream reconnects */
    tabs_stream(&s, &t);
    site_pass_ms(&s.on, 40000);
    assert_non_null(strstr(tabs_read(&t), "\"failing\":false"));
    tabs_check(&s, &t);
    tabs_break_off(&t);
    tabs_break_off(&other);
    site_end(&s.on);
  }
}

/* capability: D15 */
TEST_CASE(failed_part_is_rendered_again) {
  static const vestry_err errors[] = {VESTRY_FAILED, VESTRY_CLOSED, VESTRY_NOT_FOUND};
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
    suite s;
    tab t;
    tabs_begin_one(&s, &t);
    s.part_error = errors[i];
    s.which = 2;
    tabs_refresh(&s, "all");
    site_pass_ms(&s.on, 20);
    assert_non_null(strstr(tabs_read(&t), "\"failing\":true"));
    assert_int_equal(t.item, 1);
    s.part_error = VESTRY_OK;
    site_pass_ms(&s.on, 1100);
    assert_non_null(strstr(tabs_read(&t), "\"failing\":false"));
    tabs_check(&s, &t);
    tabs_end_one(&s, &t);
  }
}

/* A lost permission ends the stream before it receives an event of a part. */
/* capability: D15 */
TEST_CASE(part_is_not_sent_after_permission_is_lost) {
  suite s;
  tab t;
  tabs_begin_one(&s, &t);
  (void)tabs_read(&t);
  s.denied = true;
  s.lists[1] = 999;
  tabs_refresh(&s, "list/1");
  site_pass_ms(&s.on, 20);
  const char *text = tabs_read(&t);
  assert_null(strstr(text, "999"));
  assert_non_null(strstr(text, "{\"_vestry\":{\"reload\":"));
  assert_true(vestry_memory_look(t.stream).ended);
  tabs_end_one(&s, &t);
}

/* --------------------------------------------------------------------- settling, ends, calls inside renders ------- */

/* capability: D20 */
TEST_CASE(settle_waits_for_every_stream) {
  enum { TABS = 60 };
  static const char *const topics[] = {"all", NULL};
  for (size_t i = 0; i < 2; i++) {
    suite s;
    tab tabs[TABS];
    uint64_t first, second;
    tabs_begin(&s);
    for (size_t j = 0; j < TABS; j++) tabs_open(&s, &tabs[j], "/private", NULL);
    site_settle_pages(&s.on);
    size_t calls = s.calls;
    assert_int_equal(vestry_refresh(s.on.pages, topics[i], &first), VESTRY_OK);
    assert_int_equal(vestry_refresh(s.on.pages, topics[i], &second), VESTRY_OK);
    assert_int_equal(vestry_pages_settle(s.on.pages, first, PATIENCE_S * 1000), VESTRY_OK);
    assert_int_equal(s.calls, calls + TABS);
    for (size_t j = 0; j < TABS; j++) tabs_break_off(&tabs[j]);
    site_end(&s.on);
  }
}

/* capability: D4 */
TEST_CASE(destroy_before_refreshes_are_walked_is_clean) {
  suite s;
  tab t;
  tabs_begin_one(&s, &t);
  tabs_refresh(&s, "all");
  tabs_refresh(&s, "list/1");
  tabs_refresh(&s, NULL);
  vestry_pages_destroy(s.on.pages);
  tabs_break_off(&t);
  vestry_destroy(s.on.v);
  test_host_assert_clean(&s.on.th);
}

static void read_stats_and_refresh(suite *s, vestry_render *render) {
  vestry_pages_stats stats = {0};
  vestry_reply *reply = render->reply;
  s->inside = NULL;
  vestry_pages_stats_get(s->on.pages, &stats);
  assert_int_equal(stats.streams_count, 1);
  assert_int_equal(vestry_refresh(s->on.pages, "all", NULL), VESTRY_OK);
  assert_int_equal(vestry_refresh(s->on.pages, NULL, NULL), VESTRY_OK);
  assert_int_equal(vestry_reply_header(reply, "Set-Cookie", "a=b"), VESTRY_OK);
  assert_int_equal(vestry_reply_patch_elements(reply, "<p id=\"dropped\"></p>"), VESTRY_OK);
  (void)vestry_dispatch(s->on.v, (vestry_scope){NULL, 0}, NULL, VESTRY_LIST("patch-elements", "<p id=\"nobody\"></p>"));
}

/* capability: D4 */
TEST_CASE(render_may_read_stats_and_refresh) {
  suite s;
  tab t;
  tabs_begin_one(&s, &t);
  s.inside = read_stats_and_refresh;
  s.heading++;
  size_t calls = s.calls;
  tabs_refresh(&s, "all");
  site_settle_pages(&s.on);
  assert_int_equal(s.calls, calls + 2);
  tabs_check(&s, &t);
  assert_null(strstr(vestry_memory_look(t.stream).received.data, "dropped"));
  tabs_end_one(&s, &t);
}

static tab *ends_inside;
static void end_inside(suite *s, vestry_render *render) {
  if (!ends_inside) return;
  tabs_break_off(ends_inside);
  ends_inside = NULL;
}

/* capability: D4 */
TEST_CASE(stream_may_end_while_it_is_rendered) {
  static const char *const paths[] = {"/private", "/shared"};
  for (size_t i = 0; i < 2; i++) {
    suite s;
    tab t;
    tabs_begin(&s);
    tabs_open(&s, &t, paths[i], NULL);
    site_settle_pages(&s.on);
    s.inside = end_inside;
    ends_inside = &t;
    s.heading++;
    tabs_refresh(&s, "all");
    site_pass_ms(&s.on, 20);
    assert_null(t.stream);
    site_end(&s.on);
  }
}

TEST_CASE(streams_end_with_the_instance) {
  for (int drains = 0; drains < 2; drains++) {
    suite s;
    tab t, other;
    tabs_begin(&s);
    tabs_open(&s, &t, "/private", NULL);
    tabs_open(&s, &other, "/shared", NULL);
    site_settle_pages(&s.on);
    s.heading++;
    tabs_refresh(&s, NULL);
    if (drains)
      (void)vestry_drain(s.on.v, 1000);
    else
      vestry_close(s.on.v);
    tabs_refresh(&s, NULL);
    site_pass_ms(&s.on, 100000);
    assert_true(vestry_memory_look(t.stream).ended);
    assert_true(vestry_memory_look(other.stream).ended);
    tabs_break_off(&t);
    tabs_break_off(&other);
    site_end(&s.on);
  }
}

TEST_CASE(methods_of_a_page_route_get_their_status) {
  static const struct {
    const char *method;
    bool datastar;
    int status;
  } rows[] = {
      {"HEAD", true, 200}, {"HEAD", false, 200}, {"OPTIONS", false, 204}, {"POST", false, 200}, {"DELETE", true, 405}};
  suite s;
  tabs_begin(&s);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const vestry_memory_call call = {.method = rows[i].method, .path = "/private", .datastar = rows[i].datastar};
    vestry_memory_exchange *exchange = site_request(&s.on, &call);
    site_settle(&s.on);
    assert_int_equal(vestry_memory_look(exchange).status, rows[i].status);
    assert_null(vestry_memory_look(exchange).connection);
    vestry_memory_destroy(exchange);
  }
  site_end(&s.on);
}

/* A URL that begins with two slashes names another host. */
TABS_CASE(stream_url_stays_on_the_host_and_is_escaped) {
  const vestry_memory_call call = {.path = "//evil.example/x", .query = "a='\"><script>&b=`\\"};
  vestry_memory_exchange *document = site_request(&s->on, &call);
  assert_int_equal(vestry_memory_look(document).status, 200);
  const char *text = vestry_memory_look(document).received.data;
  assert_null(strstr(text, "'//evil"));
  assert_null(strstr(text, "\"//evil"));
  assert_null(strstr(text, "<script"));
  assert_non_null(strstr(text, "/.//evil.example/x"));
  vestry_memory_destroy(document);
}

/* ------------------------------------------------------------------------------------------------- threads -------- */

enum { HANGS_S = 60 };

typedef struct slow {
  pthread_mutex_t lock;
  pthread_cond_t cond;
  bool blocks, is_blocked;
  int others;
} slow;

static vestry_err make_slow(vestry_render *render, vestry_html *html, void *app) {
  slow *w = app;
  bool is_first = strcmp(render->request->query, "first") == 0;
  vestry_render_topic(render, is_first ? "first" : "other");
  pthread_mutex_lock(&w->lock);
  if (render->is_stream && !is_first) w->others++;
  pthread_cond_broadcast(&w->cond);
  struct timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += HANGS_S;
  int before = w->others;
  if (is_first && w->blocks) w->is_blocked = true;
  while (is_first && w->blocks && w->others == before)
    if (pthread_cond_timedwait(&w->cond, &w->lock, &end)) break;
  pthread_mutex_unlock(&w->lock);
  vestry_render_begin(render, html);
  return vestry_render_end(render, html);
}

/* Two pages wait for their interval. The render of the first one hangs, and the second becomes due meanwhile. */
/* capability: D5 */
TEST_CASE(hanging_render_delays_no_other_page) {
  vestry *v;
  vestry_pages *pages;
  vestry_page *page;
  slow w = {.blocks = false};
  pthread_mutex_init(&w.lock, NULL);
  pthread_cond_init(&w.cond, NULL);
  assert_int_equal(vestry_create(NULL, &v), VESTRY_OK);
  assert_int_equal(vestry_pages_create(v, &(vestry_pages_options){.interval_ms = 200}, &pages), VESTRY_OK);
  assert_int_equal(vestry_page_create(pages, &(vestry_page_options){.render = make_slow, .app = &w}, &page), VESTRY_OK);
  assert_int_equal(vestry_route(v, "GET", "/", vestry_page_handler, page), VESTRY_OK);
  vestry_memory_exchange *streams[2];
  static const char *const queries[] = {"first", "other"};
  for (size_t i = 0; i < 2; i++) {
    const vestry_memory_call call = {.query = queries[i], .datastar = true};
    assert_int_equal(vestry_memory_request(v, &call, NULL, NULL, &streams[i]), VESTRY_OK);
    assert_int_equal(vestry_pages_settle(pages, UINT64_MAX, 60000), VESTRY_OK);
  }
  /* After another render, the second page waits for its interval, while the first one is due at once. */
  assert_int_equal(vestry_refresh(pages, "other", NULL), VESTRY_OK);
  assert_int_equal(vestry_pages_settle(pages, UINT64_MAX, 60000), VESTRY_OK);
  pthread_mutex_lock(&w.lock);
  w.blocks = true;
  int before = w.others;
  pthread_mutex_unlock(&w.lock);
  assert_int_equal(vestry_refresh(pages, "first", NULL), VESTRY_OK);
  assert_int_equal(vestry_refresh(pages, "other", NULL), VESTRY_OK);
  pthread_mutex_lock(&w.lock);
  struct timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += HANGS_S / 2;
  while (w.others == before)
    if (pthread_cond_timedwait(&w.cond, &w.lock, &end)) break;
  assert_true(w.others > before);
  w.blocks = false;
  pthread_cond_broadcast(&w.cond);
  pthread_mutex_unlock(&w.lock);
  for (size_t i = 0; i < 2; i++) vestry_memory_destroy(streams[i]);
  vestry_pages_destroy(pages);
  vestry_destroy(v);
}

enum { LONG_PAGES = 2, MEETING_PAGES = 2 };

typedef struct meeting {
  _Atomic(bool) holds[LONG_PAGES], holding[LONG_PAGES]; /* renders of the first pages */
  _Atomic(bool) meets;                                  /* renders of the others wait for each other */
  _Atomic(int) inside, renders;
} meeting;

static vestry_err make_meeting(vestry_render *render, vestry_html *html, void *app) {
  meeting *m = app;
  const int number = *render->request->query - '0';
  vestry_render_topic(render, render->request->query);
  if (render->is_stream && number < LONG_PAGES) {
    atomic_store(&m->holding[number], true);
    WAIT_WHILE(atomic_load(&m->holds[number]));
    atomic_store(&m->holding[number], false);
  } else if (render->is_stream) {
    if (atomic_load(&m->meets)) {
      atomic_fetch_add(&m->inside, 1);
      WAIT_WHILE(atomic_load(&m->inside) % MEETING_PAGES);
    }
    atomic_fetch_add(&m->renders, 1);
  }
  vestry_render_begin(render, html);
  return vestry_render_end(render, html);
}

/* While the render of a page hangs, two others still run at the same time. While two hang, others run. */
/* capability: D5 */
TEST_CASE(hanging_render_leaves_others_as_many_threads) {
  enum { PAGES = LONG_PAGES + MEETING_PAGES };
  static const char *const queries[PAGES] = {"0", "1", "2", "3"};
  vestry *v;
  vestry_pages *pages;
  vestry_page *page;
  vestry_memory_exchange *streams[PAGES];
  meeting m = {.meets = false};
  assert_int_equal(vestry_create(NULL, &v), VESTRY_OK);
  assert_int_equal(vestry_pages_create(v, &(vestry_pages_options){.interval_ms = 1}, &pages), VESTRY_OK);
  const vestry_page_options options = {.render = make_meeting, .app = &m};
  assert_int_equal(vestry_page_create(pages, &options, &page), VESTRY_OK);
  assert_int_equal(vestry_route(v, "GET", "/", vestry_page_handler, page), VESTRY_OK);
  for (int i = 0; i < PAGES; i++) {
    const vestry_memory_call call = {.query = queries[i], .datastar = true};
    assert_int_equal(vestry_memory_request(v, &call, NULL, NULL, &streams[i]), VESTRY_OK);
  }
  assert_int_equal(vestry_pages_settle(pages, UINT64_MAX, PATIENCE_S * 1000), VESTRY_OK);
  for (int held = 0; held < LONG_PAGES; held++) {
    atomic_store(&m.holds[held], true);
    assert_int_equal(vestry_refresh(pages, queries[held], NULL), VESTRY_OK);
    UNTIL(atomic_load(&m.holding[held]));
    atomic_store(&m.meets, held == 0);
    const int before = atomic_load(&m.renders);
    for (int i = LONG_PAGES; i < PAGES; i++) assert_int_equal(vestry_refresh(pages, queries[i], NULL), VESTRY_OK);
    UNTIL(atomic_load(&m.renders) >= before + MEETING_PAGES);
  }
  for (int held = 0; held < LONG_PAGES; held++) atomic_store(&m.holds[held], false);
  assert_int_equal(vestry_pages_settle(pages, UINT64_MAX, PATIENCE_S * 1000), VESTRY_OK);
  for (int i = 0; i < PAGES; i++) vestry_memory_destroy(streams[i]);
  vestry_pages_destroy(pages);
  vestry_destroy(v);
}

typedef struct storm {
  vestry_pages *pages;
  _Atomic(bool) over;
} storm;

static _Atomic(int) weather;

static vestry_err make_weather(vestry_render *render, vestry_html *html, void *app) {
  vestry_render_topic(render, "weather");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%d</b>", atomic_fetch_add(&weather, 1));
  return vestry_render_end(render, html);
}

static vestry_err serve_weather(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, app, "s");
}

static void *refresh_all_the_time(void *ctx) {
  storm *s = ctx;
  while (!atomic_load(&s->over)) {
    int before = atomic_load(&weather);
    (void)vestry_refresh(s->pages, "weather", NULL);
    WAIT_WHILE(!atomic_load(&s->over) && atomic_load(&weather) == before);
  }
  return NULL;
}

/* The last event of a page is used by its render and dropped at its end. For sanitizers. */
/* capability: D4 */
TEST_CASE(streams_end_while_their_events_are_used) {
  enum { TABS = 8, ROUNDS = 60, RENDERS = 25 };
  vestry *v;
  vestry_page *page;
  storm s = {.over = false};
  pthread_t thread;
  assert_int_equal(vestry_create(NULL, &v), VESTRY_OK);
  const vestry_pages_options options = {.interval_ms = 1, .threads_count = 3, .max_kept_bytes = 400};
  assert_int_equal(vestry_pages_create(v, &options, &s.pages), VESTRY_OK);
  assert_int_equal(vestry_page_create(s.pages, &(vestry_page_options){.render = make_weather}, &page), VESTRY_OK);
  assert_int_equal(vestry_route(v, "GET", "/", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_route(v, "GET", "/shared", serve_weather, page), VESTRY_OK);
  assert_int_equal(pthread_create(&thread, NULL, refresh_all_the_time, &s), 0);
  for (int round = 0; round < ROUNDS; round++) {
    vestry_memory_exchange *tabs[TABS];
    for (int i = 0; i < TABS; i++) {
      const vestry_memory_call call = {.path = i % 2 ? "/" : "/shared", .datastar = true};
      assert_int_equal(vestry_memory_request(v, &call, NULL, NULL, &tabs[i]), VESTRY_OK);
    }
    const int until = atomic_load(&weather) + RENDERS;
    WAIT_WHILE(atomic_load(&weather) < until);
    for (int i = 0; i < TABS; i++) vestry_memory_destroy(tabs[i]);
  }
  atomic_store(&s.over, true);
  pthread_join(thread, NULL);
  vestry_pages_destroy(s.pages);
  vestry_destroy(v);
}

/* --------------------------------------------------------------------------------------------- refused HTML ------- */

typedef struct refusal {
  const char *text, *part_text; /* NULL: the row is refused */
} refusal;

static vestry_err row(vestry_html *html, const char *text) {
  vestry_html_add(html, "<ul>");
  vestry_html_add(html, "<li>%s <b>%s</b></li>", "one", text);
  return vestry_html_add(html, "</ul>");
}

static vestry_err refusing_part(vestry_render *render, vestry_html *html, void *app) {
  return row(html, ((refusal *)app)->part_text);
}

static vestry_err refusing(vestry_render *render, vestry_html *html, void *app) {
  refusal *of = app;
  vestry_render_begin(render, html);
  row(html, of->text);
  if (!render->share)
    vestry_render_part(render, html, &(vestry_page_part){.id = "p", .share = "1", .render = refusing_part, .app = of});
  return vestry_render_end(render, html);
}

static vestry_err refusing_shared(const vestry_request *req, vestry_reply *reply, void *page) {
  return vestry_page_serve(req, reply, page, "s");
}

static char refused[1024]; /* the last log line about a format */

static void note_refused(void *th, vestry_log_level level, const char *line) {
  if (strstr(line, " of the format")) snprintf(refused, sizeof refused, "%s", line);
}

/* For the document, the stream and a part, the log has the page or the part, the offset, the text of the format before
 * it, and the reason. */
TEST_CASE(log_has_page_offset_and_reason_of_refused_html) {
  static const char place[] = "byte 10 of the format, after <li>%s <b>: the string is NULL";
  static const char *const paths[] = {"/mine", "/shared"};
  for (size_t i = 0; i < 2; i++) {
    suite s = {0};
    refusal of = {"first", "first"};
    vestry_page *page;
    site_begin_pages(&s.on, (vestry_options){0}, NULL);
    s.on.th.host.log = note_refused;
    assert_int_equal(vestry_page_create(s.on.pages, &(vestry_page_options){.render = refusing, .app = &of}, &page),
                     VESTRY_OK);
    assert_int_equal(vestry_route(s.on.v, "GET", "/mine", vestry_page_handler, page), VESTRY_OK);
    assert_int_equal(vestry_route(s.on.v, "GET", "/shared", refusing_shared, page), VESTRY_OK);
    tab t = {.path = paths[i]};
    tabs_stream(&s, &t);
    site_settle_pages(&s.on);

    of.text = NULL;
    tabs_refresh(&s, NULL);
    site_pass_ms(&s.on, 20);
    assert_non_null(strstr(refused, place));
    assert_non_null(strstr(refused, paths[i]));
    *refused = '\0';
    test_host_advance_ms(&s.on.th, 60000); /* the same line again */
    vestry_memory_exchange *document = site_request(&s.on, &(vestry_memory_call){.path = paths[i]});
    assert_int_equal(vestry_memory_look(document).status, 500);
    assert_non_null(strstr(refused, place));
    assert_non_null(strstr(refused, paths[i]));
    vestry_memory_destroy(document);

    of = (refusal){"second", NULL};
    *refused = '\0';
    tabs_refresh(&s, NULL);
    site_pass_ms(&s.on, 60000); /* the render is repeated */
    if (i == 0) {               /* only a private page has parts */
      assert_non_null(strstr(refused, place));
      assert_non_null(strstr(refused, "#p"));
    }
    tabs_leave(&s, &t);
    site_end(&s.on);
  }
}
