/* SPDX-License-Identifier: MIT */
/* Functions that depend on the processor and its caches. */
#ifndef VSI_BASE_PROCESSOR_H
#define VSI_BASE_PROCESSOR_H

#include <stdint.h>

enum { VSI_CACHE_LINE = 64 };

/* Return the first address at or after `memory` at which a cache line begins. */
static inline void *vsi_cache_line_up(void *memory) {
  return (void *)(((uintptr_t)memory + VSI_CACHE_LINE - 1) & ~(uintptr_t)(VSI_CACHE_LINE - 1));
}

/* Attribute of a rarely used function, which is kept out of the usual path. */
#define VSI_SELDOM __attribute__((noinline, cold))
/* Marks functions that run one after the other and find their code outside of the nearest cache: the linker places them
 * side by side, so that they take fewer cache lines. */
#define VSI_SIDE_BY_SIDE __attribute__((hot))

/* Begin to fetch a cache line that will be written, because another processor may have it. Any address is allowed. (On
 * x86-64 the compiler's builtin fetches a shared copy, after which the write must fetch the line again. PREFETCHW
 * fetches the line for writing, and does nothing on processors without it: AMD's manual, volume 3.) */
static inline void vsi_prefetch_to_write(const volatile void *address) {
#if defined(__x86_64__)
  __asm__ volatile("prefetchw %0" : : "m"(*(const volatile char *)address));
#else
  __builtin_prefetch((const void *)(uintptr_t)address, 1);
#endif
}

/* The same for lines of an object, from `first` to `last` (0: that of its address). The object may be smaller, or
 * NULL. */
static inline void vsi_prefetch_lines_to_write(const volatile void *object, unsigned first, unsigned last) {
  for (unsigned i = first; object && i <= last; i++)
    vsi_prefetch_to_write((const void *)((uintptr_t)object + i * VSI_CACHE_LINE));
}

#endif
