/* Routes: which handler serves a method on a path. */
#ifndef VSI_WEB_ROUTES_H
#define VSI_WEB_ROUTES_H

#include <stdatomic.h>

#include "vestry/request.h"

/* One method on one path. Constant once it is in its route. */
typedef struct vsi_web_method {
  struct vsi_web_method *next;
  vestry_handler_fn handler;
  void *app;
  char name[]; /* "GET"… */
} vsi_web_method;

/* One path. Lives until the adapter is destroyed: the server keeps a pointer to it. */
typedef struct vsi_web_route {
  struct vsi_web_route *next;
  void *owner;                       /* the adapter */
  _Atomic(vsi_web_method *) methods; /* newest first; grows while requests read it */
  char path[];
} vsi_web_route;

typedef struct vsi_web_routes {
  _Atomic(vsi_web_route *) first; /* newest first; grows while requests read it */
} vsi_web_routes;

/* Put a handler in. *ret_new: the path had no route before, so the server does not know it yet.
 * OK | EXISTS | INVALID (no token for a method, a path that no request can have) | NO_MEMORY; one thread at a time */
vestry_err vsi_web_routes_add(vsi_web_routes *routes, void *owner, const vestry_host *host, const char *method,
                              const char *path, vestry_handler_fn handler, void *app, vsi_web_route **ret_route,
                              bool *ret_new);

/* The route of a path; NULL: none. Any thread. */
const vsi_web_route *vsi_web_routes_find(const vsi_web_routes *routes, const char *path);

/* The handler for a method, GET's for HEAD; NULL: none. Any thread. */
const vsi_web_method *vsi_web_route_find(const vsi_web_route *route, const char *method);

/* The value of an Allow header: every method there is, "GET, HEAD, POST". Cut at capacity, terminated. Any thread. */
void vsi_web_route_allow(const vsi_web_route *route, char *buffer, size_t capacity);

/* No request may be under way. */
void vsi_web_routes_finish(vsi_web_routes *routes, const vestry_host *host);

#endif
