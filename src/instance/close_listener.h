/* SPDX-License-Identifier: MIT */
/* Close listeners: a layer above receives each removal from the store and each end of a stream, on the thread that
 * causes it. An instance without listeners pays a load and a comparison for each stream. */
#ifndef VSI_INSTANCE_CLOSE_LISTENER_H
#define VSI_INSTANCE_CLOSE_LISTENER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/mutex.h"
#include "vestry/connection.h"
#include "vestry/store.h"

struct vsi_stream_context;

/* A listener. Both functions are called on any thread, possibly several at once, no lock held. */
typedef struct vsi_close_listener {
  /* A value, which is a connection, has left the store, and will be closed after this call. */
  void (*left)(const vestry_purged *purged, void *ctx);
  /* A stream has ended: none of its counters changes any more. It is still in the store, unless it left before. */
  void (*ended)(struct vsi_stream_context *stream, vestry_connection *connection, vestry_cause cause, void *ctx);
  void *ctx;
  /* guarded by the lock of the list */
  struct vsi_close_listener *next;
  size_t inside_count; /* number of threads inside its functions */
  bool is_over;        /* removed: no more threads enter */
} vsi_close_listener;

/* The listeners of an instance. */
typedef struct vsi_close_listeners {
  vsi_mutex lock;
  pthread_cond_t quiet; /* a removed listener has no thread inside */
  /* Written under the lock; read without it only to check for NULL, with acquire, which pairs with the release of an
   * add. */
  _Atomic(vsi_close_listener *) first;
} vsi_close_listeners;

void vsi_close_listeners_init(vsi_close_listeners *listeners);
void vsi_close_listeners_finish(vsi_close_listeners *listeners);

/* Add a listener, which is borrowed until it is removed. */
VESTRY_API void vsi_close_listeners_add(vsi_close_listeners *listeners, vsi_close_listener *listener);
/* Remove a listener. Waits until no thread is inside. */
VESTRY_API void vsi_close_listeners_remove(vsi_close_listeners *listeners, vsi_close_listener *listener);

void vsi_close_listeners_report_removed(vsi_close_listeners *listeners, const vestry_purged *purged);
void vsi_close_listeners_report_ended(vsi_close_listeners *listeners, struct vsi_stream_context *stream,
                                      vestry_connection *connection, vestry_cause cause);

static inline bool vsi_close_listeners_exist(const vsi_close_listeners *listeners) {
  return atomic_load_explicit(&listeners->first, memory_order_acquire) != NULL;
}

#endif
