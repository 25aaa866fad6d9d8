/* SPDX-License-Identifier: MIT */
/* The policy of a document, from the handler to the answer. */
#ifndef VSI_HTTP_CSP_H
#define VSI_HTTP_CSP_H

#include "vestry/csp.h"

enum { VSI_CSP_NONCE_BYTES = 33 };

/* Of a reply. */
typedef struct vsi_csp {
  char nonce[VSI_CSP_NONCE_BYTES];
  char value[]; /* the header's, with the nonce in it */
} vsi_csp;

/* The reply is about to be answered: its headers and, in a document, its nonce; says then that it is one document's
 * (has_nonce). Does nothing for a reply without a policy, nor for one to the client.
 * OK | INVALID (the body is encoded already; said in the log) | IO | NO_MEMORY */
vestry_err vsi_csp_apply(const vestry_request *req, vestry_reply *reply, int status, bool has_body);

#endif
