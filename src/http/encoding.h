/* SPDX-License-Identifier: MIT */
/* The choice of a new stream's encoding. */
#ifndef VSI_HTTP_ENCODING_H
#define VSI_HTTP_ENCODING_H

#include "coding/coder.h"
#include "http/reply.h"
#include "http/request.h"

typedef struct vsi_encoding {
  vsi_coder *coder;   /* owned by the caller; NULL: identity */
  const char *coding; /* for Content-Encoding; NULL: identity */
  bool negotiated;    /* there was a choice: send Vary */
} vsi_encoding;

/* Choose by the reply's profiles, or else the instance's, and the request's Accept-Encoding. OK | UNSUPPORTED (the
 * client accepts none of the codings) | NO_MEMORY | LIMIT | errors of a profile */
vestry_err vsi_encoding_choose(const vestry_request *req, const vestry_reply *reply, vsi_encoding *ret_encoding);

#endif
