/* SPDX-License-Identifier: MIT */
/* Channels: recipients, order and cost. splice_test.c proves that the output can be decoded; each listener here checks
 * it as well. */
#include "channel/channel.h"

#include "base/memory.h"
#include "channel/channels.h"
#include "connection/connection.h"
#include "connection/listener.h"
#include "connection/runner.h"

static const vestry_profile brotli = {.ops = &vestry_profile_brotli}, gzip = {.ops = &vestry_profile_gzip};

enum { PAGE_BYTES = 6000, LISTENERS = 4, ALIGNED_MOST = 200, ALONE_LEAST = 1000 };

typedef struct room {
  bench b;
  vsi_channel *channel;
  listener at[LISTENERS];
  char page[PAGE_BYTES];
  uint32_t turn;
} room;

static void room_begin(room *r, const vestry_profile *profile, uint64_t epoch_max_bytes, int members) {
  memset(r, 0, sizeof *r);
  bench_init(&r->b, VESTRY_THREADS_NONE, &(vestry_connection_options){.full = VESTRY_FULL_DROP});
  assert_int_equal(vsi_channel_create(r->b.group, epoch_max_bytes, &r->channel), VESTRY_OK);
  for (uint32_t i = 0, x = 1; i < PAGE_BYTES; i++)
    r->page[i] = (char)('a' + (x = x * 1664525u + 1013904223u) / 165191050);
  for (int i = 0; i < members; i++) {
    assert_int_equal(listener_open(&r->at[i], &r->b, profile, NULL), VESTRY_OK);
    assert_int_equal(vsi_channel_join(r->channel, r->at[i].connection), VESTRY_OK);
  }
  bench_run(&r->b);
}

static void room_end(room *r) {
  vsi_channel_destroy(r->channel);
  for (int i = 0; i < LISTENERS; i++) {
    if (!r->at[i].connection) continue;
    assert_true(vestry_connection_is_open(r->at[i].connection)); /* the end of a channel does not end its members */
    vestry_connection_close(r->at[i].connection, VESTRY_CAUSE_CLOSED);
    bench_run(&r->b);
    listener_finish(&r->at[i], true);
  }
  bench_finish(&r->b);
}

static vestry_event *next_page(room *r) {
  vestry_event *event = NULL;
  r->page[r->turn++ * 131 % PAGE_BYTES] ^= 3;
  assert_int_equal(vestry_event_elements(&r->b.th.host, r->page, PAGE_BYTES, NULL, &event), VESTRY_OK);
  return event;
}

static uint64_t wire_of(const listener *l) {
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(l->connection, &stats);
  return stats.wire_bytes;
}

/* Publish a page that has changed a little to all members, which expect it. ret_wire: the bytes that each received. */
static void publish(room *r, uint64_t ret_wire[LISTENERS]) {
  vestry_event *event = next_page(r);
  uint64_t before[LISTENERS] = {0};
  size_t sent, members = 0;
  for (int i = 0; i < LISTENERS; i++)
    if (r->at[i].connection) before[i] = wire_of(&r->at[i]);
  assert_int_equal(vsi_channel_publish(r->channel, event, &sent), VESTRY_OK);
  for (int i = 0; i < LISTENERS; i++) {
    if (!r->at[i].connection) continue;
    listener_expect(&r->at[i], event);
    members++;
  }
  assert_int_equal(sent, members);
  bench_run(&r->b);
  for (int i = 0; i < LISTENERS; i++) {
    ret_wire[i] = r->at[i].connection ? wire_of(&r->at[i]) - before[i] : 0;
    if (r->at[i].connection) listener_check(&r->at[i], true);
  }
  vestry_event_unref(event);
}

static void send_alone(room *r, int i, const char *text) {
  vestry_event *event = NULL;
  assert_int_equal(vestry_event_elements(&r->b.th.host, text, strlen(text), NULL, &event), VESTRY_OK);
  assert_int_equal(vestry_connection_send(r->at[i].connection, event), VESTRY_OK);
  listener_expect(&r->at[i], event);
  vestry_event_unref(event);
}

static vsi_channel_stats stats_of(room *r) {
  vsi_channel_stats stats = {0};
  vsi_channel_stats_get(r->channel, &stats);
  for (int i = 0; i < VSI_CODINGS_MAX; i++) /* nothing is published now */
    if (r->channel->lanes[i].epoch) stats.standalone_count += atomic_load(&r->channel->lanes[i].epoch->alone);
  return stats;
}

/* ---------------------------------------------------------------------------------------------- members ----------- */

TEST_CASE(members_join_publish_and_leave) {
  room r;
  room_begin(&r, NULL, 0, 2);
  uint64_t wire[LISTENERS];
  publish(&r, wire);
  vestry_connection *first = r.at[0].connection, *second = r.at[1].connection;
  assert_int_equal(vsi_channel_join(r.channel, first), VESTRY_EXISTS);
  assert_int_equal(vsi_channel_leave(r.channel, first), VESTRY_OK);
  assert_int_equal(vsi_channel_leave(r.channel, first), VESTRY_NOT_FOUND);
  vestry_event *event = bench_event(&r.b, "only one hears it");
  size_t sent = 7;
  assert_int_equal(vsi_channel_publish(r.channel, event, &sent), VESTRY_OK);
  assert_int_equal(sent, 1);
  vestry_event_unref(event);
  assert_int_equal(vsi_channel_join(r.channel, first), VESTRY_OK);
  publish(&r, wire);
  vsi_channel_stats stats = stats_of(&r);
  assert_int_equal(stats.members_count, 2);
  assert_int_equal(stats.published_count, 3);
  assert_int_equal(stats.accepted_count, 5);
  assert_int_equal(stats.epochs_count, 0); /* identity needs no encoder */
  assert_int_equal(vsi_channel_leave(r.channel, second), VESTRY_OK);
  assert_int_equal(vsi_channel_leave(r.channel, first), VESTRY_OK);
  event = bench_event(&r.b, "nobody hears it");
  assert_int_equal(vsi_channel_publish(r.channel, event, NULL), VESTRY_OK);
  vestry_event_unref(event);
  vsi_channel_destroy(r.channel);
  r.channel = NULL;
  for (int i = 0; i < 2; i++) {
    vestry_connection_close(r.at[i].connection, VESTRY_CAUSE_CLOSED);
    bench_run(&r.b);
    assert_true(r.at[i].p.clean);
    vestry_connection_unref(r.at[i].connection);
    probe_finish(&r.at[i].p);
    decoder_finish(&r.at[i].d);
    vsi_buffer_finish(&r.at[i].expected);
  }
  bench_finish(&r.b);
}

TEST_CASE(settled_delivery_stays_with_its_stream) {
  room r;
  room_begin(&r, NULL, 0, LISTENERS);
  uint64_t wire[LISTENERS];
  const long before = atomic_load(&r.b.th.live);
  for (int i = 0; i < 3; i++) {
    publish(&r, wire);
    assert_int_equal(atomic_load(&r.b.th.live), before + LISTENERS);
  }
  room_end(&r);
}

TEST_CASE(ended_stream_leaves_its_channel) {
  room r;
  room_begin(&r, &gzip, 0, 3);
  uint64_t wire[LISTENERS];
  publish(&r, wire);
  vestry_connection *gone = r.at[1].connection;
  vestry_connection_close(gone, VESTRY_CAUSE_SIZE);
  assert_int_equal(stats_of(&r).members_count, 3); /* it has a cause, but its runner has not run */
  vestry_event *event = next_page(&r);
  size_t sent = 0;
  assert_int_equal(vsi_channel_publish(r.channel, event, &sent), VESTRY_OK); /* a closing member counts as no failure */
  assert_int_equal(sent, 2);
  listener_expect(&r.at[0], event);
  listener_expect(&r.at[2], event);
  vestry_event_unref(event);
  bench_run(&r.b);
  assert_int_equal(stats_of(&r).members_count, 2);
  assert_int_equal(vsi_channel_join(r.channel, gone), VESTRY_CLOSED);
  assert_int_equal(vsi_channel_leave(r.channel, gone), VESTRY_NOT_FOUND);
  assert_int_equal(stats_of(&r).members_count, 2);
  listener_finish(&r.at[1], false);
  publish(&r, wire);
  room_end(&r);
}

TEST_CASE(channel_refuses_foreign_connections) {
  room r;
  bench other;
  listener stranger;
  room_begin(&r, NULL, 0, 1);
  bench_init(&other, VESTRY_THREADS_NONE, NULL);
  assert_int_equal(listener_open(&stranger, &other, NULL, NULL), VESTRY_OK);
  assert_int_equal(vsi_channel_join(r.channel, stranger.connection), VESTRY_INVALID);
  assert_int_equal(vsi_channel_join(r.channel, NULL), VESTRY_INVALID);
  assert_int_equal(vsi_channel_join(NULL, r.at[0].connection), VESTRY_INVALID);
  assert_int_equal(vsi_channel_leave(r.channel, NULL), VESTRY_INVALID);
  assert_int_equal(vsi_channel_publish(r.channel, NULL, NULL), VESTRY_INVALID);
  vsi_channels *channels = NULL;
  assert_int_equal(vsi_channels_create(r.b.group, 0, VSI_EPOCH_MAX_BYTES_MOST + 1, &channels), VESTRY_INVALID);
  assert_null(channels);
  vsi_channel_destroy(NULL);
  vestry_connection_close(stranger.connection, VESTRY_CAUSE_CLOSED);
  bench_run(&other);
  listener_finish(&stranger, true);
  bench_finish(&other);
  room_end(&r);
}

TEST_CASE(publish_reports_full_members) {
  room r;
  room_begin(&r, NULL, 0, 1);
  static const vestry_connection_options drops = {.max_queued_count = 1, .full = VESTRY_FULL_DROP},
                                         closes = {.max_queued_count = 1, .full = VESTRY_FULL_CLOSE},
                                         small = {.max_queued_bytes = 100};
  const vestry_connection_options *const options[] = {&drops, &closes, &small};
  for (int i = 0; i < 3; i++) {
    assert_int_equal(listener_open(&r.at[1 + i], &r.b, &brotli, options[i]), VESTRY_OK);
    assert_int_equal(vsi_channel_join(r.channel, r.at[1 + i].connection), VESTRY_OK);
  }
  size_t sent;
  vestry_event *event = next_page(&r);
  assert_int_equal(vsi_channel_publish(r.channel, event, &sent), VESTRY_TOO_LARGE);
  assert_int_equal(sent, 3);
  for (int i = 0; i < 3; i++) listener_expect(&r.at[i], event);
  assert_int_equal(vsi_channel_leave(r.channel, r.at[3].connection), VESTRY_OK);
  assert_int_equal(vsi_channel_publish(r.channel, event, &sent), VESTRY_FULL); /* one dropped, one closed */
  assert_int_equal(sent, 1);
  listener_expect(&r.at[0], event);
  assert_int_equal(vestry_connection_look(r.at[2].connection).cause, VESTRY_CAUSE_FULL);
  assert_int_equal(vsi_channel_leave(r.channel, r.at[1].connection), VESTRY_OK);
  bench_run(&r.b);
  listener_finish(&r.at[2], false);
  assert_int_equal(vsi_channel_publish(r.channel, event, &sent), VESTRY_OK);
  assert_int_equal(sent, 1);
  listener_expect(&r.at[0], event);
  vestry_event_unref(event);
  assert_int_equal(stats_of(&r).refused_count, 3);
  room_end(&r);
}

/* A member that leaves while a publish walks over the members: the next one, at the end of a chunk. */
static vsi_channel *leave_from;
static vestry_connection *leaves;
static void wake_and_leave(void *transport) {
  if (leaves) assert_int_equal(vsi_channel_leave(leave_from, leaves), VESTRY_OK);
  leaves = NULL;
}

TEST_CASE(leaving_during_a_publish_skips_no_member) {
  enum { MANY = 130 };
  for (int who = 1; who < MANY; who++) {
    bench b;
    static probe probes[MANY];
    vestry_connection *members[MANY];
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    assert_int_equal(vsi_channel_create(b.group, 0, &leave_from), VESTRY_OK);
    vestry_transport_ops dedicated = probe_dedicated;
    dedicated.wake = wake_and_leave;
    for (int i = 0; i < MANY; i++) {
      probe_init(&probes[i]);
      assert_int_equal(vsi_group_connect(b.group, &dedicated, &probes[i], NULL, &probe_hooks, &probes[i], &members[i]),
                       VESTRY_OK);
      vsi_connection_start(members[i]);
      assert_int_equal(vestry_connection_run(members[i]), VESTRY_STATE_OPEN);
      assert_int_equal(vsi_channel_join(leave_from, members[i]), VESTRY_OK);
    }
    vestry_event *event = bench_event(&b, "x");
    size_t sent = 0;
    leaves = members[who]; /* when the first chunk is woken */
    assert_int_equal(vsi_channel_publish(leave_from, event, &sent), VESTRY_OK);
    assert_null(leaves);
    vestry_event_unref(event);
    assert_int_equal(sent, who < 64 ? MANY : MANY - 1);
    vsi_channel_destroy(leave_from);
    for (int i = 0; i < MANY; i++) {
      vestry_connection_run(members[i]);
      probe_assert_got(&probes[i], i == who && who >= 64 ? "" : ": x\n\n");
      vestry_connection_close(members[i], VESTRY_CAUSE_CLOSED);
      vestry_connection_run(members[i]);
      vestry_connection_unref(members[i]);
      probe_finish(&probes[i]);
    }
    bench_finish(&b);
  }
}

/* ------------------------------------------------------------------------- publishing inside a publish ----------- */

/* A channel with one full member, whose hook publishes to another channel. */
typedef struct complaint {
  probe p;
  vestry_connection *member;
  vsi_channel *mine, *other;
  vestry_event *event;
  int asked;
  vestry_err result;
} complaint;

static vestry_verdict complain(vestry_connection *connection, vestry_err error, void *ctx) {
  complaint *c = ctx;
  assert_ptr_equal(connection, c->member);
  assert_int_equal(error, VESTRY_FULL);
  if (c->asked++ == 0 || c->mine != c->other) { /* without the busy check this recursion would not end */
    size_t sent = 7;
    c->result = vsi_channel_publish(c->other, c->event, &sent);
    assert_int_equal(sent, 0);
  }
  vsi_channel_stats stats = {0};
  vsi_channel_stats_get(c->other, &stats);
  assert_int_equal(stats.members_count, 1);
  return VESTRY_VERDICT_GO_ON;
}

static void complaint_begin(complaint *c, bench *b) {
  static const vsi_connection_hooks hooks = {.on_error = complain};
  memset(c, 0, sizeof *c);
  probe_init(&c->p);
  c->event = bench_event(b, "x");
  assert_int_equal(vsi_channel_create(b->group, 0, &c->mine), VESTRY_OK);
  assert_int_equal(vsi_group_connect(b->group, &probe_pooled, &c->p,
                                     &(vestry_connection_options){.max_queued_count = 1, .full = VESTRY_FULL_DROP},
                                     &hooks, c, &c->member),
                   VESTRY_OK);
  assert_int_equal(vsi_channel_join(c->mine, c->member), VESTRY_OK);
  assert_int_equal(vsi_channel_publish(c->mine, c->event, NULL), VESTRY_OK); /* no runner empties the queue */
}

static void complaint_end(complaint *c, bench *b) {
  vsi_channel_destroy(c->mine);
  vsi_connection_abandon(c->member, VESTRY_CAUSE_CLOSED);
  vestry_connection_unref(c->member);
  bench_run(b); /* its actor drops the last reference, and releases the probe */
  vestry_event_unref(c->event);
  vsi_buffer_finish(&c->p.got);
}

BENCH_CASE(publish_inside_a_publish_returns_busy) {
  complaint here, there;
  complaint_begin(&here, b);
  complaint_begin(&there, b);
  here.other = here.mine;
  assert_int_equal(vsi_channel_publish(here.mine, here.event, NULL), VESTRY_FULL);
  assert_int_equal(here.result, VESTRY_BUSY);
  assert_int_equal(here.asked, 1);
  vsi_channel_stats stats = {0};
  vsi_channel_stats_get(here.mine, &stats);
  assert_int_equal(stats.published_count, 2); /* a refused publish reaches no member */
  /* A publish to an idle channel succeeds; from there, the first channel is busy. */
  here.other = there.mine;
  there.other = here.mine;
  here.asked = 0;
  assert_int_equal(vsi_channel_publish(here.mine, here.event, NULL), VESTRY_FULL);
  assert_int_equal(here.result, VESTRY_FULL);
  assert_int_equal(there.result, VESTRY_BUSY);
  assert_int_equal(here.asked + there.asked, 2);
  complaint_end(&here, b);
  complaint_end(&there, b);
}

enum { CROSSINGS = 3000 };

static void *publish_often(void *argument) {
  complaint *c = argument;
  for (int i = 0; i < CROSSINGS; i++) assert_int_equal(vsi_channel_publish(c->mine, c->event, NULL), VESTRY_FULL);
  return NULL;
}

/* Two threads publish to two channels; the hook of each publishes to the other channel. */
BENCH_CASE(crossing_publishes_do_not_deadlock) {
  complaint here, there;
  complaint_begin(&here, b);
  complaint_begin(&there, b);
  here.other = there.mine;
  there.other = here.mine;
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, publish_often, &there), 0);
  publish_often(&here);
  pthread_join(thread, NULL);
  vsi_channel_stats stats = {0};
  vsi_channel_stats_get(here.mine, &stats);
  assert_true(stats.published_count >= CROSSINGS + 1);
  assert_int_equal(stats.accepted_count, 1);
  assert_int_equal(stats.refused_count, stats.published_count - 1);
  assert_int_equal(here.asked, stats.refused_count); /* the hook ran for each publish */
  complaint_end(&here, b);
  complaint_end(&there, b);
}

/* A profile whose encoders publish when they are destroyed, once the test has set a channel. */
static struct {
  vsi_channel *channel; /* NULL: no channel */
  vestry_event *event;
  vestry_err result;
} last_words;

static void speak_and_destroy(void *encoder) {
  if (last_words.channel) last_words.result = vsi_channel_publish(last_words.channel, last_words.event, NULL);
  vestry_profile_gzip.destroy(encoder);
}

TEST_CASE(publish_from_encoder_destruction_returns_busy) {
  room r;
  vestry_profile_ops ops = vestry_profile_gzip;
  ops.destroy = speak_and_destroy;
  const vestry_profile talkative = {.ops = &ops};
  room_begin(&r, &talkative, 0, 1);
  uint64_t wire[LISTENERS];
  publish(&r, wire);
  last_words.channel = r.channel;
  last_words.event = bench_event(&r.b, "x");
  last_words.result = VESTRY_OK;
  assert_int_equal(vsi_channel_leave(r.channel, r.at[0].connection), VESTRY_OK);
  assert_int_equal(last_words.result, VESTRY_BUSY);
  last_words.channel = NULL;
  vestry_event_unref(last_words.event);
  room_end(&r);
}

/* ---------------------------------------------------------------------------------------- at what price ----------- */

static void assert_aligned(uint64_t wire) {
  assert_in_range(wire, 1, ALIGNED_MOST);
}
static void assert_alone(uint64_t wire) {
  assert_in_range(wire, ALONE_LEAST, PAGE_BYTES);
}

static const vestry_profile *const spliced[] = {&brotli, &gzip};

/* capability: F1 */
TEST_CASE(late_joiner_is_aligned_by_a_new_epoch) {
  for (int p = 0; p < 2; p++) {
    room r;
    uint64_t wire[LISTENERS];
    room_begin(&r, spliced[p], 0, 3);
    publish(&r, wire); /* an epoch begins: the event is as long as a standalone one, and aligns all members */
    for (int i = 0; i < 3; i++) assert_alone(wire[i]);
    for (int turn = 0; turn < 3; turn++) {
      publish(&r, wire);
      for (int i = 0; i < 3; i++) assert_aligned(wire[i]);
    }
    assert_int_equal(listener_open(&r.at[3], &r.b, spliced[p], NULL), VESTRY_OK);
    assert_int_equal(vsi_channel_join(r.channel, r.at[3].connection), VESTRY_OK);
    for (int turn = 0; turn < 4; turn++) { /* four members: four standalone events */
      assert_int_equal(stats_of(&r).epochs_count, 1);
      publish(&r, wire);
      for (int i = 0; i < 3; i++) assert_aligned(wire[i]);
      assert_alone(wire[3]);
      assert_int_equal(stats_of(&r).standalone_count, turn + 1);
    }
    publish(&r, wire); /* the next one begins a new epoch */
    for (int i = 0; i < 4; i++) assert_alone(wire[i]);
    publish(&r, wire);
    for (int i = 0; i < 4; i++) assert_aligned(wire[i]);
    assert_int_equal(stats_of(&r).epochs_count, 2);
    assert_int_equal(stats_of(&r).standalone_count, 4);
    room_end(&r);
  }
}

/* capability: F1 */
TEST_CASE(direct_event_unaligns_and_heartbeat_does_not) {
  for (int p = 0; p < 2; p++) {
    room r;
    uint64_t wire[LISTENERS];
    room_begin(&r, spliced[p], 0, 3);
    publish(&r, wire);
    test_host_advance_ms(&r.b.th, 15001);
    bench_run(&r.b);
    vestry_connection_stats stats = {0};
    vestry_connection_stats_get(r.at[0].connection, &stats);
    assert_int_equal(stats.heartbeats_count, 1);
    publish(&r, wire);
    for (int i = 0; i < 3; i++) assert_aligned(wire[i]);
    send_alone(&r, 1, "for you alone");
    publish(&r, wire);
    assert_aligned(wire[0]);
    assert_alone(wire[1]);
    assert_aligned(wire[2]);
    room_end(&r);
  }
}

TEST_CASE(dropped_event_unaligns) {
  room r;
  uint64_t wire[LISTENERS];
  room_begin(&r, &brotli, 0, 2);
  vestry_connection_options options = {.max_queued_count = 1, .full = VESTRY_FULL_DROP};
  assert_int_equal(listener_open(&r.at[2], &r.b, &brotli, &options), VESTRY_OK);
  assert_int_equal(vsi_channel_join(r.channel, r.at[2].connection), VESTRY_OK);
  publish(&r, wire);
  publish(&r, wire);
  for (int i = 0; i < 3; i++) assert_aligned(wire[i]);
  for (int turn = 0; turn < 2; turn++) { /* no runner runs, so the third queue has no room for the second event */
    vestry_event *event = next_page(&r);
    assert_int_equal(vsi_channel_publish(r.channel, event, NULL), turn ? VESTRY_FULL : VESTRY_OK);
    for (int i = 0; i < 3 - turn; i++) listener_expect(&r.at[i], event);
    vestry_event_unref(event);
  }
  bench_run(&r.b);
  publish(&r, wire);
  assert_aligned(wire[0]);
  assert_alone(wire[2]);
  assert_int_equal(stats_of(&r).standalone_count, 1);
  assert_int_equal(stats_of(&r).refused_count, 1);
  room_end(&r);
}

/* capability: F1 */
TEST_CASE(members_that_are_never_in_sync_cost_one_encoding) {
  enum { EVENTS = 300, AGAIN_MOST = 70 };
  for (int p = 0; p < 2; p++) {
    room r;
    uint64_t wire[LISTENERS];
    vsi_channel *other = NULL;
    vsi_channel_stats stats = {0};
    room_begin(&r, spliced[p], 0, 3);
    const vsi_codings *codings = vsi_group_codings(r.b.group);
    assert_int_equal(vsi_channel_create(r.b.group, 0, &other), VESTRY_OK);
    for (int i = 0; i < 3; i++) assert_int_equal(vsi_channel_join(other, r.at[i].connection), VESTRY_OK);
    for (int turn = 0; turn < EVENTS; turn++) { /* each event puts the members out of sync in the other channel */
      vestry_event *event = next_page(&r);
      assert_int_equal(vsi_channel_publish(turn % 2 ? other : r.channel, event, NULL), VESTRY_OK);
      for (int i = 0; i < 3; i++) listener_expect(&r.at[i], event);
      vestry_event_unref(event);
      bench_run(&r.b);
      for (int i = 0; i < 3; i++) listener_check(&r.at[i], true);
    }
    const uint64_t encodes =
        vsi_codings_encodes(codings, VSI_ENCODE_ALIGNED) + vsi_codings_encodes(codings, VSI_ENCODE_ALONE);
    assert_in_range(encodes, EVENTS, EVENTS + EVENTS / 8);
    vsi_channel_stats_get(r.channel, &stats);
    assert_in_range(stats.encodes_count, 1, EVENTS / 2 / 8); /* an epoch is tried again now and then */
    int turn = 0;
    do publish(&r, wire);
    while (wire[0] > ALIGNED_MOST && ++turn < AGAIN_MOST); /* without the other channel, the members come in sync */
    assert_true(turn < AGAIN_MOST);
    for (turn = 0; turn < EVENTS; turn++) {
      publish(&r, wire);
      for (int i = 0; i < 3; i++) assert_aligned(wire[i]);
    }
    vsi_channel_destroy(other);
    room_end(&r);
  }
}

TEST_CASE(epoch_ends_at_its_byte_limit) {
  room r;
  uint64_t wire[LISTENERS];
  room_begin(&r, &gzip, 3 * PAGE_BYTES, 2);
  for (int turn = 0; turn < 9; turn++) {
    publish(&r, wire);
    if (turn % 3)
      assert_aligned(wire[1]);
    else
      assert_alone(wire[1]);
  }
  assert_int_equal(stats_of(&r).epochs_count, 3);
  assert_int_equal(stats_of(&r).standalone_count, 0);
  room_end(&r);
}

/* capability: F1 */
TEST_CASE(each_encoding_has_its_epoch) {
  room r;
  uint64_t wire[LISTENERS];
  room_begin(&r, NULL, 0, 1);
  static const vestry_profile finer = {.ops = &vestry_profile_brotli, .level = 5};
  const vestry_profile *const others[] = {&brotli, &gzip, &finer};
  for (int i = 0; i < 3; i++) {
    assert_int_equal(listener_open(&r.at[1 + i], &r.b, others[i], NULL), VESTRY_OK);
    assert_int_equal(vsi_channel_join(r.channel, r.at[1 + i].connection), VESTRY_OK);
  }
  for (int turn = 0; turn < 3; turn++) publish(&r, wire);
  assert_true(wire[0] > PAGE_BYTES);
  for (int i = 1; i < 4; i++) assert_aligned(wire[i]);
  assert_int_equal(stats_of(&r).epochs_count, 3);
  room_end(&r);
}

/* capability: F2 */
TEST_CASE(encoders_are_limited_and_released) {
  room r;
  uint64_t wire[LISTENERS];
  room_begin(&r, &brotli, 0, 2);
  vsi_codings *codings = vsi_group_codings(r.b.group);
  vsi_codings_limit(codings, 1);
  vsi_channel *second = NULL;
  assert_int_equal(vsi_channel_create(r.b.group, 0, &second), VESTRY_OK);
  publish(&r, wire);
  assert_false(vsi_codings_reserve(codings)); /* the channel holds the only one */
  listener l;
  assert_int_equal(listener_open(&l, &r.b, &brotli, NULL), VESTRY_OK);
  assert_int_equal(vsi_channel_join(second, l.connection), VESTRY_OK);
  vsi_channel_stats stats = {0};
  for (int turn = 0; turn < 3; turn++) { /* the other channel works without an encoder */
    vestry_event *event = next_page(&r);
    assert_int_equal(vsi_channel_publish(second, event, NULL), VESTRY_OK);
    listener_expect(&l, event);
    vestry_event_unref(event);
  }
  vsi_channel_stats_get(second, &stats);
  assert_int_equal(stats.epochs_count, 0);
  for (int i = 0; i < 2; i++) assert_int_equal(vsi_channel_leave(r.channel, r.at[i].connection), VESTRY_OK);
  for (int turn = 0; turn < 3; turn++) { /* it was released with the last member */
    vestry_event *event = next_page(&r);
    assert_int_equal(vsi_channel_publish(second, event, NULL), VESTRY_OK);
    listener_expect(&l, event);
    vestry_event_unref(event);
  }
  vsi_channel_stats_get(second, &stats);
  assert_int_equal(stats.epochs_count, 1);
  vestry_connection_close(l.connection, VESTRY_CAUSE_CLOSED);
  bench_run(&r.b);
  listener_finish(&l, true);
  assert_true(vsi_codings_reserve(codings)); /* and with the last member that ends */
  vsi_codings_unreserve(codings);
  vsi_channel_destroy(second);
  room_end(&r);
}

/* ---------------------------------------------------------------------------------------------- memory ------------ */

/* Allocation fail_at fails. Each accepted event is received, unless its stream was closed because of the failure.
 * Returns whether an allocation failed. */
static bool live(long fail_at) {
  bench b;
  listener at[3];
  vsi_channel *channel = NULL;
  test_host_init(&b.th);
  vestry_runtime_options options = {.host = &b.th.host, .threads_count = VESTRY_THREADS_NONE};
  assert_int_equal(vestry_runtime_create(&options, &b.runtime), VESTRY_OK);
  assert_int_equal(vsi_group_create(b.runtime, NULL, &b.group), VESTRY_OK);
  atomic_store(&b.th.allocations, 0);
  atomic_store(&b.th.fail_at, fail_at);
  static const vestry_profile *const mixed[] = {&gzip, &brotli, NULL};
  vestry_err first_error = vsi_channel_create(b.group, 0, &channel);
  for (int i = 0; i < 3; i++) {
    at[i].connection = NULL;
    vestry_err error = listener_open(&at[i], &b, mixed[i], NULL);
    if (!error && channel) {
      bench_run(&b);
      error = vsi_channel_join(channel, at[i].connection);
      if (error) {
        vestry_connection_close(at[i].connection, VESTRY_CAUSE_ERROR);
        bench_run(&b);
        listener_finish(&at[i], false);
      }
    }
    if (!first_error) first_error = error;
  }
  for (int turn = 0; channel && turn < 4; turn++) {
    static char text[500];
    memset(text, 'a' + turn, sizeof text);
    vestry_event *event = NULL;
    vestry_err error = vestry_event_elements(&b.th.host, text, sizeof text, NULL, &event);
    if (!error) {
      uint64_t before[3] = {0};
      vestry_connection_stats stats = {0};
      for (int i = 0; i < 3; i++)
        if (at[i].connection) vestry_connection_stats_get(at[i].connection, &stats), before[i] = stats.accepted_count;
      error = vsi_channel_publish(channel, event, NULL);
      for (int i = 0; i < 3; i++) {
        if (!at[i].connection) continue;
        vestry_connection_stats_get(at[i].connection, &stats);
        if (stats.accepted_count > before[i]) listener_expect(&at[i], event);
      }
      vestry_event_unref(event);
      bench_run(&b);
    }
    if (!first_error) first_error = error;
  }
  vsi_channel_destroy(channel);
  for (int i = 0; i < 3; i++) {
    if (!at[i].connection) continue;
    vestry_connection_close(at[i].connection, VESTRY_CAUSE_CLOSED);
    bench_run(&b);
    vestry_cause cause = vestry_connection_look(at[i].connection).cause;
    assert_true(cause == VESTRY_CAUSE_CLOSED || cause == VESTRY_CAUSE_ERROR);
    if (!at[i].p.clean && !first_error) first_error = VESTRY_NO_MEMORY; /* the end of the stream could not be encoded */
    listener_finish(&at[i], at[i].p.clean);
  }
  bool failed = atomic_load(&b.th.allocations) > fail_at;
  test_host_fail_no_more(&b.th);
  bench_finish(&b);
  if (!failed) assert_int_equal(first_error, VESTRY_OK);
  return failed;
}

TEST_CASE(allocation_failure_loses_no_accepted_event) {
  for (long fail_at = 0; live(fail_at); fail_at++) continue;
}
