/* SPDX-License-Identifier: MIT */
/* Each session has a counter. vestry provides the session: without a login, it is a random id in a cookie, which takes
 * no memory and survives a restart. */
#ifndef COUNTER_SESSION_H
#define COUNTER_SESSION_H

#include <pthread.h>
#include <stdatomic.h>

#include "vestry/vestry.h"

enum { SESSION_ID_LEN = 32 }; /* hexadecimal digits of its scope */

struct sessions;

/* The counter of one session. It is created at its first use, and evicted when it was not used for an hour. */
struct session {
  pthread_mutex_t lock;
  int64_t value;       /* guarded by lock, as are the next two members */
  bool running;        /* the timer is running */
  unsigned unheard;    /* consecutive ticks without a stream */
  vestry_timer *timer; /* fires once per second while running; its context is the session */
  struct sessions *sessions;
  char id[SESSION_ID_LEN + 1];
  atomic_uint refs;
};

/* The counters of all sessions. */
struct sessions {
  vestry *v;
  vestry_timer_fn tick;
  vestry_store *store; /* of counters, not of streams */
};

/* v, tick: borrowed until sessions_finish, which comes before vestry_destroy, also after a failure. */
vestry_err sessions_init(struct sessions *sessions, vestry *v, vestry_timer_fn tick);
void sessions_finish(struct sessions *sessions);

/* Get the counter of a session, and create it if there is none. It is referenced and locked until session_leave. OK |
 * NO_MEMORY | CLOSED. */
vestry_err session_enter(struct sessions *sessions, vestry_scope id, struct session **ret_session);
/* Get the counter of a session as session_enter, but do not create one. NULL: there is none. */
struct session *session_find(struct sessions *sessions, vestry_scope id);
void session_leave(struct session *session);
vestry_scope session_scope(const struct session *session);

/* Get the value of a counter, and whether it runs; 0 and false if there is none yet. */
void session_look(struct sessions *sessions, vestry_scope id, int64_t *ret_value, bool *ret_running);

/* Start and stop the ticks. The caller has the lock. */
void session_start_locked(struct session *session);
void session_stop_locked(struct session *session);
/* Count a tick as use, so that a running counter is not evicted. Call it at the end of a tick, because the session may
 * be freed afterwards. */
void session_used(struct session *session);

#endif
