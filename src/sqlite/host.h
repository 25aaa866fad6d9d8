/* What the library takes from the pages' host: memory and the log. */
#ifndef VSI_SQLITE_HOST_H
#define VSI_SQLITE_HOST_H

#include <stdint.h>
#include <string.h>

#include "vestry/host.h"

/* Zeroed; NULL: out of memory, or count * size overflows. */
static inline void *vsi_sqlite_alloc(const vestry_host *host, size_t count, size_t size) {
  if (size && count > SIZE_MAX / size) return NULL;
  size_t bytes = count * size;
  if (!bytes) bytes = 1;
  void *memory = host->reallocate(host->ctx, NULL, bytes);
  if (memory) memset(memory, 0, bytes);
  return memory;
}

static inline void vsi_sqlite_free(const vestry_host *host, void *memory) {
  if (memory) host->reallocate(host->ctx, memory, 0);
}

/* One line, cut to what a log takes; control characters become question marks. */
void vsi_sqlite_log(const vestry_host *host, vestry_log_level level, const char *format, ...) VESTRY_PRINTF(3, 4);

#endif
