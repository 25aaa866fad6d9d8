/* SPDX-License-Identifier: MIT */
/* Extensions: what stands on the core and takes part in what it does, such as sessions, leases, topics, pages. The core
 * knows an extension by this table alone: it includes nothing of one, and an instance without one pays a load.
 *
 *   static const vsi_extension leases = {.name = "leases", .destroy = destroy, .answers = answers};
 *   vestry_err vestry_leases_create(vestry *v, …) { … return vsi_extension_add(v, &leases, state); }
 *   vsi_leases *of = vsi_extension_find(v, &leases);   // NULL: this instance has none
 *
 * The address of the table names the kind. An instance has one state of each kind, which is added once and stays until
 * the instance is destroyed; so a state that was found can be used without a lock. */
#ifndef VSI_INSTANCE_EXTENSION_H
#define VSI_INSTANCE_EXTENSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/mutex.h"
#include "vestry/instance.h"

/* What an extension does. All are called with its state; NULL: it has no part in that. No lock is held. */
typedef struct vsi_extension {
  const char *name; /* for the log */

  /* Make the state when the first caller needs it (vsi_extension_use), with the defaults. Two threads may do it at
   * once: one of the states is destroyed unused. NULL: its own function makes it. OK | NO_MEMORY | IO */
  vestry_err (*create)(vestry *v, void **ret_state);
  /* vestry_close: refuse what comes from here on. Streams may still be open. */
  void (*close)(void *state);
  /* All streams have ended and no request is under way. Those added last go first. */
  void (*destroy)(vestry *v, void *state);

  /* A request, in the order of what happens to it. What an extension remembers of it lies in the request
   * (http/request.h: vsi_request_room), in so many bytes, which are zero at first. */
  size_t request_bytes;
  /* Before anything else of it is looked at: whether the extension has dealt with it. It is answered 204 then. */
  bool (*answers)(void *state, const vestry_request *req);
  /* Its scope (http/request.h: vsi_request_set_scope), instead of the application's function: one extension of an
   * instance has this. OK | the error that is answered */
  vestry_err (*find_scope)(void *state, vestry_request *req, vestry_reply *reply);
  /* Guards and handler are done, and the reply will be performed: add headers to it. was_done: they said no error, or
   * the reply is a whole answer. */
  void (*conclude)(void *state, const vestry_request *req, vestry_reply *reply, bool was_done);
  /* Its stream will open: add attachments and headers. *ret_has_sign: the stream begins with an event that its element
   * takes as a sign of life, so that the next heartbeat need not come at once. OK | the error that is answered */
  vestry_err (*open)(void *state, const vestry_request *req, vestry_reply *reply, bool *ret_has_sign);
  /* It is over. */
  void (*finish)(void *state, vestry_request *req);

  /* The stream was written to. On its runner. Returns whether to be told of the next write, too. */
  bool (*written)(void *state, vestry_connection *connection);
} vsi_extension;

enum { VSI_EXTENSIONS_MAX = 16, VSI_REQUEST_ROOM_BYTES = 384 };

typedef struct vsi_extended {
  const vsi_extension *kind;
  void *state;
  size_t room_at; /* in a request's room */
} vsi_extended;

/* Those of an instance, in the order in which they were added. */
typedef struct vsi_extensions {
  vsi_mutex lock; /* of additions */
  /* Rows below it do not change. The release of an addition pairs with the acquire of a reader. */
  _Atomic(size_t) count;
  size_t room_bytes; /* guarded by lock */
  bool is_closed;    /* likewise */
  vsi_extended list[VSI_EXTENSIONS_MAX];
} vsi_extensions;

void vsi_extensions_init(vsi_extensions *extensions);
/* Close them. */
void vsi_extensions_close(vsi_extensions *extensions);
/* Destroy them, the last one first. */
void vsi_extensions_finish(vsi_extensions *extensions, vestry *v);

/* Add one, of which the list then has the state, and closes it if they are closed. Any thread. OK | EXISTS (there is
 * one of this kind, or another one that finds scopes) | LIMIT */
vestry_err vsi_extensions_add(vsi_extensions *extensions, const vsi_extension *kind, void *state);
/* The row of a kind, by its table; NULL: there is none. Any thread; a few loads. */
VESTRY_API const vsi_extended *vsi_extensions_find(const vsi_extensions *extensions, const vsi_extension *kind);

/* Call one function of all that have it:
 *   VSI_EXTENSIONS_EACH(at, &v->extensions, finish) at->kind->finish(at->state, req); */
#define VSI_EXTENSIONS_EACH(at, of, member)                                                                            \
  for (const vsi_extended *at = (of)->list, *at##_end = at + atomic_load_explicit(&(of)->count, memory_order_acquire); \
       at < at##_end; at++)                                                                                            \
    if (at->kind->member)

#endif
