/* SPDX-License-Identifier: MIT */
/* A registry maps names to functions of the application: effects, actions and placeholders. It also has the
 * interceptors, which are called before and after each effect (vestry/registry.h explains all four). */
#include "registry/names.h"

#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"

void vsi_names_init(vestry_registry *names, const vestry_host *host) {
  *names = (vestry_registry){.host = host};
}

void vsi_names_finish(vestry_registry *names) {
  for (vsi_interceptors *phase = names->phases; phase < names->phases + VSI_PHASES; phase++) {
    while (phase->count) vsi_free(names->host, (void *)phase->items[--phase->count].name);
    vsi_free(names->host, phase->items);
  }
  vsi_map_free_all(&names->map, names->host, 0);
  vsi_names_init(names, names->host);
}

/* ---------------------------------------------------------------------------------------------------- the map ----- */

/* Create an entry for a name; NULL: no memory. */
static vsi_name *make(vestry_registry *names, const char *name, size_t len) {
  vsi_map_room room = {NULL, 0}; /* without memory for more buckets, the entry is not made either */
  if (vsi_map_room_make(&room, names->host, vsi_map_wanted(&names->map, names->map.count + 1))) return NULL;
  vsi_map_room_take(&names->map, &room);
  vsi_map_room_free(&room, names->host);
  vsi_name *made = vsi_calloc(names->host, 1, sizeof *made + len + 1);
  if (!made) return NULL;
  made->len = len;
  memcpy(made->text, name, len);
  vsi_map_add(&names->map, &made->in, vsi_hash_bytes(0, name, len));
  return made;
}

vestry_err vsi_names_set(vestry_registry *names, const char *name, const vsi_meaning *meaning) {
  size_t len = name ? strnlen(name, VSI_NAME_MAX_BYTES + 1) : 0;
  if (!len || len > VSI_NAME_MAX_BYTES) return VESTRY_INVALID;
  vsi_name *at = vsi_names_find(names, name, len);
  if (!at) at = make(names, name, len);
  if (!at) return VESTRY_NO_MEMORY;
  names->has_overridden |= names->find_built_in && names->find_built_in(name, len);
  if (meaning->kind == VSI_KIND_EFFECT || meaning->kind == VSI_KIND_ACTION) {
    names->has_overridden |= at->is_performed || at->is_replaced;
    at->is_performed = true;
    at->performed = *meaning;
  } else {
    names->has_placeholders |= meaning->kind == VSI_KIND_PLACEHOLDER;
    names->has_overridden |= at->is_performed;
    at->is_replaced = true;
    at->replaced = *meaning;
  }
  return VESTRY_OK;
}

/* ----------------------------------------------------------------------------------------------- interceptors ----- */

vestry_err vsi_names_intercept(vestry_registry *names, const vestry_interceptor *interceptor) {
  vestry_interceptor own;
  if (VSI_OPTIONS_TAKE(vestry_interceptor, own, interceptor) || !own.name || !*own.name ||
      (unsigned)own.phase >= VSI_PHASES || (!own.before && !own.after))
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
  for (vsi_map_link *at = vsi_map_after(&from->map, NULL); !error && at; at = vsi_map_after(&from->map, at)) {
    const vsi_name *name = (const vsi_name *)at;
    if (name->is_performed) error = vsi_names_set(to, name->text, &name->performed);
    if (!error && name->is_replaced) error = vsi_names_set(to, name->text, &name->replaced);
  }
  for (size_t i = 0; i < VSI_PHASES; i++)
    for (size_t at = 0; !error && at < from->phases[i].count; at++)
      error = vsi_names_intercept(to, &from->phases[i].items[at]);
  return error;
}

/* Add to a copy, which then replaces the registry, because a half-filled registry would be worse than none. */
vestry_err vsi_names_add(vestry_registry *names, const vestry_registry *more) {
  vestry_registry sum;
  vsi_names_init(&sum, names->host);
  sum.find_built_in = names->find_built_in;
  vestry_err error = copy_all(&sum, names);
  if (!error) error = copy_all(&sum, more);
  if (error) {
    vsi_names_finish(&sum);
    return error;
  }
  sum.has_overridden |= names->has_overridden;
  vsi_names_finish(names);
  *names = sum;
  return VESTRY_OK;
}

/* ---------------------------------------------------------------------------------------- public functions ---- */

vestry_err vestry_registry_create(const vestry_host *host, vestry_registry **ret_registry) {
  host = vsi_host(host);
  if (!ret_registry) return vsi_mistake(host, "vestry_registry_create", "ret_registry is NULL");
  vestry_registry *registry = vsi_alloc(host, sizeof *registry);
  if (!registry) return VESTRY_NO_MEMORY;
  vsi_names_init(registry, host);
  *ret_registry = registry;
  return VESTRY_OK;
}

void vestry_registry_destroy(vestry_registry *registry) {
  if (!registry) return;
  const vestry_host *host = registry->host;
  vsi_names_finish(registry);
  vsi_free(host, registry);
}

static vestry_err set(vestry_registry *registry, const char *function, bool has_fn, const char *name,
                      const vsi_meaning *meaning) {
  vestry_err error = has_fn ? vsi_names_set(registry, name, meaning) : VESTRY_INVALID;
  if (error != VESTRY_INVALID) return error;
  return vsi_mistake(registry->host, function, "the function is NULL, or the name is empty or too long");
}

vestry_err vestry_registry_effect(vestry_registry *registry, const char *name, vestry_effect_fn effect, void *ctx) {
  if (!registry) return VESTRY_INVALID;
  return set(registry, "vestry_registry_effect", effect, name,
             &(vsi_meaning){.kind = VSI_KIND_EFFECT, .fn.effect = effect, .ctx = ctx});
}

vestry_err vestry_registry_action(vestry_registry *registry, const char *name, vestry_action_fn action, void *ctx) {
  if (!registry) return VESTRY_INVALID;
  return set(registry, "vestry_registry_action", action, name,
             &(vsi_meaning){.kind = VSI_KIND_ACTION, .fn.action = action, .ctx = ctx});
}

vestry_err vestry_registry_placeholder(vestry_registry *registry, const char *name, vestry_placeholder_fn placeholder,
                                       void *ctx) {
  if (!registry) return VESTRY_INVALID;
  return set(registry, "vestry_registry_placeholder", placeholder, name,
             &(vsi_meaning){.kind = VSI_KIND_PLACEHOLDER, .fn.placeholder = placeholder, .ctx = ctx});
}

vestry_err vestry_registry_intercept(vestry_registry *registry, const vestry_interceptor *interceptor) {
  if (!registry) return VESTRY_INVALID;
  vestry_err error = interceptor ? vsi_names_intercept(registry, interceptor) : VESTRY_INVALID;
  if (error != VESTRY_INVALID) return error;
  return vsi_mistake(registry->host, "vestry_registry_intercept",
                     "the interceptor lacks a name, or before and after, its phase is unknown, or it is of a later "
                     "version");
}

vestry_err vestry_registry_add(vestry_registry *registry, const vestry_registry *more) {
  if (!registry) return VESTRY_INVALID;
  return more ? vsi_names_add(registry, more)
              : vsi_mistake(registry->host, "vestry_registry_add", "the registry to add is NULL");
}
