/* SPDX-License-Identifier: MIT */
/* Coders, and the codings that streams share: shared encoding, limits, and the release at the end of a stream. */
#include "coding/coder.h"

#include <pthread.h>

#include "base/memory.h"
#include "connection/connection.h"
#include "connection/listener.h"
#include "support/until.h"

static const vestry_profile brotli = {.ops = &vestry_profile_brotli}, gzip = {.ops = &vestry_profile_gzip},
                            own = {.ops = &test_chain};

static size_t forms_of(const vestry_event *event) {
  size_t count = 0;
  for (const vsi_event_extra *at = vsi_event_extras(event); at; at = at->next) count++;
  return count;
}

static vestry_event *page(bench *b, size_t len) {
  static char text[5000];
  vestry_event *event = NULL;
  for (size_t i = 0; i < sizeof text; i++) text[i] = (char)('a' + i * i / 7 % 26);
  assert_int_equal(vestry_event_elements(&b->th.host, text, len, NULL, &event), VESTRY_OK);
  return event;
}

static void close_all(bench *b, listener *l, int count) {
  for (int i = 0; i < count; i++) {
    vestry_connection_close(l[i].connection, VESTRY_CAUSE_CLOSED);
    bench_run(b);
    listener_finish(&l[i], true);
  }
}

/* capability: F1 */
BENCH_CASE(event_for_many_streams_is_encoded_once) {
  listener l[9];
  const vestry_profile *const profiles[3] = {&brotli, &gzip, NULL};
  for (int i = 0; i < 9; i++) assert_int_equal(listener_open(&l[i], b, profiles[i % 3], NULL), VESTRY_OK);
  vestry_event *event = page(b, 5000);
  for (int turn = 0; turn < 3; turn++) {
    for (int i = 0; i < 9; i++) {
      assert_int_equal(vestry_connection_send(l[i].connection, event), VESTRY_OK);
      listener_expect(&l[i], event);
    }
    bench_run(b);
    assert_int_equal(forms_of(event), 2);
  }
  vestry_event_unref(event);
  close_all(b, l, 9);
}

BENCH_CASE(small_event_is_framed) {
  listener l;
  assert_int_equal(listener_open(&l, b, &brotli, NULL), VESTRY_OK);
  bench_run(b);
  size_t primer = l.p.got.len;
  assert_in_range(primer, 1, 32); /* a window of spaces */
  vestry_event *event = page(b, 20);
  vestry_connection_send(l.connection, event);
  listener_expect(&l, event);
  bench_run(b);
  size_t len = vestry_event_bytes(event).len;
  assert_int_equal(l.p.got.len - primer, len + 3);
  assert_memory_equal(l.p.got.data + primer + 3, vestry_event_bytes(event).data, len);
  vestry_event_unref(event);
  close_all(b, &l, 1);
}

/* The head, the primer, the events and the end need no more writes than without encoding. */
BENCH_CASE(queued_encoded_events_are_one_write) {
  listener l;
  assert_int_equal(listener_open(&l, b, &gzip, NULL), VESTRY_OK);
  vestry_event *event = page(b, 300);
  for (int i = 0; i < 20; i++) {
    vestry_connection_send(l.connection, event);
    listener_expect(&l, event);
  }
  bench_run(b);
  assert_int_equal(l.p.writes, 1);
  vestry_event_unref(event);
  close_all(b, &l, 1);
}

TEST_CASE(empty_stream_decodes_completely) {
  const vestry_profile *const profiles[] = {&brotli, &gzip, &own};
  for (int i = 0; i < 3; i++) {
    bench b;
    listener l;
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    assert_int_equal(listener_open(&l, &b, profiles[i], NULL), VESTRY_OK);
    if (i % 2) bench_run(&b);
    close_all(&b, &l, 1);
    bench_finish(&b);
  }
}

BENCH_CASE(encoded_end_waits_for_room) {
  listener l;
  assert_int_equal(listener_open(&l, b, &gzip, NULL), VESTRY_OK);
  bench_run(b);
  l.p.write_answer = VESTRY_IO_WOULD_BLOCK;
  l.p.take = 1;
  vestry_connection_close(l.connection, VESTRY_CAUSE_CLOSED);
  bench_run(b);
  for (int i = 0; i < 9; i++) { /* ten bytes */
    assert_int_equal(l.p.ends, 0);
    vestry_connection_writable(l.connection);
    bench_run(b);
  }
  vestry_connection_writable(l.connection);
  bench_run(b);
  listener_finish(&l, true);
  /* and not for ever */
  assert_int_equal(listener_open(&l, b, &gzip, NULL), VESTRY_OK);
  bench_run(b);
  l.p.write_answer = VESTRY_IO_WOULD_BLOCK;
  l.p.take = 0;
  vestry_connection_close(l.connection, VESTRY_CAUSE_CLOSED);
  bench_run(b);
  test_host_advance_ms(&b->th, 5001);
  bench_run(b);
  listener_finish(&l, false);
}

TEST_CASE(heartbeats_are_encoded) {
  static const struct {
    const vestry_profile *profile;
    size_t len;
  } cases[] = {{&brotli, 1}, {&gzip, 5}, {&own, 8}};
  for (int i = 0; i < 3; i++) {
    bench b;
    listener l;
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    assert_int_equal(listener_open(&l, &b, cases[i].profile, NULL), VESTRY_OK);
    bench_run(&b);
    for (int beat = 1; beat <= 3; beat++) {
      size_t before = l.p.got.len;
      test_host_advance_ms(&b.th, 15001);
      bench_run(&b);
      assert_true(l.p.got.len > before);
      assert_int_equal(l.p.got.len - before, cases[i].len);
      listener_check(&l, true);
      vestry_connection_stats stats = {0};
      vestry_connection_stats_get(l.connection, &stats);
      assert_int_equal(stats.heartbeats_count, beat);
      assert_int_equal(stats.wire_bytes, l.p.got.len);
      assert_int_equal(stats.accepted_bytes, 0);
    }
    close_all(&b, &l, 1);
    bench_finish(&b);
  }
}

/* capability: F2 */
BENCH_CASE(codings_are_shared_and_limited) {
  vsi_codings *codings = vsi_group_codings(b->group);
  vsi_coding *first = NULL, *again = NULL, *other = NULL;
  assert_int_equal(vsi_coding_find(codings, &gzip, &first), VESTRY_OK);
  assert_int_equal(vsi_coding_find(codings, &(vestry_profile){.ops = &vestry_profile_gzip, .level = 6}, &again),
                   VESTRY_OK);
  assert_ptr_equal(first, again); /* the default, given explicitly */
  for (uint32_t i = 1; i < VSI_CODINGS_MAX; i++) {
    vestry_profile profile = {.ops = &vestry_profile_gzip, .stored_bytes = i};
    assert_int_equal(vsi_coding_find(codings, &profile, &other), VESTRY_OK);
    assert_int_equal(other->index, i);
  }
  vestry_profile profile = {.ops = &vestry_profile_gzip, .stored_bytes = VSI_CODINGS_MAX};
  assert_int_equal(vsi_coding_find(codings, &profile, &other), VESTRY_LIMIT);
  assert_int_equal(vsi_coding_find(codings, &(vestry_profile){.ops = NULL}, &other), VESTRY_INVALID);
  assert_int_equal(vsi_coding_find(codings, &gzip, &again), VESTRY_OK);
}

/* A profile that fails at its third event: then the stream is aborted with cause ERROR, and not before. */
static int encodes;
static vestry_err fail_at_third(void *encoder, const void *data, size_t len, vsi_sink *sink) {
  return ++encodes == 3 ? VESTRY_FAILED : test_chain.encode(encoder, data, len, sink);
}
static vestry_err no_store(const void *data, size_t len, vsi_sink *sink) {
  return VESTRY_FAILED;
}

TEST_CASE(failing_profile_aborts_the_stream) {
  vestry_profile_ops ops = test_chain;
  ops.encode = fail_at_third;
  ops.store = no_store;
  vestry_profile failing = {.ops = &ops};
  bench b;
  listener l;
  encodes = 0;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  assert_int_equal(listener_open(&l, &b, &failing, NULL), VESTRY_OK);
  for (int i = 0; i < 4; i++) {
    vestry_event *event = page(&b, 200);
    assert_int_equal(vestry_connection_send(l.connection, event), VESTRY_OK);
    listener_expect(&l, event);
    vestry_event_unref(event);
    if (i < 2) bench_run(&b);
  }
  bench_run(&b);
  assert_int_equal(vestry_connection_look(l.connection).cause, VESTRY_CAUSE_ERROR);
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(l.connection, &stats);
  assert_int_equal(stats.written_count, 2);
  assert_int_equal(stats.discarded_count, 2);
  listener_finish(&l, false);
  bench_finish(&b);
}

/* A profile whose output is sometimes empty writes nothing then, because an empty chunk would end a stream. */
static vestry_err put_nothing(void *encoder, const void *data, size_t len, vsi_sink *sink) {
  return VESTRY_OK;
}

TEST_CASE(empty_output_is_not_written) {
  vestry_profile_ops ops = test_chain;
  ops.encode = put_nothing;
  bench b;
  listener l;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  assert_int_equal(listener_open(&l, &b, &(vestry_profile){.ops = &ops}, NULL), VESTRY_OK);
  bench_run(&b);
  assert_int_equal(l.p.writes, 1); /* the primer */
  vestry_event *event = page(&b, 200);
  for (int i = 0; i < 3; i++) assert_int_equal(vestry_connection_send(l.connection, event), VESTRY_OK);
  bench_run(&b);
  assert_int_equal(l.p.writes, 1);
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(l.connection, &stats);
  assert_int_equal(stats.written_count, 3);
  for (int i = 0; i < 3; i++) listener_expect(&l, event);
  vestry_event_unref(event);
  vestry_connection_close(l.connection, VESTRY_CAUSE_SIZE);
  bench_run(&b);
  listener_finish(&l, false);
  bench_finish(&b);
}

/* Threads that need the same event at the same time: one encodes it, and the others wait for the result. */
enum { WANTING = 4 };
static _Atomic(int) wanting, encoded;
static vestry_err encode_when_all_want(void *encoder, const void *data, size_t len, vsi_sink *sink) {
  WAIT_WHILE(atomic_load(&wanting) < WANTING);
  atomic_fetch_add(&encoded, 1);
  return test_chain.encode(encoder, data, len, sink);
}

typedef struct wanted {
  vsi_coding *coding;
  vestry_event *event;
} wanted;

static void *want(void *argument) {
  wanted *w = argument;
  const vsi_segment *segment = NULL;
  atomic_fetch_add(&wanting, 1);
  assert_int_equal(vsi_coding_alone(w->coding, w->event, &segment), VESTRY_OK);
  return (void *)segment;
}

TEST_CASE(concurrent_threads_encode_an_event_once) {
  vestry_profile_ops ops = test_chain;
  ops.encode = encode_when_all_want;
  bench b;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  wanted w = {.event = NULL};
  assert_int_equal(vsi_coding_find(vsi_group_codings(b.group), &(vestry_profile){.ops = &ops}, &w.coding), VESTRY_OK);
  for (int round = 0; round < 20; round++) {
    pthread_t threads[WANTING];
    void *segments[WANTING];
    w.event = page(&b, 400);
    atomic_store(&wanting, 0);
    atomic_store(&encoded, 0);
    for (int i = 0; i < WANTING; i++) assert_int_equal(pthread_create(&threads[i], NULL, want, &w), 0);
    for (int i = 0; i < WANTING; i++) pthread_join(threads[i], &segments[i]);
    assert_int_equal(atomic_load(&encoded), 1);
    for (int i = 1; i < WANTING; i++) assert_ptr_equal(segments[i], segments[0]);
    vestry_event_unref(w.event);
  }
  bench_finish(&b);
}

/* ---- events that follow another one ------------------------------------------------------------------------------ */

static const vestry_profile own_whole = {.ops = &test_chain_checked};
/* following: the maximum size of a page of 40 messages and one more; 0: the coding makes it no shorter */
static const struct {
  const vestry_profile *profile;
  size_t following;
} shared[] = {{&brotli, 120}, {&gzip, 200}, {&own_whole, 0}};

/* A list of distinct messages. */
static vestry_event *messages(bench *b, int count) {
  static char text[20000];
  vestry_event *event = NULL;
  size_t len = (size_t)snprintf(text, sizeof text, "<ul id=\"list\">");
  for (int i = 0; i < count; i++)
    len += (size_t)snprintf(text + len, sizeof text - len, "<li id=\"m%d\"><b>%x</b> says %x</li>", i,
                            (unsigned)i * 2654435761u, (unsigned)i * 40503u + 77777u);
  len += (size_t)snprintf(text + len, sizeof text - len, "</ul>");
  const vestry_elements_options options = {.state = "list"};
  assert_int_equal(vestry_event_elements(&b->th.host, text, len, &options, &event), VESTRY_OK);
  return event;
}

static uint64_t followed_by(const listener *l) {
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(l->connection, &stats);
  return stats.followed_count;
}

/* Send an event that follows another one (NULL: none). Returns its bytes on the wire. */
static size_t send_next(bench *b, listener *l, vestry_event *event, vestry_event *previous) {
  size_t before = l->p.got.len;
  vestry_event_follow(event, previous);
  assert_int_equal(vestry_connection_send(l->connection, event), VESTRY_OK);
  listener_expect(l, event);
  bench_run(b);
  listener_check(l, true);
  return l->p.got.len - before;
}

/* capability: F1 */
TEST_CASE(changed_page_is_written_as_difference) {
  for (int i = 0; i < 3; i++) {
    bench b;
    listener l;
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    assert_int_equal(listener_open(&l, &b, shared[i].profile, NULL), VESTRY_OK);
    vestry_event *last = messages(&b, 40);
    send_next(&b, &l, last, NULL);
    assert_int_equal(forms_of(last), 1);
    for (int turn = 1; turn <= 5; turn++) {
      if (turn == 3) { /* heartbeats may come between them */
        test_host_advance_ms(&b.th, 15001);
        bench_run(&b);
      }
      vestry_event *event = messages(&b, 40 + turn);
      size_t wire = send_next(&b, &l, event, last);
      assert_int_equal(followed_by(&l), turn);
      if (!shared[i].following) { /* as long as the standalone form, which was tried too */
        assert_int_equal(forms_of(event), 1);
      } else {
        assert_in_range(wire, 1, shared[i].following);
        assert_int_equal(forms_of(event), 0); /* the event keeps no form that other streams could use */
      }
      vestry_event_unref(last);
      last = event;
    }
    vestry_connection_stats stats = {0};
    vestry_connection_stats_get(l.connection, &stats);
    assert_int_equal(stats.heartbeats_count, 1);
    vestry_event_unref(last);
    close_all(&b, &l, 1);
    bench_finish(&b);
  }
}

/* Heartbeats that decode to text: a difference refers across them, up to a limit. */
/* capability: F1 */
TEST_CASE(difference_refers_across_heartbeats) {
  for (int i = 0; i < 2; i++) {
    vestry_profile_ops ops = *shared[i].profile->ops;
    ops.idle = (vestry_slice){NULL, 0};
    bench b;
    listener l;
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    assert_int_equal(listener_open(&l, &b, &(vestry_profile){.ops = &ops}, NULL), VESTRY_OK);
    static const int beats[] = {1, 0, 7, VSI_HEARTBEATS_MOST, VSI_HEARTBEATS_MOST + 1, 2};
    vestry_event *last = messages(&b, 40);
    send_next(&b, &l, last, NULL);
    uint64_t followed = 0;
    for (int turn = 0; turn < 6; turn++) {
      for (int beat = 0; beat < beats[turn]; beat++) {
        test_host_advance_ms(&b.th, 15001);
        bench_run(&b);
      }
      vestry_event *event = messages(&b, 41 + turn);
      size_t wire = send_next(&b, &l, event, last);
      followed += beats[turn] <= VSI_HEARTBEATS_MOST;
      assert_int_equal(followed_by(&l), followed);
      if (beats[turn] <= VSI_HEARTBEATS_MOST) assert_in_range(wire, 1, shared[i].following);
      vestry_event_unref(last);
      last = event;
    }
    vestry_event_unref(last);
    close_all(&b, &l, 1);
    bench_finish(&b);
  }
}

/* capability: F1 */
TEST_CASE(difference_needs_the_previous_event_written_last) {
  for (int i = 0; i < 3; i++) {
    bench b;
    listener l[2];
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    for (int j = 0; j < 2; j++) assert_int_equal(listener_open(&l[j], &b, shared[i].profile, NULL), VESTRY_OK);
    vestry_event *pages[8];
    for (int j = 0; j < 8; j++) pages[j] = messages(&b, 30 + j);
    send_next(&b, &l[0], pages[1], pages[0]); /* no event was written before */
    assert_int_equal(followed_by(&l[0]), 0);
    send_next(&b, &l[0], pages[0], NULL);
    send_next(&b, &l[0], pages[2], pages[1]); /* another event came between */
    assert_int_equal(followed_by(&l[0]), 0);
    send_next(&b, &l[1], pages[3], pages[2]); /* it was sent to another stream */
    assert_int_equal(followed_by(&l[1]), 0);
    vestry_event_follow(pages[4], pages[3]);
    send_next(&b, &l[0], pages[4], NULL); /* cancelled */
    assert_int_equal(followed_by(&l[0]), 0);
    vestry_event_follow(pages[5], pages[4]); /* it could, but another event follows it before it is written */
    vestry_event_follow(pages[6], pages[5]);
    assert_int_equal(vestry_connection_send(l[0].connection, pages[5]), VESTRY_OK);
    listener_expect(&l[0], pages[5]);
    bench_run(&b);
    assert_int_equal(followed_by(&l[0]), 0);
    send_next(&b, &l[1], pages[5], NULL);
    assert_int_equal(vestry_connection_send(l[0].connection, pages[6]), VESTRY_OK);
    listener_expect(&l[0], pages[6]);
    assert_int_equal(vestry_connection_send(l[1].connection, pages[6]), VESTRY_OK); /* a second stream: too late */
    listener_expect(&l[1], pages[6]);
    bench_run(&b);
    assert_int_equal(followed_by(&l[0]) + followed_by(&l[1]), 1);
    vestry_event_follow(pages[7], pages[7]); /* the event itself: no effect */
    send_next(&b, &l[0], pages[7], pages[6]);
    for (int j = 0; j < 8; j++) vestry_event_unref(pages[j]);
    close_all(&b, l, 2);
    bench_finish(&b);
  }
}

/* A plain stream, and one whose coding makes no differences, do not use the previous event, and do not hold it. */
TEST_CASE(streams_without_differences_release_the_previous_event) {
  const vestry_profile *const profiles[] = {NULL, &own, &brotli};
  for (int i = 0; i < 3; i++) {
    bench b;
    listener l;
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    assert_int_equal(listener_open(&l, &b, profiles[i], NULL), VESTRY_OK);
    vestry_event *first = messages(&b, 20), *second = messages(&b, 21);
    send_next(&b, &l, first, NULL);
    send_next(&b, &l, second, first);
    assert_int_equal(followed_by(&l), i == 2);
    assert_null(vsi_event_take_previous(second));
    long live = atomic_load(&b.th.live);
    vestry_event_unref(first); /* the last reference */
    assert_in_range(atomic_load(&b.th.live), 0, live - 1);
    vestry_event_unref(second);
    close_all(&b, &l, 1);
    bench_finish(&b);
  }
}

static int follows;
static vestry_err follow_at_length(void *encoder, const void *previous, size_t previous_len, const void *data,
                                   size_t len, vsi_sink *sink) {
  follows++;
  vestry_err error = vsi_sink_put(sink, test_chain_checked.idle.data, test_chain_checked.idle.len);
  return error ? error : test_chain_checked.follow(encoder, previous, previous_len, data, len, sink);
}
static vestry_err follow_not(void *encoder, const void *previous, size_t previous_len, const void *data, size_t len,
                             vsi_sink *sink) {
  follows++;
  vestry_err error = vsi_sink_put(sink, "?", 1); /* the output of a failed member is discarded */
  return error ? error : VESTRY_UNSUPPORTED;
}

/* capability: F1 */
TEST_CASE(shorter_form_is_written) {
  vestry_profile_ops ops = test_chain_checked;
  for (int i = 0; i < 2; i++) {
    ops.follow = i ? follow_not : follow_at_length;
    bench b;
    listener l;
    follows = 0;
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    assert_int_equal(listener_open(&l, &b, &(vestry_profile){.ops = &ops, .stored_bytes = 128}, NULL), VESTRY_OK);
    vestry_event *first = messages(&b, 3), *second = messages(&b, 4), *small = page(&b, 20), *third = messages(&b, 5);
    send_next(&b, &l, first, NULL);
    assert_int_equal(follows, 0);
    assert_int_equal(send_next(&b, &l, second, first), 5 + vestry_event_bytes(second).len);
    assert_int_equal(follows, 1);
    assert_int_equal(forms_of(second), 1);
    send_next(&b, &l, small, second); /* it is framed */
    assert_int_equal(follows, 1);
    send_next(&b, &l, third, small); /* a framed event can be followed */
    assert_int_equal(follows, 2);
    assert_int_equal(followed_by(&l), 0);
    vestry_event_unref(first);
    vestry_event_unref(second);
    vestry_event_unref(small);
    vestry_event_unref(third);
    close_all(&b, &l, 1);
    bench_finish(&b);
  }
}

/* A superseded event was never written: the event that follows it is sent standalone, and the next one follows that. */
BENCH_CASE(superseded_event_is_not_followed) {
  listener l;
  assert_int_equal(listener_open(&l, b, &brotli, NULL), VESTRY_OK);
  vestry_event *pages[4];
  for (int j = 0; j < 4; j++) pages[j] = messages(b, 30 + j);
  send_next(b, &l, pages[0], NULL);
  vestry_event_follow(pages[1], pages[0]);
  assert_int_equal(vestry_connection_send(l.connection, pages[1]), VESTRY_OK);
  send_next(b, &l, pages[2], pages[1]);
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(l.connection, &stats);
  assert_int_equal(stats.conflated_count, 1);
  assert_int_equal(stats.followed_count, 0);
  send_next(b, &l, pages[3], pages[2]);
  assert_int_equal(followed_by(&l), 1);
  vestry_connection_close(l.connection, VESTRY_CAUSE_CLOSED);
  bench_run(b);
  listener_check(&l, true);
  assert_true(l.d.ended);
  vestry_connection_unref(l.connection);
  probe_finish(&l.p);
  decoder_finish(&l.d);
  vsi_buffer_finish(&l.expected);
  for (int j = 0; j < 4; j++) vestry_event_unref(pages[j]);
}

/* Allocation fail_at fails, and with for_good all later ones, while pages follow each other. The accepted events are
 * received, unless the stream was closed because of the failure. Returns whether an allocation failed. */
static bool follow_without_memory(const vestry_profile *profile, long fail_at, bool for_good) {
  bench b;
  listener l;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  assert_int_equal(listener_open(&l, &b, profile, NULL), VESTRY_OK);
  vestry_event *pages[3];
  for (int j = 0; j < 3; j++) pages[j] = messages(&b, 30 + j);
  bench_run(&b);
  atomic_store(&b.th.allocations, 0);
  atomic_store(&b.th.fail_after, for_good);
  atomic_store(&b.th.fail_at, fail_at);
  for (int j = 0; j < 3; j++) {
    if (j == 2) test_host_advance_ms(&b.th, 15001);
    bench_run(&b);
    if (j) vestry_event_follow(pages[j], pages[j - 1]);
    if (!vestry_connection_send(l.connection, pages[j])) listener_expect(&l, pages[j]);
    bench_run(&b);
  }
  bool failed = atomic_load(&b.th.allocations) > fail_at;
  if (!failed) assert_int_equal(followed_by(&l), 2);
  test_host_fail_no_more(&b.th);
  atomic_store(&b.th.fail_after, false);
  vestry_connection_close(l.connection, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  vestry_cause cause = vestry_connection_look(l.connection).cause;
  assert_true(cause == VESTRY_CAUSE_CLOSED || (failed && cause == VESTRY_CAUSE_ERROR));
  listener_finish(&l, l.p.clean);
  for (int j = 0; j < 3; j++) vestry_event_unref(pages[j]);
  bench_finish(&b);
  return failed;
}

/* capability: F1 */
TEST_CASE(allocation_failure_loses_no_following_page) {
  vestry_profile_ops ops = vestry_profile_brotli;
  ops.idle = (vestry_slice){NULL, 0}; /* heartbeats are events */
  const vestry_profile beating = {.ops = &ops}, *const profiles[] = {&brotli, &gzip, &own_whole, &beating};
  for (int i = 0; i < 4; i++)
    for (int for_good = 0; for_good < 2; for_good++)
      for (long fail_at = 0; follow_without_memory(profiles[i], fail_at, for_good); fail_at++) continue;
}
