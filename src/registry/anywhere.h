/* SPDX-License-Identifier: MIT */
/* Dispatches with no request in sight, on this node alone. */
#ifndef VSI_REGISTRY_ANYWHERE_H
#define VSI_REGISTRY_ANYWHERE_H

#include "store/scoped_key.h"
#include "vestry/dispatch.h"

/* Dispatch to the connections that are here, as vestry_dispatch_with does, but nowhere else. key: of the instance's
 * store; options: data counts; may_write: this thread writes to the sockets of a few streams itself. */
vestry_err vsi_dispatch_here(vestry *v, const vestry_scoped_key *key, json_t *effects,
                             const vestry_dispatch_options *options, bool may_write,
                             vestry_dispatch_result *ret_result);

#endif
