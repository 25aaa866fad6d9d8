/* SPDX-License-Identifier: MIT */
/* F3: a slow page receives the latest state. Property: whichever events are conflated, the page ends in the state that
 * it would have if every event were applied. The test runs many small worlds, each generated from a seed. */
#include "connection/conflation.h"

#include <stdlib.h>

#include "channel/channel.h"
#include "connection/connection.h"
#include "connection/listener.h"
#include "connection/page.h"
#include "event/target.h"
#include "runtime/random.h"

enum { WORLDS = TEST_ROUNDS(4000), STEPS = 80, IDS = 4, LOOK = 1 << 20 };

static const vestry_profile profiles[] = {
    {.ops = &vestry_profile_identity},
    {.ops = &vestry_profile_gzip},
    {.ops = &vestry_profile_brotli, .level = 5, .window_bits = 11},
};
enum { PROFILES = sizeof profiles / sizeof *profiles };

typedef struct world {
  bench b;
  uint64_t random, rarity;
  listener l;
  vsi_channel *channel;
  page full, got;
  char html[4096];
  char used[2 * IDS + 1]; /* ids in html */
  bool has_fields;        /* then events only target existing elements */
} world;

static uint64_t below(world *w, uint64_t bound) {
  return random_below(&w->random, bound);
}

static void put(world *w, const char *text) {
  assert_true(strlen(w->html) + strlen(text) < sizeof w->html);
  strcat(w->html, text);
}

/* An id that neither the page (except inside of target) nor the HTML so far has; 0: none. first: the first
 * candidate. */
static char free_id(world *w, int target, char first) {
  char id = (char)(first + below(w, IDS));
  int there = page_find(&w->full, id);
  bool is_free = !there || (target && there != target && page_is_inside(&w->full, there, target));
  return is_free && !strchr(w->used, id) ? id : 0;
}

static void put_content(world *w, int target, int depth);

static void put_div(world *w, char id, int target, int depth) {
  char text[64];
  w->used[strlen(w->used)] = id;
  snprintf(text, sizeof text, "<div id=\"%c\" title=\"%d\">", id, (int)below(w, 1000));
  put(w, text);
  put_content(w, target, depth + 1);
  put(w, "</div>");
}

static void put_content(world *w, int target, int depth) {
  for (uint64_t n = below(w, 3); n; n--) {
    char text[64], id = depth < 3 && !below(w, w->rarity) ? free_id(w, target, 'a') : 0;
    char field = w->has_fields && below(w, 2) ? free_id(w, target, 'm') : 0;
    if (field) {
      static const char *const binds[] = {"", "", " data-bind:s", " data-bind:t"};
      w->used[strlen(w->used)] = field;
      snprintf(text, sizeof text, "<textarea id=\"%c\"%s></textarea>", field, binds[below(w, 4)]);
      put(w, text);
    }
    if (w->has_fields && !below(w, 4)) put(w, below(w, 2) ? "<p data-text=\"$s\"></p>" : "<p data-text=\"$u\"></p>");
    if (id) {
      put_div(w, id, target, depth);
      continue;
    }
    snprintf(text, sizeof text, "<p>%d</p>", (int)below(w, 1000));
    put(w, text);
  }
}

static vestry_event *elements(world *w, const char *selector, vestry_patch_mode mode) {
  vestry_event *event = NULL;
  vestry_elements_options options = {.selector = selector, .mode = mode};
  assert_int_equal(vestry_event_elements(&w->b.th.host, w->html, strlen(w->html), &options, &event), VESTRY_OK);
  return event;
}

static void signals_text(world *w, char *to, size_t room, int depth) {
  size_t len = (size_t)snprintf(to, room, "{");
  const char *comma = "";
  for (char name = 's'; name <= 'u'; name++) {
    if (below(w, 2)) continue;
    len += (size_t)snprintf(to + len, room - len, "%s\"%c\":", comma, name);
    comma = ",";
    uint64_t what = below(w, depth < 2 ? 5 : 3);
    if (what == 0)
      len += (size_t)snprintf(to + len, room - len, "null");
    else if (what < 3)
      len += (size_t)snprintf(to + len, room - len, "%d", (int)below(w, 1000));
    else {
      signals_text(w, to + len, room - len, depth + 1);
      len += strlen(to + len);
    }
  }
  snprintf(to + len, room - len, "}");
}

static vestry_event *next_event(world *w) {
  static const vestry_patch_mode places[] = {VESTRY_PATCH_APPEND, VESTRY_PATCH_PREPEND, VESTRY_PATCH_BEFORE,
                                             VESTRY_PATCH_AFTER};
  const vestry_host *host = &w->b.th.host;
  vestry_event *event = NULL;
  char id = (char)('a' + below(w, IDS)), selector[8] = {'#', id, '\0'}, text[512];
  int target = page_find(&w->full, id);
  w->html[0] = '\0';
  memset(w->used, 0, sizeof w->used);
  if (w->has_fields && !target) return bench_event(&w->b, "nobody");
  switch (below(w, below(w, w->rarity) ? 16 : 20)) { /* few barriers, or many */
  case 0:
  case 1:
  case 2:
  case 3:
    put_div(w, id, target ? target : -1, 0);
    return elements(w, below(w, 2) ? selector : NULL, below(w, 5) ? VESTRY_PATCH_OUTER : VESTRY_PATCH_REPLACE);
  case 4:
  case 5:
  case 6:
  case 7:
    w->used[0] = id;
    put_content(w, target ? target : -1, 0);
    if (!*w->html) put(w, "7");
    return elements(w, selector, VESTRY_PATCH_INNER);
  case 8:
  case 9:
    put_content(w, 0, 0);
    if (!*w->html) put(w, "<p>8</p>");
    return elements(w, selector, places[below(w, 4)]);
  case 10: assert_int_equal(vestry_event_remove(host, selector, NULL, &event), VESTRY_OK); return event;
  case 11:
  case 12:
  case 13:
  case 14:
  case 15:
    signals_text(w, text, sizeof text, 0);
    assert_int_equal(vestry_event_signals_text(host, text, strlen(text),
                                               &(vestry_signals_options){.only_if_missing = !below(w, 4)}, &event),
                     VESTRY_OK);
    return event;
  case 16:
    if (below(w, 2)) {
      strcat(selector, " p");
      put(w, "<p>9</p>");
      return elements(w, selector, VESTRY_PATCH_AFTER);
    }
    assert_int_equal(vestry_event_remove(host, "p", NULL, &event), VESTRY_OK);
    return event;
  case 17:
    snprintf(text, sizeof text, "copy %c %c", id, (char)('a' + below(w, IDS)));
    assert_int_equal(vestry_event_script(host, text, strlen(text), NULL, &event), VESTRY_OK);
    return event;
  case 18:
    put(w, below(w, 2) ? "<p data-signals:s=\"5\">5</p>" : "<p data-signals:v=\"6\">6</p>");
    return elements(w, selector, VESTRY_PATCH_INNER);
  default: return bench_event(&w->b, "nothing");
  }
}

static void apply_full(world *w, vestry_event *event) {
  vestry_slice bytes = vestry_event_bytes(event);
  page_apply(&w->full, bytes.data, bytes.len);
}

static void send_some(world *w) {
  vestry_event *events[3];
  size_t count = below(w, 8) ? 1 : 2 + below(w, 2);
  for (size_t i = 0; i < count; i++) {
    events[i] = next_event(w);
    apply_full(w, events[i]);
  }
  if (count == 1 && below(w, 2))
    assert_int_equal(vsi_channel_publish(w->channel, events[0], NULL), VESTRY_OK);
  else
    assert_int_equal(vestry_connection_send_all(w->l.connection, events, count), VESTRY_OK);
  for (size_t i = 0; i < count; i++) vestry_event_unref(events[i]);
}

static void let_flow(world *w) {
  w->l.p.write_answer = VESTRY_IO_OK;
  vestry_connection_writable(w->l.connection);
}

/* Two pages that look the same: text typed in one is typed in the other. Returns the number of such fields. */
static size_t assert_typed(const page *full, int of_full, const page *got, int of_got) {
  size_t count = full->nodes[of_full].is_typed;
  assert_true(!full->nodes[of_full].is_typed || got->nodes[of_got].is_typed);
  int k = got->nodes[of_got].child;
  for (int i = full->nodes[of_full].child; i; i = full->nodes[i].next, k = got->nodes[k].next)
    count += assert_typed(full, i, got, k);
  return count;
}

static void assert_same_pages(world *w, uint64_t seed) {
  static char expected[LOOK], got[LOOK];
  page_print(&w->full, expected, sizeof expected);
  page_print(&w->got, got, sizeof got);
  if (strcmp(expected, got) != 0 || !json_equal(w->full.signals, w->got.signals))
    print_message("VESTRY_SEED=%llu\n", (unsigned long long)seed);
  assert_string_equal(got, expected);
  assert_true(json_equal(w->full.signals, w->got.signals));
}

/* Returns the number of conflated events. */
static uint64_t live(world *w, uint64_t seed, size_t *typed_count) {
  w->random = seed;
  w->has_fields = seed % 2;
  w->rarity = 2 + below(w, 10);
  bench_init(&w->b, VESTRY_THREADS_NONE, NULL);
  page_init(&w->full);
  page_init(&w->got);
  vestry_connection_options options = {.full = VESTRY_FULL_CONFLATE, .heartbeat_ms = VESTRY_NEVER_MS};
  assert_int_equal(listener_open(&w->l, &w->b, &profiles[seed % PROFILES], &options), VESTRY_OK);
  assert_int_equal(vsi_channel_create(w->b.group, 0, &w->channel), VESTRY_OK);
  assert_int_equal(vsi_channel_join(w->channel, w->l.connection), VESTRY_OK);
  static const char start[] =
      "event: datastar-patch-elements\ndata: selector p\ndata: mode after\n"
      "data: elements <div id=\"a\"><div id=\"b\"><textarea id=\"m\"></textarea></div></div>"
      "<div id=\"c\"><textarea id=\"n\"></textarea></div><div id=\"d\"><textarea id=\"o\"></textarea></div>\n\n";
  page *both[] = {&w->full, &w->got};
  for (int i = 0; i < 2; i++) { /* a page begins with an element that selectors can find */
    page_node *root = &both[i]->nodes[1];
    root->child = both[i]->count;
    both[i]->nodes[both[i]->count++] = (page_node){.tag = 'p', .parent = 1};
    page_apply(both[i], start, sizeof start - 1);
    page_type(both[i]);
  }
  uint64_t steps = w->has_fields ? 4 + below(w, STEPS / 2) : STEPS; /* fields do not live long */
  for (uint64_t i = 0; i < steps; i++) {
    switch (below(w, 30)) {
    case 0: let_flow(w); break;
    case 1:
    case 2:
    case 3:
    case 4:
      w->l.p.write_answer = VESTRY_IO_WOULD_BLOCK;
      w->l.p.take = below(w, 3) ? 0 : below(w, 200);
      break;
    default: send_some(w); break;
    }
    if (below(w, 3)) bench_run(&w->b);
    if (!below(w, 6)) vestry_connection_writable(w->l.connection);
  }
  let_flow(w);
  bench_run(&w->b);
  vestry_connection_stats stats = probe_stats(w->l.connection);
  assert_int_equal(stats.accepted_count, stats.written_count + stats.conflated_count);
  assert_int_equal(stats.accepted_bytes, stats.written_bytes + stats.conflated_bytes);
  assert_int_equal(stats.queued_count + stats.queued_bytes, 0);
  vestry_connection_close(w->l.connection, VESTRY_CAUSE_CLOSED);
  bench_run(&w->b);
  decoder_feed(&w->l.d, w->l.p.got.data, w->l.p.got.len);
  assert_false(w->l.d.broken);
  page_apply(&w->got, w->l.d.text.data, w->l.d.text.len);
  assert_same_pages(w, seed);
  *typed_count += assert_typed(&w->full, 1, &w->got, 1);
  vsi_channel_destroy(w->channel);
  vestry_connection_unref(w->l.connection);
  probe_finish(&w->l.p);
  decoder_finish(&w->l.d);
  vsi_buffer_finish(&w->l.expected);
  page_finish(&w->full);
  page_finish(&w->got);
  bench_finish(&w->b);
  return stats.conflated_count;
}

/* capability: F3 */
static void f3_conflation_does_not_change_the_resulting_page(void **state) {
  static world w;
  const char *seed = getenv("VESTRY_SEED");
  if (seed) {
    size_t ignored = 0;
    live(&w, strtoull(seed, NULL, 10), &ignored);
    return;
  }
  uint64_t conflated[2] = {0};
  size_t typed = 0;
  for (uint64_t at = 1; at <= WORLDS; at++) conflated[at % 2] += live(&w, at, &typed);
  print_message("%d worlds: %llu events left out, %llu where there are fields, of which %zu are as they were typed\n",
                WORLDS, (unsigned long long)conflated[0], (unsigned long long)conflated[1], typed);
  assert_true(conflated[0] > WORLDS && conflated[1] > WORLDS / 8 && typed > WORLDS / 8);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(f3_conflation_does_not_change_the_resulting_page)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
