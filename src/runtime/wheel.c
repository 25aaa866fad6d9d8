/* SPDX-License-Identifier: MIT */
/* essay: the timing wheel */
#include "runtime/wheel.h"
#include "base/assert.h"

#include <stddef.h>

/* A timing wheel: it finds the timers that are due without sorting all timers.
 *
 * The scheme is that of G. Varghese and T. Lauck, "Hashed and Hierarchical Timing Wheels: Data Structures for the
 * Efficient Implementation of a Timer Facility", SOSP 1987, their scheme 7.
 *
 * A tick is a number of eight digits in base 64. A timer is filed by the most significant digit in which its tick
 * differs from now: the digit's position is the level, its value the slot.
 *
 *      level 0   64 slots of 1 tick          same digits as now except the last
 *      level 1   64 slots of 64 ticks
 *      …
 *      level 7   64 slots of 64^7 ticks
 *
 * Invariant: the tick of a timer on level L equals now in all digits above digit L, and is greater than now in digit L
 * (on level 0: greater or equal). Therefore:
 * - All of level L comes before all of level L + 1, and on one level a lower slot comes before a higher one. So the
 *   first occupied slot of the lowest level that has one is the next stop: the next tick at which advance has work.
 * - Equal ticks always share a slot, and lists are moved in order, so equal ticks expire in the order of their adds.
 * - Digits are absolute and ticks do not wrap, so a slot never stands for two times.
 *
 * Advance goes from stop to stop. At a stop of level 0 the whole list is due. At a stop of a higher level, now takes
 * the slot's digit, and its timers are filed again, on lower levels. A timer moves at most once for each level. The
 * final move of now, from the last stop to now_tick, keeps the invariant: now stays below the beginning of the next
 * occupied slot. So the two still have the same digits above the level of that slot. */

enum { EXPIRED_LEVEL = VSI_WHEEL_LEVELS };

static void list_remove(vsi_wheel_list *list, vsi_timer *timer) {
  VSI_ASSERT(timer->in.tqe_prev && *timer->in.tqe_prev == timer);
  TAILQ_REMOVE(list, timer, in);
  timer->in.tqe_prev = NULL;
}

void vsi_timer_init(vsi_timer *timer, void (*fire)(vsi_timer *timer, struct vsi_notices *notices)) {
  *timer = (vsi_timer){.fire = fire};
}

void vsi_wheel_init(vsi_wheel *wheel, uint64_t now_tick) {
  wheel->now_tick = now_tick < VSI_WHEEL_LAST_TICK ? now_tick : VSI_WHEEL_LAST_TICK;
  TAILQ_INIT(&wheel->expired);
  for (unsigned level = 0; level < VSI_WHEEL_LEVELS; level++) {
    wheel->occupied[level] = 0;
    for (unsigned slot = 0; slot < VSI_WHEEL_SLOTS; slot++) TAILQ_INIT(&wheel->slots[level][slot]);
  }
}

static unsigned digit(uint64_t tick, unsigned level) {
  return (unsigned)(tick >> (level * VSI_WHEEL_LEVEL_BITS)) % VSI_WHEEL_SLOTS;
}

static void file(vsi_wheel *wheel, vsi_timer *timer) {
  uint64_t due = timer->due_tick;
  VSI_ASSERT(due >= wheel->now_tick);               /* earlier timers have expired already */
  uint64_t differing = (due ^ wheel->now_tick) | 1; /* equal: level 0 */
  unsigned level = (63 - (unsigned)__builtin_clzll(differing)) / VSI_WHEEL_LEVEL_BITS;
  unsigned slot = digit(due, level);
  VSI_ASSERT(level < VSI_WHEEL_LEVELS);
  wheel->occupied[level] |= UINT64_C(1) << slot;
  timer->level = level & 0xff;
  TAILQ_INSERT_TAIL(&wheel->slots[level][slot], timer, in);
}

void vsi_wheel_add(vsi_wheel *wheel, vsi_timer *timer, uint64_t due_tick) {
  if (due_tick < wheel->now_tick) due_tick = wheel->now_tick;
  timer->due_tick = due_tick < VSI_WHEEL_LAST_TICK ? due_tick : VSI_WHEEL_LAST_TICK;
  file(wheel, timer);
}

void vsi_wheel_remove(vsi_wheel *wheel, vsi_timer *timer) {
  unsigned level = timer->level;
  if (level == EXPIRED_LEVEL) {
    list_remove(&wheel->expired, timer);
    return;
  }
  unsigned slot = digit(timer->due_tick, level);
  vsi_wheel_list *list = &wheel->slots[level][slot];
  VSI_ASSERT(wheel->occupied[level] >> slot & 1);
  list_remove(list, timer);
  if (TAILQ_EMPTY(list)) wheel->occupied[level] &= ~(UINT64_C(1) << slot);
}

/* Find the first occupied slot. Returns false if the wheel is empty except for expired timers. */
static bool first_slot(const vsi_wheel *wheel, unsigned *ret_level, unsigned *ret_slot) {
  for (unsigned level = 0; level < VSI_WHEEL_LEVELS; level++) {
    if (!wheel->occupied[level]) continue;
    *ret_level = level;
    *ret_slot = (unsigned)__builtin_ctzll(wheel->occupied[level]);
    return true;
  }
  return false;
}

/* Return the first tick of a slot: the digits of now above the level, that of the slot at it, zeros below. */
static uint64_t slot_start(const vsi_wheel *wheel, unsigned level, unsigned slot) {
  unsigned shift = level * VSI_WHEEL_LEVEL_BITS;
  uint64_t above = wheel->now_tick >> shift >> VSI_WHEEL_LEVEL_BITS << VSI_WHEEL_LEVEL_BITS;
  return (above | slot) << shift;
}

void vsi_wheel_advance(vsi_wheel *wheel, uint64_t now_tick) {
  if (now_tick > VSI_WHEEL_LAST_TICK) now_tick = VSI_WHEEL_LAST_TICK;
  if (now_tick < wheel->now_tick) return;
  unsigned level, slot;
  while (first_slot(wheel, &level, &slot)) {
    uint64_t stop = slot_start(wheel, level, slot);
    VSI_ASSERT(stop >= wheel->now_tick);
    if (stop > now_tick) break;
    wheel->now_tick = stop;
    vsi_wheel_list *list = &wheel->slots[level][slot];
    vsi_timer *timer = TAILQ_FIRST(list);
    TAILQ_INIT(list);
    wheel->occupied[level] &= ~(UINT64_C(1) << slot);
    for (vsi_timer *next; timer; timer = next) {
      next = TAILQ_NEXT(timer, in);
      if (timer->due_tick == stop) {
        timer->level = EXPIRED_LEVEL;
        TAILQ_INSERT_TAIL(&wheel->expired, timer, in);
      } else {
        file(wheel, timer);
      }
    }
  }
  wheel->now_tick = now_tick;
}

vsi_timer *vsi_wheel_pop_expired(vsi_wheel *wheel) {
  vsi_timer *timer = TAILQ_FIRST(&wheel->expired);
  if (timer) list_remove(&wheel->expired, timer);
  return timer;
}

uint64_t vsi_wheel_next_stop(const vsi_wheel *wheel) {
  if (!TAILQ_EMPTY(&wheel->expired)) return wheel->now_tick;
  unsigned level, slot;
  return first_slot(wheel, &level, &slot) ? slot_start(wheel, level, slot) : VSI_WHEEL_NONE;
}
