/* SPDX-License-Identifier: MIT */
/* The ticker: advances the wheel by the host's clock and fires due timers, on a separate thread or when it is stepped.
 * A tick is a millisecond of that clock. Arming and cancelling are O(1). */
#ifndef VSI_RUNTIME_TICKER_H
#define VSI_RUNTIME_TICKER_H

#include <pthread.h>

#include "base/mutex.h"
#include "runtime/wake.h"
#include "runtime/wheel.h"

typedef struct vsi_ticker {
  const vestry_host *host;
  vsi_mutex lock;             /* inside the lock of a vestry_timer; no function is called while it is held, except the
                                 clock */
  pthread_cond_t changed;     /* closed, or a timer is due before asleep_until_tick */
  vsi_wheel wheel;            /* guarded by lock */
  uint64_t asleep_until_tick; /* guarded by lock: the end of the sleep; 0: a timer of an earlier tick has ended it */
  bool closed;                /* guarded by lock: no timer is armed or fired any more, and the thread ends */
  vsi_wake *wake;             /* guarded by lock; used if an event loop steps the ticker; NULL: none */
  bool threaded;
  pthread_t thread;
} vsi_ticker;

/* Initialize. OK | IO (the thread could not be started). */
vestry_err vsi_ticker_init(vsi_ticker *ticker, const vestry_host *host, bool threaded);
/* Close: nothing fires after this call, except a fire that already runs. Armed timers stay armed, and their owners
 * cancel them. */
void vsi_ticker_close(vsi_ticker *ticker);
/* Join the thread of a closed ticker. Once. */
void vsi_ticker_stop(vsi_ticker *ticker);
void vsi_ticker_finish(vsi_ticker *ticker);

/* Fire on this thread all timers that are due at the time of the call. Returns false if there were none. */
bool vsi_ticker_fire_due(vsi_ticker *ticker);

/* Set the timer of the wake for a stepped ticker, when the stepping thread has no more work: it sleeps until the
 * wheel's next stop, or an earlier one if a timer is armed meanwhile. wake: NULL: that of the last call; if there is
 * none, the call has no effect. */
void vsi_ticker_rest(vsi_ticker *ticker, vsi_wake *wake);

/* Arm a timer, or move it if it is armed. The timer never fires before due_ns; with a slack_ns, it may fire up to that
 * much early, at a time that is a multiple of slack_ns, so that many timers take one wake-up. When the ticker closes,
 * armed timers do not fire: an owner that holds a reference for an armed timer cancels the timer when it closes itself.
 * Returns  OK: *ret_was_armed (may be NULL) is set | CLOSED: not armed
 * Threads  any */
VESTRY_API vestry_err vsi_ticker_arm(vsi_ticker *ticker, vsi_timer *timer, uint64_t due_ns, uint64_t slack_ns,
                                     bool *ret_was_armed);
/* Cancel a timer. Returns true if it was armed and will not fire, false if it was not armed or fires now. Any
 * thread. */
VESTRY_API bool vsi_ticker_cancel(vsi_ticker *ticker, vsi_timer *timer);

/* Return whether this is the ticker's thread. */
bool vsi_ticker_is_mine(const vsi_ticker *ticker);

#endif
