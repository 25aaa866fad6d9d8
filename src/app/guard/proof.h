/* SPDX-License-Identifier: MIT */
/* What guards ask of a request, and how they refuse it. */
#ifndef VSI_GUARD_PROOF_H
#define VSI_GUARD_PROOF_H

#include "http/reply.h"
#include "http/request.h"

/* Whether the request's method is one that changes nothing (RFC 9110, section 9.2.1). */
bool vsi_request_is_safe(const vestry_request *req);

/* Where a proof was found. */
typedef enum vsi_proof_place { VSI_PROOF_HEADER, VSI_PROOF_FIELD, VSI_PROOF_SIGNAL } vsi_proof_place;
/* What the page sends to prove something: in a header, or a field of the form, or a signal of the body. What stands in
 * a query does not count, since queries are written to logs. Borrowed from the request. OK | NOT_FOUND | NO_MEMORY */
vestry_err vsi_proof_find(const vestry_request *req, const char *header, const char *name, const char **ret_text,
                          vsi_proof_place *ret_place);

/* Refuse the request: the application's page for that status, or a page with one sentence; to the Datastar client the
 * sentence alone. Returns what the guard is to return. */
vestry_err vsi_refuse(const vestry_request *req, vestry_reply *reply, int status, const char *sentence);

#endif
