/* SPDX-License-Identifier: MIT */
/* Channels under many threads: publishers, senders, and members that join, leave and end, all at once. The decoder of
 * each stream reads each publisher's events in order, and all members that stay throughout have the same events in the
 * same order. */
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>

#include "channel/channel.h"
#include "coding/coder.h"
#include "connection/probe.h"
#include "connection/send.h"
#include "decode/decode.h"
#include "runtime/random.h"
#include "runtime/runtime.h"

enum { STAYING = 6, COMING = 150, PUBLISHERS = 3, EVENTS = 150 };

static const vestry_profile profiles[3] = {
    {.ops = &vestry_profile_brotli, .window_bits = 12}, {.ops = &vestry_profile_gzip}, {.ops = &test_chain_checked}};

typedef struct stream {
  probe p;
  const vestry_profile *profile;
  vestry_connection *connection;
} stream;

typedef struct race {
  bench b;
  vsi_channel *channel, *second;
  stream staying[STAYING], coming[COMING];
} race;

typedef struct publisher {
  race *r;
  int number;
} publisher;

static void open_stream(race *r, stream *s, const vestry_profile *profile) {
  vsi_coding *coding = NULL;
  vsi_coder *coder = NULL;
  s->profile = profile;
  probe_init(&s->p);
  assert_int_equal(vsi_coding_find(vsi_group_codings(r->b.group), profile, &coding), VESTRY_OK);
  assert_int_equal(vsi_coder_create(coding, &coder), VESTRY_OK);
  assert_int_equal(vsi_group_connect(r->b.group, &probe_pooled, &s->p, NULL, &probe_hooks, &s->p, &s->connection),
                   VESTRY_OK);
  s->connection->coder = coder;
  vsi_connection_start(s->connection);
}

/* "e" published, "p" sent to one stream: PUBLISHER/NUMBER, and digits to make it long. */
static vestry_event *numbered(race *r, char kind, int who, int what) {
  char text[600];
  vestry_event *event = NULL;
  int len = snprintf(text, sizeof text, "%c%d/%d/%0*d", kind, who, what, what % 4 ? 300 : 3, what);
  assert_int_equal(vestry_event_elements(&r->b.th.host, text, (size_t)len, NULL, &event), VESTRY_OK);
  return event;
}

static void *publish(void *argument) {
  publisher *p = argument;
  for (int i = 0; i < EVENTS; i++) {
    vestry_event *event = numbered(p->r, 'e', p->number, i);
    size_t sent = 0;
    assert_int_equal(vsi_channel_publish(p->r->channel, event, &sent), VESTRY_OK);
    assert_true(sent >= STAYING);
    if (i % 3 == 0) assert_int_equal(vsi_channel_publish(p->r->second, event, NULL), VESTRY_OK);
    vestry_event_unref(event);
    if (i % 5 == 0) {
      event = numbered(p->r, 'p', p->number, i);
      assert_int_equal(vestry_connection_send(p->r->staying[i % STAYING].connection, event), VESTRY_OK);
      vestry_event_unref(event);
    }
    vsi_channel_stats stats = {0};
    if (i % 16 == 0) vsi_channel_stats_get(p->r->channel, &stats);
  }
  return NULL;
}

static void *come_and_go(void *argument) {
  race *r = argument;
  uint64_t random = 5;
  for (int i = 0; i < COMING; i++) {
    stream *s = &r->coming[i];
    open_stream(r, s, &profiles[random_below(&random, 3)]);
    assert_int_equal(vsi_channel_join(r->channel, s->connection), VESTRY_OK);
    assert_int_equal(vsi_channel_join(r->second, s->connection), VESTRY_OK);
    if (random_below(&random, 3) == 0) assert_int_equal(vsi_channel_leave(r->channel, s->connection), VESTRY_OK);
    if (i >= 4) { /* a few are open at any time */
      stream *old = &r->coming[i - 4];
      vestry_connection_close(old->connection, i % 3 ? VESTRY_CAUSE_CLOSED : VESTRY_CAUSE_SIZE);
      (void)vsi_channel_leave(r->channel, old->connection); /* races with its end */
      (void)vsi_channel_join(r->channel, old->connection);
      (void)vsi_channel_leave(r->second, old->connection);
    }
  }
  return NULL;
}

/* Decode the stream. ret_order: the events published to the first channel, as "PUBLISHER/NUMBER "…. */
static void check(stream *s, bool throughout, vsi_buffer *ret_order) {
  decoder d;
  decoder_init(&d, s->profile->ops->coding);
  decoder_feed(&d, s->p.got.data, s->p.got.len);
  assert_false(d.broken);
  assert_int_equal(d.ended, s->p.clean);
  int last[2][PUBLISHERS], counts[PUBLISHERS] = {0};
  memset(last, -1, sizeof last);
  for (const char *at = d.text.len ? vsi_buffer_terminate(&d.text) : ""; (at = strstr(at, "elements "));) {
    char kind;
    int who, what;
    at += strlen("elements ");
    if (sscanf(at, "%c%d/%d/", &kind, &who, &what) != 3) continue; /* the end of an aborted stream */
    assert_in_range(who, 0, PUBLISHERS - 1);
    if (throughout) {
      assert_true(what > last[kind == 'p'][who]);
      if (kind == 'e') vsi_buffer_printf(ret_order, "%d/%d ", who, what);
    } else {
      assert_true(what >= last[kind == 'p'][who]); /* with two channels, events may arrive twice in a row */
    }
    last[kind == 'p'][who] = what;
    counts[who] += kind == 'e';
  }
  for (int i = 0; throughout && i < PUBLISHERS; i++) assert_int_equal(counts[i], EVENTS);
  decoder_finish(&d);
}

/* capability: F1 */
TEST_CASE(members_that_stay_receive_one_order) {
  static race r;
  pthread_t ids[PUBLISHERS], coming;
  publisher publishers[PUBLISHERS];
  bench_init(&r.b, 2, &(vestry_connection_options){.max_queued_count = 100000});
  assert_int_equal(vsi_channel_create(r.b.group, 0, &r.channel), VESTRY_OK);
  assert_int_equal(vsi_channel_create(r.b.group, 0, &r.second), VESTRY_OK);
  for (int i = 0; i < STAYING; i++) {
    open_stream(&r, &r.staying[i], &profiles[i % 3]);
    assert_int_equal(vsi_channel_join(r.channel, r.staying[i].connection), VESTRY_OK);
  }
  for (int i = 0; i < PUBLISHERS; i++) {
    publishers[i] = (publisher){&r, i};
    assert_int_equal(pthread_create(&ids[i], NULL, publish, &publishers[i]), 0);
  }
  assert_int_equal(pthread_create(&coming, NULL, come_and_go, &r), 0);
  for (int i = 0; i < PUBLISHERS; i++) pthread_join(ids[i], NULL);
  pthread_join(coming, NULL);
  for (int i = 0; i < STAYING; i++) vestry_connection_close(r.staying[i].connection, VESTRY_CAUSE_CLOSED);
  for (int i = 0; i < COMING; i++) vestry_connection_close(r.coming[i].connection, VESTRY_CAUSE_CLOSED);
  vsi_channel_destroy(r.second); /* while its members end */
  assert_int_equal(vsi_group_wait(r.b.group, 60000), VESTRY_OK);
  vsi_channel_stats stats = {0};
  vsi_channel_stats_get(r.channel, &stats);
  assert_int_equal(stats.members_count, 0);
  assert_int_equal(stats.published_count, PUBLISHERS * EVENTS);
  vsi_channel_destroy(r.channel);
  for (int i = 0; i < STAYING; i++) vestry_connection_unref(r.staying[i].connection);
  for (int i = 0; i < COMING; i++) vestry_connection_unref(r.coming[i].connection);
  bench_finish(&r.b); /* no thread runs a stream any more */
  vsi_buffer first;
  vsi_buffer_init(&first, NULL);
  check(&r.staying[0], true, &first);
  for (int i = 1; i < STAYING; i++) {
    vsi_buffer order;
    vsi_buffer_init(&order, NULL);
    check(&r.staying[i], true, &order);
    assert_string_equal(vsi_buffer_terminate(&order), vsi_buffer_terminate(&first));
    vsi_buffer_finish(&order);
  }
  vsi_buffer_finish(&first);
  for (int i = 0; i < COMING; i++) check(&r.coming[i], false, NULL);
  for (int i = 0; i < STAYING; i++) probe_finish(&r.staying[i].p);
  for (int i = 0; i < COMING; i++) probe_finish(&r.coming[i].p);
}

/* Occupies a thread of the pool. */
typedef struct occupant {
  sem_t begun, may_end;
} occupant;

static void occupy(vestry_actor *self, void *ctx) {
  occupant *o = ctx;
  (void)self;
  sem_post(&o->begun);
  while (sem_wait(&o->may_end)) continue;
}

static uint64_t written_to(const vestry_connection *connection) {
  return atomic_load_explicit(&connection->written_count, memory_order_relaxed);
}

/* The only thread of the pool is occupied, so only the publishing thread can write. */
TEST_CASE(publish_leaves_few_members_to_its_caller) {
  enum { MOST = VSI_FEW_STREAMS + 1 };
  static probe probes[MOST];
  for (int members = 1; members <= MOST; members += members == 1 ? VSI_FEW_STREAMS - 1 : 1) {
    bench b;
    vsi_channel *channel;
    vestry_connection *at[MOST];
    vestry_actor *actor;
    occupant o;
    vsi_few_streams few;
    size_t sent = 0;
    bench_init(&b, 1, NULL);
    assert_int_equal(vsi_channel_create(b.group, 0, &channel), VESTRY_OK);
    for (int i = 0; i < members; i++) {
      probe_init(&probes[i]);
      at[i] = bench_connect(&b, &probes[i], NULL);
      vsi_connection_start(at[i]);
      assert_int_equal(vsi_channel_join(channel, at[i]), VESTRY_OK);
      while (vsi_connection_state(at[i]) != VESTRY_STATE_OPEN || atomic_load(&at[i]->actor.state)) sched_yield();
    }
    sem_init(&o.begun, 0, 0);
    sem_init(&o.may_end, 0, 0);
    const vestry_actor_options options = {.run = occupy, .ctx = &o};
    assert_int_equal(vestry_actor_create(b.runtime, &options, &actor), VESTRY_OK);
    vestry_actor_notify(actor);
    while (sem_wait(&o.begun)) continue;
    vestry_event *event = bench_event(&b, "x");
    assert_int_equal(vsi_channel_publish_reporting(channel, event, 0, &few, NULL, NULL, &sent), VESTRY_OK);
    assert_int_equal(sent, members);
    assert_int_equal(few.count, members <= VSI_FEW_STREAMS ? members : 0);
    for (int i = 0; i < members; i++) assert_false(written_to(at[i]));
    vsi_connections_posted_here(few.streams, few.count, &b.runtime->pool);
    for (int i = 0; i < members; i++) assert_int_equal(written_to(at[i]), members <= VSI_FEW_STREAMS);
    sem_post(&o.may_end);
    for (int i = 0; i < members; i++) {
      while (!written_to(at[i])) sched_yield();
      vestry_connection_close(at[i], VESTRY_CAUSE_CLOSED);
    }
    assert_int_equal(vsi_group_wait(b.group, 60000), VESTRY_OK);
    vestry_event_unref(event);
    vestry_actor_unref(actor);
    vsi_channel_destroy(channel);
    for (int i = 0; i < members; i++) vestry_connection_unref(at[i]);
    bench_finish(&b);
    for (int i = 0; i < members; i++) probe_finish(&probes[i]);
    sem_destroy(&o.begun);
    sem_destroy(&o.may_end);
  }
}
