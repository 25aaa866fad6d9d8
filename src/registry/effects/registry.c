/* Registries as their builders see them, and the instance's own. */
#include "base/memory.h"
#include "registry/instance/instance.h"

struct vestry_registry {
  vsi_names names;
};

vestry_err vestry_registry_create(const vestry_host *host, vestry_registry **ret_registry) {
  if (!ret_registry) return VESTRY_INVALID;
  host = vsi_host(host);
  vestry_registry *registry = vsi_alloc(host, sizeof *registry);
  if (!registry) return VESTRY_NO_MEMORY;
  vsi_names_init(&registry->names, host);
  *ret_registry = registry;
  return VESTRY_OK;
}

void vestry_registry_destroy(vestry_registry *registry) {
  if (!registry) return;
  const vestry_host *host = registry->names.host;
  vsi_names_finish(&registry->names);
  vsi_free(host, registry);
}

/* ------------------------------------------------------------------------------------------------- registering ---- */

static vestry_err set_effect(vsi_names *names, const char *name, vestry_effect_fn effect, void *ctx) {
  if (!names || !effect) return VESTRY_INVALID;
  return vsi_names_set(names, name, &(vsi_entry){.kind = VSI_KIND_EFFECT, .fn.effect = effect, .ctx = ctx});
}

static vestry_err set_action(vsi_names *names, const char *name, vestry_action_fn action, void *ctx) {
  if (!names || !action) return VESTRY_INVALID;
  return vsi_names_set(names, name, &(vsi_entry){.kind = VSI_KIND_ACTION, .fn.action = action, .ctx = ctx});
}

static vestry_err set_placeholder(vsi_names *names, const char *name, vestry_placeholder_fn placeholder, void *ctx) {
  if (!names || !placeholder) return VESTRY_INVALID;
  return vsi_names_set(names, name,
                       &(vsi_entry){.kind = VSI_KIND_PLACEHOLDER, .fn.placeholder = placeholder, .ctx = ctx});
}

static vestry_err intercept(vsi_names *names, const vestry_interceptor *interceptor) {
  if (!names || !interceptor) return VESTRY_INVALID;
  return vsi_names_intercept(names, interceptor);
}

static vsi_names *names_of(vestry_registry *registry) {
  return registry ? &registry->names : NULL;
}

static vsi_names *own_names_of(vestry *v) {
  return v ? &v->names : NULL;
}

vestry_err vestry_registry_effect(vestry_registry *registry, const char *name, vestry_effect_fn effect, void *ctx) {
  return set_effect(names_of(registry), name, effect, ctx);
}

vestry_err vestry_registry_action(vestry_registry *registry, const char *name, vestry_action_fn action, void *ctx) {
  return set_action(names_of(registry), name, action, ctx);
}

vestry_err vestry_registry_placeholder(vestry_registry *registry, const char *name, vestry_placeholder_fn placeholder,
                                       void *ctx) {
  return set_placeholder(names_of(registry), name, placeholder, ctx);
}

vestry_err vestry_registry_intercept(vestry_registry *registry, const vestry_interceptor *interceptor) {
  return intercept(names_of(registry), interceptor);
}

vestry_err vestry_registry_add(vestry_registry *registry, const vestry_registry *more) {
  return registry && more ? vsi_names_add(&registry->names, &more->names) : VESTRY_INVALID;
}

vestry_err vestry_use(vestry *v, const vestry_registry *registry) {
  return v && registry ? vsi_names_add(&v->names, &registry->names) : VESTRY_INVALID;
}

vestry_err vestry_effect(vestry *v, const char *name, vestry_effect_fn effect, void *ctx) {
  return set_effect(own_names_of(v), name, effect, ctx);
}

vestry_err vestry_action(vestry *v, const char *name, vestry_action_fn action, void *ctx) {
  return set_action(own_names_of(v), name, action, ctx);
}

vestry_err vestry_placeholder(vestry *v, const char *name, vestry_placeholder_fn placeholder, void *ctx) {
  return set_placeholder(own_names_of(v), name, placeholder, ctx);
}

vestry_err vestry_intercept(vestry *v, const vestry_interceptor *interceptor) {
  return intercept(own_names_of(v), interceptor);
}
