/* The inside of the index, as src/store/buckets.c has it: for tests that count. */
#ifndef TESTS_STORE_BUCKETS_VIEW_H
#define TESTS_STORE_BUCKETS_VIEW_H

#include "store/buckets.h"

enum { VIEW_WORDS = 7 };

typedef struct bucket_view {
  _Atomic(uint64_t) words[VIEW_WORDS]; /* tag << 42 | address >> 6; 0: empty */
  _Atomic(uint32_t) passed;            /* words that went past it */
  uint32_t unused;
} bucket_view;

struct vsi_table_memory {
  uint32_t count;
  bucket_view *at;
};

static inline vsi_slot *bucket_slot(uint64_t word) {
  return (vsi_slot *)(uintptr_t)((word & ((UINT64_C(1) << 42) - 1)) << 6);
}

static inline uint32_t bucket_home(const vsi_table_memory *table, const vsi_slot *slot) {
  return (uint32_t)((uint64_t)slot->hash * table->count >> 32);
}

#endif
