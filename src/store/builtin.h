/* SPDX-License-Identifier: MIT */
/* The built-in store types, which every application can use. */
#ifndef VSI_STORE_BUILTIN_H
#define VSI_STORE_BUILTIN_H

#include "vestry/store.h"

extern const vestry_store_ops vsi_hash_store_ops; /* "hash": never evicts; a put beyond a bound fails */
/* "lru": bounded. A put into a full store evicts the least recently used entry; idle and old entries expire on time. */
extern const vestry_store_ops vsi_lru_store_ops;

#endif
