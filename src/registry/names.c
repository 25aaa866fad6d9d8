/* SPDX-License-Identifier: MIT */
/* A registry maps names to functions of the application: effects, actions and placeholders. It also has the
 * interceptors, which are called before and after each effect (vestry/registry.h explains all four). */
#include "registry/names.h"

#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"

vestry_err vsi_registry_create(const vestry_host *host, vestry_registry **ret_registry) {
  vestry_registry *registry = vsi_alloc(host, sizeof *registry);
  if (!registry) return VESTRY_NO_MEMORY;
  *registry = (vestry_registry){.host = host};
  *ret_registry = registry;
  return VESTRY_OK;
}

void vsi_registry_destroy(vestry_registry *registry) {
  if (!registry) return;
  for (vsi_interceptors *phase = registry->phases; phase < registry->phases + VSI_PHASES; phase++) {
    while (phase->count) vsi_free(registry->host, (void *)phase->items[--phase->count].name);
    vsi_free(registry->host, phase->items);
  }
  vsi_map_free_all(&registry->map, registry->host, 0);
  vsi_free(registry->host, registry);
}

/* ------------------------------------------------------------------------------------------------------ names ----- */

/* Create an entry for a name; NULL: no memory. */
static vsi_name *make_name(vestry_registry *registry, const char *name, size_t len) {
  vsi_map_room room = {NULL, 0}; /* without memory for more buckets, the entry is not made either */
  if (vsi_map_room_make(&room, registry->host, vsi_map_wanted(&registry->map, registry->map.count + 1))) return NULL;
  vsi_map_room_take(&registry->map, &room);
  vsi_map_room_free(&room, registry->host);
  vsi_name *made = vsi_calloc(registry->host, 1, sizeof *made + len + 1);
  if (!made) return NULL;
  made->len = len;
  memcpy(made->text, name, len);
  vsi_map_add(&registry->map, &made->in, vsi_hash_bytes(0, name, len));
  return made;
}

/* Set the meaning of a name. OK | NO_MEMORY (registry unchanged) */
static vestry_err set(vestry_registry *registry, const char *name, size_t len, const vsi_meaning *meaning) {
  vsi_name *at = vsi_names_find(registry, name, len);
  if (!at) at = make_name(registry, name, len);
  if (!at) return VESTRY_NO_MEMORY;
  const bool is_placeholder = meaning->kind == VSI_KIND_PLACEHOLDER;
  registry->has_overridden |= vsi_effect_find(name, len) != NULL;
  registry->has_placeholders |= is_placeholder;
  *(is_placeholder ? &at->replaced : &at->performed) = *meaning;
  return VESTRY_OK;
}

static vestry_err register_name(vestry_registry *registry, const char *function, bool has_fn, const char *name,
                                const vsi_meaning *meaning) {
  if (!registry) return VESTRY_INVALID;
  const size_t len = name ? strnlen(name, VSI_NAME_MAX_BYTES + 1) : 0;
  return has_fn && len && len <= VSI_NAME_MAX_BYTES
             ? set(registry, name, len, meaning)
             : vsi_mistake(registry->host, function, "the function is NULL, or the name is empty or too long");
}

vestry_err vestry_registry_effect(vestry_registry *registry, const char *name, vestry_effect_fn effect, void *ctx) {
  return register_name(registry, "vestry_registry_effect", effect, name,
                       &(vsi_meaning){.kind = VSI_KIND_EFFECT, .fn.effect = effect, .ctx = ctx});
}

vestry_err vestry_registry_action(vestry_registry *registry, const char *name, vestry_action_fn action, void *ctx) {
  return register_name(registry, "vestry_registry_action", action, name,
                       &(vsi_meaning){.kind = VSI_KIND_ACTION, .fn.action = action, .ctx = ctx});
}

vestry_err vestry_registry_placeholder(vestry_registry *registry, const char *name, vestry_placeholder_fn placeholder,
                                       void *ctx) {
  return register_name(registry, "vestry_registry_placeholder", placeholder, name,
                       &(vsi_meaning){.kind = VSI_KIND_PLACEHOLDER, .fn.placeholder = placeholder, .ctx = ctx});
}

/* ----------------------------------------------------------------------------------------------- interceptors ----- */

vestry_err vestry_registry_intercept(vestry_registry *registry, const vestry_interceptor *interceptor) {
  if (!registry) return VESTRY_INVALID;
  vestry_interceptor own = interceptor ? *interceptor : (vestry_interceptor){0};
  if (!own.name || !*own.name || (unsigned)own.phase >= VSI_PHASES || (!own.before && !own.after))
    return vsi_mistake(registry->host, "vestry_registry_intercept",
                       "the interceptor lacks a name, or before and after, or its phase is unknown");
  vsi_interceptors *phase = &registry->phases[own.phase];
  if (VSI_ARRAY_RESERVE(registry->host, phase->items, phase->count, phase->room, 1)) return VESTRY_NO_MEMORY;
  char *name = vsi_strdup(registry->host, own.name, strlen(own.name));
  if (!name) return VESTRY_NO_MEMORY;
  phase->items[phase->count] = own;
  phase->items[phase->count++].name = name;
  return VESTRY_OK;
}

bool vsi_builtin_is(const vestry_registry *names, const char *name) {
  const vsi_meaning *meaning = vsi_names_performed(names, name, strlen(name));
  return meaning && meaning->kind == VSI_KIND_EVENT;
}

bool vsi_builtin_is_alone(const vestry_registry *names) {
  return !names->has_placeholders && !names->phases[VESTRY_PHASE_DISPATCH].count &&
         !names->phases[VESTRY_PHASE_ACTION].count && !names->phases[VESTRY_PHASE_EFFECT].count;
}
