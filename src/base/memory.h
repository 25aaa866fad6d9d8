/* Allocation through the host, and the checked arithmetic that goes with it. */
#ifndef VSI_BASE_MEMORY_H
#define VSI_BASE_MEMORY_H

#include <stddef.h>

#include "vestry/host.h"

/* All return NULL when out of memory (or when count * size overflows); free takes NULL. */
void *vsi_alloc(const vestry_host *host, size_t size);
void *vsi_calloc(const vestry_host *host, size_t count, size_t size);
void *vsi_realloc(const vestry_host *host, void *memory, size_t size);
void vsi_free(const vestry_host *host, void *memory);
char *vsi_strdup(const vestry_host *host, const char *text, size_t len); /* terminated copy */

/* NULL means the default. */
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
