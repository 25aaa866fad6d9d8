/* SPDX-License-Identifier: MIT */
/* Performing a list of effects and actions. */
#ifndef VSI_REGISTRY_DISPATCH_H
#define VSI_REGISTRY_DISPATCH_H

#include "registry/context.h"
#include "store/scoped_key.h"

/* Dispatch to the connections that are here, as vestry_dispatch_with does, but nowhere else. key: of the instance's
 * store, NULL: to the options' connection, or to none; options: their key does not count; may_write: this thread writes
 * to the sockets of a few streams itself; ret_count: how many connections; NULL: not wanted. */
vestry_err vsi_dispatch_here(vestry *v, const vestry_scoped_key *key, json_t *effects,
                             const vestry_dispatch_options *options, bool may_write, vestry_dispatch_result *ret_result,
                             uint32_t *ret_count);

/* Perform a list of effects and actions for the context's targets, interceptors included; an entry that is none is a
 * failure like another. OK | the first failure. */
vestry_err vsi_dispatch(vestry_dispatch_context *context, json_t *effects);

/* Run one side of all interceptors of a phase. */
void vsi_context_intercept(vestry_dispatch_context *context, vestry_phase phase, bool is_after, const json_t *effect);

/* Log what a dispatch could not tell its caller. whose: "a reply", say. */
void vsi_dispatch_log(vestry *v, const vestry_dispatch_result *result, const char *whose);

#endif
