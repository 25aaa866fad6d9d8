/* SPDX-License-Identifier: MIT */
/* The types of stores, by name. */
#ifndef VSI_STORE_TYPES_H
#define VSI_STORE_TYPES_H

#include "vestry/store.h"

/* The types' look-up: a built-in one or one of types (NULL: none). NULL: no such type. */
const vestry_store_ops *vsi_store_types_find(const vestry_store_types *types, const char *name, void **ret_type_ctx);

#endif
