/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include <jansson.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

static _Atomic(int64_t) held_bytes, held_blocks;

static void *reallocate(void *ctx, void *memory, size_t size) {
  (void)ctx;
  bool was_there = memory != NULL;
  int64_t before = memory ? (int64_t)malloc_usable_size(memory) : 0;
  void *after = NULL;
  if (size) {
    after = realloc(memory, size);
    if (!after) return NULL;
  } else {
    free(memory);
  }
  int64_t more = (after ? (int64_t)malloc_usable_size(after) : 0) - before;
  atomic_fetch_add_explicit(&held_bytes, more, memory_order_relaxed); /* only counters */
  if (was_there != (after != NULL)) atomic_fetch_add_explicit(&held_blocks, after ? 1 : -1, memory_order_relaxed);
  return after;
}

static vestry_host counting_host;

static void make_host(void) {
  counting_host = *vestry_host_default();
  counting_host.reallocate = reallocate;
}

const vestry_host *bench_counting_host(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, make_host);
  return &counting_host;
}

int64_t bench_counted_bytes(void) {
  return atomic_load_explicit(&held_bytes, memory_order_relaxed);
}

int64_t bench_counted_blocks(void) {
  return atomic_load_explicit(&held_blocks, memory_order_relaxed);
}

static uint64_t allocations;

static void *count_reallocate(void *ctx, void *memory, size_t size_bytes) {
  (void)ctx;
  if (size_bytes) {
    allocations++;
    return realloc(memory, size_bytes);
  }
  free(memory);
  return NULL;
}

static void *count_malloc(size_t size_bytes) {
  allocations++;
  return malloc(size_bytes);
}

vestry_host bench_allocating_host(void) {
  vestry_host host = *vestry_host_default();
  host.reallocate = count_reallocate;
  json_set_alloc_funcs(count_malloc, free);
  return host;
}

uint64_t bench_allocations(void) {
  return allocations;
}
