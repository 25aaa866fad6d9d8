/* SPDX-License-Identifier: MIT */
#include "app/session/lifetimes.h"

#include "base/array.h"
#include "base/memory.h"
#include "runtime/timer.h"

enum { ENDS_AT_ONCE = 256 };

static void put_at(vsi_session_lifetimes *lifetimes, size_t at, vsi_session_user *record) {
  lifetimes->heap[at] = record;
  record->place = at + 1;
}

/* Up from a free place, or down from it: where the record belongs. */
static void file(vsi_session_lifetimes *lifetimes, size_t at, vsi_session_user *record) {
  vsi_session_user **heap = lifetimes->heap;
  for (; at && heap[(at - 1) / 2]->ends_ns > record->ends_ns; at = (at - 1) / 2)
    put_at(lifetimes, at, heap[(at - 1) / 2]);
  for (;;) {
    size_t child = 2 * at + 1;
    if (child >= lifetimes->count) break;
    if (child + 1 < lifetimes->count && heap[child + 1]->ends_ns < heap[child]->ends_ns) child++;
    if (heap[child]->ends_ns >= record->ends_ns) break;
    put_at(lifetimes, at, heap[child]);
    at = child;
  }
  put_at(lifetimes, at, record);
}

static void remove_locked(vsi_session_lifetimes *lifetimes, vsi_session_user *record) {
  size_t at = record->place - 1;
  vsi_session_user *last = lifetimes->heap[--lifetimes->count];
  record->place = 0;
  if (last != record) file(lifetimes, at, last);
}

/* The timer is late at most by what else it does; one that is early finds nothing due. */
static void expect_locked(vsi_session_lifetimes *lifetimes) {
  if (lifetimes->count) (void)vsi_timer_set_at(lifetimes->timer, lifetimes->heap[0]->ends_ns);
}

static vsi_session_user *take_due(vsi_session_lifetimes *lifetimes, uint64_t now) {
  vsi_session_user *due = NULL;
  vsi_mutex_lock(&lifetimes->lock);
  if (lifetimes->count && lifetimes->heap[0]->ends_ns <= now) {
    due = lifetimes->heap[0];
    vsi_session_record_ref(due); /* the thread that drops the last reference removes it first, under this lock */
    remove_locked(lifetimes, due);
  }
  vsi_mutex_unlock(&lifetimes->lock);
  return due;
}

static void fire(vestry_timer *timer, void *ctx) {
  vsi_session_lifetimes *lifetimes = ctx;
  uint64_t now = vsi_now_ns(lifetimes->host);
  (void)timer;
  for (int i = 0; i < ENDS_AT_ONCE; i++) {
    vsi_session_user *due = take_due(lifetimes, now);
    if (!due) break;
    lifetimes->end(due);
    vsi_session_record_unref(due);
  }
  vsi_mutex_lock(&lifetimes->lock);
  expect_locked(lifetimes);
  vsi_mutex_unlock(&lifetimes->lock);
}

vestry_err vsi_session_lifetimes_init(vsi_session_lifetimes *lifetimes, const vestry_host *host,
                                      vestry_runtime *runtime, void (*end)(vsi_session_user *record)) {
  lifetimes->host = host;
  lifetimes->end = end;
  vestry_err error = vestry_timer_create(runtime, fire, lifetimes, &lifetimes->timer);
  if (!error) vsi_mutex_init(&lifetimes->lock, VSI_LOCK_SESSION_LIFETIMES);
  return error;
}

void vsi_session_lifetimes_finish(vsi_session_lifetimes *lifetimes) {
  if (!lifetimes->timer) return;
  vestry_timer_destroy(lifetimes->timer);
  vsi_mutex_finish(&lifetimes->lock);
  vsi_free(lifetimes->host, lifetimes->heap);
}

vestry_err vsi_session_lifetimes_add(vsi_session_lifetimes *lifetimes, vsi_session_user *record, uint64_t ends_ns) {
  vsi_mutex_lock(&lifetimes->lock);
  vestry_err error = VSI_ARRAY_RESERVE(lifetimes->host, lifetimes->heap, lifetimes->count, lifetimes->room, 1);
  if (!error) {
    record->ends_ns = ends_ns;
    file(lifetimes, lifetimes->count++, record);
    if (record->place == 1) expect_locked(lifetimes);
  }
  vsi_mutex_unlock(&lifetimes->lock);
  return error;
}

void vsi_session_lifetimes_remove(vsi_session_lifetimes *lifetimes, vsi_session_user *record) {
  vsi_mutex_lock(&lifetimes->lock);
  if (record->place) remove_locked(lifetimes, record);
  vsi_mutex_unlock(&lifetimes->lock);
}
