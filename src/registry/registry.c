/* SPDX-License-Identifier: MIT */
/* The public functions of a registry. A registry maps names to functions of the application: effects, actions and
 * placeholders. It also has the interceptors, which are called before and after each effect (vestry/registry.h explains
 * all four). These functions check their arguments; names.c does the work. */
#include "base/memory.h"
#include "instance/instance.h"
#include "registry/names.h"

vestry_err vestry_registry_create(const vestry_host *host, vestry_registry **ret_registry) {
  if (!ret_registry) return VESTRY_INVALID;
  host = vsi_host(host);
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

/* ------------------------------------------------------------------------------------------------- registering ---- */

vestry_err vestry_registry_effect(vestry_registry *registry, const char *name, vestry_effect_fn effect, void *ctx) {
  if (!registry || !effect) return VESTRY_INVALID;
  return vsi_names_set(registry, name, &(vsi_meaning){.kind = VSI_KIND_EFFECT, .fn.effect = effect, .ctx = ctx});
}

vestry_err vestry_registry_action(vestry_registry *registry, const char *name, vestry_action_fn action, void *ctx) {
  if (!registry || !action) return VESTRY_INVALID;
  return vsi_names_set(registry, name, &(vsi_meaning){.kind = VSI_KIND_ACTION, .fn.action = action, .ctx = ctx});
}

vestry_err vestry_registry_placeholder(vestry_registry *registry, const char *name, vestry_placeholder_fn placeholder,
                                       void *ctx) {
  if (!registry || !placeholder) return VESTRY_INVALID;
  return vsi_names_set(registry, name,
                       &(vsi_meaning){.kind = VSI_KIND_PLACEHOLDER, .fn.placeholder = placeholder, .ctx = ctx});
}

vestry_err vestry_registry_intercept(vestry_registry *registry, const vestry_interceptor *interceptor) {
  return registry && interceptor ? vsi_names_intercept(registry, interceptor) : VESTRY_INVALID;
}

vestry_err vestry_registry_add(vestry_registry *registry, const vestry_registry *more) {
  return registry && more ? vsi_names_add(registry, more) : VESTRY_INVALID;
}
