/* Routes: which handler serves a method on a path. */
#ifndef VSI_CIVETWEB_ROUTES_H
#define VSI_CIVETWEB_ROUTES_H

#include <stdatomic.h>

#include "vestry/civetweb.h"

/* One method on one path. Constant once it is in its route. */
typedef struct vsi_civetweb_method {
  struct vsi_civetweb_method *next;
  vestry_handler_fn handler;
  void *app;
  char name[]; /* "GET"… */
} vsi_civetweb_method;

/* One path. Lives until the adapter is destroyed: the server keeps a pointer to it. */
typedef struct vsi_civetweb_route {
  struct vsi_civetweb_route *next;
  vestry_civetweb *adapter;
  _Atomic(vsi_civetweb_method *) methods; /* newest first; grows while requests read it */
  char path[];
} vsi_civetweb_route;

typedef struct vsi_civetweb_routes {
  vsi_civetweb_route *first; /* of the thread that mounts; serving threads come with their route */
} vsi_civetweb_routes;

/* Put a handler in. *ret_new: the path had no route before, so the server does not know it yet.
 * OK | EXISTS | INVALID (no token, no path, a path that civetweb takes for a pattern) | NO_MEMORY; one thread at a time
 */
vestry_err vsi_civetweb_routes_add(vsi_civetweb_routes *routes, vestry_civetweb *adapter, const vestry_host *host,
                                   const char *method, const char *path, vestry_handler_fn handler, void *app,
                                   vsi_civetweb_route **ret_route, bool *ret_new);

/* The handler for a method, GET's for HEAD; NULL: none. Any thread. */
const vsi_civetweb_method *vsi_civetweb_route_find(const vsi_civetweb_route *route, const char *method);

/* The value of an Allow header: every method there is, "GET, HEAD, POST". Cut at capacity, terminated. Any thread. */
void vsi_civetweb_route_allow(const vsi_civetweb_route *route, char *buffer, size_t capacity);

/* No request may be under way. */
void vsi_civetweb_routes_finish(vsi_civetweb_routes *routes, const vestry_host *host);

#endif
