/* SPDX-License-Identifier: MIT */
/* A request's session. */
#ifndef VSI_SESSION_SESSION_H
#define VSI_SESSION_SESSION_H

#include "app/session/table.h"
#include "app/session/token.h"
#include "http/reply.h"
#include "http/request.h"

enum { VSI_SESSION_CHANGES_MAX = 4, VSI_SESSION_ID_BYTES = 33 };

/* The session of a request, in the request's room. */
typedef struct vsi_session {
  char id[VSI_SESSION_ID_BYTES];                     /* terminated; "": none was found */
  bool is_new;                                       /* the browser is to be told */
  bool was_changed;                                  /* by log-in or log-out */
  vsi_session_user *user;                            /* a reference; NULL: no user has logged in */
  vsi_session_user *former[VSI_SESSION_CHANGES_MAX]; /* references: the handler may still hold their names */
  size_t former_count;
} vsi_session;

extern const vsi_extension vsi_sessions_extension;

/* Those of an instance; NULL: it has none. */
static inline vsi_sessions *vsi_sessions_of(const vestry *v) {
  return vsi_extension_find(v, &vsi_sessions_extension);
}

/* The same question, by what depends on the answer for as long as the instance lives: if there are none, none can be
 * created from here on. OK | NO_MEMORY */
vestry_err vsi_sessions_settle(vestry *v, bool *ret_are_there);

/* NULL: the instance has no sessions. */
static inline vsi_session *vsi_session_of(const vestry_request *req) {
  return vsi_request_room(req, &vsi_sessions_extension);
}

/* The user of a request's session; NULL: none has logged in. */
static inline vsi_session_user *vsi_session_user_of(const vestry_request *req) {
  const vsi_session *session = vsi_session_of(req);
  return session ? session->user : NULL;
}

/* The request's scope is that of its session's id. */
void vsi_session_set_scope(vestry_request *req, vestry_reply *reply);

#endif
