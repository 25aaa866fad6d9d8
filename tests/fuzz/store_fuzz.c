/* SPDX-License-Identifier: MIT */
/* Operations on a store, against a naive model: tests/store/model.h says what is checked. Clock jumps, failing memory
 * and all settings included.
 * Input: which store and which setting, then the operations, in bytes that are taken as they are needed; a number below
 * a bound takes one byte, or as many as the bound has. The end of the bytes is the end of the operations. */
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
