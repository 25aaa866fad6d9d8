/* SPDX-License-Identifier: MIT */
/* Placeholders: lists that stand for values which are known only at dispatch. */
#ifndef VSI_REGISTRY_PLACEHOLDERS_H
#define VSI_REGISTRY_PLACEHOLDERS_H

#include "registry/context.h"

/* Replace the placeholders in an effect or action, and itself if it is one. A failure has been recorded, as of this
 * phase.
 * entry         borrowed, unchanged
 * ret_replaced  a new reference: entry itself when there was nothing to replace
 * true | false: it failed */
bool vsi_placeholders_replace(vestry_dispatch_context *context, vestry_phase phase, json_t *entry,
                              json_t **ret_replaced);

#endif
