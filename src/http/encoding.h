/* SPDX-License-Identifier: MIT */
/* Which encoding a new stream gets. */
#ifndef VSI_HTTP_ENCODING_H
#define VSI_HTTP_ENCODING_H

#include "coding/coder.h"
#include "http/reply.h"
#include "http/request.h"

typedef struct vsi_encoding {
  vsi_coder *coder;   /* the caller's; NULL: identity */
  const char *coding; /* for Content-Encoding; NULL: identity */
  bool negotiated;    /* there was a choice: Vary */
} vsi_encoding;

/* By the reply's profiles, or else the instance's, and the request's Accept-Encoding.
 * OK | UNSUPPORTED (the client accepts nothing of what there is) | NO_MEMORY | LIMIT | what a profile says */
vestry_err vsi_encoding_choose(const vestry_request *req, const vestry_reply *reply, vsi_encoding *ret_encoding);

#endif
