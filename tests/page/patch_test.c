/* SPDX-License-Identifier: MIT */
/* Pages that send only the elements that have changed. */
#include <stdlib.h>

#include "client_model.h"
#include "documents.h"
#include "support/site.h"

enum { ROWS = 40 };

typedef struct suite {
  site on;
  int rows[ROWS];
  size_t rows_count;
  const char *html; /* of the whole content; NULL: a list of the rows */
  const char *heading;
  bool has_no_topic;
} suite;

static vestry_err put_rows(suite *s, vestry_html *html) {
  vestry_html_add(html, "<h1>%s</h1><ul id=\"list\">", s->heading);
  for (size_t i = 0; i < s->rows_count; i++) vestry_html_add(html, "<li id=\"row-%d\">row %d</li>", (int)i, s->rows[i]);
  return vestry_html_add(html, "</ul>");
}

static vestry_err put_page(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  if (!s->has_no_topic) vestry_render_topic(render, "page");
  vestry_render_begin(render, html);
  if (s->html) { /* the inside of the content's element */
    const char *from = strchr(s->html, '>') + 1;
    vestry_html_raw(html, from, strlen(from) - strlen("</main>"));
  } else {
    put_rows(s, html);
  }
  return vestry_render_end(render, html);
}

static vestry_err serve_shared(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, app, "all");
}

static void begin(suite *s) {
  memset(s, 0, sizeof *s);
  s->heading = "Rows";
  s->rows_count = ROWS;
  site_begin_pages(&s->on, (vestry_options){0}, NULL);
  vestry_page *page, *whole;
  assert_int_equal(vestry_page_create(s->on.pages, &(vestry_page_options){.render = put_page, .app = s}, &page),
                   VESTRY_OK);
  const vestry_page_options options = {.render = put_page, .app = s, .sends_whole = true};
  assert_int_equal(vestry_page_create(s->on.pages, &options, &whole), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/private", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/shared", serve_shared, page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/whole", vestry_page_handler, whole), VESTRY_OK);
}

static vestry_memory_exchange *open_stream(suite *s, const char *path) {
  vestry_memory_exchange *stream =
      site_request(&s->on, &(vestry_memory_call){.method = "GET", .path = path, .datastar = true});
  site_pass_ms(&s->on, 100);
  return stream;
}

/* Refresh the page while a stream is blocked, so that not every page can be settled. */
static void refresh_some(suite *s) {
  assert_int_equal(vestry_refresh(s->on.pages, "page", NULL), VESTRY_OK);
  site_pass_ms(&s->on, 100);
}

/* Return the text since the last call. */
static const char *since(vestry_memory_exchange *stream) {
  return vestry_memory_since(stream).data;
}

static uint64_t patched_count(suite *s) {
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(s->on.pages, &stats);
  return stats.patched_count;
}

/* capability: L14 */
TEST_CASE(changed_element_is_sent_alone) {
  static const char *const paths[] = {"/private", "/shared"};
  for (size_t p = 0; p < 2; p++) {
    suite s;
    begin(&s);
    vestry_memory_exchange *stream = open_stream(&s, paths[p]);
    assert_non_null(strstr(since(stream), "<h1>Rows</h1>"));
    s.rows[7] = 1;
    site_refresh(&s.on, "page");
    const char *text = since(stream);
    static const char expected[] = "event: datastar-patch-elements\nid:\ndata: selector #content #row-7\n"
                                   "data: elements <li id=\"row-7\">row 1</li>\n\nid: ";
    if (strncmp(text, expected, strlen(expected)) != 0) fail_msg("%s: %s", paths[p], text);
    assert_null(strstr(text, "row-6"));
    site_refresh(&s.on, "page");
    assert_string_equal(since(stream), "");
    s.rows_count--;
    site_refresh(&s.on, "page");
    assert_non_null(strstr(since(stream), "data: selector #content #row-39\ndata: mode remove\n\n"));
    s.heading = "Other rows";
    site_refresh(&s.on, "page");
    assert_non_null(strstr(since(stream), "data: elements <main id=\"content\"><h1>Other rows</h1>"));
    s.rows_count++;
    site_refresh(&s.on, "page");
    assert_non_null(strstr(since(stream), "data: selector #content #row-38\ndata: mode after\ndata: elements <li id"));
    assert_int_equal(patched_count(&s), 3);
    vestry_memory_destroy(stream);
    site_end(&s.on);
  }
}

TEST_CASE(page_can_send_the_whole) {
  suite s;
  begin(&s);
  vestry_memory_exchange *stream = open_stream(&s, "/whole");
  s.rows[7] = 1;
  (void)since(stream);
  site_refresh(&s.on, "page");
  assert_non_null(strstr(since(stream), "data: elements <main id=\"content\"><h1>Rows</h1>"));
  assert_int_equal(patched_count(&s), 0);
  vestry_memory_destroy(stream);
  site_end(&s.on);
}

static size_t kept_bytes(suite *s) {
  return site_pages_stats(&s->on).kept_bytes;
}

/* capability: L14 */
TEST_CASE(private_page_keeps_few_bytes) {
  suite s;
  begin(&s);
  vestry_memory_exchange *stream = open_stream(&s, "/private");
  s.rows[7] = 1;
  site_refresh(&s.on, "page"); /* then the event that the next one is compressed against is short, too */
  const size_t units_count = ROWS + 2, event_bytes = strlen(strstr(vestry_memory_since(stream).data, "#row-7")) + 128;
  assert_true(kept_bytes(&s) > 0);
  assert_true(kept_bytes(&s) <= 24 * units_count + 256 + 80 + event_bytes);
  vestry_memory_destroy(stream);
  site_settle(&s.on);
  assert_int_equal(kept_bytes(&s), 0);
  site_end(&s.on);
}

/* Such a page changes only with a refresh of all pages, and most of its streams end before one. */
/* capability: L14 */
TEST_CASE(page_without_topic_is_divided_when_it_changes) {
  static const char *const paths[] = {"/private", "/shared"};
  for (size_t p = 0; p < 2; p++) {
    suite s;
    begin(&s);
    s.has_no_topic = true;
    vestry_memory_exchange *stream = open_stream(&s, paths[p]);
    assert_non_null(strstr(since(stream), "<h1>Rows</h1>"));
    s.rows[7] = 1;
    site_refresh(&s.on, NULL);
    assert_non_null(strstr(since(stream), "data: elements <main id=\"content\"><h1>Rows</h1>"));
    s.rows[7] = 2;
    site_refresh(&s.on, NULL);
    assert_non_null(strstr(since(stream), "data: elements <li id=\"row-7\">row 2</li>"));
    assert_int_equal(patched_count(&s), 1);
    vestry_memory_destroy(stream);
    site_end(&s.on);
  }
}

/* A tab that reads slowly receives the whole content instead of patches, so its events can be conflated. */
/* capability: L14 */
TEST_CASE(slow_tab_of_a_shared_page_receives_the_newest_content) {
  suite s;
  begin(&s);
  vestry_memory_exchange *slow = open_stream(&s, "/shared"), *quick = open_stream(&s, "/shared");
  (void)since(slow), (void)since(quick);
  vestry_memory_mode_set(slow, VESTRY_MEMORY_BLOCKS);
  for (int i = 1; i <= 50; i++) {
    s.rows[i % 5] = i;
    refresh_some(&s);
    assert_non_null(strstr(since(quick), "data: selector #content #row-"));
  }
  vestry_memory_mode_set(slow, VESTRY_MEMORY_READS);
  site_settle(&s.on);
  const char *text = since(slow);
  size_t contents = 0;
  for (const char *at = text; (at = strstr(at, "data: elements ")); at++) contents++;
  assert_true(contents <= 3);
  assert_non_null(strstr(text, "<li id=\"row-0\">row 50</li><li id=\"row-1\">row 46</li>"));
  vestry_memory_destroy(slow);
  vestry_memory_destroy(quick);
  site_end(&s.on);
}

/* ------------------------------------------------------------------------------------------- a quiz's host -------- */

/* The host's page of a live quiz, with no part: 200 players enter, and each of them answers five questions. Each change
 * is rendered, which is the most that a page can be: usually several answers are in one render. */
enum { PLAYERS = 200, QUESTIONS = 5, GAME_BYTES_MAX = 1500000 };

typedef struct quiz {
  site on;
  const char *phase;
  int question, players_count, answered_count;
  bool has_answered[PLAYERS];
  int scores[PLAYERS];
} quiz;

static vestry_err put_quiz(vestry_render *render, vestry_html *html, void *app) {
  quiz *q = app;
  const vestry_backend_action_options kick = {.csrf = true, .once = true};
  vestry_render_topic(render, "quiz");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<section id=\"question\"><h1>%s</h1><p>Question %d</p></section>", q->phase, q->question);
  vestry_html_add(html, "<p id=\"answered\">%d of %d have answered</p><ul id=\"players\">", q->answered_count,
                  q->players_count);
  for (int i = 0; i < q->players_count; i++) {
    vestry_html_add(html,
                    "<li id=\"player-%d\"><b>Player %d</b> <i id=\"mark-%d\">%-s</i> <span id=\"score-%d\">%d</span> ",
                    i, i, i, q->has_answered[i] ? "answered" : "", i, q->scores[i]);
    vestry_html_add(html, "<button data-on:click=\"");
    vestry_html_backend_action(html, VESTRY_METHOD_POST, &kick, "/kick/%d", i);
    vestry_html_add(html, "\">Kick</button></li>");
  }
  vestry_html_add(html, "</ul>");
  return vestry_render_end(render, html);
}

/* Show a change to the host. Returns the bytes that it receives. */
static uint64_t show_change(quiz *q, vestry_memory_exchange *host) {
  site_refresh(&q->on, "quiz");
  return vestry_memory_since(host).len;
}

static uint64_t show_phase(quiz *q, vestry_memory_exchange *host, const char *phase) {
  q->phase = phase;
  q->answered_count = 0;
  memset(q->has_answered, 0, sizeof q->has_answered);
  return show_change(q, host);
}

static uint64_t play_question(quiz *q, vestry_memory_exchange *host) {
  q->question++;
  uint64_t bytes = show_phase(q, host, "Ask");
  for (int i = 0; i < PLAYERS; i++) {
    q->has_answered[i * 67 % PLAYERS] = true;
    q->answered_count++;
    bytes += show_change(q, host);
  }
  bytes += show_phase(q, host, "Reveal");
  for (int i = 0; i < PLAYERS; i++) q->scores[i] += (i * q->question % 4) * 250;
  return bytes + show_phase(q, host, "Board");
}

static uint64_t play_game(const char *path, vestry_pages_stats *ret_stats) {
  static quiz q;
  q = (quiz){.phase = "Lobby"};
  vestry_page *page, *whole;
  site_begin_pages(&q.on, (vestry_options){0}, NULL);
  const vestry_page_options all = {.render = put_quiz, .app = &q, .sends_whole = true};
  assert_int_equal(vestry_page_create(q.on.pages, &(vestry_page_options){.render = put_quiz, .app = &q}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_page_create(q.on.pages, &all, &whole), VESTRY_OK);
  assert_int_equal(vestry_route(q.on.v, "GET", "/host", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_route(q.on.v, "GET", "/whole", vestry_page_handler, whole), VESTRY_OK);
  vestry_memory_exchange *host =
      site_request(&q.on, &(vestry_memory_call){.method = "GET", .path = path, .datastar = true});
  site_pass_ms(&q.on, 100);
  uint64_t bytes = vestry_memory_since(host).len;
  while (q.players_count < PLAYERS) {
    q.players_count++;
    bytes += show_change(&q, host);
  }
  while (q.question < QUESTIONS) bytes += play_question(&q, host);
  *ret_stats = (vestry_pages_stats){0};
  vestry_pages_stats_get(q.on.pages, ret_stats);
  vestry_memory_destroy(host);
  site_end(&q.on);
  return bytes;
}

/* capability: L14 */
TEST_CASE(host_of_a_quiz_receives_few_bytes) {
  vestry_pages_stats stats;
  const uint64_t whole = play_game("/whole", &stats), bytes = play_game("/host", &stats);
  printf("the host receives %llu kB instead of %llu kB; %llu of %llu contents are sent as changes\n",
         (unsigned long long)bytes / 1000, (unsigned long long)whole / 1000, (unsigned long long)stats.patched_count,
         (unsigned long long)stats.changed_count);
  assert_true(whole > 100 * GAME_BYTES_MAX);
  assert_true(bytes <= GAME_BYTES_MAX);
}

/* ------------------------------------------------------------------------------------------- random contents ------ */

typedef struct tab {
  const char *path;
  vestry_memory_exchange *stream;
  client_node *dom;
  bool is_blocked;
} tab;

static void open_tab(suite *s, tab *t) {
  t->dom = client_parse("<main id=\"content\"></main>");
  t->stream = open_stream(s, t->path);
  t->is_blocked = false;
}

static void check_tab(const suite *s, tab *t, uint64_t seed) {
  client_perform(t->dom, vestry_memory_since(t->stream));
  vsi_buffer has, wants;
  vsi_buffer_init(&has, NULL);
  vsi_buffer_init(&wants, NULL);
  client_write(t->dom, false, &has);
  client_write(client_parse(s->html), false, &wants);
  if (has.len != wants.len || memcmp(has.data, wants.data, has.len) != 0) {
    fprintf(stderr, "has   %s\nwants %s\n", vsi_buffer_terminate(&has), vsi_buffer_terminate(&wants));
    fail_msg("seed %llu, %s", (unsigned long long)seed, t->path);
  }
  vsi_buffer_finish(&has);
  vsi_buffer_finish(&wants);
}

static void block(suite *s, tab *t, bool is_blocked) {
  t->is_blocked = is_blocked;
  vestry_memory_mode_set(t->stream, is_blocked ? VESTRY_MEMORY_BLOCKS : VESTRY_MEMORY_READS);
  site_pass_ms(&s->on, 100);
}

static void run_seed(uint64_t seed) {
  enum { TABS = 4, STEPS = 12 };
  suite s;
  begin(&s);
  document doc = {.ignores = false};
  document_make(&doc, seed, 60);
  vsi_buffer html;
  vsi_buffer_init(&html, NULL);
  tab tabs[TABS] = {{.path = "/private"}, {.path = "/private"}, {.path = "/shared"}, {.path = "/shared"}};
  for (int step = 0; step <= STEPS; step++) {
    vsi_buffer_clear(&html);
    doc.nodes[0].value = 0;
    document_write(&doc, &html);
    s.html = vsi_buffer_terminate(&html);
    for (int i = 0; !step && i < TABS; i++) open_tab(&s, &tabs[i]);
    refresh_some(&s);
    tab *some = &tabs[document_chance(&doc, TABS)];
    if (step == STEPS)
      for (int i = 0; i < TABS; i++) block(&s, &tabs[i], false);
    for (int i = 0; i < TABS; i++)
      if (!tabs[i].is_blocked) check_tab(&s, &tabs[i], seed);
    if (step < STEPS && !document_chance(&doc, 3)) block(&s, some, !some->is_blocked);
    if (step < STEPS && !document_chance(&doc, 8)) {
      vestry_memory_destroy(some->stream);
      open_tab(&s, some);
    }
    document_change(&doc);
  }
  for (int i = 0; i < TABS; i++) vestry_memory_destroy(tabs[i].stream);
  vsi_buffer_finish(&html);
  site_end(&s.on);
  client_free();
}

/* VESTRY_PATCH_SEEDS, VESTRY_SEED: as in unit_test.c */
/* capability: L14 */
TEST_CASE(each_tab_shows_the_content) {
  enum { SEEDS = 150 };
  const char *wanted = getenv("VESTRY_PATCH_SEEDS"), *first = getenv("VESTRY_SEED");
  const uint64_t count = wanted ? strtoull(wanted, NULL, 10) : TEST_ROUNDS(SEEDS);
  for (uint64_t seed = first ? strtoull(first, NULL, 10) : 1, end = seed + count; seed < end; seed++) run_seed(seed);
}
