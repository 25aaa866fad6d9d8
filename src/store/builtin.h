/* SPDX-License-Identifier: MIT */
/* The store types that every application has. */
#ifndef VSI_STORE_BUILTIN_H
#define VSI_STORE_BUILTIN_H

#include "vestry/store.h"

extern const vestry_store_ops vsi_hash_store_ops; /* "hash": keeps what it is given; bounds refuse */
/* "lru": bounded; the least recently used leaves for the newcomer, the idle and the old leave on time */
extern const vestry_store_ops vsi_lru_store_ops;

#endif
