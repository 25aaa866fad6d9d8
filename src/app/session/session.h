/* SPDX-License-Identifier: MIT */
/* The session of a request. */
#ifndef VSI_SESSION_SESSION_H
#define VSI_SESSION_SESSION_H

#include "app/session/guest.h"
#include "app/session/table.h"
#include "app/session/token.h"
#include "http/reply.h"
#include "http/request.h"

enum { VSI_SESSION_CHANGES_MAX = 4, VSI_SESSION_ID_BYTES = 33 };

/* The state of a request's session, in the memory of the request. */
typedef struct vsi_session {
  char id[VSI_SESSION_ID_BYTES];                     /* terminated; "": not determined */
  bool is_new;                                       /* the response must set the cookie */
  bool was_changed;                                  /* by a login or logout */
  vsi_session_user *user;                            /* a reference; NULL: no user */
  vsi_session_user *former[VSI_SESSION_CHANGES_MAX]; /* references, because the handler may still use their names */
  size_t former_count;
  vsi_guest guest;
} vsi_session;

extern const vsi_extension vsi_sessions_extension;

/* Return the sessions of an instance; NULL: it has none. */
static inline vsi_sessions *vsi_sessions_of(const vestry *v) {
  return vsi_extension_find(v, &vsi_sessions_extension);
}

/* Set *ret_are_there to whether the instance has sessions, and keep it so: if it has none, none can be created from now
 * on. For objects whose behaviour depends on it as long as they exist. OK | NO_MEMORY */
vestry_err vsi_sessions_settle(vestry *v, bool *ret_are_there);

/* Return the session of a request; NULL: the instance has no sessions. */
static inline vsi_session *vsi_session_of(const vestry_request *req) {
  return vsi_request_room(req, &vsi_sessions_extension);
}

/* Return the user of the request's session; NULL: no user. */
static inline vsi_session_user *vsi_session_user_of(const vestry_request *req) {
  const vsi_session *session = vsi_session_of(req);
  return session ? session->user : NULL;
}

/* Return the scope to which ids of tabs, tokens and nonces of a request are bound: its scope, or the scope of the guest
 * that its user has been, so that those of pages that were open before the log-in remain valid. */
static inline vestry_scope vsi_seal_scope(const vestry_request *req) {
  const vsi_session *session = vsi_session_of(req);
  return session && *session->guest.name ? vsi_guest_scope(&session->guest) : req->scope;
}

/* Set the request's scope to the hash of its session's id. */
void vsi_session_set_scope(vestry_request *req, vestry_reply *reply);

#endif
