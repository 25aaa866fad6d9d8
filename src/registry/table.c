#include "registry/table.h"

#include <string.h>

#include "base/memory.h"

enum { FIRST_SLOTS = 32, FIRST_INTERCEPTORS = 4 };

void vsi_table_init(vsi_table *table, const vestry_host *host) {
  *table = (vsi_table){.host = host};
}

void vsi_table_finish(vsi_table *table) {
  for (size_t i = 0; i < table->slots_count; i++) vsi_free(table->host, table->slots[i].name);
  for (size_t i = 0; i < table->interceptors_count; i++) vsi_free(table->host, (void *)table->interceptors[i].name);
  vsi_free(table->host, table->slots);
  vsi_free(table->host, table->interceptors);
  vsi_table_init(table, table->host);
}

/* FNV-1a. The names are the application's own, so nobody can choose them to collide. */
static size_t hash_of(vsi_kind kind, const char *name) {
  uint64_t hash = UINT64_C(14695981039346656037) ^ (uint64_t)kind;
  for (; *name; name++) hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
  return (size_t)(hash ^ (hash >> 32));
}

/* The slot that has the name, or the free one where it belongs. There is always a free one. */
static vsi_entry *slot_of(vsi_entry *slots, size_t slots_count, vsi_kind kind, const char *name) {
  for (size_t at = hash_of(kind, name);; at++) {
    vsi_entry *slot = &slots[at & (slots_count - 1)];
    if (!slot->name || (slot->kind == kind && strcmp(slot->name, name) == 0)) return slot;
  }
}

static vestry_err make_room(vsi_table *table) {
  if (table->used_count + 1 <= table->slots_count / 4 * 3) return VESTRY_OK;
  size_t slots_count = table->slots_count ? table->slots_count * 2 : FIRST_SLOTS;
  vsi_entry *slots = vsi_calloc(table->host, slots_count, sizeof *slots);
  if (!slots) return VESTRY_NO_MEMORY;
  for (size_t i = 0; i < table->slots_count; i++) {
    const vsi_entry *entry = &table->slots[i];
    if (entry->name) *slot_of(slots, slots_count, entry->kind, entry->name) = *entry;
  }
  vsi_free(table->host, table->slots);
  table->slots = slots;
  table->slots_count = slots_count;
  return VESTRY_OK;
}

vestry_err vsi_table_set(vsi_table *table, const vsi_entry *entry) {
  if (!entry->name || !*entry->name) return VESTRY_INVALID;
  if (make_room(table)) return VESTRY_NO_MEMORY;
  vsi_entry *slot = slot_of(table->slots, table->slots_count, entry->kind, entry->name);
  char *name = slot->name;
  if (!name) {
    name = vsi_strdup(table->host, entry->name, strlen(entry->name));
    if (!name) return VESTRY_NO_MEMORY;
    table->used_count++;
  }
  *slot = *entry;
  slot->name = name;
  return VESTRY_OK;
}

const vsi_entry *vsi_table_find(const vsi_table *table, vsi_kind kind, const char *name) {
  if (!table->slots_count) return NULL;
  const vsi_entry *slot = slot_of(table->slots, table->slots_count, kind, name);
  return slot->name ? slot : NULL;
}

vestry_err vsi_table_intercept(vsi_table *table, const vestry_interceptor *interceptor) {
  if (!interceptor->name || !*interceptor->name || (unsigned)interceptor->phase > VESTRY_PHASE_CLOSE ||
      (!interceptor->before && !interceptor->after))
    return VESTRY_INVALID;
  if (table->interceptors_count == table->interceptors_capacity) {
    size_t capacity = table->interceptors_capacity ? table->interceptors_capacity * 2 : FIRST_INTERCEPTORS;
    vestry_interceptor *grown = vsi_realloc(table->host, table->interceptors, capacity * sizeof *grown);
    if (!grown) return VESTRY_NO_MEMORY;
    table->interceptors = grown;
    table->interceptors_capacity = capacity;
  }
  char *name = vsi_strdup(table->host, interceptor->name, strlen(interceptor->name));
  if (!name) return VESTRY_NO_MEMORY;
  table->interceptors[table->interceptors_count] = *interceptor;
  table->interceptors[table->interceptors_count++].name = name;
  return VESTRY_OK;
}
