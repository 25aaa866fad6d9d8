/* SPDX-License-Identifier: MIT */
/* What guards ask of a request, and how they refuse it. */
#ifndef VSI_GUARD_PROOF_H
#define VSI_GUARD_PROOF_H

#include <stdbool.h>

#include "app/session/seal.h"
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

/* Origins, as browsers write them: "https://example.org:8443". */

/* Whether it is one: http or https, a host's name or address, perhaps a port. */
bool vsi_origin_is_good(const char *origin);
/* Whether pages of that origin are of this Host: the same name in any case, the same port, which is that of the
 * origin's scheme where it is not written. (By which scheme the request itself came only a proxy may know.) */
bool vsi_origin_is_host(const char *origin, const char *host);
bool vsi_origins_are_equal(const char *a, const char *b);

/* A nonce, as a request has it: a seal, and perhaps a dot and what a page has added. */

enum { VSI_NONCE_MORE_MAX = 64, VSI_NONCE_MAX_LEN = VSI_SEAL_LEN + 1 + VSI_NONCE_MORE_MAX };

/* Whether it was made for the scope; after the dot are 1 to VSI_NONCE_MORE_MAX digits, letters and dashes. text: any
 * bytes, terminated. */
bool vsi_nonce_is_good(const vsi_seals *seals, vestry_scope scope, const char *text);

#endif
