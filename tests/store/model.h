/* SPDX-License-Identifier: MIT */
/* A naive model of a store: it receives each operation of the store under test with its results, and checks whether
 * they are allowed.
 *
 * Where the semantics are exact, the model predicts results, order and counts. Where they allow several results, it
 * checks that the store stays within them and continues from the result. Examples: which of several entries used last
 * in the same tick is evicted, and when within two ticks an idle entry leaves. */
#ifndef TESTS_STORE_MODEL_H
#define TESTS_STORE_MODEL_H

#include "store/world.h"

/* The source of decisions: a generator, or the bytes of a fuzzer. Returns a number below bound, which is not 0. */
typedef struct model_source {
  uint64_t (*below)(struct model_source *source, uint64_t bound);
} model_source;

typedef struct model_setting {
  const store_kind *kind;
  vestry_store_options options;
  size_t keys_count;      /* in each of three scopes */
  size_t prefill_count;   /* keys put before the first step */
  uint64_t jump_most_ms;  /* the maximum by which the clock sometimes advances in one step */
  uint64_t coarse_lag_ms; /* of the host's coarse clock; 0: it has none */
  bool memory_fails;      /* sometimes */
} model_setting;

/* Choose a setting for a store of this kind, with all of its options. */
model_setting model_choose(model_source *source, const store_kind *kind);

typedef struct model model;

/* Open a model; only one exists at a time. */
model *model_open(const model_setting *setting);
/* Perform one operation, and check it. */
void model_step(model *m, model_source *source);
/* Close the store, check its last exits, and that no memory leaks. */
void model_end(model *m);

/* Totals over all models so far: exits by cause, operations by result, failed allocations in a put. */
typedef struct model_tally {
  uint64_t left[VESTRY_CAUSE_COUNT], answered[32], refreshed, steps;
} model_tally;
extern model_tally model_tallied;
extern uint64_t model_seed; /* printed with a failure */

#endif
