#include "registry/names.h"

#include <string.h>

#include "base/memory.h"

enum { FIRST_SLOTS = 32, FIRST_INTERCEPTORS = 4 };

void vsi_names_init(vsi_names *names, const vestry_host *host) {
  *names = (vsi_names){.host = host};
}

void vsi_names_finish(vsi_names *names) {
  for (size_t i = 0; i < names->slots_count; i++) vsi_free(names->host, names->slots[i].name);
  for (size_t i = 0; i < names->interceptors_count; i++) vsi_free(names->host, (void *)names->interceptors[i].name);
  vsi_free(names->host, names->slots);
  vsi_free(names->host, names->interceptors);
  vsi_names_init(names, names->host);
}

/* FNV-1a. The names are the application's own, so nobody can choose them to collide. */
static size_t hash_of(const char *name) {
  uint64_t hash = UINT64_C(14695981039346656037);
  for (; *name; name++) hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
  return (size_t)(hash ^ (hash >> 32));
}

/* The slot that has the name, or the free one where it belongs. There is always a free one. */
static vsi_entry *slot_of(vsi_entry *slots, size_t slots_count, vsi_kind kind, const char *name) {
  for (size_t at = hash_of(name);; at++) {
    vsi_entry *slot = &slots[at & (slots_count - 1)];
    if (!slot->name || (slot->kind == kind && strcmp(slot->name, name) == 0)) return slot;
  }
}

static vestry_err make_room(vsi_names *names) {
  if (names->used_count + 1 <= names->slots_count / 4 * 3) return VESTRY_OK;
  size_t slots_count = names->slots_count ? names->slots_count * 2 : FIRST_SLOTS;
  vsi_entry *slots = vsi_calloc(names->host, slots_count, sizeof *slots);
  if (!slots) return VESTRY_NO_MEMORY;
  for (size_t i = 0; i < names->slots_count; i++) {
    const vsi_entry *entry = &names->slots[i];
    if (entry->name) *slot_of(slots, slots_count, entry->kind, entry->name) = *entry;
  }
  vsi_free(names->host, names->slots);
  names->slots = slots;
  names->slots_count = slots_count;
  return VESTRY_OK;
}

vestry_err vsi_names_set(vsi_names *names, const char *name, const vsi_entry *meaning) {
  if (!name || !*name) return VESTRY_INVALID;
  if (make_room(names)) return VESTRY_NO_MEMORY;
  vsi_entry *slot = slot_of(names->slots, names->slots_count, meaning->kind, name);
  char *own = slot->name;
  if (!own) {
    own = vsi_strdup(names->host, name, strlen(name));
    if (!own) return VESTRY_NO_MEMORY;
    names->used_count++;
  }
  *slot = *meaning;
  slot->name = own;
  return VESTRY_OK;
}

const vsi_entry *vsi_names_find(const vsi_names *names, vsi_kind kind, const char *name) {
  if (!names->slots_count) return NULL;
  const vsi_entry *slot = slot_of(names->slots, names->slots_count, kind, name);
  return slot->name ? slot : NULL;
}

vestry_err vsi_names_intercept(vsi_names *names, const vestry_interceptor *interceptor) {
  if (!interceptor->name || !*interceptor->name || (unsigned)interceptor->phase > VESTRY_PHASE_CLOSE ||
      (!interceptor->before && !interceptor->after))
    return VESTRY_INVALID;
  if (names->interceptors_count == names->interceptors_capacity) {
    size_t capacity = names->interceptors_capacity ? names->interceptors_capacity * 2 : FIRST_INTERCEPTORS;
    vestry_interceptor *grown = vsi_realloc(names->host, names->interceptors, capacity * sizeof *grown);
    if (!grown) return VESTRY_NO_MEMORY;
    names->interceptors = grown;
    names->interceptors_capacity = capacity;
  }
  char *name = vsi_strdup(names->host, interceptor->name, strlen(interceptor->name));
  if (!name) return VESTRY_NO_MEMORY;
  names->interceptors[names->interceptors_count] = *interceptor;
  names->interceptors[names->interceptors_count++].name = name;
  return VESTRY_OK;
}
