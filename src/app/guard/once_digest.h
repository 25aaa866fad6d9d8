/* SPDX-License-Identifier: MIT */
/* What a request with a nonce asks for, so that another request with the same nonce is told from it. */
#ifndef VSI_GUARD_ONCE_DIGEST_H
#define VSI_GUARD_ONCE_DIGEST_H

#include "app/guard/proof.h"

enum { VSI_ONCE_DIGEST_BYTES = 16 };

/* By a header the nonce is the client's, of one call of an action: the digest is of method and path. By a form's field
 * it is of the fields too, as they were filled in. */
void vsi_once_digest(const vestry_request *req, vsi_proof_place place, unsigned char digest[VSI_ONCE_DIGEST_BYTES]);

#endif
