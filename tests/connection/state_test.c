/* SPDX-License-Identifier: MIT */
/* F3: a slow page receives the latest state. Property: whichever events later ones supersede, the page ends as if it
 * had received every event, and all others arrive in their order. The test runs many small worlds, each generated from
 * a seed, and compares the page of a stream with a model, to which each event is applied when it is sent. */
#include <stdlib.h>

#include "channel/channel.h"
#include "connection/connection.h"
#include "connection/listener.h"
#include "event/extras.h"
#include "event/layout.h"
#include "event/mark.h"
#include "runtime/random.h"

enum { WORLDS = TEST_ROUNDS(500), MANY_WORLDS = 10000, STEPS = 90, STATES = 6, LOG = 1 << 14 };

static const vestry_profile profiles[] = {
    {.ops = &vestry_profile_identity},
    {.ops = &vestry_profile_gzip},
    {.ops = &vestry_profile_brotli, .level = 5, .window_bits = 11},
    {.ops = &vestry_profile_brotli, .level = 4, .window_bits = 14},
};
enum { PROFILES = sizeof profiles / sizeof *profiles };

/* What a page shows: the value of each element, and its log, to which events without a state append. The last element
 * is the content, whose events change it from one version to the next, or set the whole version. */
typedef struct page {
  int values[STATES];
  char log[LOG];
} page;

typedef struct world {
  bench b;
  uint64_t random;
  int next; /* value */
  listener l;
  vsi_channel *channel;
  page model, got;
} world;

static uint64_t below(world *w, uint64_t bound) {
  return random_below(&w->random, bound);
}

/* Apply the events of a text. An event of the content that does not fit the version before it is a failure. */
static void apply(page *to, const char *text, size_t len) {
  static const char set[] = "data: elements <i id=\"s", change[] = "data: elements <u>",
                    append[] = "data: elements <li>";
  const char *end = text + len;
  for (const char *at = text, *line_end; at < end; at = line_end + 1) {
    line_end = memchr(at, '\n', (size_t)(end - at));
    assert_non_null(line_end);
    char line[128]; /* the text has no final zero */
    snprintf(line, sizeof line, "%.*s", (int)(line_end - at), at);
    int element, value, before;
    if (strncmp(line, set, sizeof set - 1) == 0) {
      assert_int_equal(sscanf(line + sizeof set - 1, "%d\">%d</i>", &element, &value), 2);
      to->values[element] = value;
    } else if (strncmp(line, change, sizeof change - 1) == 0) {
      assert_int_equal(sscanf(line + sizeof change - 1, "%d to %d</u>", &before, &value), 2);
      assert_int_equal(to->values[STATES - 1], before);
      to->values[STATES - 1] = value;
    } else if (strncmp(line, append, sizeof append - 1) == 0) {
      /* A fence sees what is before it: the values at this time are part of the log. */
      size_t used = strlen(to->log);
      used += (size_t)snprintf(to->log + used, LOG - used, "%s:", line + sizeof append - 1);
      for (int i = 0; i < STATES; i++) used += (size_t)snprintf(to->log + used, LOG - used, " %d", to->values[i]);
      assert_true(used < LOG - 1);
    }
  }
}

static vestry_event *fence(world *w) {
  static const vestry_elements_options append = {.selector = "ul", .mode = VESTRY_PATCH_APPEND};
  vestry_event *event = NULL;
  assert_int_equal(vestry_event_elementsf(&w->b.th.host, &append, &event, "<li>%d</li>", w->next++), VESTRY_OK);
  return event;
}

static vestry_event *set(world *w, int element, int value) {
  char name[8], html[48];
  vestry_event *event = NULL;
  snprintf(name, sizeof name, "s%d", element);
  int len = snprintf(html, sizeof html, "<i id=\"s%d\">%d</i>", element, value);
  assert_int_equal(
      vestry_event_elements(&w->b.th.host, html, (size_t)len, &(vestry_elements_options){.state = name}, &event),
      VESTRY_OK);
  return event;
}

/* Make the next version of the content, whole or as a change of the version before it, of which the event keeps the
 * whole. */
static vestry_event *content(world *w) {
  char html[48];
  const int before = w->model.values[STATES - 1], value = w->next++;
  vestry_event *whole = set(w, STATES - 1, value), *patches = NULL;
  if (below(w, 2)) return whole;
  int len = snprintf(html, sizeof html, "<u>%d to %d</u>", before, value);
  const vsi_patch patch = {VESTRY_PATCH_OUTER, "#c", {html, (size_t)len}};
  assert_int_equal(vsi_event_marked_patches(&w->b.th.host, &patch, 1, "s5", "mark", false, &patches), VESTRY_OK);
  assert_int_equal(vsi_event_set_whole(patches, whole), VESTRY_OK);
  vestry_event_unref(whole);
  return patches;
}

static vestry_event *next_event(world *w) {
  const uint64_t kind = below(w, 10);
  return !kind ? fence(w) : kind < 4 ? content(w) : set(w, (int)below(w, STATES - 1), w->next++);
}

static void send_some(world *w) {
  vestry_event *events[3];
  size_t count = below(w, 8) ? 1 : 2 + below(w, 2);
  for (size_t i = 0; i < count; i++) {
    events[i] = next_event(w);
    vestry_slice bytes = vestry_event_bytes(events[i]);
    apply(&w->model, bytes.data, bytes.len);
  }
  if (count == 1 && below(w, 2))
    assert_int_equal(vsi_channel_publish(w->channel, events[0], NULL), VESTRY_OK);
  else
    assert_int_equal(vestry_connection_send_all(w->l.connection, events, count), VESTRY_OK);
  for (size_t i = 0; i < count; i++) vestry_event_unref(events[i]);
}

/* Behind the last fence, each state waits once. */
static void check_queue(world *w) {
  bool waits[STATES] = {false};
  vsi_delivery *at;
  TAILQ_FOREACH_REVERSE(at, &w->l.connection->queue.waiting, vsi_deliveries, in) {
    const vestry_slice state = vsi_event_state(at->event);
    if (at->is_of_batch || !state.len) return;
    const int number = ((const char *)state.data)[1] - '0';
    assert_false(waits[number]);
    waits[number] = true;
  }
}

static void begin(world *w, uint64_t seed) {
  memset(&w->model, 0, sizeof w->model);
  memset(&w->got, 0, sizeof w->got);
  w->random = seed;
  w->next = 1;
  bench_init(&w->b, VESTRY_THREADS_NONE, NULL);
  const vestry_connection_options options = {.heartbeat_ms = VESTRY_NEVER_MS};
  assert_int_equal(listener_open(&w->l, &w->b, &profiles[seed % PROFILES], &options), VESTRY_OK);
  assert_int_equal(vsi_channel_create(w->b.group, 0, &w->channel), VESTRY_OK);
  assert_int_equal(vsi_channel_join(w->channel, w->l.connection), VESTRY_OK);
}

static void end(world *w) {
  vsi_channel_destroy(w->channel);
  vestry_connection_unref(w->l.connection);
  probe_finish(&w->l.p);
  decoder_finish(&w->l.d);
  vsi_buffer_finish(&w->l.expected);
  bench_finish(&w->b);
}

/* Returns the number of events that did not arrive. */
static uint64_t live(world *w, uint64_t seed) {
  begin(w, seed);
  const bool is_fast = seed % 16 == 0;
  for (int i = 0; i < STEPS; i++) {
    const uint64_t what = below(w, 30);
    if (!what) {
      w->l.p.write_answer = VESTRY_IO_OK;
    } else if (what < 5 && !is_fast) {
      w->l.p.write_answer = VESTRY_IO_WOULD_BLOCK;
      w->l.p.take = below(w, 3) ? 0 : below(w, 200);
    } else {
      send_some(w);
      check_queue(w);
    }
    if (below(w, 3)) bench_run(&w->b);
    if (!below(w, 6)) vestry_connection_writable(w->l.connection);
  }
  w->l.p.write_answer = VESTRY_IO_OK;
  vestry_connection_writable(w->l.connection);
  bench_run(&w->b);
  vestry_connection_stats stats = probe_stats(w->l.connection);
  assert_int_equal(stats.accepted_count, stats.written_count + stats.conflated_count);
  assert_int_equal(stats.accepted_bytes, stats.written_bytes + stats.conflated_bytes);
  vestry_connection_close(w->l.connection, VESTRY_CAUSE_CLOSED);
  bench_run(&w->b);
  decoder_feed(&w->l.d, w->l.p.got.data, w->l.p.got.len);
  assert_false(w->l.d.broken);
  apply(&w->got, w->l.d.text.data, w->l.d.text.len);
  const bool is_same = memcmp(w->got.values, w->model.values, sizeof w->got.values) == 0;
  if (!is_same || strcmp(w->got.log, w->model.log) != 0) print_message("VESTRY_SEED=%llu\n", (unsigned long long)seed);
  assert_true(is_same);
  assert_string_equal(w->got.log, w->model.log);
  end(w);
  return stats.conflated_count;
}

/* VESTRY_SEED: run the world of this seed. VESTRY_MANY: run the larger set. */
/* capability: F3 */
TEST_CASE(f3_superseded_events_do_not_change_the_resulting_page) {
  static world w;
  const char *seed = getenv("VESTRY_SEED");
  if (seed) {
    (void)live(&w, strtoull(seed, NULL, 10));
    return;
  }
  const uint64_t worlds = getenv("VESTRY_MANY") ? MANY_WORLDS : WORLDS;
  uint64_t conflated = 0;
  for (uint64_t at = 1; at <= worlds; at++) conflated += live(&w, at);
  print_message("%llu worlds: %llu events left out\n", (unsigned long long)worlds, (unsigned long long)conflated);
  assert_true(conflated > worlds);
}

/* ---------------------------------------------------------------------------------------------- single cases ------ */

static void block(world *w) {
  w->l.p.write_answer = VESTRY_IO_WOULD_BLOCK;
  w->l.p.take = 0;
  vestry_event *first = fence(w); /* it is taken, and fills the transport */
  assert_int_equal(vestry_connection_send(w->l.connection, first), VESTRY_OK);
  vestry_event_unref(first);
  bench_run(&w->b);
}

static void send_set(world *w, int element, int value) {
  vestry_event *event = set(w, element, value);
  assert_int_equal(vestry_connection_send(w->l.connection, event), VESTRY_OK);
  vestry_event_unref(event);
}

static void finish(world *w) {
  vestry_connection_close(w->l.connection, VESTRY_CAUSE_HANGUP);
  bench_run(&w->b);
  end(w);
}

/* Returns the count and bytes of the queue. */
static size_t queued(world *w, uint32_t *ret_count) {
  const vestry_connection_stats stats = probe_stats(w->l.connection);
  *ret_count = stats.queued_count;
  vsi_group_stats all;
  vsi_group_stats_get(w->b.group, &all);
  const size_t names = (stats.queued_count - 1) * strlen("s0"); /* all but the first event show a state */
  assert_int_equal(all.queued_bytes, vsi_budget_cost(stats.queued_count, stats.queued_bytes + names));
  return stats.queued_bytes;
}

/* The room of a superseded event is free at once, in the queue and in the common budget, so a stream that is not read
 * takes any number of events of one state. */
/* capability: F4 */
TEST_CASE(f4_room_of_a_superseded_event_is_free_at_once) {
  static world w;
  uint32_t count;
  begin(&w, PROFILES);
  vsi_group_limit(w.b.group, 4096);
  block(&w);
  send_set(&w, 0, 1000);
  const size_t bytes = queued(&w, &count);
  for (int i = 1001; i < 3000; i++) {
    send_set(&w, 0, i);
    assert_int_equal(queued(&w, &count), bytes);
    assert_int_equal(count, 2);
  }
  assert_true(vestry_connection_is_open(w.l.connection));
  assert_int_equal(probe_stats(w.l.connection).conflated_count, 1999);
  finish(&w);
}

/* A full queue takes an event that supersedes one, and refuses another one. */
TEST_CASE(full_queue_takes_a_superseding_event) {
  static world w;
  begin(&w, PROFILES);
  w.l.connection->queue.max_count = 3;
  w.l.connection->full = VESTRY_FULL_DROP;
  block(&w);
  send_set(&w, 0, 1);
  send_set(&w, 1, 2);
  vestry_event *other = set(&w, 2, 3), *larger = set(&w, 0, 1000000);
  assert_int_equal(vestry_connection_send(w.l.connection, other), VESTRY_FULL);
  w.l.connection->max_queued_bytes = (uint32_t)probe_stats(w.l.connection).queued_bytes;
  assert_int_equal(vestry_connection_send(w.l.connection, larger), VESTRY_FULL); /* by its bytes; the older one stays */
  send_set(&w, 0, 4);
  assert_int_equal(probe_stats(w.l.connection).conflated_count, 1);
  assert_int_equal(probe_stats(w.l.connection).refused_count, 2);
  vestry_event_unref(other);
  vestry_event_unref(larger);
  finish(&w);
}

/* An event that the runner has begun to write stays. The search ends after 64 waiting events. */
TEST_CASE(taken_and_distant_events_stay) {
  static world w;
  char name[8];
  begin(&w, PROFILES);
  w.l.p.write_answer = VESTRY_IO_WOULD_BLOCK;
  w.l.p.take = 3;
  send_set(&w, 0, 1);
  bench_run(&w.b);
  send_set(&w, 0, 2);
  assert_int_equal(probe_stats(w.l.connection).conflated_count, 0);
  for (int i = 0; i < VSI_STATES_MOST; i++) {
    vestry_event *event = NULL;
    snprintf(name, sizeof name, "n%d", i);
    assert_int_equal(vsi_event_signals_text(&w.b.th.host, "{}", 2, &(vestry_signals_options){.state = name}, &event),
                     VESTRY_OK);
    assert_int_equal(vestry_connection_send(w.l.connection, event), VESTRY_OK);
    vestry_event_unref(event);
    if (i == VSI_STATES_MOST - 2) {
      send_set(&w, 0, 3);
      assert_int_equal(probe_stats(w.l.connection).conflated_count, 1);
    }
  }
  finish(&w);
}

/* The former name of the policy: programs that set it compile, and get that of a full queue. */
TEST_CASE(conflate_is_close) {
  vestry_connection_options made = {0};
  assert_int_equal(
      vsi_connection_options_resolve(&(vestry_connection_options){.full = VESTRY_FULL_CONFLATE}, NULL, &made),
      VESTRY_OK);
  assert_int_equal(made.full, VESTRY_FULL_CLOSE);
}
