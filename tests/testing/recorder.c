/* SPDX-License-Identifier: MIT */
#include "testing/witness.h"
#include "support/patience.h"

#include <time.h>

#include "support/test.h"

void witness_init(witness *w) {
  memset(w, 0, sizeof *w);
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->changed, &attributes);
  pthread_condattr_destroy(&attributes);
}

void witness_finish(witness *w) {
  for (unsigned i = 0; i < w->opened; i++) vestry_connection_unref(w->connections[i]);
  for (unsigned i = 0; i < w->closed; i++) vestry_connection_unref(w->ended[i]);
  pthread_cond_destroy(&w->changed);
  pthread_mutex_destroy(&w->lock);
}

static void opened(vestry_connection *connection, void *ctx) {
  witness *w = ctx;
  pthread_mutex_lock(&w->lock);
  if (w->opened < WITNESS_MAX) w->connections[w->opened++] = vestry_connection_ref(connection);
  pthread_cond_broadcast(&w->changed);
  pthread_mutex_unlock(&w->lock);
}

static void closed(vestry_connection *connection, vestry_cause cause, void *ctx) {
  witness *w = ctx;
  pthread_mutex_lock(&w->lock);
  if (w->closed < WITNESS_MAX) {
    w->causes[w->closed] = cause;
    w->ended[w->closed++] = vestry_connection_ref(connection);
  }
  pthread_cond_broadcast(&w->changed);
  pthread_mutex_unlock(&w->lock);
}

vestry_connection_hooks witness_hooks(witness *w) {
  return (vestry_connection_hooks){.on_open = opened, .on_close = closed, .ctx = w};
}

static bool wait_for(witness *w, const unsigned *counter, unsigned count) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += PATIENCE_S;
  pthread_mutex_lock(&w->lock);
  bool waiting = true;
  while (*counter < count && waiting) waiting = pthread_cond_timedwait(&w->changed, &w->lock, &until) == 0;
  bool reached = *counter >= count;
  pthread_mutex_unlock(&w->lock);
  return reached;
}

bool witness_wait_opened(witness *w, unsigned count) {
  return wait_for(w, &w->opened, count);
}

bool witness_wait_closed(witness *w, unsigned count) {
  return wait_for(w, &w->closed, count);
}

vestry_connection *witness_connection(witness *w, unsigned index) {
  pthread_mutex_lock(&w->lock);
  vestry_connection *connection = index < w->opened ? w->connections[index] : NULL;
  pthread_mutex_unlock(&w->lock);
  return connection;
}

vestry_cause witness_cause(witness *w, const vestry_connection *connection) {
  vestry_cause cause = VESTRY_CAUSE_NONE;
  pthread_mutex_lock(&w->lock);
  for (unsigned i = 0; i < w->closed; i++)
    if (w->ended[i] == connection) cause = w->causes[i];
  pthread_mutex_unlock(&w->lock);
  return cause;
}

unsigned witness_closed(witness *w) {
  pthread_mutex_lock(&w->lock);
  unsigned count = w->closed;
  pthread_mutex_unlock(&w->lock);
  return count;
}
