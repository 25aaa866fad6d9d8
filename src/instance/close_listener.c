/* SPDX-License-Identifier: MIT */
/* A thread that calls a listener is counted as inside it, and holds no lock meanwhile. A removed listener stays in the
 * list until no thread is inside, so a thread can always continue from the listener that it is inside of. */
#include "instance/close_listener.h"

void vsi_close_listeners_init(vsi_close_listeners *listeners) {
  vsi_mutex_init(&listeners->lock, VSI_LOCK_CLOSE_LISTENERS);
  pthread_cond_init(&listeners->quiet, NULL);
  atomic_init(&listeners->first, NULL);
}

void vsi_close_listeners_finish(vsi_close_listeners *listeners) {
  pthread_cond_destroy(&listeners->quiet);
  vsi_mutex_finish(&listeners->lock);
}

void vsi_close_listeners_add(vsi_close_listeners *listeners, vsi_close_listener *listener) {
  vsi_mutex_lock(&listeners->lock);
  listener->next = atomic_load_explicit(&listeners->first, memory_order_relaxed);
  atomic_store_explicit(&listeners->first, listener, memory_order_release); /* pairs with vsi_close_listeners_exist */
  vsi_mutex_unlock(&listeners->lock);
}

void vsi_close_listeners_remove(vsi_close_listeners *listeners, vsi_close_listener *listener) {
  vsi_mutex_lock(&listeners->lock);
  listener->is_over = true;
  while (listener->inside_count) vsi_mutex_wait(&listeners->lock, &listeners->quiet);
  vsi_close_listener *first = atomic_load_explicit(&listeners->first, memory_order_relaxed);
  if (first == listener) {
    atomic_store_explicit(&listeners->first, listener->next, memory_order_release);
  } else {
    while (first->next != listener) first = first->next;
    first->next = listener->next;
  }
  vsi_mutex_unlock(&listeners->lock);
}

/* Leave the listener `from`, and enter the next one. from NULL: enter the first one. Returns NULL at the end. */
static vsi_close_listener *go_on(vsi_close_listeners *listeners, vsi_close_listener *from) {
  vsi_mutex_lock(&listeners->lock);
  vsi_close_listener *next = from ? from->next : atomic_load_explicit(&listeners->first, memory_order_relaxed);
  while (next && next->is_over) next = next->next;
  if (next) next->inside_count++;
  if (from && !--from->inside_count && from->is_over) pthread_cond_broadcast(&listeners->quiet);
  vsi_mutex_unlock(&listeners->lock);
  return next;
}

void vsi_close_listeners_report_removed(vsi_close_listeners *listeners, const vestry_purged *purged) {
  for (vsi_close_listener *at = NULL; (at = go_on(listeners, at)) != NULL;) at->left(purged, at->ctx);
}

void vsi_close_listeners_report_ended(vsi_close_listeners *listeners, struct vsi_stream_context *stream,
                                      vestry_connection *connection, vestry_cause cause) {
  for (vsi_close_listener *at = NULL; (at = go_on(listeners, at)) != NULL;)
    at->ended(stream, connection, cause, at->ctx);
}
