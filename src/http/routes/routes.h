/* SPDX-License-Identifier: MIT */
/* The routes of an instance. Requests can look them up while other threads change them. */
#ifndef VSI_HTTP_ROUTES_H
#define VSI_HTTP_ROUTES_H

#include "http/routes/trie.h"

typedef struct vsi_routes vsi_routes;
typedef struct vsi_guard vsi_guard;

vestry_err vsi_routes_create(const vestry_host *host, vsi_routes **ret_routes);
/* No request may be running. NULL is accepted. */
void vsi_routes_destroy(vsi_routes *routes);

/* A request inside a route. The route and its guards exist until the request has left. */
typedef struct vsi_visit {
  struct vsi_visit *outer; /* of this thread, because a handler may make requests through the memory transport */
  vsi_route *route;        /* NULL: none */
  vsi_captures captures;   /* parts of the path */
  vsi_guard *guards[VESTRY_GUARDS_MAX];
  size_t guards_count;
} vsi_visit;

enum { VSI_ALLOW_BYTES = 256 };

/* Find a route and enter it. true: the same thread must leave it, in reverse order of entering. false: allow is the
 * value of an Allow header, with all methods of the path, HEAD if it has GET, and OPTIONS; "" if the path has none. */
VESTRY_API bool vsi_routes_enter(vsi_routes *routes, const char *method, const char *path, vsi_visit *ret_visit,
                                 char allow[VSI_ALLOW_BYTES]);
VESTRY_API void vsi_routes_leave(vsi_routes *routes, vsi_visit *visit);
/* Return whether the route of a request has a receiver, without entering it. */
bool vsi_routes_receive(vsi_routes *routes, const char *method, const char *path);
/* Run the guards, the outermost first. Returns the first error. The guards of a receiver's route are looked up now and
 * left afterwards, because a body may take hours, and the removal of a guard waits for it. */
vestry_err vsi_visit_guard(vsi_routes *routes, vsi_visit *visit, const vestry_request *req, vestry_reply *reply);
/* Detach a visit that outlasts its first call from the thread between calls, and attach it again. */
void vsi_visit_pause(vsi_visit *visit);
void vsi_visit_go_on(vsi_visit *visit);

/* Same as vestry_route, for bodies that are received in pieces. receiver: static, borrowed. */
VESTRY_API vestry_err vsi_route_receiver(vestry *v, const char *method, const char *pattern,
                                         const vsi_receiver *receiver, void *app);

/* Same as vestry_body_limit, for bodies that are received in pieces: they may exceed max_request_bytes. */
VESTRY_API vestry_err vsi_body_limit(vestry *v, const char *prefix, size_t max_body_bytes);

/* Return the page for an error; NULL: none. */
VESTRY_API vestry_handler_fn vsi_routes_page(vsi_routes *routes, int status, void **ret_app);

#endif
