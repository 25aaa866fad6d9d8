#include "store/sections.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "support/test.h"
#include "support/test_host.h"

static test_host th;
static vsi_sections sections;

static void open_sections(void) {
  test_host_init(&th);
  assert_int_equal(vsi_sections_init(&sections, &th.host), VESTRY_OK);
}

static void end_sections(void) {
  vsi_sections_finish(&sections);
  test_host_assert_clean(&th);
}

/* ------------------------------------------------------------------------------------------------- one thread ---- */

static void a_grace_period_ends_with_the_sections_that_were_open(void **state) {
  (void)state;
  open_sections();
  vsi_grace grace;
  assert_true(vsi_grace_begin(&sections, &grace));
  assert_true(vsi_grace_is_over(&sections, &grace));
  vsi_section *section = vsi_section_enter(&sections);
  assert_non_null(section);
  assert_false(vsi_grace_begin(&sections, &grace));
  assert_false(vsi_grace_is_over(&sections, &grace));
  vsi_section_leave(section);
  section = vsi_section_enter(&sections); /* a later one does not count */
  assert_true(vsi_grace_is_over(&sections, &grace));
  assert_true(vsi_grace_is_over(&sections, &grace)); /* over is over */
  vsi_section_leave(section);
  assert_true(vsi_grace_begin(&sections, &grace));
  end_sections();
}

static void sections_inside_each_other_are_one(void **state) {
  (void)state;
  open_sections();
  vsi_grace grace;
  vsi_section *outer = vsi_section_enter(&sections);
  vsi_section *inner = vsi_section_enter(&sections), *innermost = vsi_section_enter(&sections);
  assert_false(vsi_grace_begin(&sections, &grace));
  vsi_section_leave(innermost);
  vsi_section_leave(inner);
  inner = vsi_section_enter(&sections);
  vsi_section_leave(inner);
  assert_false(vsi_grace_is_over(&sections, &grace));
  vsi_section_leave(outer);
  assert_true(vsi_grace_is_over(&sections, &grace));
  end_sections();
}

static void nested_without_end_they_need_no_more_records(void **state) {
  (void)state;
  open_sections();
  vsi_section *open[1000];
  for (size_t i = 0; i < 1000; i++) assert_non_null(open[i] = vsi_section_enter(&sections));
  for (size_t i = 1000; i--;) vsi_section_leave(open[i]);
  vsi_grace grace;
  assert_true(vsi_grace_begin(&sections, &grace));
  end_sections();
}

static void stores_do_not_wait_for_each_other(void **state) {
  (void)state;
  open_sections();
  vsi_sections other;
  assert_int_equal(vsi_sections_init(&other, &th.host), VESTRY_OK);
  vsi_grace grace;
  for (size_t i = 0; i < 10; i++) {
    vsi_section *here = vsi_section_enter(&sections), *there = vsi_section_enter(&other);
    assert_ptr_not_equal(here, there);
    assert_false(vsi_grace_begin(&other, &grace));
    vsi_section_leave(there);
    assert_true(vsi_grace_is_over(&other, &grace));
    assert_false(vsi_grace_begin(&sections, &grace));
    vsi_section_leave(here);
  }
  vsi_sections_finish(&other);
  end_sections();
}

static void one_thread_alone_knows_that_nobody_looks(void **state) {
  (void)state;
  open_sections();
  assert_true(vsi_sections_are_mine(&sections));
  vsi_section *section = vsi_section_enter(&sections);
  assert_false(vsi_sections_are_mine(&sections)); /* it looks itself */
  vsi_section_leave(section);
  assert_true(vsi_sections_are_mine(&sections));
  end_sections();
}

static void *enter_and_leave(void *ctx) {
  vsi_section *section = vsi_section_enter(&sections);
  if (!section) return NULL;
  vsi_section_count(&section->hits, 3);
  vsi_section_leave(section);
  return ctx;
}

static void with_another_thread_it_does_not(void **state) {
  (void)state;
  open_sections();
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, enter_and_leave, &th), 0);
  pthread_join(thread, NULL);
  assert_false(vsi_sections_are_mine(&sections)); /* its only record is another thread's */
  vsi_section_leave(vsi_section_enter(&sections));
  assert_false(vsi_sections_are_mine(&sections));
  end_sections();
}

static vestry_err make_sections(test_host *host, void *ctx) {
  (void)ctx;
  vsi_sections made;
  vestry_err error = vsi_sections_init(&made, &host->host);
  if (!error) vsi_sections_finish(&made);
  return error;
}

static void without_memory_there_are_none(void **state) {
  (void)state;
  test_host_fail_each(make_sections, NULL, false);
}

/* ---------------------------------------------------------------------------------------------- many threads ---- */

enum { CROWD = VSI_SECTIONS_COUNT + 40 };
static pthread_barrier_t barrier;

/* All alive at once, so that no address of one serves another. */
static void *enter_in_a_crowd(void *ctx) {
  pthread_barrier_wait(&barrier);
  void *entered = enter_and_leave(ctx);
  void *again = enter_and_leave(ctx); /* who has a record keeps it; who has none gets none */
  pthread_barrier_wait(&barrier);
  return entered == again ? entered : &barrier;
}

static void more_threads_than_records_are_turned_away(void **state) {
  (void)state;
  open_sections();
  pthread_barrier_init(&barrier, NULL, CROWD);
  pthread_t threads[CROWD];
  size_t entered = 0, refused = 0;
  for (size_t i = 0; i < CROWD; i++) assert_int_equal(pthread_create(&threads[i], NULL, enter_in_a_crowd, &th), 0);
  for (size_t i = 0; i < CROWD; i++) {
    void *result;
    pthread_join(threads[i], &result);
    assert_ptr_not_equal(result, &barrier);
    entered += result != NULL;
    refused += result == NULL;
  }
  pthread_barrier_destroy(&barrier);
  assert_int_equal(entered, VSI_SECTIONS_COUNT);
  assert_int_equal(refused, CROWD - VSI_SECTIONS_COUNT);
  vsi_grace grace;
  assert_true(vsi_grace_begin(&sections, &grace));
  uint64_t hits = 0;
  for (size_t i = 0; i < VSI_SECTIONS_COUNT; i++) hits += atomic_load(&sections.records[i].hits);
  assert_int_equal(hits, 6 * VSI_SECTIONS_COUNT);
  assert_null(vsi_section_enter(&sections)); /* the main thread came too late */
  end_sections();
}

static void threads_that_end_leave_nothing_open(void **state) {
  (void)state;
  open_sections();
  for (size_t i = 0; i < 40; i++) {
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, enter_and_leave, &th), 0);
    pthread_join(thread, NULL);
    vsi_grace grace;
    assert_true(vsi_grace_begin(&sections, &grace));
  }
  end_sections();
}

/* A writer replaces an object, waits for the grace period and spoils the old one; readers must never see a spoilt one.
 * What they read is plain memory: the thread sanitizer checks that the wait orders it, too. */
typedef struct object {
  uint64_t first, second; /* alike, until it is spoilt */
} object;

enum { READERS = 3, REPLACEMENTS = 300, READS = 3000 };
static _Atomic(object *) current;
static _Atomic(bool) stop;
static _Atomic(size_t) reads;

static void *read_objects(void *ctx) {
  size_t count = 0;
  while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
    vsi_section *section = vsi_section_enter(&sections);
    const object *o = atomic_load_explicit(&current, memory_order_acquire);
    bool spoilt = o->first != o->second;
    if (count++ % 3 == 0) { /* sometimes longer, and inside each other */
      vsi_section *inner = vsi_section_enter(&sections);
      sched_yield();
      spoilt |= o->first != o->second;
      vsi_section_leave(inner);
    }
    vsi_section_leave(section);
    if (spoilt) {
      atomic_fetch_add(&reads, READS);
      return ctx;
    }
    atomic_fetch_add_explicit(&reads, 1, memory_order_relaxed);
  }
  return NULL;
}

static void nobody_sees_what_is_reclaimed(void **state) {
  open_sections();
  if (*state) sections.asymmetric = false; /* as where the kernel makes no barriers for others */
  atomic_store(&reads, 0);
  object *made = malloc(sizeof *made);
  *made = (object){0, 0};
  atomic_store(&current, made);
  atomic_store(&stop, false);
  pthread_t threads[READERS];
  for (size_t i = 0; i < READERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, read_objects, &th), 0);
  size_t waited = 0;
  for (uint64_t number = 1; number <= REPLACEMENTS || atomic_load(&reads) < READS; number++) {
    made = malloc(sizeof *made);
    *made = (object){number, number};
    object *old = atomic_exchange_explicit(&current, made, memory_order_release);
    vsi_grace grace;
    if (!vsi_grace_begin(&sections, &grace))
      while (!vsi_grace_is_over(&sections, &grace)) {
        waited++;
        sched_yield();
      }
    old->first = UINT64_MAX; /* spoilt */
    free(old);
    if (number > REPLACEMENTS) sched_yield(); /* the readers are late */
  }
  atomic_store(&stop, true);
  for (size_t i = 0; i < READERS; i++) {
    void *saw;
    pthread_join(threads[i], &saw);
    assert_null(saw);
  }
  print_message("%zu reads, waited %zu times\n", atomic_load(&reads), waited);
  free(atomic_load(&current));
  end_sections();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_grace_period_ends_with_the_sections_that_were_open),
      cmocka_unit_test(sections_inside_each_other_are_one),
      cmocka_unit_test(nested_without_end_they_need_no_more_records),
      cmocka_unit_test(stores_do_not_wait_for_each_other),
      cmocka_unit_test(one_thread_alone_knows_that_nobody_looks),
      cmocka_unit_test(with_another_thread_it_does_not),
      cmocka_unit_test(without_memory_there_are_none),
      cmocka_unit_test(more_threads_than_records_are_turned_away),
      cmocka_unit_test(threads_that_end_leave_nothing_open),
      cmocka_unit_test(nobody_sees_what_is_reclaimed),
      cmocka_unit_test_prestate(nobody_sees_what_is_reclaimed, &th),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
