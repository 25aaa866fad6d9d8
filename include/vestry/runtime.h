/* SPDX-License-Identifier: MIT */
/** The runtime: actors, a pool of threads that runs them, and timers.
 *
 *  An actor is a function with a mailbox. At most one thread at a time is inside an actor, so its state needs no lock.
 *  An actor receives two messages in the order of their posts, if one thread posted both or one post happened before
 *  the other. A runtime either owns threads, or its caller steps it (VESTRY_THREADS_NONE). Stepping makes every run
 *  repeatable; it is for tests and single-threaded programs.
 *
 *      struct hello { vestry_message message; const char *name; }; // a message is the first member
 *      static void greet(vestry_actor *self, void *ctx) {
 *        for (vestry_message *m; (m = vestry_actor_receive(self)) != NULL; free(m)) puts(((struct hello *)m)->name);
 *      }
 *      vestry_runtime *runtime; vestry_actor *actor; // in a function; hello: from malloc, the actor's after the post
 *      vestry_err error = vestry_runtime_create(NULL, &runtime);
 *      if (!error) error = vestry_actor_create(runtime, &(vestry_actor_options){.run = greet}, &actor);
 *      if (!error) error = vestry_actor_post(actor, &hello->message); */
#ifndef VESTRY_RUNTIME_H
#define VESTRY_RUNTIME_H

#include "vestry/host.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Runs actors and timers. */
typedef struct vestry_runtime vestry_runtime;
/** A function with a mailbox. */
typedef struct vestry_actor vestry_actor;
/** A callback after a time, once or periodically. */
typedef struct vestry_timer vestry_timer;

/** For threads_count: no threads; the caller runs everything with vestry_runtime_step. */
#define VESTRY_THREADS_NONE UINT32_MAX

/** How the streams of a runtime write. */
typedef enum vestry_runtime_io {
  VESTRY_RUNTIME_IO_AUTOMATIC, /**< batched if the runtime has threads and the kernel has io_uring, else plain */
  VESTRY_RUNTIME_IO_BATCHED,   /**< each thread collects up to 256 small writes (2 KiB) of streams whose transport has
                                    `compose`, and passes them to the kernel together (io_uring) as soon as it has
                                    nothing else to do, or when one has waited for half a millisecond and 16 further
                                    runs of streams. Needs about 170 KiB a thread. If the kernel refuses, or vestry was
                                    built without liburing, the log has a line, and the runtime is plain. A stepped
                                    runtime sends its batch in a step that finds nothing else to do */
  VESTRY_RUNTIME_IO_PLAIN      /**< each write is a system call */
} vestry_runtime_io;

/** Options of a runtime. Zero is the default. */
typedef struct vestry_runtime_options {
  const vestry_host *host; /**< borrowed, must outlive the runtime; NULL: vestry_host_default(). Its clock decides when
                                timers fire. A runtime with threads sleeps in real time for the duration that this clock
                                gives, then reads the clock again. So a clock that is set by hand is for stepped
                                runtimes only */
  uint32_t threads_count;  /**< 0: one for each processor that the process may use; at most 256; or
                                VESTRY_THREADS_NONE. A write to a stream wakes a thread only if fewer than one
                                for each processor are awake and in no callback of an actor or timer */
  vestry_runtime_io io;    /**< how streams write */
} vestry_runtime_options;

/** Create a runtime and start its threads. They are named vestry-0, vestry-1 … and vestry-timer, and block all signals.
 *  options      NULL: the defaults
 *  ret_runtime  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY | IO (a thread could not be started; none is left running)
 *  Threads  any */
VESTRY_API vestry_err vestry_runtime_create(const vestry_runtime_options *options, vestry_runtime **ret_runtime);

/* In a process forked from the one that created it, a runtime is closed, and stop, destroy and step do nothing:
 * see vestry_is_forked (instance.h). */

/** Refuse new work (posts and new timers return CLOSED, and armed timers are disarmed). Then wait until every ready
 *  actor has emptied its mailbox and all threads have ended. A stepped runtime runs the ready actors on the caller's
 *  thread. Idempotent. While an actor keeps notifying itself, this does not return. An actor that is notified after the
 *  return runs in vestry_runtime_destroy.
 *  Threads  not from an actor or timer of this runtime; blocks while callbacks run */
VESTRY_API void vestry_runtime_stop(vestry_runtime *runtime);

/** Stop, then free. Actors and timers must have been destroyed. NULL is accepted.
 *  Threads  as vestry_runtime_stop */
VESTRY_API void vestry_runtime_destroy(vestry_runtime *runtime);

/** Step a runtime without threads: fire the timers that are due on the host's clock, then run one ready actor once.
 *
 *  A callback that a step runs (an actor, a timer, a hook of a stream) cannot step the same runtime: the call does
 *  nothing and returns false. A handler or an effect that runs outside of a step, because the program's loop has called
 *  vestry_serve or has dispatched, can step: timers and other streams then run inside it. The stream of that request
 *  opens only in a step after vestry_serve has returned.
 *  Returns  true: something was fired or run; false: nothing to do now (or the runtime owns threads, or this is inside
 *           a step)
 *  Threads  any, one at a time; runs callbacks on this thread */
VESTRY_API bool vestry_runtime_step(vestry_runtime *runtime);

/** Get a descriptor that is readable while a stepped runtime has work, that is while an actor is ready or a timer is
 *  due, whichever thread caused this. For an existing event loop: poll, epoll, GLib or libuv. When it is readable, step
 *  until there is nothing more to do, which makes it unreadable:
 *
 *      int descriptor; // poll needs poll.h and errno.h
 *      vestry_err error = vestry_runtime_descriptor(runtime, &descriptor);
 *      if (error) return error;
 *      struct pollfd at = {.fd = descriptor, .events = POLLIN};
 *      while (poll(&at, 1, -1) >= 0 || errno == EINTR) while (vestry_runtime_step(runtime)) continue;
 *
 *  It may be readable although there is no work. For the next timer it becomes readable when the time left by the
 *  host's clock has passed in real time; so with a clock that is set by hand, step after each change of the clock. This
 *  uses three of the process's descriptors.
 *  ret_descriptor  owned by the runtime until its destroy: poll it, but neither read nor close it. The same for each
 *                  call
 *  Returns  OK | INVALID (the runtime owns threads) | IO (no descriptors)
 *  Threads  the thread that steps, or any thread before the first step; does not block */
VESTRY_API vestry_err vestry_runtime_descriptor(vestry_runtime *runtime, int *ret_descriptor);

/** Header of a message: the first member of a struct of your own. Owned by the mailbox between post and receive. */
typedef struct vestry_message {
  void *reserved;
} vestry_message;

/** Runs an actor that has messages or was notified. Called on a pool thread (or in vestry_runtime_step), no lock held,
 *  never in two threads at once for one actor. It should receive until vestry_actor_receive returns NULL; if messages
 *  are left, the actor runs again at once. Must not block on an instance's runtime, whose threads also write the
 *  streams; a function that blocks needs a separate runtime (docs/guide/timers.md). */
typedef void (*vestry_actor_run_fn)(vestry_actor *self, void *ctx);
/** Frees a message that will not be received, because the actor was destroyed. Called on the thread of the last unref
 *  or run. */
typedef void (*vestry_actor_drop_fn)(vestry_message *message, void *ctx);
/** Called when the actor is freed; may free ctx. Exactly once, after the last run and drop, no lock held, any thread.
 *  Not called if vestry_actor_create failed. */
typedef void (*vestry_actor_done_fn)(void *ctx);

/** Functions of an actor. */
typedef struct vestry_actor_options {
  vestry_actor_run_fn run;   /**< mandatory */
  vestry_actor_drop_fn drop; /**< NULL: messages that were not received are dropped without a call */
  vestry_actor_done_fn done; /**< NULL: none */
  void *ctx;
} vestry_actor_options;

/** Create an actor on a runtime.
 *  ret_actor  one reference, owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY | CLOSED (the runtime)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_actor_create(vestry_runtime *runtime, const vestry_actor_options *options,
                                          vestry_actor **ret_actor);
/** Drop the reference to an actor (NULL accepted), after the last call with it. The actor still runs for posted
 *  messages as long as each run receives one. Then the remaining messages are dropped, and the actor is freed. Returns
 *  NULL.
 *  Threads  any, its own run included; does not block */
VESTRY_API vestry_actor *vestry_actor_unref(vestry_actor *actor);

/** Put a message into an actor's mailbox and make the actor run.
 *  message  taken on OK only
 *  Returns  OK | CLOSED (the runtime)
 *  Threads  any; does not block. Order: if one post happens before another, on
 *           whatever threads, its message is received first */
VESTRY_API vestry_err vestry_actor_post(vestry_actor *actor, vestry_message *message);

/** Make an actor run once more after this call, with or without a message. Threads any; does not block. */
VESTRY_API void vestry_actor_notify(vestry_actor *actor);

/** Take the oldest message out of the mailbox.
 *  Returns  the message, now owned by the caller; NULL: there is none now (after a post in progress the actor runs
 *           again)
 *  Threads  only inside the actor's own run */
VESTRY_API vestry_message *vestry_actor_receive(vestry_actor *actor);

/** Called when a timer fires, on a pool thread (or in vestry_runtime_step), no lock held; never in two threads at once
 *  for one timer. Must not block on an instance's runtime, as vestry_actor_run_fn. */
typedef void (*vestry_timer_fn)(vestry_timer *timer, void *ctx);

/** Create a timer, disarmed.
 *  ret_timer  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY | CLOSED (the runtime)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_timer_create(vestry_runtime *runtime, vestry_timer_fn fire, void *ctx,
                                          vestry_timer **ret_timer);

/** Arm or re-arm a timer: it fires after delay_ms, then every period_ms (0: once). Periods are relative to the clock
 *  and do not drift; if several periods are missed, the timer fires once for them. It never fires early, and late by at
 *  most 1 ms plus scheduling.
 *  delay_ms  VESTRY_NEVER_MS: disarm the timer. A callback that has not begun will not begin; this does not wait for a
 *            running one
 *  Returns   OK | CLOSED (the runtime)
 *  Threads  any, its own callback included; does not block */
VESTRY_API vestry_err vestry_timer_set(vestry_timer *timer, uint64_t delay_ms, uint64_t period_ms);

/** Disarm and free a timer. After the return, the callback does not run, and never runs again. Exception: if the
 *  callback itself calls this function, its current run is the last one. NULL is accepted.
 *  Threads  any; blocks while the callback runs on another thread, so hold no lock that the callback takes */
VESTRY_API void vestry_timer_destroy(vestry_timer *timer);

#ifdef __cplusplus
}
#endif
#endif
