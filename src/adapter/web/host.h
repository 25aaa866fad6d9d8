/* What the adapter takes from the host: memory, time and the log. */
#ifndef VSI_WEB_HOST_H
#define VSI_WEB_HOST_H

#include <string.h>

#include "vestry/host.h"

/* Zeroed; NULL: out of memory, or count * size overflows. */
static inline void *vsi_web_alloc(const vestry_host *host, size_t count, size_t size) {
  if (size && count > SIZE_MAX / size) return NULL;
  void *memory = host->reallocate(host->ctx, NULL, count * size);
  if (memory) memset(memory, 0, count * size);
  return memory;
}

/* NULL is accepted. */
static inline void vsi_web_free(const vestry_host *host, void *memory) {
  if (memory) host->reallocate(host->ctx, memory, 0);
}

static inline uint64_t vsi_web_now_ns(const vestry_host *host) {
  return host->now_ns(host->ctx);
}

/* Milliseconds → nanoseconds, saturating: VESTRY_NEVER_MS becomes UINT64_MAX. */
static inline uint64_t vsi_web_ms_to_ns(uint64_t ms) {
  return ms > UINT64_MAX / 1000000 ? UINT64_MAX : ms * 1000000;
}

static inline void vsi_web_log(const vestry_host *host, vestry_log_level level, const char *line) {
  if (host->log) host->log(host->ctx, level, line);
}

#endif
