/* SPDX-License-Identifier: MIT */
/* Negotiation by Accept-Encoding, and the choice of a new stream's encoding. */
#ifndef VSI_HTTP_ENCODING_H
#define VSI_HTTP_ENCODING_H

#include "coding/coder.h"
#include "http/reply.h"
#include "http/request.h"

enum { VSI_ACCEPT_MAX = 16 };

/* Choose a coding by the header's value (RFC 9110, section 12.5.3): the coding with the highest q; among equals, the
 * first in the list. Identity comes after all others, and unless the header names it, it is chosen only if no other
 * coding is acceptable.
 * header     NULL: there is no header, so identity is chosen; a malformed header counts as none. If a coding is listed
 *            twice, its first entry counts
 * codings    names in lower case, at most VSI_ACCEPT_MAX; NULL: currently not available
 * ret_index  count: identity
 * OK | UNSUPPORTED: no coding is acceptable, and neither is identity */
VESTRY_API vestry_err vsi_accept_choose(const char *header, const char *const *codings, size_t count,
                                        size_t *ret_index);

typedef struct vsi_encoding {
  vsi_coder *coder;   /* owned by the caller; NULL: identity */
  const char *coding; /* for Content-Encoding; NULL: identity */
  bool negotiated;    /* there was a choice: send Vary */
} vsi_encoding;

/* Choose by the reply's profiles, or else the instance's, and the request's Accept-Encoding. OK | UNSUPPORTED (the
 * client accepts none of the codings) | NO_MEMORY | LIMIT | errors of a profile */
vestry_err vsi_encoding_choose(const vestry_request *req, const vestry_reply *reply, vsi_encoding *ret_encoding);

/* Encode the body of a reply with the coding that a stream of this request would get, and set its headers. The body
 * stays as it is if the client accepts no coding, memory is short, or the bytes belong to a validator or to a watcher,
 * which keeps a response for other requests. OK | LIMIT | NO_MEMORY: there is no response */
vestry_err vsi_encoding_apply(const vestry_request *req, vestry_reply *reply);

#endif
