/* SPDX-License-Identifier: MIT */
/* Live pages when something is wrong: no memory, streams that do not take what they are sent, renders that fail or
 * hang, streams that end in the middle, clients that lie. Whatever happens, a page that is well again shows what is. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "page/site.h"

enum { LIARS = TEST_UNDER_TSAN || TEST_UNDER_ASAN ? 10000 : 100000 };
enum { LONG = 1000000000 }; /* a heading that comes with a lot */

/* A heading of each page's own, and a list that is a part. */
typedef struct site {
  page_site on;
  int heading, which, lists[3]; /* which: the list that pages show */
  uint64_t version;
  size_t calls, parts;
  vestry_err error, part_error; /* of renders for streams */
  bool denied;
  void (*inside)(struct site *s, vestry_render *render); /* of a render for a stream */
} site;

static vestry_err list(vestry_render *render, vestry_html *html, void *app) {
  site *s = app;
  char topic[16];
  snprintf(topic, sizeof topic, "list/%s", render->share);
  vestry_render_topic(render, topic);
  if (render->is_stream) s->parts++;
  if (s->part_error) return s->part_error;
  return vestry_html_add(html, "<li>%d</li>", s->lists[atoi(render->share)]);
}

static vestry_err make(vestry_render *render, vestry_html *html, void *app) {
  site *s = app;
  vestry_render_topic(render, "all");
  if (render->is_stream) {
    s->calls++;
    if (s->inside) s->inside(s, render);
    if (s->error) return s->error;
  }
  if (s->version && vestry_render_is_current(render, s->version)) return VESTRY_OK;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<h1>%d</h1>", s->heading);
  for (int i = 0; s->heading >= LONG && i < 20; i++) vestry_html_add(html, "<p>long long long</p>");
  if (!render->share) {
    char share[8];
    snprintf(share, sizeof share, "%d", s->which);
    vestry_render_part(render, html, &(vestry_page_part){.id = "list", .share = share, .render = list, .app = s});
  }
  return vestry_render_end(render, html);
}

static vestry_err may(const vestry_request *req, void *app) {
  (void)req;
  return ((site *)app)->denied ? VESTRY_NOT_FOUND : VESTRY_OK;
}

static vestry_err serve_shared(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *cookie = vestry_request_header(req, "Cookie");
  if (cookie && strcmp(cookie, "slow") == 0) {
    const vestry_connection_options drops = {.full = VESTRY_FULL_DROP, .max_queued_count = 4};
    vestry_reply_stream(reply, &(vestry_stream_options){.connection = &drops});
  }
  if (cookie && strcmp(cookie, "small") == 0)
    vestry_reply_stream(reply,
                        &(vestry_stream_options){.connection = &(vestry_connection_options){.max_queued_bytes = 220}});
  return vestry_page_serve(req, reply, app, "s");
}

static vestry_err open_site(site *s) {
  memset(s, 0, sizeof *s);
  page_site_open(&s->on, (vestry_options){0}, NULL);
  const vestry_page_options options = {.render = make, .allow = may, .app = s};
  vestry_page *page;
  assert_int_equal(vestry_page_create(s->on.pages, &options, &page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/private", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "POST", "/private", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/shared", serve_shared, page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/any/{path...}", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/{path...}", vestry_page_handler, page), VESTRY_OK);
  s->heading = 100;
  s->lists[1] = 1;
  s->lists[2] = 2;
  s->which = 1;
  return VESTRY_OK;
}

/* A browser's tab: what it shows, and what it will say that it has. */
typedef struct tab {
  const char *path, *cookie;
  vestry_memory_exchange *stream; /* NULL: none */
  char id[400];
  int heading, item;
} tab;

static vestry_err get(site *s, const tab *t, bool datastar, vestry_memory_exchange **ret) {
  vestry_header headers[2];
  size_t count = 0;
  if (t->cookie) headers[count++] = (vestry_header){"Cookie", t->cookie};
  if (datastar && *t->id) headers[count++] = (vestry_header){"Last-Event-ID", t->id};
  const vestry_memory_call call = {.path = t->path, .headers = headers, .headers_count = count, .datastar = datastar};
  *ret = NULL;
  return vestry_memory_request(s->on.v, &call, NULL, NULL, ret);
}

static void copy_to(char *to, size_t room, const char *from, const char *end) {
  assert_non_null(end);
  assert_true((size_t)(end - from) < room);
  memcpy(to, from, (size_t)(end - from));
  to[end - from] = '\0';
}

/* What came changes what it shows, as in a browser. */
static const char *read_all(tab *t) {
  const char *text = vestry_memory_since(t->stream).data;
  for (const char *at = text; (at = strstr(at, "<h1>")) != NULL; at++) t->heading = atoi(at + 4);
  for (const char *at = text; (at = strstr(at, "<li>")) != NULL; at++) t->item = atoi(at + 4);
  for (const char *at = text; (at = strstr(at, "\nid: ")) != NULL; at++)
    copy_to(t->id, sizeof t->id, at + 5, strchr(at + 5, '\n'));
  return text;
}

static bool load(site *s, tab *t) {
  vestry_memory_exchange *document;
  if (get(s, t, false, &document) || !document) return false;
  const char *text = vestry_memory_look(document).received.data;
  const char *tag = text ? strstr(text, "el.had = '") : NULL;
  if (vestry_memory_look(document).status == 200 && tag) {
    const char *heading = strstr(text, "<h1>"), *item = strstr(text, "<li>");
    t->heading = atoi(heading + 4);
    if (item) t->item = atoi(item + 4);
    tag += strlen("el.had = '");
    copy_to(t->id, sizeof t->id, tag, strstr(tag, "'"));
  }
  vestry_memory_destroy(document);
  return tag != NULL;
}

static void open_stream(site *s, tab *t) {
  if (get(s, t, true, &t->stream)) t->stream = NULL;
}

static void open_tab(site *s, tab *t, const char *path, const char *cookie) {
  *t = (tab){.path = path, .cookie = cookie};
  assert_true(load(s, t));
  open_stream(s, t);
  assert_non_null(t->stream);
}

static void break_off(tab *t) {
  if (t->stream) read_all(t);
  vestry_memory_destroy(t->stream);
  t->stream = NULL;
}

static void settle(site *s) {
  assert_int_equal(vestry_pages_settle(s->on.pages, UINT64_MAX, 1000), VESTRY_OK);
}

static void pass(site *s, uint64_t ms) {
  test_host_advance_ms(&s->on.th, ms);
  vestry_memory_settle(s->on.v);
}

static void refresh(site *s, const char *topic) {
  assert_int_equal(vestry_refresh(s->on.pages, topic, NULL), VESTRY_OK);
}

static void check(site *s, tab *t) {
  assert_non_null(t->stream);
  read_all(t);
  assert_int_equal(t->heading, s->heading);
  if (strcmp(t->path, "/private") == 0) assert_int_equal(t->item, s->lists[s->which]);
}

/* ------------------------------------------------------------------------------------------------ no memory ------- */

typedef void (*phase)(site *s, tab tabs[3]);

static void open_streams(site *s, tab tabs[3]) {
  for (size_t i = 0; i < 3; i++)
    if (!tabs[i].stream) open_stream(s, &tabs[i]);
  vestry_memory_settle(s->on.v);
}

static void change_all(site *s, tab tabs[3]) {
  (void)tabs;
  s->heading++;
  s->lists[1]++;
  s->version += s->version > 0;
  refresh(s, "all");
  refresh(s, "list/1");
  pass(s, 20);
}

static void change_part(site *s, tab tabs[3]) {
  (void)tabs;
  s->lists[1]++;
  refresh(s, "list/1");
  pass(s, 20);
}

static void switch_part(site *s, tab tabs[3]) {
  (void)tabs;
  s->which = 2;
  s->version += s->version > 0;
  refresh(s, "all");
  pass(s, 20);
}

static void refresh_all(site *s, tab tabs[3]) {
  (void)tabs;
  s->heading++;
  s->version += s->version > 0;
  refresh(s, NULL);
  pass(s, 20);
}

static void serve_documents(site *s, tab tabs[3]) {
  for (size_t i = 0; i < 3; i++) (void)load(s, &tabs[i]);
}

/* One allocation fails, or all from there on. Returns whether there were so many. */
static bool survive(phase run, bool opened, bool versioned, long number, bool all) {
  site s;
  static const char *const paths[] = {"/private", "/shared", "/private"};
  tab tabs[3];
  open_site(&s);
  s.version = versioned;
  for (size_t i = 0; i < 3; i++) {
    tabs[i] = (tab){.path = paths[i]};
    assert_true(load(&s, &tabs[i]));
  }
  if (!opened) s.lists[1] = 77, s.heading = 78, s.version += versioned; /* what the documents do not have */
  if (opened) open_streams(&s, tabs);
  if (opened) settle(&s);
  long before = atomic_load(&s.on.th.allocations);
  atomic_store(&s.on.th.fail_after, all);
  atomic_store(&s.on.th.fail_at, before + number);
  run(&s, tabs);
  bool failed = atomic_load(&s.on.th.allocations) > before + number;
  test_host_fail_no_more(&s.on.th);
  atomic_store(&s.on.th.fail_after, false);
  for (int i = 0; i < 70;
       i++) { /* longer than the longest wait; who was turned away comes back, and says what it has */
    for (size_t j = 0; j < 3; j++) {
      if (tabs[j].stream && vestry_memory_look(tabs[j].stream).ended) break_off(&tabs[j]);
      if (!tabs[j].stream) open_stream(&s, &tabs[j]);
      if (tabs[j].stream && !vestry_memory_look(tabs[j].stream).connection) break_off(&tabs[j]);
    }
    pass(&s, 1000);
  }
  settle(&s);
  for (size_t i = 0; i < 3; i++) check(&s, &tabs[i]);
  s.lists[s.which]++;
  s.heading++;
  s.version += versioned;
  refresh(&s, NULL);
  settle(&s);
  for (size_t i = 0; i < 3; i++) {
    check(&s, &tabs[i]);
    break_off(&tabs[i]);
  }
  vestry_memory_settle(s.on.v);
  page_site_close(&s.on);
  return failed;
}

static void memory_runs_out_anywhere(void **state) {
  (void)state;
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
  (void)ctx;
  vestry *v;
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v);
  if (error) return error;
  vestry_pages *pages = NULL;
  vestry_page *page;
  error = vestry_pages_create(v, NULL, &pages);
  if (!error) error = vestry_page_create(pages, &(vestry_page_options){.render = make}, &page);
  vestry_pages_destroy(pages);
  vestry_destroy(v);
  return error;
}

static void pages_are_created_or_not(void **state) {
  (void)state;
  test_host_fail_each(create_all, NULL, true);
}

/* ----------------------------------------------------------------------------- streams that do not take it -------- */

static void a_stream_that_takes_nothing_fails_for_nobody_else(void **state) {
  (void)state;
  static const char *const cookies[] = {"slow", "small"};
  for (size_t i = 0; i < 2; i++) {
    site s;
    tab slow, fast;
    open_site(&s);
    open_tab(&s, &fast, "/shared", NULL);
    open_tab(&s, &slow, "/shared", cookies[i]);
    settle(&s);
    if (i == 0) vestry_memory_mode_set(slow.stream, VESTRY_MEMORY_BLOCKS);
    (void)read_all(&fast);
    for (int change = 0; change < 20; change++) {
      s.heading += i ? LONG : 1;
      refresh(&s, "all");
      pass(&s, 20);
      const char *text = read_all(&fast);
      assert_null(strstr(text, "failing"));
      assert_int_equal(fast.heading, s.heading);
      if (i) break;
    }
    if (i == 0) vestry_memory_mode_set(slow.stream, VESTRY_MEMORY_READS);
    vestry_memory_settle(s.on.v);
    if (vestry_memory_look(slow.stream).ended) { /* then it comes back */
      break_off(&slow);
      slow.cookie = NULL;
      open_stream(&s, &slow);
    }
    settle(&s);
    check(&s, &slow);
    break_off(&slow);
    break_off(&fast);
    vestry_memory_settle(s.on.v);
    page_site_close(&s.on);
  }
}

/* Who joins is sent what it lacks, or comes back; it does not stay, and hear nothing. */
static void who_cannot_take_what_it_lacks_does_not_stay(void **state) {
  (void)state;
  site s;
  tab t;
  open_site(&s);
  t = (tab){.path = "/shared", .cookie = "small"};
  s.heading = LONG;
  open_stream(&s, &t); /* says nothing of what it has */
  vestry_memory_settle(s.on.v);
  pass(&s, 20);
  read_all(&t);
  assert_true(t.heading == s.heading || vestry_memory_look(t.stream).ended);
  break_off(&t);
  vestry_memory_settle(s.on.v);
  page_site_close(&s.on);
}

static void who_is_led_away_is_not_rendered_for_again_and_again(void **state) {
  (void)state;
  site s;
  tab t;
  open_site(&s);
  t = (tab){.path = "/shared"};
  assert_true(load(&s, &t));
  s.error = VESTRY_NOT_FOUND;
  open_stream(&s, &t);
  vestry_memory_mode_set(t.stream, VESTRY_MEMORY_BLOCKS); /* so it lasts until it has ended */
  for (int i = 0; i < 1000; i++) (void)vestry_runtime_step(vestry_parts_of(s.on.v)->runtime);
  assert_int_equal(s.calls, 1);
  s.error = VESTRY_OK;
  s.heading++;
  tab late = {.path = "/shared"};
  open_stream(&s, &late);
  settle(&s);
  check(&s, &late);
  break_off(&t);
  break_off(&late);
  vestry_memory_settle(s.on.v);
  page_site_close(&s.on);
}

/* What led away is not what the next one is shown. */
static void what_is_gone_is_not_shown_to_who_comes_late(void **state) {
  (void)state;
  site s;
  tab t;
  open_site(&s);
  open_tab(&s, &t, "/shared", NULL);
  settle(&s);
  vestry_memory_mode_set(t.stream, VESTRY_MEMORY_BLOCKS);
  s.error = VESTRY_NOT_FOUND;
  refresh(&s, "all");
  pass(&s, 20);
  size_t calls = s.calls;
  tab late = {.path = "/shared"};
  open_stream(&s, &late);
  pass(&s, 20);
  assert_int_equal(s.calls, calls + 1);
  assert_null(strstr(read_all(&late), "<h1>"));
  break_off(&t);
  break_off(&late);
  vestry_memory_settle(s.on.v);
  page_site_close(&s.on);
}

/* --------------------------------------------------------------------------------------- what a tab claims -------- */

/* A part that changes and changes back while the tab is away. */
static void a_part_that_changed_back_is_sent(void **state) {
  (void)state;
  site s;
  tab t;
  open_site(&s);
  open_tab(&s, &t, "/private", NULL);
  settle(&s);
  s.lists[1] = 5;
  refresh(&s, "list/1");
  settle(&s);
  break_off(&t);
  vestry_memory_settle(s.on.v);
  assert_int_equal(t.item, 5);
  s.lists[1] = 1;
  open_stream(&s, &t);
  settle(&s);
  check(&s, &t);
  break_off(&t);
  vestry_memory_settle(s.on.v);
  s.lists[1] = 5; /* and one that has not is not sent */
  open_stream(&s, &t);
  settle(&s);
  refresh(&s, "list/1");
  settle(&s);
  break_off(&t);
  vestry_memory_settle(s.on.v);
  open_stream(&s, &t);
  settle(&s);
  assert_null(strstr(read_all(&t), "<li>"));
  check(&s, &t);
  break_off(&t);
  vestry_memory_settle(s.on.v);
  page_site_close(&s.on);
}

/* A stream may break anywhere: what the id claims stands before it. */
static void an_id_stands_behind_all_that_it_claims(void **state) {
  (void)state;
  site s;
  tab t;
  open_site(&s);
  open_tab(&s, &t, "/private", NULL);
  settle(&s);
  (void)read_all(&t);
  s.which = 2;
  refresh(&s, "all");
  settle(&s);
  const char *text = read_all(&t), *inside = strstr(text, "<li>2</li>"), *id = strstr(text, "id: ");
  assert_non_null(inside);
  assert_non_null(id);
  assert_true(inside < id);
  check(&s, &t);
  break_off(&t);
  vestry_memory_settle(s.on.v);
  open_stream(&s, &t); /* it has all */
  settle(&s);
  text = read_all(&t);
  assert_null(strstr(text, "<h1>"));
  assert_null(strstr(text, "<li>"));
  break_off(&t);
  vestry_memory_settle(s.on.v);
  page_site_close(&s.on);
}

static void a_version_knows_parts(void **state) {
  (void)state;
  site s;
  tab t;
  open_site(&s);
  s.version = 1;
  open_tab(&s, &t, "/private", NULL);
  settle(&s); /* the document's parts are joined: so it is rendered */
  vestry_pages_stats stats = {0};
  refresh(&s, "all");
  settle(&s);
  vestry_pages_stats_get(s.on.pages, &stats);
  assert_int_equal(stats.current_count, 1);
  s.lists[1] = 9; /* a part is not of the page's version */
  refresh(&s, "list/1");
  settle(&s);
  check(&s, &t);
  refresh(&s, "all");
  s.lists[1] = 10;
  refresh(&s, "list/1");
  settle(&s);
  check(&s, &t);
  s.which = 2;
  s.version = 2;
  refresh(&s, "all");
  settle(&s);
  check(&s, &t);
  break_off(&t);
  vestry_memory_settle(s.on.v);
  page_site_close(&s.on);
}

static void tags_that_lie_harm_nobody_else(void **state) {
  (void)state;
  site s;
  tab honest;
  open_site(&s);
  open_tab(&s, &honest, "/private", NULL);
  settle(&s);
  (void)read_all(&honest);
  size_t len = strlen(honest.id);
  long live = atomic_load(&s.on.th.live);
  for (int i = 0; i < LIARS; i++) {
    tab liar = {.path = i % 2 ? "/private" : "/shared", .heading = -1, .item = -1};
    memcpy(liar.id, honest.id, len + 1);
    if (i % 3 == 0)
      liar.id[(size_t)rand() % len] = "A.~-_z "[rand() % 7];
    else if (i % 3 == 1)
      liar.id[(size_t)rand() % len] = '\0';
    else
      for (size_t at = len; at + 13 < sizeof liar.id && rand() % 3; at += 12) memcpy(liar.id + at, "~ABCDEFGHIJK", 13);
    open_stream(&s, &liar);
    if (i % 1000 == 0) settle(&s);
    break_off(&liar);
    if (i % 100 == 0) vestry_memory_settle(s.on.v);
  }
  vestry_memory_settle(s.on.v);
  pass(&s, 60000);
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(s.on.pages, &stats);
  assert_int_equal(stats.streams_count, 1);
  assert_int_equal(stats.views_count, 2);
  assert_in_range(atomic_load(&s.on.th.live), live - 100, live + 100);
  s.heading++;
  refresh(&s, "all");
  settle(&s);
  check(&s, &honest);
  break_off(&honest);
  vestry_memory_settle(s.on.v);
  page_site_close(&s.on);
}

static vestry_err make_plain(vestry_render *render, vestry_html *html, void *app) {
  vestry_render_topic(render, "all");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<h1>%d</h1>", ((site *)app)->heading);
  return vestry_render_end(render, html);
}

static vestry_err serve_by_cookie(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, app, vestry_request_header(req, "Cookie"));
}

/* A key may be somebody's secret: it is compared, and goes nowhere. */
static void a_share_key_leaks_nothing(void **state) {
  (void)state;
  site s;
  tab ada, bob;
  vestry_page *page;
  vestry_pages_stats stats = {0};
  open_site(&s);
  assert_int_equal(vestry_page_create(s.on.pages, &(vestry_page_options){.render = make_plain, .app = &s}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(s.on.v, "GET", "/mine", serve_by_cookie, page), VESTRY_OK);
  open_tab(&s, &ada, "/mine", "session=adas-secret");
  open_tab(&s, &bob, "/mine", "session=bobs-secret");
  settle(&s);
  vestry_pages_stats_get(s.on.pages, &stats);
  assert_int_equal(stats.views_count, 2); /* two keys are two pages */
  vestry_memory_exchange *document;
  assert_int_equal(get(&s, &ada, false, &document), VESTRY_OK);
  assert_null(strstr(vestry_memory_look(document).received.data, "secret"));
  vestry_memory_destroy(document);
  s.heading++;
  refresh(&s, "all");
  settle(&s);
  check(&s, &ada);
  check(&s, &bob);
  assert_null(strstr(vestry_memory_look(ada.stream).received.data, "secret"));
  assert_null(strstr(s.on.th.last_log, "secret"));
  s.error = VESTRY_OK;
  char tag[400];
  memcpy(tag, ada.id, sizeof tag);
  break_off(&bob);
  memcpy(bob.id, tag, sizeof tag); /* what ada has says nothing of who she is */
  open_stream(&s, &bob);
  settle(&s);
  assert_int_equal(bob.heading, s.heading);
  char longest[1026];
  memset(longest, 'k', sizeof longest - 1);
  longest[sizeof longest - 1] = '\0';
  tab mallory = {.path = "/mine", .cookie = longest};
  assert_int_equal(get(&s, &mallory, true, &mallory.stream), VESTRY_OK);
  assert_int_equal(vestry_memory_look(mallory.stream).status, 500);
  break_off(&ada);
  break_off(&bob);
  vestry_memory_destroy(mallory.stream);
  vestry_memory_settle(s.on.v);
  page_site_close(&s.on);
}

/* ------------------------------------------------------------------------------------------ renders that fail ----- */

static void a_stream_that_comes_back_knows_whether_it_fails(void **state) {
  (void)state;
  static const char *const paths[] = {"/private", "/shared"};
  for (size_t i = 0; i < 2; i++) {
    site s;
    tab t, other;
    open_site(&s);
    open_tab(&s, &t, paths[i], NULL);
    open_tab(&s, &other, paths[i], NULL);
    settle(&s);
    s.error = VESTRY_FAILED;
    refresh(&s, "all");
    pass(&s, 20);
    assert_non_null(strstr(read_all(&t), "\"failing\":true"));
    break_off(&t);
    open_stream(&s, &t);
    pass(&s, 40000);
    pass(&s, 40000);
    assert_non_null(strstr(read_all(&t), "\"failing\":true")); /* it fails still */
    s.error = VESTRY_OK;
    pass(&s, 40000);
    pass(&s, 40000);
    assert_non_null(strstr(read_all(&t), "\"failing\":false"));
    s.error = VESTRY_FAILED;
    s.heading++;
    refresh(&s, "all");
    pass(&s, 20);
    assert_non_null(strstr(read_all(&t), "\"failing\":true"));
    break_off(&t);
    s.error = VESTRY_OK; /* it is well again when the stream comes back */
    open_stream(&s, &t);
    pass(&s, 40000);
    assert_non_null(strstr(read_all(&t), "\"failing\":false"));
    check(&s, &t);
    break_off(&t);
    break_off(&other);
    vestry_memory_settle(s.on.v);
    page_site_close(&s.on);
  }
}

static void a_part_that_fails_is_tried_again(void **state) {
  (void)state;
  static const vestry_err errors[] = {VESTRY_FAILED, VESTRY_CLOSED, VESTRY_NOT_FOUND};
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
    site s;
    tab t;
    open_site(&s);
    open_tab(&s, &t, "/private", NULL);
    settle(&s);
    s.part_error = errors[i];
    s.which = 2;
    refresh(&s, "all");
    pass(&s, 20);
    assert_non_null(strstr(read_all(&t), "\"failing\":true"));
    assert_int_equal(t.item, 1);
    s.part_error = VESTRY_OK;
    pass(&s, 1100);
    assert_non_null(strstr(read_all(&t), "\"failing\":false"));
    check(&s, &t);
    break_off(&t);
    vestry_memory_settle(s.on.v);
    page_site_close(&s.on);
  }
}

/* A right that was taken away ends the stream before a part's news come by it. */
static void a_part_is_not_for_who_may_not_see_the_page(void **state) {
  (void)state;
  site s;
  tab t;
  open_site(&s);
  open_tab(&s, &t, "/private", NULL);
  settle(&s);
  (void)read_all(&t);
  s.denied = true;
  s.lists[1] = 999;
  refresh(&s, "list/1");
  pass(&s, 20);
  const char *text = read_all(&t);
  assert_null(strstr(text, "999"));
  assert_non_null(strstr(text, "{\"_vestry\":{\"reload\":"));
  assert_true(vestry_memory_look(t.stream).ended);
  break_off(&t);
  vestry_memory_settle(s.on.v);
  page_site_close(&s.on);
}

/* ------------------------------------------------------------------------------- settling, ends, inside renders --- */

static void a_change_is_settled_when_all_have_it(void **state) {
  (void)state;
  enum { TABS = 60 };
  static const char *const topics[] = {"all", NULL};
  for (size_t i = 0; i < 2; i++) {
    site s;
    tab tabs[TABS];
    uint64_t first, second;
    open_site(&s);
    for (size_t j = 0; j < TABS; j++) open_tab(&s, &tabs[j], "/private", NULL);
    settle(&s);
    size_t calls = s.calls;
    assert_int_equal(vestry_refresh(s.on.pages, topics[i], &first), VESTRY_OK);
    assert_int_equal(vestry_refresh(s.on.pages, topics[i], &second), VESTRY_OK);
    assert_int_equal(vestry_pages_settle(s.on.pages, first, 1000), VESTRY_OK);
    assert_int_equal(s.calls, calls + TABS);
    for (size_t j = 0; j < TABS; j++) break_off(&tabs[j]);
    vestry_memory_settle(s.on.v);
    page_site_close(&s.on);
  }
}

static void the_end_comes_before_the_walk(void **state) {
  (void)state;
  site s;
  tab t;
  open_site(&s);
  open_tab(&s, &t, "/private", NULL);
  settle(&s);
  refresh(&s, "all");
  refresh(&s, "list/1");
  refresh(&s, NULL);
  vestry_pages_destroy(s.on.pages);
  break_off(&t);
  vestry_destroy(s.on.v);
  test_host_assert_clean(&s.on.th);
}

static void look_around(site *s, vestry_render *render) {
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

static void a_render_may_ask_and_refresh(void **state) {
  (void)state;
  site s;
  tab t;
  open_site(&s);
  open_tab(&s, &t, "/private", NULL);
  settle(&s);
  s.inside = look_around;
  s.heading++;
  size_t calls = s.calls;
  refresh(&s, "all");
  settle(&s);
  assert_int_equal(s.calls, calls + 2);
  check(&s, &t);
  assert_null(strstr(vestry_memory_look(t.stream).received.data, "dropped"));
  break_off(&t);
  vestry_memory_settle(s.on.v);
  page_site_close(&s.on);
}

static tab *ends_inside;
static void end_inside(site *s, vestry_render *render) {
  (void)s, (void)render;
  if (!ends_inside) return;
  break_off(ends_inside);
  ends_inside = NULL;
}

static void a_stream_may_end_while_it_is_rendered(void **state) {
  (void)state;
  static const char *const paths[] = {"/private", "/shared"};
  for (size_t i = 0; i < 2; i++) {
    site s;
    tab t;
    open_site(&s);
    open_tab(&s, &t, paths[i], NULL);
    settle(&s);
    s.inside = end_inside;
    ends_inside = &t;
    s.heading++;
    refresh(&s, "all");
    pass(&s, 20);
    assert_null(t.stream);
    page_site_close(&s.on);
  }
}

static void streams_end_with_the_instance(void **state) {
  (void)state;
  for (int drains = 0; drains < 2; drains++) {
    site s;
    tab t, other;
    open_site(&s);
    open_tab(&s, &t, "/private", NULL);
    open_tab(&s, &other, "/shared", NULL);
    settle(&s);
    s.heading++;
    refresh(&s, NULL);
    if (drains)
      (void)vestry_drain(s.on.v, 1000);
    else
      vestry_close(s.on.v);
    refresh(&s, NULL);
    pass(&s, 100000);
    break_off(&t);
    break_off(&other);
    vestry_memory_settle(s.on.v);
    page_site_close(&s.on);
  }
}

static void methods_of_a_pages_route(void **state) {
  (void)state;
  static const struct {
    const char *method;
    bool datastar;
    int status;
  } rows[] = {
      {"HEAD", true, 200}, {"HEAD", false, 200}, {"OPTIONS", false, 204}, {"POST", false, 200}, {"DELETE", true, 405}};
  site s;
  open_site(&s);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    vestry_memory_exchange *exchange;
    const vestry_memory_call call = {.method = rows[i].method, .path = "/private", .datastar = rows[i].datastar};
    assert_int_equal(vestry_memory_request(s.on.v, &call, NULL, NULL, &exchange), VESTRY_OK);
    vestry_memory_settle(s.on.v);
    assert_int_equal(vestry_memory_look(exchange).status, rows[i].status);
    assert_null(vestry_memory_look(exchange).connection);
    vestry_memory_destroy(exchange);
  }
  page_site_close(&s.on);
}

/* A URL that begins with two slashes is another host's. */
static void a_page_opens_its_stream_where_it_came_from(void **state) {
  (void)state;
  site s;
  open_site(&s);
  vestry_memory_exchange *document;
  const vestry_memory_call call = {.path = "//evil.example/x", .query = "a='\"><script>&b=`\\"};
  assert_int_equal(vestry_memory_request(s.on.v, &call, NULL, NULL, &document), VESTRY_OK);
  assert_int_equal(vestry_memory_look(document).status, 200);
  const char *text = vestry_memory_look(document).received.data;
  assert_null(strstr(text, "'//evil"));
  assert_null(strstr(text, "'//evil"));
  assert_null(strstr(text, "<script"));
  assert_non_null(strstr(text, "/.//evil.example/x"));
  vestry_memory_destroy(document);
  page_site_close(&s.on);
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

/* Two pages wait for their time; the one that comes first takes long. The other's time comes meanwhile. */
static void a_render_that_hangs_holds_up_no_other(void **state) {
  (void)state;
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
  /* Rendered once more, after the interval, the other has to wait for its time again: the first is due at once. */
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

typedef struct storm {
  vestry_pages *pages;
  _Atomic(bool) over;
} storm;

static _Atomic(int) weather;

static vestry_err make_weather(vestry_render *render, vestry_html *html, void *app) {
  (void)app;
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
    while (!atomic_load(&s->over) && atomic_load(&weather) == before) sched_yield();
  }
  return NULL;
}

/* What a page was sent last is used by its render, and dropped by its end. For sanitizers. */
static void streams_end_while_their_events_are_used(void **state) {
  (void)state;
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
    for (int until = atomic_load(&weather) + RENDERS; atomic_load(&weather) < until;) sched_yield();
    for (int i = 0; i < TABS; i++) vestry_memory_destroy(tabs[i]);
  }
  atomic_store(&s.over, true);
  pthread_join(thread, NULL);
  vestry_pages_destroy(s.pages);
  vestry_destroy(v);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pages_are_created_or_not),
      cmocka_unit_test(memory_runs_out_anywhere),
      cmocka_unit_test(a_stream_that_takes_nothing_fails_for_nobody_else),
      cmocka_unit_test(who_cannot_take_what_it_lacks_does_not_stay),
      cmocka_unit_test(who_is_led_away_is_not_rendered_for_again_and_again),
      cmocka_unit_test(what_is_gone_is_not_shown_to_who_comes_late),
      cmocka_unit_test(a_part_that_changed_back_is_sent),
      cmocka_unit_test(an_id_stands_behind_all_that_it_claims),
      cmocka_unit_test(a_version_knows_parts),
      cmocka_unit_test(tags_that_lie_harm_nobody_else),
      cmocka_unit_test(a_share_key_leaks_nothing),
      cmocka_unit_test(a_stream_that_comes_back_knows_whether_it_fails),
      cmocka_unit_test(a_part_that_fails_is_tried_again),
      cmocka_unit_test(a_part_is_not_for_who_may_not_see_the_page),
      cmocka_unit_test(a_change_is_settled_when_all_have_it),
      cmocka_unit_test(the_end_comes_before_the_walk),
      cmocka_unit_test(a_render_may_ask_and_refresh),
      cmocka_unit_test(a_stream_may_end_while_it_is_rendered),
      cmocka_unit_test(streams_end_with_the_instance),
      cmocka_unit_test(methods_of_a_pages_route),
      cmocka_unit_test(a_page_opens_its_stream_where_it_came_from),
      cmocka_unit_test(a_render_that_hangs_holds_up_no_other),
      cmocka_unit_test(streams_end_while_their_events_are_used),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
