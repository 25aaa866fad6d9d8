/* SPDX-License-Identifier: MIT */
#include "testing/recorder.h"
#include "support/patience.h"

#include <time.h>

#include "support/test.h"

void recorder_init(recorder *w) {
  memset(w, 0, sizeof *w);
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->changed, &attributes);
  pthread_condattr_destroy(&attributes);
}

void recorder_finish(recorder *w) {
  for (unsigned i = 0; i < w->opened; i++) vestry_connection_unref(w->connections[i]);
  for (unsigned i = 0; i < w->closed; i++) vestry_connection_unref(w->ended[i]);
  pthread_cond_destroy(&w->changed);
  pthread_mutex_destroy(&w->lock);
}

static void opened(vestry_connection *connection, void *ctx) {
  recorder *w = ctx;
  pthread_mutex_lock(&w->lock);
  if (w->opened < RECORDER_MAX) w->connections[w->opened++] = vestry_connection_ref(connection);
  pthread_cond_broadcast(&w->changed);
  pthread_mutex_unlock(&w->lock);
}

static void closed(vestry_connection *connection, vestry_cause cause, void *ctx) {
  recorder *w = ctx;
  pthread_mutex_lock(&w->lock);
  if (w->closed < RECORDER_MAX) {
    w->causes[w->closed] = cause;
    w->ended[w->closed++] = vestry_connection_ref(connection);
  }
  pthread_cond_broadcast(&w->changed);
  pthread_mutex_unlock(&w->lock);
}

vestry_connection_hooks recorder_hooks(recorder *w) {
  return (vestry_connection_hooks){.on_open = opened, .on_close = closed, .ctx = w};
}

static bool wait_for(recorder *w, const unsigned *counter, unsigned count) {
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

bool recorder_wait_opened(recorder *w, unsigned count) {
  return wait_for(w, &w->opened, count);
}

bool recorder_wait_closed(recorder *w, unsigned count) {
  return wait_for(w, &w->closed, count);
}

vestry_connection *recorder_connection(recorder *w, unsigned index) {
  pthread_mutex_lock(&w->lock);
  vestry_connection *connection = index < w->opened ? w->connections[index] : NULL;
  pthread_mutex_unlock(&w->lock);
  return connection;
}

vestry_cause recorder_cause(recorder *w, const vestry_connection *connection) {
  vestry_cause cause = VESTRY_CAUSE_NONE;
  pthread_mutex_lock(&w->lock);
  for (unsigned i = 0; i < w->closed; i++)
    if (w->ended[i] == connection) cause = w->causes[i];
  pthread_mutex_unlock(&w->lock);
  return cause;
}

unsigned recorder_closed(recorder *w) {
  pthread_mutex_lock(&w->lock);
  unsigned count = w->closed;
  pthread_mutex_unlock(&w->lock);
  return count;
}
