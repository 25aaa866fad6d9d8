/* SPDX-License-Identifier: MIT */
/* Functions shared by guards: they find a proof in a request, compare origins, and refuse a request. */
#ifndef VSI_GUARD_PROOF_H
#define VSI_GUARD_PROOF_H

#include <stdbool.h>

#include "app/session/seal.h"
#include "http/reply.h"
#include "http/request.h"

/* Return whether the request's method is safe, that is, changes nothing (RFC 9110, section 9.2.1). */
bool vsi_request_is_safe(const vestry_request *req);

/* Where a proof was found. */
typedef enum vsi_proof_place { VSI_PROOF_HEADER, VSI_PROOF_FIELD, VSI_PROOF_SIGNAL } vsi_proof_place;
/* Find the value by which a page proves something: in a header, a field of the form, or a signal of the body. Values in
 * a query do not count, because servers write queries to logs. The text is borrowed from the request. OK | NOT_FOUND |
 * NO_MEMORY */
vestry_err vsi_proof_find(const vestry_request *req, const char *header, const char *name, const char **ret_text,
                          vsi_proof_place *ret_place);

/* Refuse a request: answer with the application's page for this status, or with a page that contains the sentence; the
 * Datastar client gets the sentence as text. req NULL: the client is gone, and gets no response. Returns the result of
 * the guard. */
vestry_err vsi_refuse_request(const vestry_request *req, vestry_reply *reply, int status, const char *sentence);

/* ---- origins, as browsers write them: "https://example.org:8443" */

/* Return whether the text is an origin: http or https, the name or address of a host, and possibly a port. */
bool vsi_origin_is_good(const char *origin);
/* Return whether an origin belongs to this Host: the name is the same, without regard to case, and so is the port. A
 * missing port is the default port of the origin's scheme. (The scheme of the request is not compared, because behind a
 * proxy only the proxy knows it.) */
bool vsi_origin_is_host(const char *origin, const char *host);
bool vsi_origins_are_equal(const char *a, const char *b);

/* ---- nonces in requests: a seal, optionally followed by a dot and a suffix that the page adds */

enum { VSI_NONCE_MORE_MAX = 64, VSI_NONCE_MAX_LEN = VSI_SEAL_LEN + 1 + VSI_NONCE_MORE_MAX };

/* Make a nonce for a page. req NULL: the render of a part. function: for the log. Returns as vestry_once_nonce. */
vestry_err vsi_nonce_make(const vestry_request *req, const char *function, char text[VSI_SEAL_LEN + 1]);

/* Return whether the nonce was issued for the scope, and its suffix, if there is one, consists of 1 to
 * VSI_NONCE_MORE_MAX digits, letters and dashes. text: any bytes, terminated. */
bool vsi_nonce_is_good(const vsi_seals *seals, vestry_scope scope, const char *text);

#endif
