/* The inside of the index, as src/store/buckets.c has it: for tests that count. */
#ifndef TESTS_STORE_BUCKETS_VIEW_H
#define TESTS_STORE_BUCKETS_VIEW_H

#include "store/buckets.h"

enum { VIEW_WORDS = 7 };

typedef struct bucket_view {
  _Atomic(uint64_t) words[VIEW_WORDS]; /* tag << 42 | address >> 6; 0: empty */
  _Atomic(uint32_t) passed;            /* words that went past it */
  uint32_t filled;                     /* a bit a word */
} bucket_view;

struct vsi_table_memory {
  uint32_t count;
  bucket_view *at;
  vsi_table_memory *next;
};

typedef struct buckets_view {
  size_t words_count;        /* in both tables */
  size_t passed_count;       /* sum over all buckets */
  size_t probe_most;         /* buckets that the longest look-up for a word reads */
  uint32_t count, old_count; /* buckets; old_count 0: no change of size is under way */
} buckets_view;

/* Look it over, under the lock. cmocka assertions: each bucket counts exactly the words that went past it. */
buckets_view buckets_look(const vsi_buckets *buckets);

#endif
