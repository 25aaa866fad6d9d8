/* SPDX-License-Identifier: MIT */
/* Whether a history of one key, recorded while several threads used a store, is linearizable: whether each operation
 * can be given one moment between its call and its return, so that in the order of these moments a key that holds one
 * value at most would have answered the same.
 *
 * The search is that of Wing and Gong, "Testing and verifying concurrent objects" (1993), with the states that were met
 * remembered after Lowe, "Testing for linearizability" (2017). It suffices to check each key alone: linearizability is
 * a local property (Herlihy and Wing 1990). */
#ifndef TESTS_STORE_LINEAR_H
#define TESTS_STORE_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINEAR_OPS = 64 };

typedef enum linear_kind {
  LINEAR_PUT,       /* value: what was put; took: what it displaced, 0: nothing */
  LINEAR_PUT_NEW,   /* put if there is nothing. did: it was; value */
  LINEAR_GET,       /* value: what was found, 0: nothing; then took: the time of values up to this may have come. (A
                       look-up passes over what is due before anybody has taken it out, and who read the clock before
                       may still replace it.) */
  LINEAR_REMOVE,    /* took: what was removed, 0: nothing was there */
  LINEAR_REMOVE_IF, /* value: which. did: it was there */
  LINEAR_LEAVE      /* value: the store itself took it out, in this operation or another of the same thread */
} linear_kind;

typedef struct linear_op {
  linear_kind kind;
  bool did;
  uint64_t invoked, returned; /* by one counter for all */
  uint64_t value, took;       /* numbers from 1 */
  size_t thread;
} linear_op;

/* What a key may hold. */
typedef struct linear_states {
  uint64_t values[LINEAR_OPS + 1];
  size_t count;
} linear_states;

/* Whether a history of at most LINEAR_OPS operations is possible, from one of these states on. Then they are set to
 * those in which it may have left the key. */
bool linear_is_possible(const linear_op *ops, size_t count, linear_states *states);

#endif
