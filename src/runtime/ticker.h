/* SPDX-License-Identifier: MIT */
/* The ticker: turns the wheel by the host's clock and fires what is due, on a thread of its own or when it is stepped.
 * A tick is a millisecond of that clock. Arming and cancelling are O(1). */
#ifndef VSI_RUNTIME_TICKER_H
#define VSI_RUNTIME_TICKER_H

#include <pthread.h>

#include "base/mutex.h"
#include "runtime/wake.h"
#include "runtime/wheel.h"

typedef struct vsi_ticker {
  const vestry_host *host;
  vsi_mutex lock;             /* inside the lock of a vestry_timer; nothing is called while it is held, but the clock */
  pthread_cond_t changed;     /* stopping, or something due before asleep_until_tick */
  vsi_wheel wheel;            /* guarded by lock */
  uint64_t asleep_until_tick; /* guarded by lock; 0: the thread is awake and will look at the wheel itself */
  bool closed;                /* guarded by lock: nothing is armed or fired any more */
  bool stopping;              /* guarded by lock */
  vsi_wake *wake;             /* guarded by lock; of one that is stepped by a loop: it sleeps; NULL: none */
  bool threaded;
  pthread_t thread;
} vsi_ticker;

/* OK | IO (the thread could not be started). */
vestry_err vsi_ticker_init(vsi_ticker *ticker, const vestry_host *host, bool threaded);
/* Nothing fires after this call but a fire that already runs. What is armed stays so, to be cancelled by its owner. */
void vsi_ticker_close(vsi_ticker *ticker);
/* Close and join the thread. Once. */
void vsi_ticker_stop(vsi_ticker *ticker);
void vsi_ticker_finish(vsi_ticker *ticker);

/* Fire on this thread what was due at the time of the call. False: nothing was. */
bool vsi_ticker_fire_due(vsi_ticker *ticker);

/* One that is stepped: from here on this is readable when a timer is due. */
void vsi_ticker_wake_by(vsi_ticker *ticker, vsi_wake *wake);
/* The stepper has nothing more to do: it sleeps until the next timer is due, or something earlier is armed. */
void vsi_ticker_rest(vsi_ticker *ticker);

/* Arm a timer, or move it when it is armed. It never fires before due_ns. When the ticker closes, armed timers are not
 * fired: an owner that holds a reference for an armed timer cancels it when it closes itself.
 * OK: *ret_was_armed (may be NULL) is set | CLOSED: not armed. Any thread. */
VESTRY_API vestry_err vsi_ticker_arm(vsi_ticker *ticker, vsi_timer *timer, uint64_t due_ns, bool *ret_was_armed);
/* true: it was armed and will not fire. false: it was not armed, or fires now. Any thread. */
VESTRY_API bool vsi_ticker_cancel(vsi_ticker *ticker, vsi_timer *timer);

/* Host time; UINT64_MAX: nothing is armed, or closed. */
uint64_t vsi_ticker_next_deadline_ns(vsi_ticker *ticker);

/* This is its thread. */
bool vsi_ticker_is_mine(const vsi_ticker *ticker);

#endif
