/* SPDX-License-Identifier: MIT */
/* Check whether a history of one key, recorded while several threads used a store, is linearizable: whether each
 * operation can be assigned one moment between its call and its return so that a key with at most one value, used in
 * the order of these moments, returns the same results.
 *
 * The search is that of Wing and Gong, "Testing and verifying concurrent objects" (1993), with the visited states
 * stored, after Lowe, "Testing for linearizability" (2017). Checking each key alone suffices, because linearizability
 * is a local property (Herlihy and Wing 1990). */
#ifndef TESTS_STORE_LINEAR_H
#define TESTS_STORE_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINEAR_OPS = 64 };

typedef enum linear_kind {
  LINEAR_PUT,     /* value: the value put; took: the value displaced, 0: none */
  LINEAR_PUT_NEW, /* put if the key is empty. did: it was; value */
  LINEAR_GET,     /* value: the value found, 0: none; then took: values up to this number may be due. (A lookup skips a
                 due value before any thread has removed it, and a thread that read the clock earlier may still
                 replace it.) */
  LINEAR_REMOVE,  /* took: the value removed, 0: none */
  LINEAR_REMOVE_IF, /* value: the value to remove. did: it was stored */
  LINEAR_LEAVE      /* value: removed by the store itself, in this operation or another of the same thread */
} linear_kind;

typedef struct linear_op {
  linear_kind kind;
  bool did;
  uint64_t invoked, returned; /* from one counter for all threads */
  uint64_t value, took;       /* numbers from 1 */
  size_t thread;
} linear_op;

/* The possible values of a key. */
typedef struct linear_states {
  uint64_t values[LINEAR_OPS + 1];
  size_t count;
} linear_states;

/* Whether a history of at most LINEAR_OPS operations is possible from one of these states. Sets states to those that
 * the history may end in. */
bool linear_is_possible(const linear_op *ops, size_t count, linear_states *states);

#endif
