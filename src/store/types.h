/* SPDX-License-Identifier: MIT */
/* Store types by name. */
#ifndef VSI_STORE_TYPES_H
#define VSI_STORE_TYPES_H

#include "vestry/store.h"

/* Find a built-in type, or one of the options. OK | NOT_FOUND | INVALID, EXISTS (types of the options) */
vestry_err vsi_store_type_find(const vestry_store_options *options, const char *name, vestry_store_type *ret_type);

#endif
