/* SPDX-License-Identifier: MIT */
/* Stores as an application could implement them: one linked list under a mutex, with each operation a walk over it.
 * They are also the reference for the built-in stores, so they are simple and share no code with them. */
#ifndef TESTS_STORE_NAIVE_H
#define TESTS_STORE_NAIVE_H

#include "vestry/store.h"

extern const vestry_store_ops naive_hash_ops; /* "naive-hash": refuses puts over its limits, like "hash" */
extern const vestry_store_ops naive_lru_ops;  /* "naive-lru": evicts and expires, like "lru" */

#endif
