/* SPDX-License-Identifier: MIT */
/* Operations on a store, compared with a simple model: tests/store/model.h lists the checks. They include clock
 * jumps, failing allocations and all settings.
 * Input: a store and a setting, then the operations, in bytes that are read as needed; a number below a bound takes
 * one byte, or as many bytes as the bound has. The operations end with the input. */
#include "store/model.h"

typedef struct bytes {
  model_source source; /* first */
  const uint8_t *at, *end;
} bytes;

static uint64_t take(model_source *source, uint64_t bound) {
  bytes *b = (bytes *)(void *)source;
  uint64_t number = 0;
  for (uint64_t most = bound - 1; most && b->at < b->end; most >>= 8) number = number << 8 | *b->at++;
  return number % bound;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  bytes b = {{take}, data, data + size};
  const store_kind *kind = b.source.below(&b.source, 3) ? &world_lru : &world_hash;
  bool memory_fails = b.source.below(&b.source, 4) == 1;
  model_setting setting = model_choose(&b.source, kind);
  setting.memory_fails = memory_fails;
  model *m = model_open(&setting);
  while (b.at < b.end) model_step(m, &b.source);
  model_end(m);
  return 0;
}
