/* SPDX-License-Identifier: MIT */
/* The built-in store types, and finding a type by its name. */
#ifndef VSI_STORE_TYPES_H
#define VSI_STORE_TYPES_H

#include "vestry/store.h"

extern const vestry_store_ops vsi_hash_store_ops; /* "hash": never evicts; a put beyond a bound fails */
/* "lru": bounded. A put into a full store evicts the least recently used entry; idle and old entries expire on time. */
extern const vestry_store_ops vsi_lru_store_ops;

/* Find a built-in type, or one of the options. OK | NOT_FOUND | INVALID, EXISTS (types of the options) */
vestry_err vsi_store_type_find(const vestry_store_options *options, const char *name, vestry_store_type *ret_type);

#endif
