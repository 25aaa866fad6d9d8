/* SPDX-License-Identifier: MIT */
/* Allocation and time through the host, with checked arithmetic. Header only, because separate libraries do not see the
 * core's functions, which are hidden. */
#ifndef VSI_BASE_MEMORY_H
#define VSI_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "vestry/host.h"

/* Allocation functions return NULL when out of memory or if the size overflows; then `memory` is unchanged. */
static inline void *vsi_realloc(const vestry_host *host, void *memory, size_t size) {
  return host->reallocate(host->ctx, memory, size ? size : 1);
}
static inline void *vsi_alloc(const vestry_host *host, size_t size) {
  return vsi_realloc(host, NULL, size);
}
/* Allocate zeroed memory. */
static inline void *vsi_calloc(const vestry_host *host, size_t count, size_t size) {
  if (size && count > SIZE_MAX / size) return NULL;
  void *memory = vsi_alloc(host, count * size);
  return memory ? memset(memory, 0, count * size) : NULL;
}
/* Free memory. NULL is accepted. */
static inline void vsi_free(const vestry_host *host, void *memory) {
  if (memory) host->reallocate(host->ctx, memory, 0);
}

/* Free all members of a list that is linked by a member `next`. first: an lvalue, evaluated several times; NULL
 * afterwards */
#define VSI_LIST_FREE(host, first)                                                                                     \
  for (__typeof__(first) next_of_it; (first); (first) = next_of_it) {                                                  \
    next_of_it = (first)->next;                                                                                        \
    vsi_free(host, first);                                                                                             \
  }

/* Make a terminated copy. */
static inline char *vsi_strdup(const vestry_host *host, const char *text, size_t len) {
  char *copy = len < SIZE_MAX ? vsi_alloc(host, len + 1) : NULL;
  if (!copy) return NULL;
  if (len) memcpy(copy, text, len);
  copy[len] = '\0';
  return copy;
}

/* Return the host, or the default one for NULL. */
static inline const vestry_host *vsi_host(const vestry_host *host) {
  return host ? host : vestry_host_default();
}

static inline uint64_t vsi_now_ns(const vestry_host *host) {
  return host->now_ns(host->ctx);
}

#define VSI_NS_PER_MS UINT64_C(1000000)

/* milliseconds → nanoseconds, saturating: VESTRY_NEVER_MS becomes UINT64_MAX. */
static inline uint64_t vsi_ms_to_ns(uint64_t ms) {
  return ms > UINT64_MAX / VSI_NS_PER_MS ? UINT64_MAX : ms * VSI_NS_PER_MS;
}
static inline uint64_t vsi_add_saturating(uint64_t a, uint64_t b) {
  return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

#endif
