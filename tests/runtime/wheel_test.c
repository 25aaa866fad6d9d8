/* SPDX-License-Identifier: MIT */
#include "runtime/wheel.h"

#include <stdlib.h>

#include "runtime/deadline.h"
#include "runtime/random.h"
#include "support/test.h"

/* The reference: timers in a plain array, sorted by visiting all of them. */
enum { TIMERS = 200 };

typedef struct model {
  uint64_t now;
  uint64_t adds; /* numbers the adds: their order within one tick */
  struct {
    bool on, expired;
    uint64_t due, number;
  } of[TIMERS];
} model;

static void model_add(model *m, size_t i, uint64_t due) {
  m->of[i].on = true;
  m->of[i].expired = false;
  m->of[i].due = due > m->now ? due : m->now;
  m->of[i].number = m->adds++;
}

static void model_advance(model *m, uint64_t now) {
  if (now < m->now) return;
  m->now = now;
  for (size_t i = 0; i < TIMERS; i++)
    if (m->of[i].on && m->of[i].due <= now) m->of[i].expired = true;
}

/* Expired timers first, as they expired by an earlier tick, then by tick, then by add. TIMERS: none. */
static size_t model_first(const model *m, bool expired_only) {
  size_t best = TIMERS;
  for (size_t i = 0; i < TIMERS; i++) {
    if (!m->of[i].on || (expired_only && !m->of[i].expired)) continue;
    if (best == TIMERS || m->of[i].due < m->of[best].due ||
        (m->of[i].due == m->of[best].due &&
         (m->of[i].expired > m->of[best].expired ||
          (m->of[i].expired == m->of[best].expired && m->of[i].number < m->of[best].number))))
      best = i;
  }
  return best;
}

static void check_links(const vsi_wheel *wheel, size_t expected) {
  size_t found = 0;
  for (unsigned level = 0; level < VSI_WHEEL_LEVELS; level++)
    for (unsigned slot = 0; slot < VSI_WHEEL_SLOTS; slot++) {
      const vsi_wheel_list *list = &wheel->slots[level][slot];
      assert_int_equal(!TAILQ_EMPTY(list), wheel->occupied[level] >> slot & 1);
      vsi_timer *const *link = &TAILQ_FIRST(list);
      for (const vsi_timer *timer = TAILQ_FIRST(list); timer; timer = TAILQ_NEXT(timer, in), found++) {
        assert_ptr_equal(timer->in.tqe_prev, link);
        assert_int_equal(timer->level, level);
        assert_int_equal(timer->due_tick >> (level * VSI_WHEEL_LEVEL_BITS) & (VSI_WHEEL_SLOTS - 1), slot);
        assert_true(timer->due_tick >= wheel->now_tick);
        link = &TAILQ_NEXT(timer, in);
      }
      assert_ptr_equal(list->tqh_last, link);
    }
  const vsi_timer *timer;
  TAILQ_FOREACH(timer, &wheel->expired, in) found++;
  assert_int_equal(found, expected);
}

/* Distances of all magnitudes: mostly short, sometimes years. */
static uint64_t random_distance(uint64_t *seed) {
  return random_next(seed) >> (63 - random_below(seed, 44)) >> 1;
}

static void agrees_with_a_sorted_list(uint64_t seed) {
  static vsi_wheel wheel;
  static vsi_timer timers[TIMERS];
  static model m;
  memset(&m, 0, sizeof m);
  m.now = random_distance(&seed);
  vsi_wheel_init(&wheel, m.now);
  size_t on = 0;
  for (size_t i = 0; i < TIMERS; i++) vsi_timer_init(&timers[i], NULL);
  for (int step = 0; step < 20000; step++) {
    size_t i = (size_t)random_below(&seed, TIMERS);
    switch (random_below(&seed, 8)) {
    case 0:
    case 1:
    case 2: /* add, or move */
      if (m.of[i].on) {
        vsi_wheel_remove(&wheel, &timers[i]);
        on--;
      }
      uint64_t due = m.now + random_distance(&seed);
      if (random_below(&seed, 8) == 0) due = m.now - random_below(&seed, m.now + 1); /* in the past */
      if (random_below(&seed, 4) == 0) {                                             /* equal to another timer's */
        size_t other = (size_t)random_below(&seed, TIMERS);
        if (m.of[other].on) due = m.of[other].due;
      }
      vsi_wheel_add(&wheel, &timers[i], due);
      model_add(&m, i, due);
      on++;
      break;
    case 3: /* remove, expired or not */
      assert_int_equal(VSI_TIMER_IS_ARMED(&timers[i]), m.of[i].on);
      if (!m.of[i].on) break;
      vsi_wheel_remove(&wheel, &timers[i]);
      m.of[i].on = false;
      on--;
      break;
    case 4: /* advance: to a near or far tick, to just before or at the next deadline, or back */
    case 5: {
      size_t first = model_first(&m, false);
      uint64_t to = m.now + random_distance(&seed) / (random_below(&seed, 3) ? 1024 : 1);
      if (first < TIMERS && random_below(&seed, 2)) to = m.of[first].due - random_below(&seed, 2);
      if (random_below(&seed, 16) == 0) to = m.now / 2;
      if (to >> 46) to = m.now; /* the levels would be exhausted */
      vsi_wheel_advance(&wheel, to);
      model_advance(&m, to);
      break;
    }
    case 6: /* pop some expired timers */
      for (uint64_t n = random_below(&seed, 4); n; n--) {
        size_t first = model_first(&m, true);
        vsi_timer *timer = vsi_wheel_pop_expired(&wheel);
        if (first == TIMERS) {
          assert_null(timer);
          break;
        }
        assert_ptr_equal(timer, &timers[first]);
        assert_false(VSI_TIMER_IS_ARMED(timer));
        m.of[first].on = false;
        on--;
      }
      break;
    default: { /* check the next deadline */
      size_t first = model_first(&m, true) < TIMERS ? model_first(&m, true) : model_first(&m, false);
      uint64_t next_due = wheel_next_due(&wheel), next_stop = vsi_wheel_next_stop(&wheel);
      assert_true(next_due == (first == TIMERS ? VSI_WHEEL_NONE : m.of[first].due));
      assert_int_equal(next_stop == VSI_WHEEL_NONE, next_due == VSI_WHEEL_NONE);
      if (next_due > m.now) assert_true(next_stop <= next_due);
      break;
    }
    }
    if (step % 64 == 0) check_links(&wheel, on);
  }
}

TEST_CASE(wheel_agrees_with_a_sorted_list) {
  for (uint64_t seed = 1; seed <= 20; seed++) {
    printf("wheel seed %llu\n", (unsigned long long)seed); /* the last one printed is the one that failed */
    agrees_with_a_sorted_list(seed);
  }
}

TEST_CASE(timers_of_equal_ticks_expire_in_add_order) {
  static vsi_wheel wheel;
  vsi_timer timers[6];
  vsi_wheel_init(&wheel, 0);
  const uint64_t due = 5 * 4096 + 3 * 64 + 1;
  /* Added from decreasing distances, so that some come down two levels and the last is filed at the bottom. */
  const uint64_t from[6] = {0, 1, 4096, 5 * 4096, 5 * 4096 + 64, due};
  for (int i = 0; i < 6; i++) {
    vsi_timer_init(&timers[i], NULL);
    if (i < 5) {
      vsi_wheel_advance(&wheel, from[i]);
    } else {
      vsi_wheel_advance(&wheel, due - 1);
    }
    vsi_wheel_add(&wheel, &timers[i], due);
    assert_null(vsi_wheel_pop_expired(&wheel));
  }
  vsi_wheel_advance(&wheel, due);
  for (int i = 0; i < 6; i++) assert_ptr_equal(vsi_wheel_pop_expired(&wheel), &timers[i]);
  assert_null(vsi_wheel_pop_expired(&wheel));
}

/* Jumps of centuries, over an empty wheel and over full ones: visiting each tick would not end. */
TEST_CASE(long_gaps_are_skipped) {
  static vsi_wheel wheel;
  vsi_timer timers[44];
  vsi_wheel_init(&wheel, 0);
  vsi_wheel_advance(&wheel, UINT64_C(1) << 40);
  for (unsigned i = 0; i < 44; i++) {
    vsi_timer_init(&timers[i], NULL);
    vsi_wheel_add(&wheel, &timers[i], (UINT64_C(1) << 40) + (UINT64_C(1) << i));
  }
  vsi_wheel_advance(&wheel, UINT64_C(1) << 45);
  for (unsigned i = 0; i < 44; i++) assert_ptr_equal(vsi_wheel_pop_expired(&wheel), &timers[i]);
  assert_true(wheel_next_due(&wheel) == VSI_WHEEL_NONE);
}

/* Advancing from stop to stop, a timer is reached in at most as many stops as there are levels. */
TEST_CASE(timer_is_reached_in_few_stops) {
  static vsi_wheel wheel;
  uint64_t seed = 3;
  for (int round = 0; round < 1000; round++) {
    uint64_t now = random_distance(&seed), due = now + random_distance(&seed);
    vsi_timer timer;
    vsi_timer_init(&timer, NULL);
    vsi_wheel_init(&wheel, now);
    vsi_wheel_add(&wheel, &timer, due);
    int stops = 0;
    while (TAILQ_EMPTY(&wheel.expired)) {
      assert_true(stops++ < VSI_WHEEL_LEVELS + 1);
      assert_true(wheel_next_due(&wheel) == due);
      vsi_wheel_advance(&wheel, vsi_wheel_next_stop(&wheel));
    }
    assert_true(wheel.now_tick == due);
    assert_ptr_equal(vsi_wheel_pop_expired(&wheel), &timer);
  }
}

TEST_CASE(timer_added_while_popping_waits_for_the_next_advance) {
  static vsi_wheel wheel;
  vsi_timer timer;
  vsi_timer_init(&timer, NULL);
  vsi_wheel_init(&wheel, 100);
  vsi_wheel_add(&wheel, &timer, 0);
  assert_null(vsi_wheel_pop_expired(&wheel));
  vsi_wheel_advance(&wheel, 100);
  assert_ptr_equal(vsi_wheel_pop_expired(&wheel), &timer);
  vsi_wheel_add(&wheel, &timer, 0);
  assert_null(vsi_wheel_pop_expired(&wheel));
  assert_true(wheel_next_due(&wheel) == 100);
  vsi_wheel_advance(&wheel, 99); /* back: no timer expires */
  assert_null(vsi_wheel_pop_expired(&wheel));
  vsi_wheel_advance(&wheel, 100);
  assert_ptr_equal(vsi_wheel_pop_expired(&wheel), &timer);
}

TEST_CASE(timers_at_the_last_ticks_are_kept) {
  static vsi_wheel wheel;
  vsi_timer never, late;
  vsi_timer_init(&never, NULL);
  vsi_timer_init(&late, NULL);
  vsi_wheel_init(&wheel, 0);
  vsi_wheel_add(&wheel, &never, UINT64_MAX);
  vsi_wheel_add(&wheel, &late, UINT64_MAX / 1000000);
  assert_true(wheel_next_due(&wheel) == UINT64_MAX / 1000000);
  vsi_wheel_advance(&wheel, UINT64_MAX / 1000000);
  assert_ptr_equal(vsi_wheel_pop_expired(&wheel), &late);
  assert_null(vsi_wheel_pop_expired(&wheel));
  assert_true(wheel_next_due(&wheel) == VSI_WHEEL_LAST_TICK);
  vsi_wheel_remove(&wheel, &never);
  assert_false(VSI_TIMER_IS_ARMED(&never));
  assert_true(vsi_wheel_next_stop(&wheel) == VSI_WHEEL_NONE);
}
