/* SPDX-License-Identifier: MIT */
/* Seeded pseudo-random numbers for tests (splitmix64), and settings such as the seed. */
#ifndef TESTS_RUNTIME_RANDOM_H
#define TESTS_RUNTIME_RANDOM_H

#include <stdint.h>
#include <stdlib.h>

static inline uint64_t random_next(uint64_t *state) {
  uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

static inline uint64_t random_below(uint64_t *state, uint64_t bound) {
  return random_next(state) % bound;
}

/* A number from the environment, such as CLUSTER_SEED=7. */
static inline uint64_t random_setting(const char *name, uint64_t by_default) {
  const char *text = getenv(name);
  return text ? strtoull(text, NULL, 10) : by_default;
}

#endif
