/* SPDX-License-Identifier: MIT */
#include "session.h"

#include <stdlib.h>
#include <string.h>

#define KEY VESTRY_KEY("session")

enum { SESSIONS_MAX = 10000, FORGET_MS = 60 * 60 * 1000, TICK_MS = 1000 };

/* A store can hold any object that can be referenced and closed. vestry's own store holds connections; this store holds
 * counters, with a maximum number and an idle time. */

static void ref(void *value) {
  struct session *session = value;
  atomic_fetch_add_explicit(&session->refs, 1, memory_order_relaxed);
}

static void unref(void *value) {
  struct session *session = value;
  /* release, acquire: other threads' uses of the session happen before it is freed */
  if (atomic_fetch_sub_explicit(&session->refs, 1, memory_order_acq_rel) > 1) return;
  vestry_timer_destroy(session->timer); /* waits for a running tick */
  pthread_mutex_destroy(&session->lock);
  free(session);
}

static void forget(void *value, vestry_cause cause) {
  (void)cause;
  struct session *session = value;
  pthread_mutex_lock(&session->lock);
  session_stop_locked(session);
  pthread_mutex_unlock(&session->lock);
}

static vestry_err make(struct sessions *sessions, vestry_scope id, struct session **ret_session) {
  struct session *session = calloc(1, sizeof *session);
  if (!session) return VESTRY_NO_MEMORY;
  vestry_err err = vestry_timer_create(vestry_parts_of(sessions->v)->runtime, sessions->tick, session, &session->timer);
  if (err != VESTRY_OK) {
    free(session);
    return err;
  }
  pthread_mutex_init(&session->lock, NULL);
  session->sessions = sessions;
  memcpy(session->id, id.data, id.len < SESSION_ID_LEN ? id.len : SESSION_ID_LEN);
  atomic_init(&session->refs, 1);
  *ret_session = session;
  return VESTRY_OK;
}

vestry_err sessions_init(struct sessions *sessions, vestry *v, vestry_timer_fn tick) {
  sessions->v = v;
  sessions->tick = tick;
  vestry_store_options options = {.value = &(vestry_value_ops){.ref = ref, .unref = unref, .close = forget},
                                  .max_count = SESSIONS_MAX,
                                  .idle_ms = FORGET_MS};
  vestry_err err = vestry_store_create("lru", &options, &sessions->store);
  if (err != VESTRY_OK) return err;
  return vestry_store_drive(sessions->store, vestry_parts_of(v)->runtime);
}

void sessions_finish(struct sessions *sessions) {
  vestry_store_drive(sessions->store, NULL);
  vestry_store_destroy(sessions->store);
}

static struct session *find(struct sessions *sessions, vestry_scope id) {
  const vestry_key *key = KEY;
  void *found = NULL;
  size_t count = 1;
  vestry_err err = vestry_store_get(sessions->store, id, key, &found, &count);
  return err == VESTRY_OK ? found : NULL;
}

vestry_err session_enter(struct sessions *sessions, vestry_scope id, struct session **ret_session) {
  struct session *entered;
  while ((entered = find(sessions, id)) == NULL) {
    vestry_err err = make(sessions, id, &entered);
    if (err != VESTRY_OK) return err;
    const vestry_key *key = KEY;
    err = vestry_store_put(sessions->store, id, key, entered, VESTRY_KEEP_REUSE, 0, NULL);
    if (err == VESTRY_OK) break; /* the store has taken a reference */
    unref(entered);
    if (err != VESTRY_EXISTS) return err; /* EXISTS: another request of this session has created it */
  }
  pthread_mutex_lock(&entered->lock);
  *ret_session = entered;
  return VESTRY_OK;
}

void session_leave(struct session *session) {
  pthread_mutex_unlock(&session->lock);
  unref(session);
}

struct session *session_find(struct sessions *sessions, vestry_scope id) {
  struct session *found = find(sessions, id);
  if (found) pthread_mutex_lock(&found->lock);
  return found;
}

void session_look(struct sessions *sessions, vestry_scope id, int64_t *ret_value, bool *ret_running) {
  struct session *seen = session_find(sessions, id);
  *ret_value = seen ? seen->value : 0;
  *ret_running = seen && seen->running;
  if (seen) session_leave(seen);
}

vestry_scope session_scope(const struct session *session) {
  return (vestry_scope){session->id, SESSION_ID_LEN};
}

void session_start_locked(struct session *session) {
  if (session->running) return;
  session->running = vestry_timer_set(session->timer, TICK_MS, TICK_MS) == VESTRY_OK;
  session->unheard = 0;
}

void session_stop_locked(struct session *session) {
  session->running = false;
  vestry_timer_set(session->timer, VESTRY_NEVER_MS, 0);
}

void session_used(struct session *session) {
  struct session *found = find(session->sessions, session_scope(session));
  if (found) unref(found);
}
