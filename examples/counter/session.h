/* SPDX-License-Identifier: MIT */
/* Each session has a counter. The session itself is vestry's: nobody logs in here, so it is a random id in a cookie,
 * which takes no memory and outlives a restart. */
#ifndef COUNTER_SESSION_H
#define COUNTER_SESSION_H

#include <pthread.h>
#include <stdatomic.h>

#include "vestry/vestry.h"

enum { SESSION_ID_LEN = 32 }; /* of its scope: hexadecimal digits */

struct sessions;

/* The counter of one session. It is made when it is first needed, and forgotten when it was not used for an hour. */
struct session {
  pthread_mutex_t lock;
  int64_t value;       /* guarded by lock, as the next two */
  bool running;        /* the timer ticks */
  unsigned unheard;    /* ticks in a row that found no stream */
  vestry_timer *timer; /* fires once a second while running, with the session as its context */
  struct sessions *sessions;
  char id[SESSION_ID_LEN + 1];
  atomic_uint refs;
};

/* All sessions' counters. */
struct sessions {
  vestry *v;
  vestry_timer_fn tick;
  vestry_store *store; /* of counters, not of streams */
};

/* v, tick: borrowed until sessions_finish, which comes before vestry_destroy, also after a failure. */
vestry_err sessions_init(struct sessions *sessions, vestry *v, vestry_timer_fn tick);
void sessions_finish(struct sessions *sessions);

/* The counter of a session, made if need be: held and locked until session_leave. OK | NO_MEMORY | CLOSED. */
vestry_err session_enter(struct sessions *sessions, vestry_scope id, struct session **ret_session);
/* The same, but none is made. NULL: there is none. */
struct session *session_find(struct sessions *sessions, vestry_scope id);
void session_leave(struct session *session);
vestry_scope session_scope(const struct session *session);

/* What a counter shows; 0 and false when there is none yet. */
void session_look(struct sessions *sessions, vestry_scope id, int64_t *ret_value, bool *ret_running);

/* Start and stop the ticks. The caller has the lock. */
void session_start_locked(struct session *session);
void session_stop_locked(struct session *session);
/* Count a tick as use, so that a counter which runs is not forgotten. The last thing a tick does: the session may be
 * gone afterwards. */
void session_used(struct session *session);

#endif
