/* SPDX-License-Identifier: MIT */
#include "ops/observe/showings.h"

#include "connection/tail.h"
#include "runtime/runtime.h"

void vsi_showings_init(vsi_showings *showings) {
  vsi_mutex_init(&showings->lock, VSI_LOCK_SHOWINGS);
  pthread_cond_init(&showings->left, NULL);
  LIST_INIT(&showings->list);
  showings->count = 0;
  showings->is_over = false;
}

vestry_err vsi_showings_enter(vsi_showings *showings, vsi_showing *showing) {
  showing->connection = NULL;
  vsi_mutex_lock(&showings->lock);
  const vestry_err error = showings->is_over                     ? VESTRY_CLOSED
                           : showings->count == VSI_SHOWINGS_MAX ? VESTRY_LIMIT
                                                                 : VESTRY_OK;
  if (!error) {
    LIST_INSERT_HEAD(&showings->list, showing, in_list);
    showings->count++;
  }
  vsi_mutex_unlock(&showings->lock);
  return error;
}

void vsi_showings_begin(vsi_showings *showings, vsi_showing *showing, vestry_connection *connection) {
  vsi_tail_exclude(connection);
  vestry_connection_ref(connection);
  vsi_mutex_lock(&showings->lock);
  showing->connection = connection;
  const bool is_over = showings->is_over;
  vsi_mutex_unlock(&showings->lock);
  if (is_over) vestry_connection_close(connection, VESTRY_CAUSE_SHUTDOWN);
}

void vsi_showings_leave(vsi_showings *showings, vsi_showing *showing) {
  vsi_mutex_lock(&showings->lock);
  vestry_connection *connection = showing->connection;
  LIST_REMOVE(showing, in_list);
  showings->count--;
  if (showings->is_over) pthread_cond_broadcast(&showings->left);
  vsi_mutex_unlock(&showings->lock);
  vestry_connection_unref(connection);
}

/* Forbid new showings, and get a reference to each stream that has begun. */
static size_t take_all(vsi_showings *showings, vestry_connection *all[VSI_SHOWINGS_MAX]) {
  size_t count = 0;
  vsi_showing *at;
  vsi_mutex_lock(&showings->lock);
  showings->is_over = true;
  LIST_FOREACH(at, &showings->list, in_list)
  if (at->connection) all[count++] = vestry_connection_ref(at->connection);
  vsi_mutex_unlock(&showings->lock);
  return count;
}

void vsi_showings_finish(vsi_showings *showings, vestry_runtime *runtime) {
  vestry_connection *all[VSI_SHOWINGS_MAX];
  const size_t count = take_all(showings, all);
  for (size_t i = 0; i < count; i++) {
    vestry_connection_close(all[i], VESTRY_CAUSE_SHUTDOWN);
    vestry_connection_unref(all[i]);
  }
  const bool is_stepped = vsi_runtime_is_stepped(runtime);
  while (is_stepped && vestry_runtime_step(runtime)) continue;
  vsi_mutex_lock(&showings->lock);
  while (showings->count && !is_stepped) vsi_mutex_wait(&showings->lock, &showings->left);
  vsi_mutex_unlock(&showings->lock);
  pthread_cond_destroy(&showings->left);
  vsi_mutex_finish(&showings->lock);
}
