/* SPDX-License-Identifier: MIT */
/* Checks of the sessions in memory: whether the storage still has them, and whether their lifetime is over. */
#ifndef VSI_SESSION_CHECK_H
#define VSI_SESSION_CHECK_H

#include "app/session/table.h"

/* Begin the checks of sessions, before the first request. OK | NO_MEMORY | CLOSED (the runtime) */
vestry_err vsi_session_checks_begin(vsi_sessions *sessions);
/* End them. Waits for a running check. Also after a failure. */
void vsi_session_checks_end(vsi_sessions *sessions);

/* Return whether a request may use a session in memory: its lifetime is not over, and the storage has had it within the
 * last second. Reads its row if necessary; if that fails, the session continues for another second. A session that the
 * storage does not have ends. */
bool vsi_session_is_current(vsi_sessions *sessions, vsi_session_user *session);

#endif
