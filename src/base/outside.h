/* What libraries of their own take from the host: memory, time and the log. They stand beside the core and do not see
 * its functions, which are hidden: so all of it is here. */
#ifndef VSI_BASE_OUTSIDE_H
#define VSI_BASE_OUTSIDE_H

#include <stdint.h>
#include <string.h>

#include "vestry/host.h"

/* NULL: out of memory. */
static inline void *vsi_outside_alloc(const vestry_host *host, size_t size) {
  return host->reallocate(host->ctx, NULL, size);
}

/* Zeroed; NULL: out of memory, or count * size overflows. */
static inline void *vsi_outside_calloc(const vestry_host *host, size_t count, size_t size) {
  if (size && count > SIZE_MAX / size) return NULL;
  size_t bytes = count && size ? count * size : 1;
  void *memory = vsi_outside_alloc(host, bytes);
  return memory ? memset(memory, 0, bytes) : NULL;
}

/* NULL is accepted. */
static inline void vsi_outside_free(const vestry_host *host, void *memory) {
  if (memory) host->reallocate(host->ctx, memory, 0);
}

static inline uint64_t vsi_outside_now_ns(const vestry_host *host) {
  return host->now_ns(host->ctx);
}

/* Milliseconds → nanoseconds, saturating: VESTRY_NEVER_MS becomes UINT64_MAX. */
static inline uint64_t vsi_outside_ms_to_ns(uint64_t ms) {
  return ms > UINT64_MAX / 1000000 ? UINT64_MAX : ms * 1000000;
}

static inline void vsi_outside_log(const vestry_host *host, vestry_log_level level, const char *line) {
  if (host->log) host->log(host->ctx, level, line);
}

#endif
