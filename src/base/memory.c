#include "base/memory.h"

#include <string.h>

void *vsi_alloc(const vestry_host *host, size_t size) {
  return host->reallocate(host->ctx, NULL, size ? size : 1);
}

void *vsi_calloc(const vestry_host *host, size_t count, size_t size) {
  if (size && count > SIZE_MAX / size) return NULL;
  void *memory = vsi_alloc(host, count * size);
  if (memory) memset(memory, 0, count * size);
  return memory;
}

void *vsi_realloc(const vestry_host *host, void *memory, size_t size) {
  return host->reallocate(host->ctx, memory, size ? size : 1);
}

void vsi_free(const vestry_host *host, void *memory) {
  if (memory) host->reallocate(host->ctx, memory, 0);
}

char *vsi_strdup(const vestry_host *host, const char *text, size_t len) {
  if (len == SIZE_MAX) return NULL;
  char *copy = vsi_alloc(host, len + 1);
  if (!copy) return NULL;
  if (len) memcpy(copy, text, len);
  copy[len] = '\0';
  return copy;
}
