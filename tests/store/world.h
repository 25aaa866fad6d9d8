/* SPDX-License-Identifier: MIT */
/* A store with values that count their callbacks, and the checks that follow from "exactly once". */
#ifndef TESTS_STORE_WORLD_H
#define TESTS_STORE_WORLD_H

#include <stdatomic.h>

#include "support/test.h"
#include "support/test_host.h"
#include "vestry/store.h"

struct world;

/* Represents a connection. Its counters are checked when the world ends. */
typedef struct value {
  struct world *world;
  size_t number;
  _Atomic(long) refs;   /* 1 while only the test holds it */
  _Atomic(long) stays;  /* puts that stored it */
  _Atomic(long) purges; /* each stay ends in one purge and one close; a detached one counts as closed */
  _Atomic(long) closes;
  _Atomic(int) cause;        /* of the last close */
  vestry_handle handle_left; /* of the last purge; one thread */
  _Atomic(uint64_t) used_ns; /* use outside of the store; set by the test */
  _Atomic(uint64_t) handle;  /* for use by the test, */
  _Atomic(bool) ended;       /* like this */
} value;

typedef struct world_exit {
  value *value;
  vestry_handle handle;
  vestry_cause cause;
  char key[64]; /* formatted */
  char scope[16];
} world_exit;

typedef struct world {
  test_host own_host; /* first: it is not reset with the rest */
  test_host *th;
  vestry_store *store;
  value values[1024];
  size_t values_count;
  world_exit exits[256]; /* the first purges, in order; one thread */
  _Atomic(size_t) exits_count;
  /* Called in the purge hook and in close, if set. */
  void (*on_purge)(struct world *world, const vestry_purged *purged);
  void (*on_close)(struct world *world, value *v, vestry_cause cause);
  void *ctx;
} world;

/* A store under test: a built-in one, or one of an application. */
typedef struct store_kind {
  const char *type;
  bool evicts;
} store_kind;

extern const store_kind world_hash, world_lru, world_naive_hash, world_naive_lru;

/* A case that gets a kind as its state. */
#define WORLD_TEST(function, kind) cmocka_unit_test_prestate(function, (void *)&kind)

/* Open a world. Options may be NULL; host, value functions and purge hook are the world's. */
void world_open(world *w, const store_kind *kind, const vestry_store_options *options);
/* The same on a host of the test; returns the store's error, and then no world exists. */
vestry_err world_try_open(world *w, test_host *th, const store_kind *kind, const vestry_store_options *options);
/* Return options for another store of the kinds, with the host of this world. */
vestry_store_options world_options(world *w);
/* Check what holds between operations: the invariants (invariants.h), and that the values' own counts agree. */
void world_check(world *w);
/* Check, destroy the store, and check that each stay has ended once and all references are released. */
void world_finish(world *w);
/* The same, and check that no memory leaks. */
void world_end(world *w);

/* Create a value. */
value *world_value(world *w);
/* put, with the world's bookkeeping. */
vestry_err world_put(world *w, const char *scope, const vestry_key *key, value *v, vestry_keep_policy policy,
                     size_t many_count, vestry_put_result *ret_result);
/* Put a new value with REPLACE in the scope "s", which must succeed. ret_handle may be NULL. */
value *world_new(world *w, const vestry_key *key, vestry_handle *ret_handle);
/* get, and release the references at once. Returns the number of values, which are in `values` (may be NULL). */
size_t world_get(world *w, const char *scope, const vestry_key *key, value **values, size_t room);
/* get of one value in the scope "s"; NULL: none. */
value *world_one(world *w, const vestry_key *key);
/* Return the number of keys that a complete listing names, of one scope or (NULL) of all. */
size_t world_listed(world *w, const vestry_scope *only_scope);
/* Return the number of exits since the last call. */
size_t world_left(world *w);
/* Check that since the last call exactly this value has left, for this cause. */
void world_assert_left(world *w, const value *v, vestry_cause cause);
vestry_store_stats world_stats(world *w);
vestry_scope world_scope(const char *text);

#endif
