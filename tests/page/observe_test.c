/* SPDX-License-Identifier: MIT */
/* capability: D21 */
/* Observers of renders are called for each render of a stream, and for no other render. The page depends on the topics
 * that they name. */
#include <pthread.h>
#include <stdatomic.h>

#include "support/site.h"
#include "support/until.h"

typedef struct suite {
  site on;
  vestry_page *page;
  char reported[512];
  const char *topic;     /* topic that observers name at the end */
  const char *refreshes; /* topic that is refreshed inside the next render */
  vestry_err error;      /* result of the next renders */
  size_t calls;
  char (*names)[24]; /* topics that renders name */
  size_t names_count;
} suite;

typedef struct observer {
  suite *s;
  char name;
} observer;

static bool is_used(vestry_pages *pages, const char *topic) {
  bool used;
  size_t views = vestry_topic_fragments(pages, topic, &used);
  assert_int_equal(views, vestry_topic_fragments(pages, topic, NULL));
  assert_true(used || !views);
  return used;
}

static void note(suite *s, const char *text) {
  size_t len = strlen(s->reported);
  snprintf(s->reported + len, sizeof s->reported - len, "%s", text);
}

static void begin(vestry_render *render, void *ctx) {
  observer *o = ctx;
  assert_true(render->is_stream);
  note(o->s, (char[]){'(', o->name, '\0'});
}

static void end(vestry_render *render, void *ctx) {
  observer *o = ctx;
  note(o->s, (char[]){o->name, ')', '\0'});
  if (o->s->topic) assert_int_equal(vestry_render_topic(render, o->s->topic), VESTRY_OK);
}

static vestry_err make_part(vestry_render *render, vestry_html *html, void *app) {
  note(app, "part");
  return vestry_html_add(html, "<b>inside</b>");
}

static vestry_err make(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  s->calls++;
  note(s, "page");
  if (s->refreshes) assert_int_equal(vestry_refresh(s->on.pages, s->refreshes, NULL), VESTRY_OK);
  s->refreshes = NULL;
  for (size_t i = 0; i < s->names_count; i++) (void)vestry_render_topic(render, s->names[i]);
  if (s->error) return s->error;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>%zu</p>", s->calls);
  const char *query = render->request->query;
  if (strstr(query, "part=1"))
    vestry_render_part(render, html, &(vestry_page_part){.id = "list", .share = "list", .render = make_part, .app = s});
  return vestry_render_end(render, html);
}

static vestry_err may(const vestry_request *req, void *app) {
  note(app, "may");
  return VESTRY_OK;
}

static vestry_err serve_shared(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, ((suite *)app)->page, "all");
}

static void open_site(suite *s) {
  memset(s, 0, sizeof *s);
  site_begin_pages(&s->on, (vestry_options){0}, NULL);
  const vestry_page_options page = {.render = make, .allow = may, .app = s};
  assert_int_equal(vestry_page_create(s->on.pages, &page, &s->page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/private", vestry_page_handler, s->page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/shared", serve_shared, s), VESTRY_OK);
}

static void observe(observer *o) {
  assert_int_equal(
      vestry_pages_observe(o->s->on.pages, &(vestry_render_observer){.begin = begin, .end = end, .ctx = o}), VESTRY_OK);
}

static vestry_memory_exchange *request(suite *s, const char *path, const char *query, bool is_stream) {
  const vestry_memory_call call = {.path = path, .query = query, .datastar = is_stream};
  s->reported[0] = '\0';
  vestry_memory_exchange *exchange = site_request(&s->on, &call);
  site_settle_pages(&s->on);
  return exchange;
}

static void refresh(suite *s, const char *topic) {
  s->reported[0] = '\0';
  assert_int_equal(vestry_refresh(s->on.pages, topic, NULL), VESTRY_OK);
  assert_int_equal(vestry_pages_settle(s->on.pages, UINT64_MAX, 1000), s->error ? VESTRY_TIMEOUT : VESTRY_OK);
}

#define SUITE_CASE(name) TEST_CASE_WITH(name, suite, s, open_site(s), site_end(&s->on))

SUITE_CASE(observer_is_called_for_each_stream_render) {
  observer a = {s, 'a'}, b = {s, 'b'};
  observe(&a);
  observe(&b);
  vestry_memory_exchange *document = request(s, "/private", "part=1", false);
  assert_string_equal(s->reported, "maypagepart");
  vestry_memory_exchange *one = request(s, "/private", "part=1", true);
  /* The check before the stream opens; the page; and the part, once, because no other page shows it yet. */
  assert_string_equal(s->reported, "may(a(bmaypageb)a)(a(bpartb)a)");
  vestry_memory_exchange *shared = request(s, "/shared", NULL, true);
  assert_string_equal(s->reported, "maymay(a(bpageb)a)");
  assert_int_equal(vestry_pages_unobserve(s->on.pages, &a), VESTRY_OK);
  refresh(s, NULL);
  assert_null(strstr(s->reported, "a("));
  assert_non_null(strstr(s->reported, "(bmaypageb)"));
  s->error = VESTRY_IO;
  refresh(s, NULL);
  assert_non_null(strstr(s->reported, "(bmaypageb)")); /* the end is called although the render failed */
  vestry_memory_destroy(document);
  vestry_memory_destroy(one);
  vestry_memory_destroy(shared);
}

SUITE_CASE(page_depends_on_topics_of_observers) {
  observer a = {s, 'a'};
  observe(&a);
  s->topic = "read/1";
  assert_false(is_used(s->on.pages, "read/1"));
  vestry_memory_exchange *one = request(s, "/private", NULL, true);
  assert_true(is_used(s->on.pages, "read/1"));
  refresh(s, "read/1");
  assert_string_equal(s->reported, "(amaypagea)");
  refresh(s, "read/2");
  assert_string_equal(s->reported, "");
  s->topic = "read/2";     /* a topic that is no longer named is not depended on */
  s->refreshes = "read/2"; /* after its data was read, and before it is named */
  refresh(s, "read/1");
  assert_string_equal(s->reported, "(amaypagea)(amaypagea)");
  assert_false(is_used(s->on.pages, "read/1"));
  assert_true(is_used(s->on.pages, "read/2"));
  vestry_memory_destroy(one);
  site_settle(&s->on);
  assert_false(is_used(s->on.pages, "read/2"));
  assert_false(is_used(s->on.pages, NULL));
}

/* Code that drops unused topics may check on any thread, also between a render's naming of a topic and the page's
 * dependence on it. */
static void *check_topic(void *ctx) {
  suite *s = ctx;
  note(s, is_used(s->on.pages, "read/1") ? "used" : "unused");
  return NULL;
}

static void begin_nothing(vestry_render *render, void *ctx) {}

/* A failed render is repeated as long as there are steps, so only the first few check. */
static void check_on_a_thread(vestry_render *render, void *ctx) {
  const suite *s = ctx;
  pthread_t thread;
  if (strlen(s->reported) > sizeof s->reported / 2) return;
  assert_int_equal(pthread_create(&thread, NULL, check_topic, ctx), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
}

SUITE_CASE(topic_is_used_as_soon_as_a_render_names_it) {
  observer a = {s, 'a'};
  const vestry_render_observer last = {.begin = begin_nothing, .end = check_on_a_thread, .ctx = s};
  assert_int_equal(vestry_pages_observe(s->on.pages, &last), VESTRY_OK); /* after the others */
  observe(&a);
  vestry_memory_exchange *one = request(s, "/private", NULL, true);
  assert_string_equal(s->reported, "may(amaypagea)unused");
  s->topic = "read/1";
  refresh(s, NULL);
  assert_string_equal(s->reported, "(amaypagea)used");
  assert_true(is_used(s->on.pages, "read/1"));
  s->topic = NULL;
  refresh(s, NULL);
  assert_string_equal(s->reported, "(amaypagea)used"); /* by the page, until the render is over */
  assert_false(is_used(s->on.pages, "read/1"));
  s->topic = "read/1"; /* a failed render names it too, and its page depends on it */
  s->error = VESTRY_IO;
  refresh(s, NULL);
  assert_non_null(strstr(s->reported, "(amaypagea)used"));
  s->topic = NULL;
  s->error = VESTRY_OK;
  test_host_advance_ms(&s->on.th, 60000);
  refresh(s, NULL);
  assert_false(is_used(s->on.pages, "read/1"));
  vestry_memory_destroy(one);
}

/* Topics whose allocation failed are not counted: at the end, none is used. */
TEST_CASE(topic_is_unused_after_failed_allocation) {
  enum { NAMES = 40 };
  static char names[NAMES][24];
  for (int fail_at = 0, has_failed = 1; has_failed; fail_at++) {
    suite s;
    open_site(&s);
    observer a = {&s, 'a'};
    observe(&a);
    s.names = names;
    s.names_count = NAMES;
    for (int i = 0; i < NAMES; i++) snprintf(names[i], sizeof names[i], "a/topic/of/many/%d", i);
    const vestry_memory_call call = {.path = "/private", .datastar = true};
    vestry_memory_exchange *one = site_request(&s.on, &call);
    test_host_fail_in(&s.on.th, fail_at);
    (void)vestry_pages_settle(s.on.pages, UINT64_MAX, 1000);
    has_failed = test_host_has_failed(&s.on.th);
    vestry_memory_destroy(one);
    site_settle(&s.on);
    for (int i = 0; i < NAMES; i++) assert_false(is_used(s.on.pages, names[i]));
    site_end(&s.on);
  }
}

SUITE_CASE(observer_over_limit_or_invalid_is_refused) {
  observer all[VESTRY_RENDER_OBSERVERS_MAX + 1];
  for (size_t i = 0; i < VESTRY_RENDER_OBSERVERS_MAX; i++) {
    all[i] = (observer){s, (char)('a' + i)};
    observe(&all[i]);
  }
  const vestry_render_observer more = {.begin = begin, .end = end, .ctx = &all[VESTRY_RENDER_OBSERVERS_MAX]};
  const vestry_render_observer again = {.begin = begin, .end = end, .ctx = &all[1]}, half = {.begin = begin};
  assert_int_equal(vestry_pages_observe(s->on.pages, &more), VESTRY_LIMIT);
  assert_int_equal(vestry_pages_observe(s->on.pages, &again), VESTRY_EXISTS);
  assert_int_equal(vestry_pages_observe(s->on.pages, &half), VESTRY_INVALID);
  assert_non_null(strstr(s->on.th.last_log, "vestry_pages_observe: the observer is NULL, or lacks begin or end"));
  assert_int_equal(vestry_pages_observe(s->on.pages, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_pages_observe(NULL, &more), VESTRY_INVALID);
  assert_int_equal(vestry_pages_unobserve(s->on.pages, more.ctx), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_pages_unobserve(s->on.pages, &all[VESTRY_RENDER_OBSERVERS_MAX - 1]), VESTRY_OK);
  assert_int_equal(vestry_pages_observe(s->on.pages, &more), VESTRY_OK);
  /* The place of an observer that others follow is free as well, also if all were removed in turn. */
  for (size_t i = 0; i < VESTRY_RENDER_OBSERVERS_MAX - 1; i++) {
    assert_int_equal(vestry_pages_unobserve(s->on.pages, &all[i]), VESTRY_OK);
    observe(&all[i]);
  }
}

/* With threads: unobserve waits for the render in progress. */
typedef struct slow {
  vestry_pages *pages;
  _Atomic(bool) is_inside, is_leaving, has_ended;
} slow;

static void begin_slow(vestry_render *render, void *ctx) {}

static void end_slow(vestry_render *render, void *ctx) {
  atomic_store(&((slow *)ctx)->has_ended, true);
}

static vestry_err make_slowly(vestry_render *render, vestry_html *html, void *app) {
  slow *s = app;
  atomic_store(&s->is_inside, true);
  WAIT_WHILE(!atomic_load(&s->is_leaving));
  vestry_render_begin(render, html);
  return vestry_render_end(render, html);
}

static void *leave(void *ctx) {
  slow *s = ctx;
  WAIT_WHILE(!atomic_load(&s->is_inside));
  atomic_store(&s->is_leaving, true);
  assert_int_equal(vestry_pages_unobserve(s->pages, s), VESTRY_OK);
  assert_true(atomic_load(&s->has_ended));
  return NULL;
}

TEST_CASE(unobserve_waits_for_the_render_in_progress) {
  vestry *v;
  vestry_page *page;
  slow s = {NULL, false, false, false};
  pthread_t thread;
  vestry_memory_exchange *stream;
  assert_int_equal(vestry_create(NULL, &v), VESTRY_OK);
  assert_int_equal(vestry_pages_create(v, NULL, &s.pages), VESTRY_OK);
  assert_int_equal(vestry_page_create(s.pages, &(vestry_page_options){.render = make_slowly, .app = &s}, &page),
                   VESTRY_OK);
  assert_int_equal(
      vestry_pages_observe(s.pages, &(vestry_render_observer){.begin = begin_slow, .end = end_slow, .ctx = &s}),
      VESTRY_OK);
  assert_int_equal(
      vestry_memory_request(v, &(vestry_memory_call){.datastar = true}, vestry_page_handler, page, &stream), VESTRY_OK);
  assert_int_equal(pthread_create(&thread, NULL, leave, &s), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  vestry_memory_destroy(stream);
  vestry_stop(v, 0);
  vestry_pages_destroy(s.pages);
  vestry_destroy(v);
}
