/* SPDX-License-Identifier: MIT */
/* A store whose operations are recorded while several threads use it. The record is then checked; linear.h describes
 * the property. */
#ifndef TESTS_STORE_HISTORY_H
#define TESTS_STORE_HISTORY_H

#include "store/linear.h"
#include "support/test_host.h"
#include "vestry/store.h"

enum { LINEAR_KEYS = 8, LINEAR_THREADS = 8 };

/* The store under test. Only one exists at a time. */
typedef struct linear linear;
/* A NULL host: the store gets its own. */
linear *linear_open(const char *type, vestry_store_options options);
/* Set a function that each callback calls; NULL: none. */
void linear_set_point(void (*point)(void));
vestry_store *linear_store(linear *l);
test_host *linear_host(linear *l);
/* Operations of thread `thread`, which makes one call at a time, on a key. */
void linear_put(linear *l, size_t thread, size_t key, vestry_keep_policy policy); /* REPLACE or REJECT */
void linear_get(linear *l, size_t thread, size_t key);
void linear_with(linear *l, size_t thread, size_t key);
void linear_remove(linear *l, size_t thread, size_t key);
/* Remove the value that was put under the key `back` puts before the last. */
void linear_remove_if(linear *l, size_t thread, size_t key, size_t back);
void linear_tick(linear *l, size_t thread);
/* Beside the recorded keys: put or remove a filler, so that the store grows and shrinks; list all keys, and abort if
 * one is listed twice. */
void linear_fill(linear *l, size_t thread, size_t number);
void linear_empty(linear *l, size_t thread, size_t number);
void linear_list(linear *l, size_t thread);
/* Close the store: it refuses further puts, and is empty. */
void linear_close(linear *l, size_t thread);
/* End a window, in which no operation is running, and begin the next. Returns whether all histories are possible, and
 * each value that left was purged and closed once. Prints a history that is impossible. */
bool linear_check(linear *l);
/* The same; also checks that no memory leaks, with cmocka assertions. */
void linear_end(linear *l);

#endif
