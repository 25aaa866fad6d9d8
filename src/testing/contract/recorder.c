/* SPDX-License-Identifier: MIT */
#include "testing/contract/recorder.h"

#include <string.h>

#include "base/wait.h"
#include "testing/contract/check.h"

void vsi_recorder_init(vsi_recorder *w) {
  memset(w, 0, sizeof *w);
  vsi_mutex_init(&w->lock, VSI_LOCK_RECORDER);
  pthread_cond_init(&w->changed, NULL);
}

void vsi_recorder_drop(vsi_recorder *w) {
  for (unsigned i = 0; i < w->opened; i++) w->connections[i] = vestry_connection_unref(w->connections[i]);
  for (unsigned i = 0; i < w->closed; i++) w->ended[i] = vestry_connection_unref(w->ended[i]);
}

void vsi_recorder_finish(vsi_recorder *w) {
  vsi_recorder_drop(w);
  pthread_cond_destroy(&w->changed);
  vsi_mutex_finish(&w->lock);
}

static void opened(vestry_connection *connection, void *ctx) {
  vsi_recorder *w = ctx;
  vsi_mutex_lock(&w->lock);
  if (w->opened < VSI_RECORDER_MAX) w->connections[w->opened++] = vestry_connection_ref(connection);
  pthread_cond_broadcast(&w->changed);
  vsi_mutex_unlock(&w->lock);
}

static void closed(vestry_connection *connection, vestry_cause cause, void *ctx) {
  vsi_recorder *w = ctx;
  vsi_mutex_lock(&w->lock);
  if (w->closed < VSI_RECORDER_MAX) {
    w->causes[w->closed] = cause;
    w->ended[w->closed++] = vestry_connection_ref(connection);
  }
  pthread_cond_broadcast(&w->changed);
  vsi_mutex_unlock(&w->lock);
}

vestry_connection_hooks vsi_recorder_hooks(vsi_recorder *w) {
  return (vestry_connection_hooks){.on_open = opened, .on_close = closed, .ctx = w};
}

static bool wait_for(vsi_recorder *w, const unsigned *counter, unsigned count) {
  const uint64_t until_ns = vsi_monotonic_in_ms(vsi_patience_s * UINT64_C(1000));
  vsi_mutex_lock(&w->lock);
  bool waiting = true;
  while (*counter < count && waiting) waiting = vsi_wait_until(&w->changed, &w->lock, until_ns);
  const bool reached = *counter >= count;
  vsi_mutex_unlock(&w->lock);
  return reached;
}

bool vsi_recorder_wait_opened(vsi_recorder *w, unsigned count) {
  return wait_for(w, &w->opened, count);
}

bool vsi_recorder_wait_closed(vsi_recorder *w, unsigned count) {
  return wait_for(w, &w->closed, count);
}

static unsigned read_under_lock(vsi_recorder *w, const unsigned *counter) {
  vsi_mutex_lock(&w->lock);
  const unsigned count = *counter;
  vsi_mutex_unlock(&w->lock);
  return count;
}

unsigned vsi_recorder_opened(vsi_recorder *w) {
  return read_under_lock(w, &w->opened);
}

unsigned vsi_recorder_closed(vsi_recorder *w) {
  return read_under_lock(w, &w->closed);
}

vestry_connection *vsi_recorder_connection(vsi_recorder *w, unsigned index) {
  vsi_mutex_lock(&w->lock);
  vestry_connection *connection = index < w->opened ? w->connections[index] : NULL;
  vsi_mutex_unlock(&w->lock);
  return connection;
}

vestry_cause vsi_recorder_cause(vsi_recorder *w, const vestry_connection *connection) {
  vestry_cause cause = VESTRY_CAUSE_NONE;
  vsi_mutex_lock(&w->lock);
  for (unsigned i = 0; i < w->closed; i++)
    if (w->ended[i] == connection) cause = w->causes[i];
  vsi_mutex_unlock(&w->lock);
  return cause;
}
