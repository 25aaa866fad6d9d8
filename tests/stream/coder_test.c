/* Coders, and the codings that streams share: what is made once, what is counted, and what an ending stream gives back.
 */
#include "stream/coder.h"

#include <pthread.h>
#include <sched.h>

#include "base/memory.h"
#include "stream/connection.h"
#include "stream/listener.h"

static const vestry_profile brotli = {.ops = &vestry_profile_brotli}, gzip = {.ops = &vestry_profile_gzip},
                            own = {.ops = &test_chain},
                            private_gzip = {.ops = &vestry_profile_gzip, .mode = VESTRY_PROFILE_PRIVATE};

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

static void an_event_sent_to_many_is_encoded_once(void **state) {
  (void)state;
  bench b;
  listener l[9];
  const vestry_profile *const profiles[3] = {&brotli, &gzip, NULL};
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  for (int i = 0; i < 9; i++) assert_int_equal(listener_open(&l[i], &b, profiles[i % 3], NULL), VESTRY_OK);
  vestry_event *event = page(&b, 5000);
  for (int turn = 0; turn < 3; turn++) {
    for (int i = 0; i < 9; i++) {
      assert_int_equal(vestry_connection_send(l[i].connection, event), VESTRY_OK);
      listener_expect(&l[i], event);
    }
    bench_run(&b);
    assert_int_equal(forms_of(event), 2);
  }
  vestry_event_unref(event);
  close_all(&b, l, 9);
  bench_finish(&b);
}

static void a_small_event_is_framed(void **state) {
  (void)state;
  bench b;
  listener l;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  assert_int_equal(listener_open(&l, &b, &brotli, NULL), VESTRY_OK);
  bench_run(&b);
  size_t primer = l.p.got.len;
  assert_in_range(primer, 1, 32); /* a window of spaces */
  vestry_event *event = page(&b, 20);
  vestry_connection_send(l.connection, event);
  listener_expect(&l, event);
  bench_run(&b);
  size_t len = vestry_event_bytes(event).len;
  assert_int_equal(l.p.got.len - primer, len + 3);
  assert_memory_equal(l.p.got.data + primer + 3, vestry_event_bytes(event).data, len);
  vestry_event_unref(event);
  close_all(&b, &l, 1);
  bench_finish(&b);
}

/* The head, the primer, events and the end are as few writes as ever. */
static void all_that_waits_is_one_write(void **state) {
  (void)state;
  bench b;
  listener l;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  assert_int_equal(listener_open(&l, &b, &gzip, NULL), VESTRY_OK);
  vestry_event *event = page(&b, 300);
  for (int i = 0; i < 20; i++) {
    vestry_connection_send(l.connection, event);
    listener_expect(&l, event);
  }
  bench_run(&b);
  assert_int_equal(l.p.writes, 1);
  vestry_event_unref(event);
  close_all(&b, &l, 1);
  bench_finish(&b);
}

static void an_empty_stream_is_whole_too(void **state) {
  (void)state;
  const vestry_profile *const profiles[] = {&brotli, &gzip, &own, &private_gzip};
  for (int i = 0; i < 4; i++) {
    bench b;
    listener l;
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    assert_int_equal(listener_open(&l, &b, profiles[i], NULL), VESTRY_OK);
    if (i % 2) bench_run(&b);
    close_all(&b, &l, 1);
    bench_finish(&b);
  }
}

static void the_end_waits_for_room(void **state) {
  (void)state;
  bench b;
  listener l;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  assert_int_equal(listener_open(&l, &b, &gzip, NULL), VESTRY_OK);
  bench_run(&b);
  l.p.write_answer = VESTRY_IO_WOULD_BLOCK;
  l.p.take = 1;
  vestry_connection_close(l.connection, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  for (int i = 0; i < 9; i++) { /* ten bytes */
    assert_int_equal(l.p.ends, 0);
    vestry_connection_writable(l.connection);
    bench_run(&b);
  }
  vestry_connection_writable(l.connection);
  bench_run(&b);
  listener_finish(&l, true);
  /* and not for ever */
  assert_int_equal(listener_open(&l, &b, &gzip, NULL), VESTRY_OK);
  bench_run(&b);
  l.p.write_answer = VESTRY_IO_WOULD_BLOCK;
  l.p.take = 0;
  vestry_connection_close(l.connection, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  test_host_advance_ms(&b.th, 5001);
  bench_run(&b);
  listener_finish(&l, false);
  bench_finish(&b);
}

static void heartbeats_are_encoded(void **state) {
  (void)state;
  static const struct {
    const vestry_profile *profile;
    size_t len;
  } cases[] = {{&brotli, 1}, {&gzip, 5}, {&own, 8}, {&private_gzip, 0}};
  for (int i = 0; i < 4; i++) {
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
      if (cases[i].len) assert_int_equal(l.p.got.len - before, cases[i].len);
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

static void private_encoders_are_counted_and_given_back(void **state) {
  (void)state;
  bench b;
  listener l[3];
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  vsi_codings *codings = vsi_group_codings(b.group);
  vsi_codings_limit(codings, 2, 0);
  for (int i = 0; i < 2; i++) assert_int_equal(listener_open(&l[i], &b, &private_gzip, NULL), VESTRY_OK);
  assert_int_equal(listener_open(&l[2], &b, &private_gzip, NULL), VESTRY_LIMIT);
  bench_run(&b);
  vestry_connection_close(l[0].connection, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  /* with the end, though the reference is still held */
  assert_int_equal(listener_open(&l[2], &b, &private_gzip, NULL), VESTRY_OK);
  listener_finish(&l[0], true);
  close_all(&b, &l[1], 2);
  assert_true(vsi_codings_reserve(codings, VESTRY_PROFILE_PRIVATE));
  assert_true(vsi_codings_reserve(codings, VESTRY_PROFILE_PRIVATE));
  assert_false(vsi_codings_reserve(codings, VESTRY_PROFILE_PRIVATE));
  bench_finish(&b);
}

static void codings_are_shared_and_bounded(void **state) {
  (void)state;
  bench b;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  vsi_codings *codings = vsi_group_codings(b.group);
  vsi_coding *first = NULL, *again = NULL, *other = NULL;
  assert_int_equal(vsi_coding_find(codings, &gzip, &first), VESTRY_OK);
  assert_int_equal(vsi_coding_find(codings, &private_gzip, &again), VESTRY_OK);
  assert_ptr_equal(first, again); /* whose encoder it is does not matter to what can be shared */
  assert_int_equal(vsi_coding_find(codings, &(vestry_profile){.ops = &vestry_profile_gzip, .level = 6}, &again),
                   VESTRY_OK);
  assert_ptr_equal(first, again); /* the default, said aloud */
  for (uint32_t i = 1; i < VSI_CODINGS_MAX; i++) {
    vestry_profile profile = {.ops = &vestry_profile_gzip, .stored_bytes = i};
    assert_int_equal(vsi_coding_find(codings, &profile, &other), VESTRY_OK);
    assert_int_equal(other->index, i);
  }
  vestry_profile profile = {.ops = &vestry_profile_gzip, .stored_bytes = VSI_CODINGS_MAX};
  assert_int_equal(vsi_coding_find(codings, &profile, &other), VESTRY_LIMIT);
  assert_int_equal(vsi_coding_find(codings, &(vestry_profile){.ops = NULL}, &other), VESTRY_INVALID);
  assert_int_equal(vsi_coding_find(codings, &gzip, &again), VESTRY_OK);
  bench_finish(&b);
}

/* A profile that fails at its third event: the stream is given up, for ERROR, and no sooner. */
static int encodes;
static vestry_err fail_at_third(void *encoder, const void *data, size_t len, vestry_sink *sink) {
  return ++encodes == 3 ? VESTRY_FAILED : test_chain.encode(encoder, data, len, sink);
}
static vestry_err no_store(const vestry_profile *profile, const void *data, size_t len, vestry_sink *sink) {
  (void)profile, (void)data, (void)len, (void)sink;
  return VESTRY_FAILED;
}

static void a_profile_that_fails_ends_the_stream(void **state) {
  (void)state;
  for (int private = 0; private < 2; private ++) {
    vestry_profile_ops ops = test_chain;
    ops.encode = fail_at_third;
    ops.store = no_store;
    vestry_profile failing = {.ops = &ops, .mode = private ? VESTRY_PROFILE_PRIVATE : VESTRY_PROFILE_SHARED};
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
    assert_int_equal(vestry_connection_cause(l.connection), VESTRY_CAUSE_ERROR);
    vestry_connection_stats stats = {0};
    vestry_connection_stats_get(l.connection, &stats);
    assert_int_equal(stats.written_count, 2);
    assert_int_equal(stats.discarded_count, 2);
    listener_finish(&l, false);
    bench_finish(&b);
  }
}

/* A profile whose output is empty now and then writes nothing: an empty chunk would end a stream. */
static vestry_err put_nothing(void *encoder, const void *data, size_t len, vestry_sink *sink) {
  (void)encoder, (void)data, (void)len, (void)sink;
  return VESTRY_OK;
}

static void empty_output_is_not_written(void **state) {
  (void)state;
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

/* Threads that want the same event at the same time: one encodes it, the others wait for that. */
enum { WANTING = 4 };
static _Atomic(int) wanting, encoded;
static vestry_err encode_when_all_want(void *encoder, const void *data, size_t len, vestry_sink *sink) {
  while (atomic_load(&wanting) < WANTING) sched_yield();
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

static void threads_encode_an_event_once(void **state) {
  (void)state;
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_event_sent_to_many_is_encoded_once),
      cmocka_unit_test(a_small_event_is_framed),
      cmocka_unit_test(all_that_waits_is_one_write),
      cmocka_unit_test(an_empty_stream_is_whole_too),
      cmocka_unit_test(the_end_waits_for_room),
      cmocka_unit_test(heartbeats_are_encoded),
      cmocka_unit_test(private_encoders_are_counted_and_given_back),
      cmocka_unit_test(codings_are_shared_and_bounded),
      cmocka_unit_test(a_profile_that_fails_ends_the_stream),
      cmocka_unit_test(empty_output_is_not_written),
      cmocka_unit_test(threads_encode_an_event_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
