/* SPDX-License-Identifier: MIT */
/* A store whose operations are recorded while several threads use it, and checked: linear.h says for what. */
#ifndef TESTS_STORE_HISTORY_H
#define TESTS_STORE_HISTORY_H

#include "store/linear.h"
#include "support/test_host.h"
#include "vestry/store.h"

enum { LINEAR_KEYS = 8, LINEAR_THREADS = 8 };

/* A store under test, whose operations are recorded. One at a time. */
typedef struct linear linear;
/* host: its own is used if NULL. */
linear *linear_open(const char *type, vestry_store_options options);
/* To be called in every callback; NULL: nothing. */
void linear_set_point(void (*point)(void));
vestry_store *linear_store(linear *l);
test_host *linear_host(linear *l);
/* By thread `thread`, which makes one call at a time, on a key. */
void linear_put(linear *l, size_t thread, size_t key, vestry_keep_policy policy); /* REPLACE or REJECT */
void linear_get(linear *l, size_t thread, size_t key);
void linear_with(linear *l, size_t thread, size_t key);
void linear_remove(linear *l, size_t thread, size_t key);
/* Of the values that were put under the key, the last but so many. */
void linear_remove_if(linear *l, size_t thread, size_t key, size_t back);
void linear_tick(linear *l, size_t thread);
/* Beside the recorded keys: put one of the fillers, or remove it, so that the store grows and shrinks; list all keys,
 * and abort if one is named twice. */
void linear_fill(linear *l, size_t thread, size_t number);
void linear_empty(linear *l, size_t thread, size_t number);
void linear_list(linear *l, size_t thread);
/* Puts are refused from here on, and nothing is left. */
void linear_close(linear *l, size_t thread);
/* A window ends: no operation is under way. Returns whether all histories are possible, and every value has been purged
 * and closed once if it left, and prints the one that is not. The next window begins. */
bool linear_check(linear *l);
/* The same, and that nothing is lost: cmocka assertions. */
void linear_end(linear *l);

#endif
