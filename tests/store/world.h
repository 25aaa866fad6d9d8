/* SPDX-License-Identifier: MIT */
/* A store with values that count what happens to them, and the checks that follow from "exactly once". */
#ifndef TESTS_STORE_WORLD_H
#define TESTS_STORE_WORLD_H

#include <stdatomic.h>

#include "support/test.h"
#include "support/test_host.h"
#include "vestry/store.h"

struct world;

/* Stands for a connection. Its counters are checked when the world ends. */
typedef struct value {
  struct world *world;
  size_t number;
  _Atomic(long) refs;   /* 1 while only the test holds it */
  _Atomic(long) stays;  /* puts that stored it */
  _Atomic(long) purges; /* each stay ends in one purge and one close */
  _Atomic(long) closes;
  _Atomic(int) cause;        /* of the last close */
  vestry_handle handle_left; /* of the last purge; one thread */
  _Atomic(uint64_t) used_ns; /* otherwise than through the store; the test's to set */
  _Atomic(uint64_t) handle;  /* the test's to use, */
  _Atomic(bool) ended;       /* as this */
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
  /* Run in the purge hook and in close, when set. */
  void (*on_purge)(struct world *world, const vestry_purged *purged);
  void (*on_close)(struct world *world, value *v, vestry_cause cause);
  void *ctx;
} world;

/* A store under test: a built-in one, or one of the application's. */
typedef struct store_kind {
  const char *type;
  bool evicts;
} store_kind;

extern const store_kind world_hash, world_lru, world_naive_hash, world_naive_lru;

/* Options may be NULL; host, value functions and purge hook are the world's. */
void world_open(world *w, const store_kind *kind, const vestry_store_options *options);
/* The same on a host of the test's, failing as the store does: there is no world then. */
vestry_err world_try_open(world *w, test_host *th, const store_kind *kind, const vestry_store_options *options);
/* What is true when no operation is under way: see invariants.h, and that the values' own counts say the same. */
void world_check(world *w);
/* Checks, destroys the store and checks that every stay has ended once and every reference is back. */
void world_finish(world *w);
/* The same, and that no memory is lost. */
void world_end(world *w);

/* A new value. */
value *world_value(world *w);
/* put with the world's bookkeeping. */
vestry_err world_put(world *w, const char *scope, const vestry_key *key, value *v, vestry_keep_policy policy,
                     size_t many_count, vestry_put_result *ret_result);
/* put a new value by REPLACE, in the scope "s", which must succeed; its handle if wanted. */
value *world_new(world *w, const vestry_key *key, vestry_handle *ret_handle);
/* get with references given back at once: how many values, which are in `values` (NULL: not wanted). */
size_t world_get(world *w, const char *scope, const vestry_key *key, value **values, size_t room);
/* get of one value in the scope "s"; NULL: nothing there. */
value *world_one(world *w, const vestry_key *key);
/* How many keys a listing names, in whole; a scope's only, or NULL. */
size_t world_listed(world *w, const vestry_scope *only_scope);
/* Number of exits since the last call. */
size_t world_left(world *w);
vestry_store_stats world_stats(world *w);
vestry_scope world_scope(const char *text);

#endif
