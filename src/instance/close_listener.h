/* SPDX-License-Identifier: MIT */
/* Close listeners: a layer above receives each removal from the store and each end of a stream, on the thread that
 * causes it. An instance without a listener pays a load and a comparison a stream. */
#ifndef VSI_INSTANCE_CLOSE_LISTENER_H
#define VSI_INSTANCE_CLOSE_LISTENER_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/mutex.h"
#include "vestry/connection.h"
#include "vestry/store.h"

struct vsi_stream_context;

/* One of them; both functions are called on any thread, several at once, no lock held. */
typedef struct vsi_close_listener {
  /* A value, which is a connection, has left the store, and will be closed after this. */
  void (*left)(const vestry_purged *purged, void *ctx);
  /* A stream has ended: nothing of it is counted any more. It is still in the store, unless it has left it before. */
  void (*ended)(struct vsi_stream_context *stream, vestry_connection *connection, vestry_cause cause, void *ctx);
  void *ctx;
  /* guarded by the lock of all */
  struct vsi_close_listener *next;
  size_t inside_count; /* threads that are inside its functions */
  bool is_over;        /* no more go in */
} vsi_close_listener;

/* An instance's. */
typedef struct vsi_close_listeners {
  vsi_mutex lock;
  pthread_cond_t quiet; /* one that is over has no thread inside */
  /* Written with the lock; without it acquire, which pairs with the release of an add: a mere first look. */
  _Atomic(vsi_close_listener *) first;
} vsi_close_listeners;

void vsi_close_listeners_init(vsi_close_listeners *listeners);
void vsi_close_listeners_finish(vsi_close_listeners *listeners);

/* listener: borrowed until it is removed. */
VESTRY_API void vsi_close_listeners_add(vsi_close_listeners *listeners, vsi_close_listener *listener);
/* Waits until no thread is inside. */
VESTRY_API void vsi_close_listeners_remove(vsi_close_listeners *listeners, vsi_close_listener *listener);

void vsi_close_listeners_report_removed(vsi_close_listeners *listeners, const vestry_purged *purged);
void vsi_close_listeners_report_ended(vsi_close_listeners *listeners, struct vsi_stream_context *stream,
                                      vestry_connection *connection, vestry_cause cause);

static inline bool vsi_close_listeners_exist(const vsi_close_listeners *listeners) {
  return atomic_load_explicit(&listeners->first, memory_order_acquire) != NULL;
}

#endif
