#include "adapter/web/routes.h"

#include <string.h>

#include "adapter/web/host.h"
#include "adapter/web/target.h"
#include "base/field.h"

static vsi_web_method *find(const vsi_web_route *route, const char *name) {
  /* acquire pairs with the release in vsi_web_routes_add */
  vsi_web_method *at = atomic_load_explicit(&route->methods, memory_order_acquire);
  while (at && strcmp(at->name, name) != 0) at = at->next;
  return at;
}

const vsi_web_method *vsi_web_route_find(const vsi_web_route *route, const char *method) {
  const vsi_web_method *found = find(route, method);
  return !found && strcmp(method, "HEAD") == 0 ? find(route, "GET") : found;
}

static vsi_web_route *find_route(const vsi_web_routes *routes, const char *path) {
  /* acquire pairs with the release in vsi_web_routes_add */
  vsi_web_route *route = atomic_load_explicit(&routes->first, memory_order_acquire);
  while (route && strcmp(route->path, path) != 0) route = route->next;
  return route;
}

const vsi_web_route *vsi_web_routes_find(const vsi_web_routes *routes, const char *path) {
  return find_route(routes, path);
}

static vestry_err find_or_make_route(vsi_web_routes *routes, void *owner, const vestry_host *host, const char *path,
                                     vsi_web_route **ret_route, bool *ret_new) {
  vsi_web_route *route = find_route(routes, path);
  *ret_new = !route;
  if (!route) {
    size_t len = strlen(path) + 1;
    if (len > SIZE_MAX - sizeof *route) return VESTRY_NO_MEMORY;
    route = vsi_web_alloc(host, 1, sizeof *route + len);
    if (!route) return VESTRY_NO_MEMORY;
    route->owner = owner;
    memcpy(route->path, path, len);
  }
  *ret_route = route;
  return VESTRY_OK;
}

vestry_err vsi_web_routes_add(vsi_web_routes *routes, void *owner, const vestry_host *host, const char *method,
                              const char *path, vestry_handler_fn handler, void *app, vsi_web_route **ret_route,
                              bool *ret_new) {
  if (!method || !path || !handler || !vsi_is_token(method) || !vsi_web_path_is_plain(path)) return VESTRY_INVALID;
  vsi_web_route *route = NULL;
  bool new = false;
  vestry_err error = find_or_make_route(routes, owner, host, path, &route, &new);
  if (error) return error;
  if (find(route, method)) return VESTRY_EXISTS;
  size_t len = strlen(method) + 1;
  vsi_web_method *made = vsi_web_alloc(host, 1, sizeof *made + len);
  if (!made) {
    if (new) vsi_web_free(host, route);
    return VESTRY_NO_MEMORY;
  }
  made->handler = handler;
  made->app = app;
  memcpy(made->name, method, len);
  made->next = atomic_load_explicit(&route->methods, memory_order_relaxed); /* one thread mounts at a time */
  /* release pairs with the acquires of serving threads: they see a method whole or not at all */
  atomic_store_explicit(&route->methods, made, memory_order_release);
  if (new) {
    route->next = atomic_load_explicit(&routes->first, memory_order_relaxed);
    atomic_store_explicit(&routes->first, route, memory_order_release); /* as above */
  }
  *ret_route = route;
  *ret_new = new;
  return VESTRY_OK;
}

/* Whole names only: what does not fit is left out. */
static size_t append(char *buffer, size_t capacity, size_t len, const char *name) {
  size_t more = strlen(name), comma = len ? 2 : 0;
  if (comma + more >= capacity - len) return len;
  memcpy(buffer + len, ", ", comma);
  memcpy(buffer + len + comma, name, more + 1);
  return len + comma + more;
}

void vsi_web_route_allow(const vsi_web_route *route, char *buffer, size_t capacity) {
  size_t len = 0;
  buffer[0] = '\0';
  const vsi_web_method *at = atomic_load_explicit(&route->methods, memory_order_acquire); /* as in find */
  for (; at; at = at->next) {
    len = append(buffer, capacity, len, at->name);
    if (strcmp(at->name, "GET") == 0 && !find(route, "HEAD")) len = append(buffer, capacity, len, "HEAD");
  }
}

void vsi_web_routes_finish(vsi_web_routes *routes, const vestry_host *host) {
  vsi_web_route *route = atomic_load_explicit(&routes->first, memory_order_relaxed); /* nobody else is left */
  for (vsi_web_route *next_route; route; route = next_route) {
    next_route = route->next;
    vsi_web_method *method = atomic_load_explicit(&route->methods, memory_order_relaxed);
    for (vsi_web_method *next; method; method = next) {
      next = method->next;
      vsi_web_free(host, method);
    }
    vsi_web_free(host, route);
  }
  atomic_store_explicit(&routes->first, NULL, memory_order_relaxed);
}
