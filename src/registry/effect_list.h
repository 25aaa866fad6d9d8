/* SPDX-License-Identifier: MIT */
/* Lists of effects: [["name", arguments…], …]. */
#ifndef VSI_REGISTRY_EFFECT_LIST_H
#define VSI_REGISTRY_EFFECT_LIST_H

#include "vestry/effects.h"

/* Whether it is an array of arrays that are headed by names. ret_wrong: which is not, if it is an array; may be NULL.
 * NULL is none. */
bool vsi_is_effect_list(const json_t *effects, size_t *ret_wrong);

#endif
