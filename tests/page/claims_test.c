/* SPDX-License-Identifier: MIT */
/* A tab that navigates within one page and keeps the parts that it has: its claims of these parts, the parts that it
 * receives, and the content that it shows in the end, after changes and broken streams. */
#include <stdlib.h>

#include "support/site.h"

enum { PARTS = 12, SHOWN = 4, STEPS = 40, SCHEDULES = TEST_UNDER_TSAN || TEST_UNDER_ASAN ? 200 : 2000, ABSENT = -1 };

#define OF_PART "00000000000000000000000000000000."

typedef struct suite {
  site on;
  int values[PARTS];
  size_t renders; /* renders of parts for streams */
  int changes_at; /* number of a part that changes while the page is rendered; ABSENT: none */
} suite;

/* The state that the client and the page's script have: src/app/page/navigate.js. */
typedef struct tab {
  vestry_memory_exchange *stream; /* NULL: none */
  int at;
  bool is_there[PARTS];
  int shown[PARTS];         /* ABSENT: its element is empty */
  char tag[512], id[512];   /* claims of a navigation, and of a broken stream */
  size_t insides, contents; /* received since the last navigation */
} tab;

static void name_topic(char topic[16], int number) {
  snprintf(topic, 16, "part/%d", number);
}

static vestry_err put_part(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  char topic[16];
  name_topic(topic, atoi(render->share));
  vestry_render_topic(render, topic);
  if (render->is_stream) s->renders++;
  return vestry_html_add(html, "<b>%d</b>", s->values[atoi(render->share)]);
}

static void change_by(suite *s, int number, int by) {
  char topic[16];
  name_topic(topic, number);
  s->values[number] += by;
  assert_int_equal(vestry_refresh(s->on.pages, topic, NULL), VESTRY_OK);
}

static void change(suite *s, int number) {
  change_by(s, number, 1);
}

static vestry_err put_page(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  const int at = atoi(render->request->query);
  vestry_render_topic(render, "page");
  vestry_render_begin(render, html);
  for (int number = at; number < at + SHOWN; number++) {
    char id[16], share[16];
    snprintf(id, sizeof id, "p-%d", number);
    snprintf(share, sizeof share, "%d", number);
    vestry_render_part(render, html, &(vestry_page_part){.id = id, .share = share, .render = put_part, .app = s});
  }
  if (render->is_stream && s->changes_at != ABSENT) {
    change(s, s->changes_at);
    s->changes_at = ABSENT;
  }
  return vestry_render_end(render, html);
}

static void begin(suite *s) {
  memset(s, 0, sizeof *s);
  s->changes_at = ABSENT;
  site_begin_pages(&s->on, (vestry_options){0}, NULL);
  vestry_page *page;
  const vestry_page_options options = {.render = put_page, .layout = "shop", .app = s};
  assert_int_equal(vestry_page_create(s->on.pages, &options, &page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/", vestry_page_handler, page), VESTRY_OK);
}

/* ---------------------------------------------------------------------------------------------------- a tab ------- */

static void take_tag(tab *t, const char *tag) {
  char next[sizeof t->tag] = "";
  const char *claim = strchr(tag, '~');
  if (strncmp(tag, OF_PART, strlen(OF_PART)) != 0 || !*t->tag || !claim) {
    snprintf(t->tag, sizeof t->tag, "%s", tag);
    return;
  }
  for (char *rest, *one = strtok_r(t->tag, "~", &rest); one; one = strtok_r(NULL, "~", &rest))
    if (!*next || strncmp(one, claim + 1, 8) != 0)
      snprintf(next + strlen(next), sizeof next - strlen(next), "%s%s", *next ? "~" : "", one);
  snprintf(t->tag, sizeof t->tag, "%s%s", next, claim);
}

/* Apply one event. The content of a page keeps the contents of parts that were there. */
static void take_block(tab *t, char *block) {
  int number;
  char *has = strstr(block, "data: has "), *id = strstr(block, "id: "), *inside = strstr(block, "data: selector #p-");
  if (strstr(block, "<main")) {
    t->contents++;
    for (number = 0; number < PARTS; number++) {
      char element[64];
      snprintf(element, sizeof element, "<div id=\"p-%d\" data-ignore-morph></div>", number);
      bool is_there = strstr(block, element) != NULL;
      if (!is_there || !t->is_there[number]) t->shown[number] = ABSENT;
      t->is_there[number] = is_there;
    }
  } else if (inside) {
    assert_int_equal(sscanf(inside, "data: selector #p-%d", &number), 1);
    assert_true(t->is_there[number]); /* no event comes for a part that the page lacks */
    assert_int_equal(sscanf(strstr(block, "<b>"), "<b>%d", &t->shown[number]), 1);
    t->insides++;
  }
  if (has) {
    has[strcspn(has, "\n")] = '\0';
    take_tag(t, has + strlen("data: has "));
  }
  if (id == block) snprintf(t->id, sizeof t->id, "%s", id + strlen("id: "));
  if (strstr(block, "\nid:\n")) *t->id = '\0';
}

/* Apply at most this many of the received events. */
static void read_tab(tab *t, size_t most) {
  const char *text = vestry_memory_since(t->stream).data;
  char *copy = strdup(text ? text : ""), *at = copy;
  assert_non_null(copy);
  for (char *end; most-- && (end = strstr(at, "\n\n")) != NULL; at = end + 2) {
    *end = '\0';
    take_block(t, at);
  }
  free(copy);
}

static void open_stream(suite *s, tab *t, const char *claim) {
  char query[16];
  snprintf(query, sizeof query, "%d", t->at);
  vestry_header headers[2] = {{"Vestry-Layout", "shop/main/content"}, {"Last-Event-ID", claim}};
  t->stream = site_request(
      &s->on,
      &(vestry_memory_call){.query = query, .headers = headers, .headers_count = *claim ? 2 : 1, .datastar = true});
  if (claim == t->id) return;
  const size_t size = strnlen(claim, sizeof t->id - 1);
  memcpy(t->id, claim, size);
  t->id[size] = '\0';
}

static void leave(suite *s, tab *t) {
  vestry_memory_destroy(t->stream);
  t->stream = NULL;
  site_settle(&s->on);
}

static void go(suite *s, tab *t, int at) {
  leave(s, t);
  t->at = at;
  t->insides = t->contents = 0;
  open_stream(s, t, t->tag);
}

static void load(suite *s, tab *t, int at) {
  char query[16];
  snprintf(query, sizeof query, "%d", at);
  *t = (tab){.at = at};
  vestry_memory_exchange *document = site_request(&s->on, &(vestry_memory_call){.query = query});
  const char *text = vestry_memory_look(document).received.data, *had = strstr(text, "el.had = '");
  assert_non_null(had);
  had += strlen("el.had = '");
  snprintf(t->tag, sizeof t->tag, "%.*s", (int)strcspn(had, "'"), had);
  for (int number = 0; number < PARTS; number++) {
    char element[64];
    snprintf(element, sizeof element, "<div id=\"p-%d\" data-ignore-morph><b>", number);
    const char *part = strstr(text, element);
    t->is_there[number] = part != NULL;
    t->shown[number] = part ? atoi(part + strlen(element)) : ABSENT;
  }
  vestry_memory_destroy(document);
  open_stream(s, t, t->tag);
}

static void check(const suite *s, const tab *t) {
  for (int number = 0; number < PARTS; number++) {
    bool is_there = number >= t->at && number < t->at + SHOWN;
    assert_int_equal(t->is_there[number], is_there);
    if (is_there) assert_int_equal(t->shown[number], s->values[number]);
  }
}

static void settle(suite *s, tab *t) {
  site_settle_pages(&s->on);
  read_tab(t, SIZE_MAX);
  check(s, t);
}

/* ---------------------------------------------------------------------------------------------------- tests ------- */

#define SUITE_CASE(name) TEST_CASE_WITH(name, suite, s, begin(s), site_end(&s->on))

/* capability: L2 */
SUITE_CASE(navigation_sends_only_new_parts) {
  tab t;
  load(s, &t, 0);
  settle(s, &t);
  assert_int_equal(t.insides + t.contents, 0); /* the document contains all */
  go(s, &t, 1);
  settle(s, &t);
  assert_int_equal(t.contents, 1);
  assert_int_equal(t.insides, 1);
  change(s, 2); /* a part's event is claimed, too */
  settle(s, &t);
  go(s, &t, 2);
  settle(s, &t);
  assert_int_equal(t.insides, 1);
  go(s, &t, 8);
  settle(s, &t);
  assert_int_equal(t.insides, SHOWN);
  go(s, &t, 2); /* a part that the page dropped is no longer claimed */
  settle(s, &t);
  assert_int_equal(t.insides, SHOWN);
  leave(s, &t);
}

/* capability: L2 */
SUITE_CASE(part_changed_during_navigation_is_sent) {
  tab t;
  load(s, &t, 0);
  settle(s, &t);
  change(s, 3);
  settle(s, &t);
  leave(s, &t);
  change_by(s, 3, -1); /* to the value that the document had, which the tab no longer has */
  go(s, &t, 1);
  settle(s, &t);
  assert_int_equal(t.insides, 2);
  go(s, &t, 2);
  s->changes_at = 4;
  settle(s, &t);
  leave(s, &t);
}

/* A part that another tab shows already is not rendered for a tab that navigates to it. */
/* capability: L2 */
SUITE_CASE(part_shown_by_another_tab_is_not_rendered_again) {
  tab ada, bob;
  load(s, &ada, 4);
  settle(s, &ada);
  load(s, &bob, 0);
  settle(s, &bob);
  change(s, 4);
  settle(s, &ada);
  size_t before = s->renders;
  go(s, &bob, 4);
  settle(s, &bob);
  assert_int_equal(bob.insides, SHOWN);
  assert_in_range(s->renders - before, 0, SHOWN - 1); /* only the parts that no stream has received */
  leave(s, &ada);
  leave(s, &bob);
}

/* Whatever a tab claims, it receives what it lacks, and no other tab is affected. */
/* capability: L2 */
SUITE_CASE(false_claims_do_not_withhold_content) {
  tab honest, liar;
  load(s, &honest, 0);
  settle(s, &honest);
  const char *claims = strchr(honest.tag, '~');
  assert_non_null(claims);
  for (int lie = 0; lie < 4; lie++) {
    load(s, &liar, 0);
    settle(s, &liar);
    char tag[4096];
    snprintf(tag, sizeof tag, "%s", liar.tag);
    if (lie == 0) strcat(tag, claims); /* each claim twice */
    for (int i = 0; lie == 1 && i < 5; i++) strcat(tag, claims);
    if (lie == 2) tag[strlen(tag) - 1] ^= 1; /* other content */
    if (lie == 3) memset(tag, '0', 32);      /* a tag of no page */
    leave(s, &liar);
    liar.at = 0;
    liar.insides = liar.contents = 0;
    open_stream(s, &liar, tag);
    settle(s, &liar);
    assert_int_equal(liar.insides, lie == 2 ? 1 : lie == 3 ? 0 : SHOWN);
    leave(s, &liar);
  }
  assert_int_equal(honest.insides + honest.contents, 0);
  leave(s, &honest);
}

/* A stream breaks after any event: its tab reconnects, or navigates elsewhere, and shows the current content. */
/* capability: L2 */
TEST_CASE(tab_is_current_after_a_break_behind_any_event) {
  for (size_t events = 0; events < 20; events++) {
    for (int how = 0; how < 2; how++) {
      suite s;
      tab t;
      begin(&s);
      load(&s, &t, 0);
      settle(&s, &t);
      change(&s, 2);
      go(&s, &t, 2);
      change(&s, 3);
      site_settle_pages(&s.on);
      read_tab(&t, events);
      leave(&s, &t);
      change_by(&s, 2, -1);
      if (how)
        go(&s, &t, 1);
      else
        open_stream(&s, &t, t.id);
      settle(&s, &t);
      leave(&s, &t);
      site_end(&s.on);
    }
  }
}

/* capability: L2 */
TEST_CASE(tab_shows_current_content_in_random_schedules) {
  for (unsigned seed = 1; seed <= SCHEDULES; seed++) {
    suite s;
    tab t, other;
    srand(seed);
    begin(&s);
    load(&s, &t, rand() % (PARTS - SHOWN));
    load(&s, &other, rand() % (PARTS - SHOWN));
    for (int step = 0; step < STEPS; step++) {
      const int number = rand() % PARTS;
      switch (rand() % 9) {
      case 0: change_by(&s, number, 0); break;
      case 1: change_by(&s, number, -(s.values[number] > 0)); break;
      case 2: change(&s, number); break;
      case 3: settle(&s, &t); break;
      case 4: site_settle_pages(&s.on); break;
      case 5:
        read_tab(&t, (size_t)rand() % 8);
        leave(&s, &t);
        open_stream(&s, &t, t.id);
        break;
      case 6: s.changes_at = number; break;
      case 7: go(&s, &other, rand() % (PARTS - SHOWN)); break;
      default: read_tab(&t, (size_t)rand() % 20); go(&s, &t, abs(t.at + rand() % 5 - 2) % (PARTS - SHOWN));
      }
    }
    settle(&s, &t);
    settle(&s, &other);
    leave(&s, &t);
    leave(&s, &other);
    site_end(&s.on);
  }
}

/* If one allocation fails, the tab shows the current content in the end. */
TEST_CASE(tab_is_current_after_a_failed_allocation) {
  bool failed = true;
  for (long number = 0; failed; number++) {
    suite s;
    tab t;
    begin(&s);
    load(&s, &t, 0);
    settle(&s, &t);
    change(&s, 2);
    site_settle_pages(&s.on);
    read_tab(&t, SIZE_MAX);
    leave(&s, &t);
    long before = atomic_load(&s.on.th.allocations);
    atomic_store(&s.on.th.fail_at, before + number);
    t.at = 1;
    const vestry_header headers[] = {{"Vestry-Layout", "shop/main/content"}, {"Last-Event-ID", t.tag}};
    const vestry_memory_call call = {.query = "1", .headers = headers, .headers_count = 2, .datastar = true};
    if (vestry_memory_request(s.on.v, &call, NULL, NULL, &t.stream)) t.stream = NULL;
    site_settle(&s.on);
    failed = atomic_load(&s.on.th.allocations) > before + number;
    test_host_fail_no_more(&s.on.th);
    for (int i = 0; i < 10; i++) site_pass_ms(&s.on, 1000); /* a failed render is repeated */
    if (t.stream && vestry_memory_look(t.stream).status == 200 && !vestry_memory_look(t.stream).ended) settle(&s, &t);
    if (t.stream) leave(&s, &t);
    site_end(&s.on);
  }
}
