/* SPDX-License-Identifier: MIT */
/* A target of libFuzzer: the function that takes one input, its assertion, and the headers that every target needs. */
#ifndef TESTS_FUZZ_TARGET_H
#define TESTS_FUZZ_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(bool condition) {
  if (!condition) abort();
}

#endif
