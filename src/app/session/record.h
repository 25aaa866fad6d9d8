/* SPDX-License-Identifier: MIT */
/* A user that has logged in, and the streams that are open for him. */
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
  struct vsi_sessions *sessions; /* that it is one of: no longer than they live; NULL: none, as of a grave */
  vsi_refs refs;
  vsi_spin_lock lock;
  LIST_HEAD(, vsi_session_stream) streams; /* guarded by lock */
  bool has_ended;                          /* guarded by lock */
  vestry_handle of_user;                   /* guarded by lock: its entry among its user's; 0: none yet */
  vestry_handle handle;                    /* its entry in the table; constant once it is among its user's */
  _Atomic(int64_t) saved_s;                /* when its use was last noted: in storage, in the cookie */
  int64_t created_s;
  uint64_t ends_ns; /* by the host's clock; guarded, as its place, by the lock of the lifetimes */
  size_t place;     /* among the lifetimes, + 1; 0: not there */
  char hash[VSI_TOKEN_HASH_LEN + 1];
  char user[];
};

/* A reference; NULL: no memory. */
vsi_session_user *vsi_session_record_create(const vestry_host *host, const char *hash, const char *user,
                                            int64_t created_s);
/* As a store has it. NULL is accepted by unref. */
void vsi_session_record_ref(void *record);
void vsi_session_record_unref(void *record);

/* The user that has logged in, for a holder that keeps him longer than the request. NULL is accepted, and returned. */
struct vsi_session_user *vsi_session_user_ref(struct vsi_session_user *user);
void vsi_session_user_unref(struct vsi_session_user *user);

/* End a session: its open streams end for the cause, and no other begins. Returns the handle of the record's entry
 * among its user's. Any thread; may be called again. */
vestry_handle vsi_session_record_end(vsi_session_user *user, vestry_cause cause);
bool vsi_session_record_has_ended(vsi_session_user *user);

/* The reply's stream, if it opens one, is to be the session's. OK | NO_MEMORY */
vestry_err vsi_session_record_enter(vsi_session_user *user, vestry_reply *reply);
/* Undo that: the reply's stream is not to be the session's. */
void vsi_session_record_detach(const vsi_session_user *user, vestry_reply *reply);

/* When sessions end, whenever they were loaded: a heap, and a timer for the first of it. */

typedef struct vsi_session_lifetimes {
  const vestry_host *host;
  vestry_timer *timer;
  void (*end)(vsi_session_user *user); /* no lock held; may remove records */
  vsi_mutex ends_lock;
  size_t count, room;      /* guarded by ends_lock */
  vsi_session_user **heap; /* guarded by ends_lock; the one that ends first comes first */
} vsi_session_lifetimes;

/* Zeroed before. OK | NO_MEMORY | CLOSED (the runtime) */
vestry_err vsi_session_lifetimes_init(vsi_session_lifetimes *lifetimes, const vestry_host *host,
                                      vestry_runtime *runtime, void (*end)(vsi_session_user *user));
/* Waits for an end that is under way. Zeroed ones are accepted. */
void vsi_session_lifetimes_finish(vsi_session_lifetimes *lifetimes);

/* Let a session end at that time of the host's clock, unless it is removed before. No reference is kept. OK |
 * NO_MEMORY */
vestry_err vsi_session_lifetimes_add(vsi_session_lifetimes *lifetimes, vsi_session_user *user, uint64_t ends_ns);
/* As often as one likes. */
void vsi_session_lifetimes_remove(vsi_session_lifetimes *lifetimes, vsi_session_user *user);

#endif
