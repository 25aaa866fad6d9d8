/* SPDX-License-Identifier: MIT */
/* Stores as an application would bring its own: one linked list under a mutex, every operation a walk over it. They
 * are also the truth that the built-in stores are compared with, so nothing here is clever and nothing is shared with
 * them. */
#ifndef TESTS_STORE_NAIVE_H
#define TESTS_STORE_NAIVE_H

#include "vestry/store.h"

extern const vestry_store_ops naive_hash_ops; /* "naive-hash": refuses what is too much, as "hash" */
extern const vestry_store_ops naive_lru_ops;  /* "naive-lru": evicts and expires, as "lru" */

#endif
