/* SPDX-License-Identifier: MIT */
/* What the processor and its caches want to know. */
#ifndef VSI_BASE_PROCESSOR_H
#define VSI_BASE_PROCESSOR_H

#include <stdint.h>

enum { VSI_CACHE_LINE = 64 };

/* The first line that begins at or after an address. */
static inline void *vsi_cache_line_up(void *memory) {
  return (void *)(((uintptr_t)memory + VSI_CACHE_LINE - 1) & ~(uintptr_t)(VSI_CACHE_LINE - 1));
}

/* A function out of the way of what is usual. */
#define VSI_SELDOM __attribute__((noinline, cold))

/* Begin to fetch a line that is going to be written: it may be another processor's. Any address will do.
 * (On x86-64 the compiler's builtin asks for a copy to read, after which the write has to ask again; PREFETCHW asks for
 * the line itself, and does nothing on processors that do not know it: AMD's manual, volume 3.) */
static inline void vsi_prefetch_to_write(const volatile void *address) {
#if defined(__x86_64__)
  __asm__ volatile("prefetchw %0" : : "m"(*(const volatile char *)address));
#else
  __builtin_prefetch((const void *)(uintptr_t)address, 1);
#endif
}

#endif
