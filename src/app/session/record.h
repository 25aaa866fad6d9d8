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

/* The sessions that have streams, which a timer checks (check.h). */
typedef struct vsi_session_checks {
  vestry_timer *timer; /* armed while `open` has sessions */
  uint64_t every_ms;
  vsi_mutex checks_lock;
  TAILQ_HEAD(, vsi_session_user) open; /* guarded by checks_lock; with references */
  size_t open_count;                   /* guarded by checks_lock */
} vsi_session_checks;

struct vsi_session_user {
  const vestry_host *host;
  struct vsi_sessions *sessions; /* of the instance; not used after their end. NULL: it was never in the table */
  vsi_session_checks *checks;    /* of sessions */
  vsi_refs refs;
  vsi_spin_lock lock;
  LIST_HEAD(, vsi_session_stream) streams; /* guarded by lock */
  bool has_ended;                          /* guarded by lock */
  vestry_handle of_user;                   /* guarded by lock: its entry in of_users; 0: none yet */
  vestry_handle handle;                    /* its entry in the table; constant once it is in of_users */
  _Atomic(int64_t) saved_s;                /* time when its use was last recorded in the storage */
  int64_t created_s;
  uint64_t ends_ns;             /* of its lifetime, on the host's clock; constant once it is in the table */
  _Atomic(uint64_t) checked_ns; /* when the storage was last known to have it; 0: no request may use it yet (table.c) */
  bool is_checked;              /* it is in vsi_session_checks.open; guarded by checks_lock, as is the next member */
  TAILQ_ENTRY(vsi_session_user) at_check;
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

/* Note that the storage had the session at this time of the host's clock. */
void vsi_session_record_note_check(vsi_session_user *user, uint64_t now_ns);
/* Take references to some of the first *left sessions with streams, at most `most`; they become the last ones. Sessions
 * that have no stream any more leave the list. Returns their number. */
size_t vsi_session_checks_take(vsi_session_checks *checks, vsi_session_user **some, size_t most, size_t *left);

#endif
