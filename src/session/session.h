/* SPDX-License-Identifier: MIT */
/* A request's session. */
#ifndef VSI_SESSION_SESSION_H
#define VSI_SESSION_SESSION_H

#include "http/reply.h"
#include "http/request.h"
#include "session/token.h"

/* Find a request's session: its scope, and its user. The reply's stream, if it opens one, is to be the session's.
 * OK | NO_MEMORY | IO | what storage says */
vestry_err vsi_session_begin(vestry_request *req, vestry_reply *reply);
/* Before the reply is performed: have the browser told what it does not know. */
void vsi_session_tell(const vestry_request *req, vestry_reply *reply);
/* The request is over. */
void vsi_session_end(vestry_request *req);

/* The request's scope is that of its session's id. */
void vsi_session_set_scope(vestry_request *req, vestry_reply *reply);

/* As vestry_stats has it. */
void vsi_session_stats(vestry *v, vestry_stats *stats);

#endif
