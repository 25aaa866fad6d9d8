/* SPDX-License-Identifier: MIT */
/* The table is no base/map: what a name means lies in its slot, so that to look one up, as each effect of a dispatch
 * does, goes to the slot and the text and to nothing between. */
#include "registry/names.h"

#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/options.h"

enum { FIRST_SLOTS = 32 };

void vsi_names_init(vestry_registry *names, const vestry_host *host) {
  *names = (vestry_registry){.host = host};
}

static void finish_interceptors(const vestry_host *host, vsi_interceptors *phase) {
  for (size_t i = 0; i < phase->count; i++) vsi_free(host, (void *)phase->items[i].name);
  vsi_free(host, phase->items);
}

void vsi_names_finish(vestry_registry *names) {
  for (size_t i = 0; i < names->slots_count; i++) vsi_free(names->host, names->slots[i].text);
  for (size_t i = 0; i < VSI_PHASES; i++) finish_interceptors(names->host, &names->phases[i]);
  vsi_free(names->host, names->slots);
  vsi_names_init(names, names->host);
}

/* -------------------------------------------------------------------------------------------------- the table ----- */

/* Names in the table are the application's own, so no client chooses them to collide; what a stranger looks up costs a
 * walk over its run of slots at worst. */
static uint64_t hash_of(const char *name, size_t len) {
  return vsi_hash_bytes(0, name, len);
}

/* The slot that has the name, or the free one where it belongs. There is always a free one. */
static vsi_name *slot_of(vsi_name *slots, size_t slots_count, uint64_t hash, const char *name, size_t len) {
  for (size_t at = (size_t)hash;; at++) {
    vsi_name *slot = &slots[at & (slots_count - 1)];
    if (!slot->text) return slot;
    if (slot->hash == hash && slot->len == len && memcmp(slot->text, name, len) == 0) return slot;
  }
}

static vestry_err make_room(vestry_registry *names) {
  if (names->used_count + 1 <= names->slots_count / 4 * 3) return VESTRY_OK;
  size_t slots_count = names->slots_count ? names->slots_count * 2 : FIRST_SLOTS;
  vsi_name *slots = vsi_calloc(names->host, slots_count, sizeof *slots);
  if (!slots) return VESTRY_NO_MEMORY;
  for (size_t i = 0; i < names->slots_count; i++) {
    const vsi_name *from = &names->slots[i];
    if (from->text) *slot_of(slots, slots_count, from->hash, from->text, from->len) = *from;
  }
  vsi_free(names->host, names->slots);
  names->slots = slots;
  names->slots_count = slots_count;
  return VESTRY_OK;
}

vestry_err vsi_names_set(vestry_registry *names, const char *name, const vsi_meaning *meaning) {
  size_t len = name ? strnlen(name, VSI_NAME_MAX_BYTES + 1) : 0;
  if (!len || len > VSI_NAME_MAX_BYTES) return VESTRY_INVALID;
  if (make_room(names)) return VESTRY_NO_MEMORY;
  uint64_t hash = hash_of(name, len);
  vsi_name *slot = slot_of(names->slots, names->slots_count, hash, name, len);
  if (!slot->text) {
    char *text = vsi_strdup(names->host, name, len);
    if (!text) return VESTRY_NO_MEMORY;
    *slot = (vsi_name){.hash = hash, .text = text, .len = len};
    names->used_count++;
  }
  if (meaning->kind == VSI_KIND_EFFECT || meaning->kind == VSI_KIND_ACTION) {
    slot->is_performed = true;
    slot->performed = *meaning;
  } else {
    names->has_placeholders |= meaning->kind == VSI_KIND_PLACEHOLDER;
    slot->is_replaced = true;
    slot->replaced = *meaning;
  }
  return VESTRY_OK;
}

/* A longer name than any that can be set is not even hashed: a list may be headed by a megabyte of text. */
static const vsi_name *find(const vestry_registry *names, const char *name, size_t len) {
  if (!names->slots_count || !len || len > VSI_NAME_MAX_BYTES) return NULL;
  const vsi_name *slot = slot_of(names->slots, names->slots_count, hash_of(name, len), name, len);
  return slot->text ? slot : NULL;
}

const vsi_meaning *vsi_names_performed(const vestry_registry *names, const char *name, size_t len) {
  const vsi_name *found = find(names, name, len);
  return found && found->is_performed ? &found->performed : NULL;
}

const vsi_meaning *vsi_names_replaced(const vestry_registry *names, const char *name, size_t len) {
  const vsi_name *found = find(names, name, len);
  return found && found->is_replaced ? &found->replaced : NULL;
}

/* ----------------------------------------------------------------------------------------------- interceptors ----- */

vestry_err vsi_names_intercept(vestry_registry *names, const vestry_interceptor *interceptor) {
  vestry_interceptor own;
  if (VSI_OPTIONS_TAKE(own, interceptor) || !own.name || !*own.name || (unsigned)own.phase >= VSI_PHASES ||
      (!own.before && !own.after))
    return VESTRY_INVALID;
  vsi_interceptors *phase = &names->phases[own.phase];
  if (VSI_ARRAY_RESERVE(names->host, phase->items, phase->count, phase->room, 1)) return VESTRY_NO_MEMORY;
  char *name = vsi_strdup(names->host, own.name, strlen(own.name));
  if (!name) return VESTRY_NO_MEMORY;
  phase->items[phase->count] = own;
  phase->items[phase->count++].name = name;
  return VESTRY_OK;
}

/* ------------------------------------------------------------------------------------------------ composition ----- */

static vestry_err copy_all(vestry_registry *to, const vestry_registry *from) {
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; !error && i < from->slots_count; i++) {
    const vsi_name *name = &from->slots[i];
    if (name->is_performed) error = vsi_names_set(to, name->text, &name->performed);
    if (!error && name->is_replaced) error = vsi_names_set(to, name->text, &name->replaced);
  }
  for (size_t i = 0; i < VSI_PHASES; i++)
    for (size_t at = 0; !error && at < from->phases[i].count; at++)
      error = vsi_names_intercept(to, &from->phases[i].items[at]);
  return error;
}

/* Into a copy, which then takes the place of what was there: half a registry is worse than none. */
vestry_err vsi_names_add(vestry_registry *names, const vestry_registry *more) {
  vestry_registry sum;
  vsi_names_init(&sum, names->host);
  vestry_err error = copy_all(&sum, names);
  if (!error) error = copy_all(&sum, more);
  if (error) {
    vsi_names_finish(&sum);
    return error;
  }
  vsi_names_finish(names);
  *names = sum;
  return VESTRY_OK;
}
