/* SPDX-License-Identifier: MIT */
/* The routes of an instance, while requests look them up and others change them. */
#ifndef VSI_HTTP_ROUTES_H
#define VSI_HTTP_ROUTES_H

#include "http/routes/trie.h"

typedef struct vsi_routes vsi_routes;
typedef struct vsi_guard vsi_guard;

vestry_err vsi_routes_create(const vestry_host *host, vsi_routes **ret_routes);
/* No request may be under way. NULL is accepted. */
void vsi_routes_destroy(vsi_routes *routes);

/* A request inside a route: it and its guards stay until the request has left. */
typedef struct vsi_visit {
  struct vsi_visit *outer; /* of this thread: a handler may make requests, in memory */
  vsi_route *route;        /* NULL: none */
  vsi_captures captures;   /* pieces of the path */
  vsi_guard *guards[VESTRY_GUARDS_MAX];
  size_t guards_count;
} vsi_visit;

enum { VSI_ALLOW_BYTES = 256 };

/* Whether there is a route. If so it is to be left again, by the same thread; the last one entered first. If not, allow
 * is the value of an Allow header: all methods of the path, HEAD with GET, and OPTIONS; "" if it has none. */
bool vsi_routes_enter(vsi_routes *routes, const char *method, const char *path, vsi_visit *ret_visit,
                      char allow[VSI_ALLOW_BYTES]);
void vsi_routes_leave(vsi_routes *routes, vsi_visit *visit);
/* Have the guards look, the outermost first: the first error. Those of a receiver's route are found now, and left when
 * they have looked: a body may take hours, and a guard that is taken away is waited for. */
vestry_err vsi_visit_guard(vsi_routes *routes, vsi_visit *visit, const vestry_request *req, vestry_reply *reply);
/* A visit that outlasts the call in which it began is none of the thread's between calls. */
void vsi_visit_pause(vsi_visit *visit);
void vsi_visit_go_on(vsi_visit *visit);

/* vestry_route for bodies that come in pieces. receiver: borrowed, static. */
VESTRY_API vestry_err vsi_route_receiver(vestry *v, const char *method, const char *pattern,
                                         const vsi_receiver *receiver, void *app);

/* The page for an error; NULL: none. */
VESTRY_API vestry_handler_fn vsi_routes_page(vsi_routes *routes, int status, void **ret_app);

#endif
