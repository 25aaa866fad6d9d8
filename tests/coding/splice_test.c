/* SPDX-License-Identifier: MIT */
/* The property of encoded streams: whatever happens to a stream, the decoder of its coding reads exactly the events
 * that its queue accepted, in order; after a clean end, it reports a complete stream. The test runs many small worlds,
 * each generated from a seed. Streams of all encodings open, join and leave channels, receive events alone and
 * together, write piece by piece, drop events from full queues, idle and end, in any order. */
#include <stdlib.h>

#include "channel/channel.h"
#include "connection/listener.h"
#include "runtime/random.h"

enum { SLOTS = 7, CHANNELS = 2, STEPS = 80, WORLDS = TEST_ROUNDS(1500), PAGE_BYTES = 3000 };

/* Profiles whose heartbeats are encoded like events; initialized in main. */
static vestry_profile_ops beating_gzip, beating_brotli;

static const vestry_profile profiles[] = {
    {.ops = &vestry_profile_identity},
    {.ops = &vestry_profile_gzip},
    {.ops = &vestry_profile_gzip, .level = 1, .window_bits = 9, .memory_level = 1, .stored_bytes = 1},
    {.ops = &vestry_profile_brotli, .window_bits = 10},
    {.ops = &vestry_profile_brotli, .level = 2, .window_bits = 12, .stored_bytes = 1},
    {.ops = &vestry_profile_brotli, .level = 5, .window_bits = 11},
    {.ops = &vestry_profile_brotli, .level = 9, .window_bits = 13, .stored_bytes = 1000},
    {.ops = &vestry_profile_brotli, .level = 4, .window_bits = 16},
    {.ops = &test_chain},
    {.ops = &test_chain_checked, .stored_bytes = 40},
    {.ops = &beating_gzip, .window_bits = 11},
    {.ops = &beating_brotli, .window_bits = 12},
};
enum { PROFILES = sizeof profiles / sizeof *profiles };

typedef struct splice_world {
  bench b;
  uint64_t random;
  listener slots[SLOTS];
  vestry_event *renders[SLOTS]; /* the last event sent to this slot alone, or an older one; NULL: none */
  bool member[CHANNELS][SLOTS];
  vsi_channel *channels[CHANNELS];
  char page[PAGE_BYTES];
  uint64_t shared_profiles; /* of the profiles above, a world uses few, so that streams share them */
} splice_world;

static uint64_t below(splice_world *w, uint64_t bound) {
  return random_below(&w->random, bound);
}

/* Events that followed another one, by profile, over all worlds. */
static uint64_t followed_counts[PROFILES];

static vestry_event *event_with(splice_world *w, int changes) {
  vestry_event *event = NULL;
  size_t len = below(w, 3) ? PAGE_BYTES : 1 + below(w, 200);
  if (!below(w, 3)) { /* new content at some position, with the old content after it */
    size_t at = below(w, PAGE_BYTES - 100);
    memmove(w->page + at + 100, w->page + at, PAGE_BYTES - at - 100);
  }
  for (int i = 0; i < changes; i++) w->page[below(w, PAGE_BYTES)] = (char)('a' + below(w, 26));
  if (!below(w, 4)) w->page[below(w, PAGE_BYTES)] = '\n';
  assert_int_equal(vestry_event_elements(&w->b.th.host, w->page, len, NULL, &event), VESTRY_OK);
  return event;
}

static vestry_event *next_event(splice_world *w) {
  return event_with(w, 20);
}

static bool is_open(const listener *l) {
  return l->connection && vestry_connection_is_open(l->connection);
}

static void open_slot(splice_world *w, listener *l) {
  vestry_connection_options options = {
      .max_queued_count = below(w, 3) ? 0 : 3, .full = VESTRY_FULL_DROP, .heartbeat_ms = 50 + below(w, 100)};
  const vestry_profile *profile = &profiles[(w->shared_profiles + below(w, 3) * 4) % PROFILES];
  if (!below(w, 8)) profile = &profiles[below(w, PROFILES)];
  vestry_err error = listener_open(l, &w->b, profile, &options);
  assert_true(!error || error == VESTRY_LIMIT);
}

static void let_flow(splice_world *w, listener *l) {
  l->p.write_answer = VESTRY_IO_OK;
  vestry_connection_writable(l->connection);
}

static void close_slot(splice_world *w, listener *l, bool clean) {
  vestry_connection_stats stats = {0};
  if (clean) let_flow(w, l);
  assert_true(vestry_connection_close(l->connection, clean ? VESTRY_CAUSE_CLOSED : VESTRY_CAUSE_IDLE));
  bench_run(&w->b);
  for (int c = 0; c < CHANNELS; c++) w->member[c][l - w->slots] = false;
  vestry_connection_stats_get(l->connection, &stats);
  for (int i = 0; i < PROFILES; i++)
    if (memcmp(&l->profile, &profiles[i], sizeof l->profile) == 0) followed_counts[i] += stats.followed_count;
  w->renders[l - w->slots] = vestry_event_unref(w->renders[l - w->slots]);
  listener_finish(l, clean);
}

static uint64_t accepted_by(const listener *l) {
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(l->connection, &stats);
  return stats.accepted_count;
}

static void publish(splice_world *w, int channel) {
  uint64_t before[SLOTS] = {0};
  size_t sent = 0, expected = 0;
  for (int i = 0; i < SLOTS; i++)
    if (w->member[channel][i]) before[i] = accepted_by(&w->slots[i]);
  vestry_event *event = next_event(w);
  vestry_err error = vsi_channel_publish(w->channels[channel], event, &sent);
  size_t members = 0;
  for (int i = 0; i < SLOTS; i++) {
    if (!w->member[channel][i]) continue;
    members++;
    uint64_t took = accepted_by(&w->slots[i]) - before[i];
    assert_true(took <= 1);
    if (took) listener_expect(&w->slots[i], event);
    expected += took;
  }
  assert_int_equal(sent, expected);
  assert_int_equal(error, expected == members ? VESTRY_OK : VESTRY_FULL);
  vestry_event_unref(event);
}

static void send_to(listener *l, vestry_event *const *events, size_t count) {
  if (is_open(l) && !vestry_connection_send_all(l->connection, events, count))
    for (size_t i = 0; i < count; i++) listener_expect(l, events[i]);
}

/* Render the page as a change to the last event, or to another one, or to one that was sent to other streams as
 * well. */
static void render(splice_world *w, size_t slot) {
  vestry_event *event = event_with(w, 1 + (int)below(w, 20)),
               **last = &w->renders[below(w, 8) ? slot : below(w, SLOTS)];
  vestry_event_follow(event, *last);
  if (!below(w, 10)) vestry_event_follow(event, NULL);
  if (!below(w, 10) && *last) *last = vestry_event_unref(*last);
  send_to(&w->slots[slot], &event, 1);
  if (!below(w, 20)) send_to(&w->slots[below(w, SLOTS)], &event, 1);
  vestry_event_unref(w->renders[slot]);
  w->renders[slot] = event;
}

static void step(splice_world *w) {
  size_t slot = below(w, SLOTS);
  int channel = (int)below(w, CHANNELS);
  listener *l = &w->slots[slot];
  switch (below(w, 20)) {
  case 0:
  case 1:
    if (!l->connection) open_slot(w, l);
    break;
  case 2:
  case 3:
    if (!is_open(l)) break;
    assert_int_equal(vsi_channel_join(w->channels[channel], l->connection),
                     w->member[channel][slot] ? VESTRY_EXISTS : VESTRY_OK);
    w->member[channel][slot] = true;
    break;
  case 4:
    if (!is_open(l) || below(w, 3)) break;
    assert_int_equal(vsi_channel_leave(w->channels[channel], l->connection),
                     w->member[channel][slot] ? VESTRY_OK : VESTRY_NOT_FOUND);
    w->member[channel][slot] = false;
    break;
  case 5: /* a direct send, of one or several */
    if (is_open(l)) {
      vestry_event *events[3] = {next_event(w), next_event(w), NULL};
      events[2] = events[0];
      send_to(l, events, 1 + below(w, 3));
      vestry_event_unref(events[0]);
      vestry_event_unref(events[1]);
    }
    break;
  case 6: { /* the same one to each stream, by hand */
    vestry_event *event = next_event(w);
    for (int i = 0; i < SLOTS; i++) send_to(&w->slots[i], &event, 1);
    vestry_event_unref(event);
    break;
  }
  case 7:
    if (!is_open(l)) break;
    l->p.write_answer = VESTRY_IO_WOULD_BLOCK;
    l->p.take = below(w, 40);
    break;
  case 8:
    if (is_open(l)) let_flow(w, l);
    break;
  case 9: test_host_advance_ms(&w->b.th, below(w, 80)); break;
  case 10:
    if (is_open(l) && !below(w, 3)) close_slot(w, l, below(w, 3) != 0);
    break;
  case 16:
  case 17:
  case 18:
  case 19:
    for (uint64_t i = below(w, 4); i && is_open(l); i--) {
      render(w, slot);
      if (below(w, 3)) bench_run(&w->b);
    }
    break;
  default: publish(w, channel); break;
  }
  if (!below(w, 3)) return; /* let some of it pile up */
  bench_run(&w->b);
  for (int i = 0; i < SLOTS; i++)
    if (is_open(&w->slots[i])) {
      listener_check(&w->slots[i], w->slots[i].p.write_answer == VESTRY_IO_OK);
      /* a blocked one continues where it was */
      if (w->slots[i].p.write_answer != VESTRY_IO_OK) vestry_connection_writable(w->slots[i].connection);
    }
}

static void live(splice_world *w, uint64_t seed) {
  memset(w, 0, sizeof *w);
  w->random = seed;
  bench_init(&w->b, VESTRY_THREADS_NONE, NULL);
  vsi_codings_limit(vsi_group_codings(w->b.group), 1 + (uint32_t)below(w, 8));
  w->shared_profiles = below(w, PROFILES);
  for (int c = 0; c < CHANNELS; c++) {
    uint64_t epoch_max_bytes = below(w, 2) ? 0 : 20000;
    assert_int_equal(vsi_channel_create(w->b.group, epoch_max_bytes, &w->channels[c]), VESTRY_OK);
  }
  for (int i = 0; i < STEPS; i++) step(w);
  for (int c = 0; c < CHANNELS; c++) {
    vsi_channel_stats stats = {0};
    vsi_channel_stats_get(w->channels[c], &stats);
    size_t members = 0;
    for (int i = 0; i < SLOTS; i++) members += w->member[c][i];
    assert_int_equal(stats.members_count, members);
    if (c) vsi_channel_destroy(w->channels[c]); /* before, or after, its members have ended */
  }
  for (int i = 0; i < SLOTS; i++)
    if (w->slots[i].connection) close_slot(w, &w->slots[i], i % 3 != 0);
  vsi_channel_destroy(w->channels[0]);
  bench_finish(&w->b);
}

/* capability: F1 */
TEST_CASE(decoders_read_exactly_the_accepted_events) {
  static splice_world w;
  const char *seed = getenv("VESTRY_SEED");
  if (seed) {
    live(&w, strtoull(seed, NULL, 10));
    return;
  }
  for (uint64_t at = 1; at <= WORLDS; at++) {
    if (at % 100 == 1) print_message("seeds from %d\n", (int)at);
    live(&w, at);
  }
  for (int i = 0; i < PROFILES; i++) {
    if (profiles[i].ops->follow)
      assert_in_range(followed_counts[i], WORLDS / 15, UINT64_MAX);
    else
      assert_int_equal(followed_counts[i], 0);
  }
}

int main(void) {
  beating_gzip = vestry_profile_gzip;
  beating_brotli = vestry_profile_brotli;
  beating_gzip.idle = beating_brotli.idle = (vestry_slice){NULL, 0};
  return cases_run("coding/splice", NULL, NULL);
}
