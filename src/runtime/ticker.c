/* SPDX-License-Identifier: MIT */
#include "runtime/ticker.h"

#include "base/memory.h"
#include "base/thread.h"
#include "base/wait.h"
#include "runtime/actor.h"

/* The ticker, which fires the timers of a runtime.
 *
 * One thread serves all timers. It sleeps until the wheel's next stop. A thread that arms a timer for an earlier tick
 * wakes it. asleep_until_tick shows whether a wake-up is necessary. So arming a timer costs no system call if the timer
 * thread is awake, or will wake earlier than the timer is due.
 *
 * The sleep is measured by CLOCK_MONOTONIC even if the host has another clock: the host's clock determines the duration
 * of the sleep, and is read again afterwards. So a timer never fires before its time on the host's clock. But if a host
 * clock is set forward by hand, this is noticed only at the end of the sleep, or when an earlier timer is armed.
 * Programs that control the clock step the runtime themselves. */

static uint64_t tick_of_now(const vsi_ticker *ticker) {
  return vsi_now_ns(ticker->host) / VSI_NS_PER_MS; /* rounded down, while deadlines are rounded up: never early */
}

/* The lock is released for each fire. The actors that the timers notify are queued together at the end, so that the
 * pool's workers find all of them, and batch their writes. */
bool vsi_ticker_fire_due(vsi_ticker *ticker) {
  bool any = false;
  vsi_notices notices;
  vsi_notices_init(&notices);
  vsi_mutex_lock(&ticker->lock);
  if (!ticker->closed) vsi_wheel_advance(&ticker->wheel, tick_of_now(ticker));
  for (vsi_timer *timer; !ticker->closed && (timer = vsi_wheel_pop_expired(&ticker->wheel)) != NULL;) {
    void (*fire)(vsi_timer *, vsi_notices *) = timer->fire;
    vsi_mutex_unlock(&ticker->lock);
    fire(timer, &notices);
    any = true;
    vsi_mutex_lock(&ticker->lock);
  }
  vsi_mutex_unlock(&ticker->lock);
  vsi_notices_send(&notices);
  return any;
}

/* Begin to sleep until the wheel's next stop. Returns the time that is left; 0: the stop has come. A host clock that is
 * slow or stands still must not cause a busy loop: a second sleep until the same tick takes at least a millisecond. */
static uint64_t rest_locked(vsi_ticker *ticker) {
  const uint64_t stop = ticker->closed ? VSI_WHEEL_NONE : vsi_wheel_next_stop(&ticker->wheel);
  const uint64_t now_ns = vsi_now_ns(ticker->host), stop_ns = vsi_ms_to_ns(stop);
  uint64_t left_ns = stop_ns > now_ns ? stop_ns - now_ns : 0;
  if (stop == ticker->asleep_until_tick && left_ns && left_ns < VSI_NS_PER_MS) left_ns = VSI_NS_PER_MS;
  ticker->asleep_until_tick = stop;
  return left_ns;
}

static void *run_ticker(void *argument) {
  vsi_ticker *ticker = argument;
  for (bool is_closed = false; !is_closed;) {
    (void)vsi_ticker_fire_due(ticker);
    vsi_mutex_lock(&ticker->lock);
    const uint64_t left_ns = ticker->closed ? 0 : rest_locked(ticker);
    if (left_ns && vsi_wait_until(&ticker->changed, &ticker->lock, vsi_monotonic_in_ns(left_ns)))
      ticker->asleep_until_tick = 0;
    is_closed = ticker->closed;
    vsi_mutex_unlock(&ticker->lock);
  }
  return NULL;
}

vestry_err vsi_ticker_init(vsi_ticker *ticker, const vestry_host *host, bool threaded) {
  *ticker = (vsi_ticker){.host = host, .threaded = threaded};
  vsi_wheel_init(&ticker->wheel, tick_of_now(ticker));
  pthread_cond_init(&ticker->changed, NULL);
  vsi_mutex_init(&ticker->lock, VSI_LOCK_TICKER);
  if (threaded && vsi_thread_start(host, &ticker->thread, "vestry-timer", run_ticker, ticker) != VESTRY_OK) {
    vsi_ticker_finish(ticker);
    return VESTRY_IO;
  }
  return VESTRY_OK;
}

bool vsi_ticker_is_mine(const vsi_ticker *ticker) {
  return ticker->threaded && pthread_equal(pthread_self(), ticker->thread);
}

void vsi_ticker_close(vsi_ticker *ticker) {
  vsi_mutex_lock(&ticker->lock);
  ticker->closed = true;
  vsi_mutex_unlock(&ticker->lock);
  pthread_cond_signal(&ticker->changed);
}

void vsi_ticker_stop(vsi_ticker *ticker) {
  if (ticker->threaded) pthread_join(ticker->thread, NULL);
}

void vsi_ticker_finish(vsi_ticker *ticker) {
  pthread_cond_destroy(&ticker->changed);
  vsi_mutex_finish(&ticker->lock);
}

void vsi_ticker_rest(vsi_ticker *ticker, vsi_wake *wake) {
  vsi_mutex_lock(&ticker->lock);
  if (wake) ticker->wake = wake;
  const uint64_t before = ticker->asleep_until_tick, left_ns = ticker->wake ? rest_locked(ticker) : 0;
  /* If no timer was armed and none is, the wake is set already. */
  if (before != VSI_WHEEL_NONE || ticker->asleep_until_tick != before)
    if (ticker->wake) vsi_wake_in(ticker->wake, left_ns);
  vsi_mutex_unlock(&ticker->lock);
}

vestry_err vsi_ticker_arm(vsi_ticker *ticker, vsi_timer *timer, uint64_t due_ns, uint64_t slack_ns,
                          bool *ret_was_armed) {
  uint64_t due_tick = due_ns / VSI_NS_PER_MS + (due_ns % VSI_NS_PER_MS != 0);
  vsi_mutex_lock(&ticker->lock);
  if (ticker->closed) {
    vsi_mutex_unlock(&ticker->lock);
    return VESTRY_CLOSED;
  }
  bool was_armed = VSI_TIMER_IS_ARMED(timer);
  if (was_armed) vsi_wheel_remove(&ticker->wheel, timer);
  const uint64_t slack_ticks = slack_ns / VSI_NS_PER_MS;
  if (slack_ticks) due_tick -= due_tick % slack_ticks; /* a tick that many such timers share */
  vsi_wheel_add(&ticker->wheel, timer, due_tick);
  bool wake = timer->due_tick < ticker->asleep_until_tick;
  if (wake && ticker->wake)
    vsi_wake_in(ticker->wake, rest_locked(ticker));
  else if (wake)
    ticker->asleep_until_tick = 0; /* one wake-up is enough */
  vsi_mutex_unlock(&ticker->lock);
  if (wake) pthread_cond_signal(&ticker->changed);
  if (ret_was_armed) *ret_was_armed = was_armed;
  return VESTRY_OK;
}

bool vsi_ticker_cancel(vsi_ticker *ticker, vsi_timer *timer) {
  vsi_mutex_lock(&ticker->lock);
  bool was_armed = VSI_TIMER_IS_ARMED(timer);
  if (was_armed) vsi_wheel_remove(&ticker->wheel, timer);
  vsi_mutex_unlock(&ticker->lock);
  return was_armed;
}
