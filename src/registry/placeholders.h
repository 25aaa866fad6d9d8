/* SPDX-License-Identifier: MIT */
/* Placeholders: lists that stand for values known only at dispatch. */
#ifndef VSI_REGISTRY_PLACEHOLDERS_H
#define VSI_REGISTRY_PLACEHOLDERS_H

#include "registry/context.h"

/* Replace the placeholders in an effect or action, and the entry itself if it is one. A failure is recorded with this
 * phase.
 * entry         borrowed, unchanged
 * ret_replaced  a new reference: entry itself if there is nothing to replace
 * Returns  whether it succeeded */
bool vsi_placeholders_replace(vestry_dispatch_context *context, vestry_phase phase, json_t *entry,
                              json_t **ret_replaced);

#endif
