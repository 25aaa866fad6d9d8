/* Histories of a store, recorded while several threads use it, and whether they are linearizable key by key: whether
 * each operation can be given one moment between its call and its return, so that in the order of these moments a key
 * that holds one value at most would have answered the same.
 *
 * The search is that of Wing and Gong, "Testing and verifying concurrent objects" (1993), with the states that were met
 * remembered after Lowe, "Testing for linearizability" (2017). It suffices to check each key alone: linearizability is
 * a local property (Herlihy and Wing 1990). */
#ifndef TESTS_STORE_LINEAR_H
#define TESTS_STORE_LINEAR_H

#include "support/test_host.h"
#include "vestry/store.h"

enum { LINEAR_KEYS = 8, LINEAR_THREADS = 8, LINEAR_OPS = 64 /* of one key in one window */ };

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

/* A store under test, whose operations are recorded. One at a time. */
typedef struct linear linear;
/* host: its own is used if NULL. */
linear *linear_open(const char *type, vestry_store_options options);
/* To be called in every callback; NULL: nothing. */
void linear_set_point(void (*point)(void));
vestry_store *linear_store(linear *l);
test_host *linear_host(linear *l);
/* By thread `thread`, which makes one call at a time, on a key. */
void linear_put(linear *l, size_t thread, size_t key, vestry_put_policy policy); /* REPLACE or REJECT */
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
