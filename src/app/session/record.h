/* SPDX-License-Identifier: MIT */
/* A record: a session with a user, and the streams that are open for it. */
#ifndef VSI_SESSION_RECORD_H
#define VSI_SESSION_RECORD_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "app/session/token.h"
#include "base/mutex.h"
#include "base/refs.h"
#include "base/spin_lock.h"
#include "http/reply.h"
#include "vestry/runtime.h"
#include "vestry/store.h"

typedef struct vsi_session_stream vsi_session_stream;
typedef struct vsi_session_user vsi_session_user;
struct vsi_session_user {
  const vestry_host *host;
  struct vsi_sessions *sessions; /* of the instance; not used after their end. NULL: it was never in the table */
  vsi_refs refs;
  vsi_spin_lock lock;
  LIST_HEAD(, vsi_session_stream) streams; /* guarded by lock */
  bool has_ended;                          /* guarded by lock */
  vestry_handle of_user;                   /* guarded by lock: its entry in of_users; 0: none yet */
  vestry_handle handle;                    /* its entry in the table; constant once it is in of_users */
  _Atomic(int64_t) saved_s;                /* time when its use was last recorded in the storage */
  _Atomic(bool) is_verified;               /* a request may use it (table.c) */
  int64_t created_s;
  uint64_t ends_ns; /* on the host's clock; guarded, as is place, by the lock of the lifetimes */
  size_t place;     /* index in the heap of lifetimes, + 1; 0: not in it */
  char hash[VSI_TOKEN_HASH_LEN + 1];
  char user[];
};

/* Create a record with one reference. NULL: no memory. */
vsi_session_user *vsi_session_record_create(const vestry_host *host, const char *hash, const char *user,
                                            int64_t created_s);
/* Take and drop a reference, as functions for a store, and for holders that need the user longer than the request.
 * unref accepts NULL. */
void vsi_session_record_ref(void *record);
void vsi_session_record_unref(void *record);

/* End a session: close its streams with the cause, and let no other stream begin. Returns the handle of its entry in
 * of_users. Any thread; may be called again. */
vestry_handle vsi_session_record_end(vsi_session_user *user, vestry_cause cause);
bool vsi_session_record_has_ended(vsi_session_user *user);

/* Let the stream that the reply may open belong to the session. OK | NO_MEMORY */
vestry_err vsi_session_record_enter(vsi_session_user *user, vestry_reply *reply);
/* Undo vsi_session_record_enter. */
void vsi_session_record_detach(const vsi_session_user *user, vestry_reply *reply);

/* ---- lifetimes: a heap of sessions by the time of their end, and a timer for the first */

typedef struct vsi_session_lifetimes {
  const vestry_host *host;
  vestry_timer *timer;
  void (*end)(vsi_session_user *user); /* called without a lock; may remove records */
  vsi_mutex ends_lock;
  size_t count, room;      /* guarded by ends_lock */
  vsi_session_user **heap; /* guarded by ends_lock; the session that ends first is first */
} vsi_session_lifetimes;

/* Initialize lifetimes, which must be zeroed. OK | NO_MEMORY | CLOSED (the runtime) */
vestry_err vsi_session_lifetimes_init(vsi_session_lifetimes *lifetimes, const vestry_host *host,
                                      vestry_runtime *runtime, void (*end)(vsi_session_user *user));
/* Free lifetimes. Waits for a running `end`. Zeroed lifetimes are accepted. */
void vsi_session_lifetimes_finish(vsi_session_lifetimes *lifetimes);

/* Let a session end at this time of the host's clock, unless it is removed before. Takes no reference. OK |
 * NO_MEMORY */
vestry_err vsi_session_lifetimes_add(vsi_session_lifetimes *lifetimes, vsi_session_user *user, uint64_t ends_ns);
/* Remove a session, if it is there. */
void vsi_session_lifetimes_remove(vsi_session_lifetimes *lifetimes, vsi_session_user *user);

#endif
