/* SPDX-License-Identifier: MIT */
/* F3: a slow page receives the latest state. Examples of conflated events, the table settled with the client, and
 * concurrent senders. conflation_worlds_test.c checks that the resulting page is the same. */
#include "connection/conflation.h"

#include <sched.h>
#include <stdlib.h>

#include "connection/connection.h"
#include "connection/listener.h"
#include "connection/page.h"
#include "event/target.h"

/* The events sent before the page reads. */
typedef struct sent {
  /* 'e': elements, 's': signals, 'i' and 't': with an event id, 'm': signals if missing, 'x': script, 'c': comment */
  char kind;
  const char *text, *selector;
  vestry_patch_mode mode;
} sent;

static vestry_event *made(bench *b, const sent *s) {
  vestry_event *event = NULL;
  vestry_err error = VESTRY_INVALID;
  vestry_elements_options elements_options = {.selector = s->selector, .mode = s->mode};
  vestry_signals_options signals_options = {.only_if_missing = s->kind == 'm'};
  if (s->kind == 'i') elements_options.event.id = "9";
  if (s->kind == 't') signals_options.event.id = "9";
  switch (s->kind) {
  case 'e':
  case 'i': error = vestry_event_elements(&b->th.host, s->text, strlen(s->text), &elements_options, &event); break;
  case 's':
  case 't':
  case 'm': error = vestry_event_signals_text(&b->th.host, s->text, strlen(s->text), &signals_options, &event); break;
  case 'x': error = vestry_event_script(&b->th.host, s->text, strlen(s->text), NULL, &event); break;
  case 'c': error = vestry_event_comment(&b->th.host, s->text, &event); break;
  default: break;
  }
  assert_int_equal(error, VESTRY_OK);
  return event;
}

#define BOUND1 "<div id=\"a\"><input data-bind:x value=\"1\" id=\"i\"></div>"
#define BOUND2 "<div id=\"a\"><input data-bind:x value=\"1\" id=\"i\"><textarea data-bind:y></textarea></div>"
#define A1     "<div id=\"a\">1</div>"
#define A2     "<div id=\"a\">2</div>"
#define B1     "<div id=\"b\">1</div>"

static const struct {
  const char *what;
  sent sent[4];
  unsigned written; /* bits: the events that are written */
} examples[] = {
    {"a morph by its element's id", {{'e', A1, 0, 0}, {'e', A2, 0, 0}}, 2},
    {"of three the last", {{'e', A1, 0, 0}, {'e', A2, 0, 0}, {'e', A1, 0, 0}}, 4},
    {"by a selector", {{'e', A1, "#a", 0}, {'e', A2, 0, 0}}, 2},
    {"inner", {{'e', "1", "#a", VESTRY_PATCH_INNER}, {'e', "2", "#a", VESTRY_PATCH_INNER}}, 2},
    {"another mode is another target", {{'e', A1, 0, 0}, {'e', "2", "#a", VESTRY_PATCH_INNER}}, 3},
    {"across another mode",
     {{'e', "1", "#a", VESTRY_PATCH_INNER}, {'e', A1, 0, 0}, {'e', "2", "#a", VESTRY_PATCH_INNER}},
     6},
    {"replace", {{'e', A1, 0, VESTRY_PATCH_REPLACE}, {'e', A2, 0, VESTRY_PATCH_REPLACE}}, 2},
    {"another element", {{'e', A1, 0, 0}, {'e', B1, 0, 0}}, 3},
    {"across another element", {{'e', A1, 0, 0}, {'e', B1, 0, 0}, {'e', A2, 0, 0}}, 6},
    {"appends never", {{'e', "1", "#a", VESTRY_PATCH_APPEND}, {'e', "1", "#a", VESTRY_PATCH_APPEND}}, 3},
    {"but what they were appended to", {{'e', A1, 0, 0}, {'e', "x", "#a", VESTRY_PATCH_APPEND}, {'e', A2, 0, 0}}, 6},
    {"scripts never", {{'x', "f()", 0, 0}, {'x', "f()", 0, 0}}, 3},
    {"nothing across a script", {{'e', A1, 0, 0}, {'x', "f()", 0, 0}, {'e', A2, 0, 0}}, 7},
    {"nothing across any selector", {{'e', A1, 0, 0}, {'e', "x", ".b", VESTRY_PATCH_INNER}, {'e', A2, 0, 0}}, 7},
    {"any selector is no target", {{'e', "x", ".b", VESTRY_PATCH_INNER}, {'e', "y", ".b", VESTRY_PATCH_INNER}}, 3},
    {"appends that bring ids hinder nobody",
     {{'e', A1, 0, 0}, {'e', B1, "#c", VESTRY_PATCH_APPEND}, {'e', A2, 0, 0}},
     6},
    {"nor a morph that brings others",
     {{'e', A1, 0, 0}, {'e', "<div id=\"b\"><i id=\"c\"></i></div>", 0, 0}, {'e', A2, 0, 0}},
     6},
    {"unless it is looked for",
     {{'e', A1, 0, 0}, {'e', B1, "#c", VESTRY_PATCH_APPEND}, {'e', "1", "#b", VESTRY_PATCH_INNER}, {'e', A2, 0, 0}},
     15},
    {"by whatever means",
     {{'e', A1, 0, 0}, {'e', B1, "#c", VESTRY_PATCH_INNER}, {'e', "1", "#b", VESTRY_PATCH_APPEND}, {'e', A2, 0, 0}},
     15},
    {"but what brought it can be replaced",
     {{'e', "<b id=\"x\"></b>", "#a", VESTRY_PATCH_INNER},
      {'e', "1", "#x", VESTRY_PATCH_INNER},
      {'e', "<b id=\"x\"></b>", "#a", VESTRY_PATCH_INNER}},
     6},
    {"two that bring ids, by turns",
     {{'e', "<b id=\"x\"></b>", "#a", VESTRY_PATCH_INNER},
      {'e', "<b id=\"y\"></b>", "#b", VESTRY_PATCH_INNER},
      {'e', "<b id=\"x\"></b>", "#a", VESTRY_PATCH_INNER},
      {'e', "<b id=\"y\"></b>", "#b", VESTRY_PATCH_INNER}},
     12},
    {"nothing across an id that is not read",
     {{'e', A1, 0, 0},
      {'e', "<b id=\"&amp;\"></b>", "#c", VESTRY_PATCH_APPEND},
      {'e', "1", "#b", VESTRY_PATCH_INNER},
      {'e', A2, 0, 0}},
     15},
    {"which itself can be replaced",
     {{'e', "<div id=\"b\"><i id=\"c\"></i></div>", 0, 0}, {'e', "<div id=\"b\"><i id=\"c\"></i></div>", 0, 0}},
     2},
    {"nothing that runs something", {{'e', "<div id=\"a\" data-init=\"@get('/x')\"></div>", 0, 0}, {'e', A1, 0, 0}}, 3},
    {"nor handles what happens to it",
     {{'e', "<div id=\"a\"><img src=x onerror=f()></div>", 0, 0}, {'e', A1, 0, 0}},
     3},
    {"what shows signals goes for what shows the same",
     {{'e', "<div id=\"a\" data-text=\"$n\">once</div>", 0, 0},
      {'e', "<div id=\"a\"><b data-text=\"$n\"></b></div>", 0, 0}},
     2},
    {"and not for what does not", {{'e', "<div id=\"a\" data-text=\"$n\">once</div>", 0, 0}, {'e', A1, 0, 0}}, 3},
    {"a list stays before what is bound to it",
     {{'s', "{\"x\":[]}", 0, 0}, {'e', BOUND1, 0, 0}, {'s', "{\"x\":[1]}", 0, 0}},
     7},
    {"two elements are no target", {{'e', A1 B1, 0, 0}, {'e', A2 B1, 0, 0}}, 3},
    {"one with an event id stays", {{'i', A1, 0, 0}, {'e', A2, 0, 0}}, 3},
    {"an element that closes early is not one", {{'e', "<p id=\"a\"><div>1</div></p>", 0, 0}, {'e', A1, 0, 0}}, 3},
    {"another id than the selector's", {{'e', B1, "#a", 0}, {'e', B1, "#a", 0}}, 3},
    {"signals that are said again", {{'s', "{\"a\":1}", 0, 0}, {'s', "{\"a\":2}", 0, 0}}, 2},
    {"across elements", {{'s', "{\"a\":1}", 0, 0}, {'e', A1, 0, 0}, {'s', "{\"a\":2}", 0, 0}}, 6},
    {"if missing never", {{'m', "{\"a\":1}", 0, 0}, {'m', "{\"a\":1}", 0, 0}}, 3},
    {"nor across it", {{'s', "{\"a\":1}", 0, 0}, {'m', "{\"a\":1}", 0, 0}, {'s', "{\"a\":1}", 0, 0}}, 7},
    {"but morphs are, across it", {{'e', A1, 0, 0}, {'m', "{\"a\":1}", 0, 0}, {'e', A2, 0, 0}}, 6},
    {"a morph that binds goes for one that binds the same", {{'e', BOUND1, 0, 0}, {'e', BOUND2, 0, 0}}, 2},
    {"across signals, too", {{'e', BOUND1, 0, 0}, {'s', "{\"x\":1}", 0, 0}, {'e', BOUND2, 0, 0}}, 6},
    {"but not across missing ones", {{'e', BOUND1, 0, 0}, {'m', "{\"x\":1}", 0, 0}, {'e', BOUND2, 0, 0}}, 7},
    {"nor for one that binds less", {{'e', BOUND1, 0, 0}, {'e', A1, 0, 0}}, 3},
    {"nor what takes a signal away before it is shown",
     {{'s', "{\"x\":null}", 0, 0},
      {'e', "<b data-text=\"$x\"></b>", "#c", VESTRY_PATCH_APPEND},
      {'s', "{\"y\":1}", 0, 0}},
     7},
    {"signals with an event id stay", {{'t', "{\"a\":1}", 0, 0}, {'s', "{\"b\":1}", 0, 0}}, 3},
    {"and take nothing in", {{'s', "{\"a\":1}", 0, 0}, {'t', "{\"b\":1}", 0, 0}}, 3},
    {"what no patch can say stays two", {{'s', "{\"a\":null}", 0, 0}, {'s', "{\"a\":{\"b\":1}}", 0, 0}}, 3},
    {"comments are nothing", {{'e', A1, 0, 0}, {'c', "x", 0, 0}, {'e', A2, 0, 0}}, 6},
};

/* capability: F3 */
static void f3_examples_are_conflated(void **state) {
  for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
    bench b;
    probe p;
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    probe_init(&p);
    vestry_connection *c = bench_connect(&b, &p, &(vestry_connection_options){.full = VESTRY_FULL_CONFLATE});
    vsi_connection_start(c);
    bench_run(&b);
    char expected[2048] = "";
    for (int k = 0; k < 4 && examples[i].sent[k].kind; k++) {
      vestry_event *event = made(&b, &examples[i].sent[k]);
      assert_int_equal(vestry_connection_send(c, event), VESTRY_OK);
      vestry_slice bytes = vestry_event_bytes(event);
      if (examples[i].written >> k & 1) strncat(expected, bytes.data, bytes.len);
      vestry_event_unref(event);
    }
    bench_run(&b);
    if (strcmp(vsi_buffer_terminate(&p.got), expected) != 0) print_message("%s\n", examples[i].what);
    probe_assert_got(&p, expected);
    vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
    bench_run(&b);
    vestry_connection_unref(c);
    probe_finish(&p);
    bench_finish(&b);
  }
}

/* Two targets share one slot: neither is mistaken for the other, but the older one is no longer found. */
/* capability: F3 */
static void f3_index_slot_holds_one_target(void **state) {
  bench b;
  probe p;
  char html[VSI_CONFLATION_SLOTS + 1][32], expected[512] = "";
  vestry_event *events[VSI_CONFLATION_SLOTS + 1];
  size_t first = 0, second = 0, made = 0;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  while (!second) { /* with one target more than there are slots, two share a slot */
    assert_true(made <= VSI_CONFLATION_SLOTS);
    snprintf(html[made], sizeof html[made], "<div id=\"n%zu\">1</div>", made);
    assert_int_equal(vestry_event_elements(&b.th.host, html[made], strlen(html[made]), NULL, &events[made]), VESTRY_OK);
    uint64_t slot = vsi_event_target(events[made])->hash % VSI_CONFLATION_SLOTS;
    for (size_t i = 0; i < made && !second; i++) {
      if (vsi_event_target(events[i])->hash % VSI_CONFLATION_SLOTS != slot) continue;
      first = i;
      second = made;
    }
    made++;
  }
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, &(vestry_connection_options){.full = VESTRY_FULL_CONFLATE});
  const size_t order[] = {first, second, first, first, second};
  const bool is_written[] = {true, true, false, true, true};
  for (size_t i = 0; i < 5; i++) {
    assert_int_equal(vestry_connection_send(c, events[order[i]]), VESTRY_OK);
    vestry_slice bytes = vestry_event_bytes(events[order[i]]);
    if (is_written[i]) strncat(expected, bytes.data, bytes.len);
  }
  vsi_connection_start(c);
  bench_run(&b);
  probe_assert_got(&p, expected);
  vestry_connection_stats stats = probe_stats(c);
  assert_int_equal(stats.displaced_count, 3);
  assert_int_equal(stats.kept_count, 0);
  for (size_t i = 0; i < made; i++) vestry_event_unref(events[i]);
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

/* Only two of six events are needed, and they fit into a queue of two as long as the runner runs in between. */
/* capability: F3 */
static void f3_stalled_page_queues_only_its_latest_state(void **state) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c =
      bench_connect(&b, &p, &(vestry_connection_options){.full = VESTRY_FULL_CONFLATE, .max_queued_count = 4});
  vsi_connection_start(c);
  bench_run(&b);
  p.write_answer = VESTRY_IO_WOULD_BLOCK;
  assert_int_equal(bench_send(&b, c, "first"), VESTRY_OK); /* this one is being written */
  bench_run(&b);
  char html[64], json[64];
  for (int i = 0; i < 10000; i++) {
    snprintf(html, sizeof html, "<div id=\"a\">%d</div>", i);
    snprintf(json, sizeof json, "{\"n\":%d,\"k%d\":1}", i, i % 3);
    assert_int_equal(vestry_connection_patch_elements(c, html, strlen(html), NULL), VESTRY_OK);
    bench_run(&b);
    assert_int_equal(vestry_connection_patch_signals_text(c, json, strlen(json), NULL), VESTRY_OK);
    bench_run(&b);
  }
  vestry_connection_stats stats = probe_stats(c);
  assert_int_equal(stats.queued_count, 3);
  assert_int_equal(stats.conflated_count, 2 * 9999);
  p.write_answer = VESTRY_IO_OK;
  vestry_connection_writable(c);
  bench_run(&b);
  probe_assert_got(&p, ": first\n\nevent: datastar-patch-elements\ndata: elements <div id=\"a\">9999</div>\n\n"
                       "event: datastar-patch-signals\ndata: signals {\"n\":9999,\"k0\":1,\"k1\":1,\"k2\":1}\n\n");
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

/* The same for morphs with fields and bound signals. is_run: the runner runs in between; otherwise it is in a write all
 * the time, as with a transport that blocks. The queue has room for less than a hundredth of the events. */
static void send_bound(bool is_run) {
  enum { MORPHS = 1000 };
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c =
      bench_connect(&b, &p, &(vestry_connection_options){.full = VESTRY_FULL_CONFLATE, .max_queued_count = 9});
  vsi_connection_start(c);
  bench_run(&b);
  p.write_answer = VESTRY_IO_WOULD_BLOCK;
  char html[256], json[64], expected[512];
  vestry_connection_stats stats = {0};
  for (int i = 1; i <= MORPHS; i++) {
    snprintf(html, sizeof html,
             "<div id=\"a\"><textarea id=\"t%d\" data-bind:x></textarea><select id=\"s\"><option>1</option></select>"
             "<i data-text=\"$n\">%d</i></div>",
             i % 7, i);
    snprintf(json, sizeof json, "{\"n\":%d}", i);
    assert_int_equal(vestry_connection_patch_elements(c, html, strlen(html), NULL), VESTRY_OK);
    assert_int_equal(vestry_connection_patch_signals_text(c, json, strlen(json), NULL), VESTRY_OK);
    if (is_run) bench_run(&b);
    vestry_connection_stats_get(c, &stats);
    assert_true(stats.queued_count <= (is_run ? 4 : 9));
  }
  snprintf(expected, sizeof expected,
           "event: datastar-patch-elements\ndata: elements %s\n\nevent: datastar-patch-signals\ndata: signals %s\n\n",
           html, json);
  p.write_answer = VESTRY_IO_OK;
  vestry_connection_writable(c);
  bench_run(&b);
  const char *got = vsi_buffer_terminate(&p.got);
  assert_true(strlen(got) >= strlen(expected));
  assert_string_equal(got + strlen(got) - strlen(expected), expected);
  vestry_connection_stats_get(c, &stats);
  assert_int_equal(stats.accepted_count, 2 * MORPHS);
  assert_int_equal(stats.written_count, is_run ? 4 : 2); /* two were being written already */
  assert_int_equal(stats.conflated_count, 2 * MORPHS - stats.written_count);
  assert_int_equal(stats.kept_count + stats.displaced_count + stats.fences_count + stats.refused_count, 0);
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

/* capability: F3 */
static void f3_stalled_page_with_fields_queues_its_latest_state(void **state) {
  send_bound(true);
  send_bound(false);
}

/* Events that wait when the connection ends are discarded, and counted. */
/* capability: F3 */
static void f3_waiting_events_are_discarded_at_the_end(void **state) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, &(vestry_connection_options){.full = VESTRY_FULL_CONFLATE});
  vsi_connection_start(c);
  p.write_answer = VESTRY_IO_WOULD_BLOCK;
  assert_int_equal(bench_send(&b, c, "first"), VESTRY_OK);
  bench_run(&b);
  static const sent waiting[] = {{'e', A1, 0, 0}, {'e', A2, 0, 0}, {'s', "{\"a\":1}", 0, 0}, {'s', "{\"b\":1}", 0, 0}};
  for (size_t i = 0; i < 4; i++) {
    vestry_event *event = made(&b, &waiting[i]);
    assert_int_equal(vestry_connection_send(c, event), VESTRY_OK);
    vestry_event_unref(event);
  }
  bench_run(&b);
  vestry_connection_close(c, VESTRY_CAUSE_HANGUP);
  bench_run(&b);
  vestry_connection_stats stats = probe_stats(c);
  assert_int_equal(stats.state, VESTRY_STATE_CLOSED);
  assert_int_equal(p.closed, 1);
  assert_int_equal(stats.accepted_count, 5);
  assert_int_equal(stats.conflated_count, 2);
  assert_int_equal(stats.discarded_count, 3);
  assert_int_equal(stats.queued_count + stats.queued_bytes, 0);
  assert_int_equal(stats.accepted_bytes, stats.conflated_bytes + stats.discarded_bytes);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

/* capability: F3 */
static void f3_batches_are_not_conflated(void **state) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, &(vestry_connection_options){.full = VESTRY_FULL_CONFLATE});
  vestry_event *one = made(&b, &(sent){'e', A1, 0, 0}), *two = made(&b, &(sent){'e', A2, 0, 0});
  vestry_event *batch[] = {one, two};
  assert_int_equal(vestry_connection_send(c, one), VESTRY_OK);
  assert_int_equal(vestry_connection_send_all(c, batch, 2), VESTRY_OK);
  assert_int_equal(vestry_connection_send(c, two), VESTRY_OK);
  vsi_connection_start(c);
  bench_run(&b);
  vestry_connection_stats stats = probe_stats(c);
  assert_int_equal(stats.written_count, 4);
  assert_int_equal(stats.conflated_count, 0);
  vestry_event_unref(one);
  vestry_event_unref(two);
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

/* Content that runs code when it arrives, or that a browser parses by other rules, is never conflated, and the counters
 * show it. */
/* capability: F3 */
static void f3_barriers_are_counted(void **state) {
  static const sent all[] = {{'e', A1, 0, 0},
                             {'e', "<div id=\"a\"><b data-init=\"x()\"></b></div>", 0, 0},
                             {'e', "<div id=\"a\"><style></style></div>", 0, 0},
                             {'e', A1, 0, 0},
                             {'e', A2, 0, 0}};
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, &(vestry_connection_options){.full = VESTRY_FULL_CONFLATE});
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    vestry_event *event = made(&b, &all[i]);
    assert_int_equal(vestry_connection_send(c, event), VESTRY_OK);
    vestry_event_unref(event);
  }
  vsi_connection_start(c);
  bench_run(&b);
  vestry_connection_stats stats = probe_stats(c);
  assert_int_equal(stats.fences_count, 2);
  assert_int_equal(stats.conflated_count, 1);
  assert_int_equal(stats.written_count, 4);
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

/* ---- as the client needs it -------------------------------------------------------------------------------------- */

/* The rows that tests/browser/morph.test.js has determined with the client: conflation decides as the client needs
 * it. */

static const char *text_in(const json_t *row, const char *name) {
  return json_string_value(json_object_get(row, name));
}

static vestry_event *morph_of(bench *b, const json_t *row, const char *which, bool is_inner) {
  char html[1024];
  snprintf(html, sizeof html, is_inner ? "%s" : "<div id=\"qa\">%s</div>", text_in(row, which));
  return made(b, &(sent){'e', html, is_inner ? "#qa" : NULL, is_inner ? VESTRY_PATCH_INNER : VESTRY_PATCH_OUTER});
}

static vestry_event *event_of(bench *b, const json_t *effect) {
  const char *name = json_string_value(json_array_get(effect, 0));
  const json_t *content = json_array_get(effect, 1), *options = json_array_get(effect, 2);
  if (!strcmp(name, "patch-elements")) {
    const char *mode = text_in(options, "mode");
    return made(b, &(sent){'e', json_string_value(content), text_in(options, "selector"),
                           !mode                    ? VESTRY_PATCH_OUTER
                           : strcmp(mode, "append") ? VESTRY_PATCH_INNER
                                                    : VESTRY_PATCH_APPEND});
  }
  assert_string_equal(name, "patch-signals");
  char *text = json_dumps(content, JSON_COMPACT);
  vestry_event *event = made(b, &(sent){options ? 'm' : 's', text, NULL, VESTRY_PATCH_OUTER});
  free(text);
  return event;
}

static void put_decision(vestry_connection_stats before, vestry_connection_stats after, char text[16]) {
  uint64_t conflated = after.conflated_count - before.conflated_count, kept = after.kept_count - before.kept_count;
  uint64_t barriers = after.fences_count - before.fences_count;
  strcpy(text, "?");
  if (conflated == 1 && !kept && !barriers) strcpy(text, "out");
  if (!conflated && kept == 1 && !barriers) strcpy(text, "kept");
  if (!conflated && !kept && barriers) strcpy(text, "barrier");
}

static void decide(const json_t *row, bool is_inner, char text[16]) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, &(vestry_connection_options){.full = VESTRY_FULL_CONFLATE});
  vestry_event *events[8] = {morph_of(&b, row, "earlier", is_inner)};
  size_t count = 1, at;
  json_t *effect;
  json_array_foreach(json_object_get(row, "between"), at, effect) events[count++] = event_of(&b, effect);
  events[count++] = morph_of(&b, row, "later", is_inner);
  assert_true(count < 8);
  vestry_connection_stats before = {0}, after = {0};
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(vestry_connection_send(c, events[i]), VESTRY_OK);
    vestry_event_unref(events[i]);
  }
  vsi_connection_start(c);
  bench_run(&b);
  vestry_connection_stats_get(c, &after);
  put_decision(before, after, text);
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  vsi_group_stats all;
  vsi_group_stats_get(b.group, &all); /* the instance's are the sum */
  assert_int_equal(all.kept, after.kept_count);
  assert_int_equal(all.fences, after.fences_count);
  assert_int_equal(all.displaced, 0);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

/* capability: F3 */
static void f3_decisions_match_the_client_table(void **state) {
  static char table[65536];
  FILE *file = fopen(CONFLATION_TABLE, "r");
  assert_non_null(file);
  size_t len = fread(table, 1, sizeof table, file);
  fclose(file);
  for (size_t i = 0; i < len; i++)
    if (table[i] == '~') table[i] = 'q'; /* the first character of ids and names */
  json_error_t error;
  json_t *rows = json_loadb(table, len, 0, &error), *row;
  if (!rows) fail_msg("%s:%d: %s", CONFLATION_TABLE, error.line, error.text);
  size_t at, wrong = 0;
  assert_true(json_array_size(rows) > 50);
  json_array_foreach(rows, at, row) {
    for (int is_inner = 0; is_inner < 2; is_inner++) {
      char text[16];
      decide(row, is_inner, text);
      if (!strcmp(text, text_in(row, "decision"))) continue;
      print_message("%s, %s: %s\n", text_in(row, "name"), is_inner ? "inner" : "outer", text);
      wrong++;
    }
  }
  json_decref(rows);
  assert_int_equal(wrong, 0);
}

/* If an allocation fails, fewer events are conflated, or the send fails. The accepted events are written, in order. */
static void f3_allocation_failure_loses_no_accepted_event(void **state) {
  bool failed = true;
  for (long n = 0; failed; n++) {
    bench b;
    probe p;
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    probe_init(&p);
    vestry_connection_options options = {.full = VESTRY_FULL_CONFLATE};
    vestry_connection *c = NULL;
    test_host_fail_in(&b.th, n);
    vestry_err error = vsi_group_connect(b.group, &probe_pooled, &p, &options, &probe_hooks, &p, &c);
    if (error) {
      assert_int_equal(error, VESTRY_NO_MEMORY);
      test_host_fail_no_more(&b.th);
      vsi_buffer_finish(&p.got);
      bench_finish(&b);
      continue;
    }
    static const char *const patches[] = {"{\"a\":1}", "{\"b\":1}", "{\"a\":2}"};
    bool accepted[3];
    for (int i = 0; i < 3; i++)
      accepted[i] = vestry_connection_patch_signals_text(c, patches[i], strlen(patches[i]), NULL) == VESTRY_OK;
    vsi_connection_start(c);
    bench_run(&b);
    failed = test_host_has_failed(&b.th);
    static page got;
    page_init(&got);
    page_apply(&got, vsi_buffer_terminate(&p.got), p.got.len);
    json_int_t a = json_integer_value(json_object_get(got.signals, "a"));
    assert_int_equal(a, accepted[2] ? 2 : accepted[0] ? 1 : 0);
    assert_int_equal(json_object_get(got.signals, "b") != NULL, accepted[1]);
    page_finish(&got);
    vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
    bench_run(&b);
    vestry_connection_unref(c);
    probe_finish(&p);
    bench_finish(&b);
    assert_true(n < 30);
  }
}

/* ---- concurrent senders ------------------------------------------------------------------------------------------ */

enum { SENDERS = 4, ROUNDS = 3000 };

typedef struct sender {
  pthread_t thread;
  vestry_connection *connection;
  char name;
} sender;

static vestry_verdict go_on(vestry_connection *connection, vestry_err error, void *ctx) {
  return VESTRY_VERDICT_GO_ON;
}

static void *send_rounds(void *ctx) {
  const sender *s = ctx;
  for (int i = 1; i <= ROUNDS; i++) {
    char html[128], json[64];
    snprintf(html, sizeof html, "<div id=\"%c\"><textarea id=\"t%c\" data-bind:%c></textarea>%d</div>", s->name,
             s->name, s->name, i);
    snprintf(json, sizeof json, "{\"n%c\":%d}", s->name, i);
    /* FULL: another sender was interrupted during its put. */
    while (vestry_connection_patch_elements(s->connection, html, strlen(html), NULL) == VESTRY_FULL) sched_yield();
    while (vestry_connection_patch_signals_text(s->connection, json, strlen(json), NULL) == VESTRY_FULL) sched_yield();
  }
  return NULL;
}

/* Senders conflate a queue that is always full, instead of the runner, which works on it at the same time. is_stuck:
 * the connection starts after everything was sent. The queue has room for one write and the needed events. */
static void send_by_many(bool is_stuck) {
  bench b;
  probe p;
  bench_init(&b, 2, NULL);
  probe_init(&p);
  vestry_connection_options options = {.full = VESTRY_FULL_CONFLATE, .max_queued_count = is_stuck ? 20 : 84};
  vsi_connection_hooks hooks = probe_hooks;
  hooks.on_error = go_on;
  vestry_connection *c = NULL;
  assert_int_equal(vsi_group_connect(b.group, &probe_pooled, &p, &options, &hooks, &p, &c), VESTRY_OK);
  sender senders[SENDERS];
  if (!is_stuck) vsi_connection_start(c);
  for (int i = 0; i < SENDERS; i++) {
    senders[i] = (sender){.connection = c, .name = (char)('a' + i)};
    assert_int_equal(pthread_create(&senders[i].thread, NULL, send_rounds, &senders[i]), 0);
  }
  for (int i = 0; i < SENDERS; i++) pthread_join(senders[i].thread, NULL);
  if (is_stuck) vsi_connection_start(c);
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  assert_int_equal(vsi_group_wait(b.group, 60000) ? vestry_connection_look(c).state : VESTRY_STATE_CLOSED,
                   VESTRY_STATE_CLOSED);
  vestry_connection_stats stats = probe_stats(c);
  assert_int_equal(stats.accepted_count, 2 * SENDERS * ROUNDS);
  assert_int_equal(stats.accepted_count, stats.written_count + stats.conflated_count);
  assert_int_equal(stats.accepted_bytes, stats.written_bytes + stats.conflated_bytes);
  assert_int_equal(stats.queued_count + stats.queued_bytes, 0);
  assert_int_equal(stats.kept_count + stats.fences_count, 0);
  const char *got = vsi_buffer_terminate(&p.got);
  for (int i = 0; i < SENDERS; i++) { /* the last event of each sender that was written is the last one sent */
    char last[64], begin[32];
    snprintf(begin, sizeof begin, "data-bind:%c></textarea>", 'a' + i);
    snprintf(last, sizeof last, "%s%d</div>", begin, ROUNDS);
    const char *at = strstr(got, last);
    assert_non_null(at);
    assert_null(strstr(at + 1, begin));
    snprintf(last, sizeof last, "\"n%c\":%d", 'a' + i, ROUNDS);
    assert_non_null(strstr(got, last));
  }
  vestry_connection_unref(c);
  vestry_runtime_stop(b.runtime); /* the runner's reference may be the last one */
  probe_finish(&p);
  bench_finish(&b);
}

static void f3_senders_conflate_a_full_queue(void **state) {
  send_by_many(true);
  send_by_many(false);
}

static void f3_full_queue_closes_if_nothing_conflates(void **state) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c =
      bench_connect(&b, &p, &(vestry_connection_options){.full = VESTRY_FULL_CONFLATE, .max_queued_count = 1});
  assert_int_equal(bench_send(&b, c, "a"), VESTRY_OK);
  assert_int_equal(bench_send(&b, c, "b"), VESTRY_FULL);
  vsi_connection_start(c);
  bench_run(&b);
  assert_int_equal(p.close_cause, VESTRY_CAUSE_FULL);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(f3_examples_are_conflated),
      cmocka_unit_test(f3_stalled_page_queues_only_its_latest_state),
      cmocka_unit_test(f3_stalled_page_with_fields_queues_its_latest_state),
      cmocka_unit_test(f3_senders_conflate_a_full_queue),
      cmocka_unit_test(f3_full_queue_closes_if_nothing_conflates),
      cmocka_unit_test(f3_index_slot_holds_one_target),
      cmocka_unit_test(f3_waiting_events_are_discarded_at_the_end),
      cmocka_unit_test(f3_batches_are_not_conflated),
      cmocka_unit_test(f3_barriers_are_counted),
      cmocka_unit_test(f3_decisions_match_the_client_table),
      cmocka_unit_test(f3_allocation_failure_loses_no_accepted_event),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
