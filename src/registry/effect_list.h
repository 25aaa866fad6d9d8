/* SPDX-License-Identifier: MIT */
/* Lists of effects: [["name", arguments…], …]. */
#ifndef VSI_REGISTRY_EFFECT_LIST_H
#define VSI_REGISTRY_EFFECT_LIST_H

#include "vestry/effects.h"

/* Return whether the value is an array of arrays with names as heads. ret_wrong: index of the first element that is
 * not; may be NULL. For NULL it returns false. */
bool vsi_is_effect_list(const json_t *effects, size_t *ret_wrong);

#endif
