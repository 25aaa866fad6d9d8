/* A key that owns what it points to, in one allocation. */
#ifndef VSI_REGISTRY_KEY_COPY_H
#define VSI_REGISTRY_KEY_COPY_H

#include "vestry/key.h"

/* ret_copy: free with vsi_free. OK | INVALID, TOO_LARGE (as vestry_key_encode) | NO_MEMORY. */
vestry_err vsi_key_copy(const vestry_host *host, const vestry_key *key, vestry_key **ret_copy);

#endif
