/* SPDX-License-Identifier: MIT */
/* Extensions are built on the core and take part in requests and streams, for example sessions, leases, topics, pages.
 * The core knows an extension only by this table: it includes no header of an extension, and an instance without
 * extensions pays a load.
 *
 *   static const vsi_extension leases = {.name = "leases", .destroy = destroy, .answers = answers};
 *   vestry_err vestry_leases_create(vestry *v, …) { … return vsi_extension_add(v, &leases, state); }
 *   vsi_leases *of = vsi_extension_find(v, &leases);   // NULL: this instance has none
 *
 * The address of the table identifies the kind. An instance has one state of each kind, which is added once and stays
 * until the instance is destroyed. So a state that was found can be used without a lock. */
#ifndef VSI_INSTANCE_EXTENSION_H
#define VSI_INSTANCE_EXTENSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/mutex.h"
#include "vestry/instance.h"
#include "vestry/store.h"

struct vsi_stream_context;

/* The functions of an extension. All are called with its state, no lock held; NULL: it does not take part. */
typedef struct vsi_extension {
  const char *name; /* for the log */

  /* Create the state with the defaults when the first caller needs it (vsi_extension_use). Two threads may do so at
   * once; then one of the states is destroyed unused. NULL: the extension's own function creates the state. OK |
   * NO_MEMORY | IO */
  vestry_err (*create)(vestry *v, void **ret_state);
  /* vestry_close was called: refuse new work. Streams may still be open. */
  void (*close)(void *state);
  /* All streams have ended and no request is running. Extensions added last are destroyed first. */
  void (*destroy)(vestry *v, void *state);

  /* The next functions follow a request, in their order. An extension stores its data of a request in the request
   * (http/request.h: vsi_request_room): this number of bytes, initially zero. */
  size_t request_bytes;
  /* Called before the request is examined. Returns the status of the response, 204 or an error; 0: not handled. */
  int (*answers)(void *state, const vestry_request *req);
  /* Determine the request's scope (http/request.h: vsi_request_set_scope), in place of the application's function. Only
   * one extension of an instance may do this. OK | the error to answer */
  vestry_err (*find_scope)(void *state, vestry_request *req, vestry_reply *reply);
  /* Guards and handler are done, and the reply will be performed: add headers to it. was_done: they returned no error,
   * or the reply is a complete response. */
  void (*conclude)(void *state, const vestry_request *req, vestry_reply *reply, bool was_done);
  /* The reply's stream will open: add attachments and headers. *ret_has_sign: the stream begins with an event that its
   * element counts as a sign of life, so that the next heartbeat need not come at once. OK | the error to answer */
  vestry_err (*open)(void *state, const vestry_request *req, vestry_reply *reply, bool *ret_has_sign);
  /* The request is over. */
  void (*finish)(void *state, vestry_request *req);

  /* A stream was written to. Called on its runner. Returns whether to call it after the next write, too. */
  bool (*written)(void *state, vestry_connection *connection);
  /* A value, which is a connection, has left a store of the instance, and will be closed after this call. Called on the
   * thread that removed it, perhaps on several at once. */
  void (*left)(void *state, const vestry_purged *purged);
  /* A stream has ended: none of its counters changes any more. It is still in the store, unless it left before. Called
   * on its runner. */
  void (*ended)(void *state, struct vsi_stream_context *stream, vestry_connection *connection, vestry_cause cause);
} vsi_extension;

enum { VSI_EXTENSIONS_MAX = 16, VSI_REQUEST_ROOM_BYTES = 512 };

typedef struct vsi_extended {
  const vsi_extension *kind;
  void *state;
  size_t room_at; /* offset in a request's room */
} vsi_extended;

/* The extensions of an instance, in the order of addition. */
typedef struct vsi_extensions {
  vsi_mutex lock; /* held by additions */
  /* Rows below this count do not change. The release of an addition pairs with the acquire of a reader. */
  _Atomic(size_t) count;
  size_t room_bytes; /* guarded by lock */
  bool is_closed;    /* likewise */
  vsi_extended list[VSI_EXTENSIONS_MAX];
} vsi_extensions;

void vsi_extensions_init(vsi_extensions *extensions);
/* Close all extensions. */
void vsi_extensions_close(vsi_extensions *extensions);
/* Destroy all extensions, the last one first. */
void vsi_extensions_finish(vsi_extensions *extensions, vestry *v);

/* Return the row of a kind, by its table; NULL: none. Any thread; a few loads. */
VESTRY_API const vsi_extended *vsi_extensions_find(const vsi_extensions *extensions, const vsi_extension *kind);

/* Call one function of all extensions that have it:
 *   VSI_EXTENSIONS_EACH(at, &v->extensions, finish) at->kind->finish(at->state, req); */
#define VSI_EXTENSIONS_EACH(at, of, member)                                                                            \
  for (const vsi_extended *at = (of)->list, *at##_end = at + atomic_load_explicit(&(of)->count, memory_order_acquire); \
       at < at##_end; at++)                                                                                            \
    if (at->kind->member)

#endif
