/* SPDX-License-Identifier: MIT */
/* A naive store that is told what a store under test did, operation by operation, and says whether it may have done so.
 *
 * Where the semantics are exact it predicts: answers, order, counts. Where they leave room — which of several that were
 * last used in one tick has to go, when within two ticks the idle leave — it checks that the store stayed inside, and
 * goes on from there. */
#ifndef TESTS_STORE_MODEL_H
#define TESTS_STORE_MODEL_H

#include "store/world.h"

/* Where decisions come from: a generator, or a fuzzer's bytes. Less than bound, which is not 0. */
typedef struct model_source {
  uint64_t (*below)(struct model_source *source, uint64_t bound);
} model_source;

typedef struct model_setting {
  const store_kind *kind;
  vestry_store_options options;
  size_t keys_count;      /* in each of three scopes */
  size_t prefill_count;   /* keys put before the first step */
  uint64_t jump_most_ms;  /* the clock goes ahead by up to this in one step, at times */
  uint64_t coarse_lag_ms; /* of the host's coarse clock; 0: it has none */
  bool memory_fails;      /* at times */
} model_setting;

/* Some setting of a store of this kind, with all that can be set. */
model_setting model_choose(model_source *source, const store_kind *kind);

typedef struct model model;

/* One at a time. */
model *model_open(const model_setting *setting);
/* One operation, checked. */
void model_step(model *m, model_source *source);
/* Close the store, check what is left, and that nothing is lost. */
void model_end(model *m);

/* What has happened in all models so far: how often something left for a cause, an operation was answered, an
 * allocation failed in a put. */
typedef struct model_tally {
  uint64_t left[VESTRY_CAUSE_COUNT], answered[32], refreshed, steps;
} model_tally;
extern model_tally model_tallied;
extern uint64_t model_seed; /* named when something is wrong */

#endif
