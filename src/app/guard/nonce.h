/* SPDX-License-Identifier: MIT */
/* A nonce, as a request has it: a seal, and perhaps a dot and what a page has added. */
#ifndef VSI_GUARD_NONCE_H
#define VSI_GUARD_NONCE_H

#include "app/session/seal.h"

enum { VSI_NONCE_MORE_MAX = 64, VSI_NONCE_MAX_LEN = VSI_SEAL_LEN + 1 + VSI_NONCE_MORE_MAX };

/* Whether it was made for the scope; after the dot are 1 to VSI_NONCE_MORE_MAX digits, letters and dashes. text: any
 * bytes, terminated. */
bool vsi_nonce_is_good(const vsi_seals *seals, vestry_scope scope, const char *text);

#endif
