/* The store types that every application has. */
#ifndef VSI_STORE_BUILTIN_H
#define VSI_STORE_BUILTIN_H

#include "vestry/store.h"

extern const vestry_store_ops vsi_hash_store_ops; /* "hash": hash.c */
extern const vestry_store_ops vsi_lru_store_ops;  /* "lru": lru.c */

#endif
