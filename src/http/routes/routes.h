/* SPDX-License-Identifier: MIT */
/* The routes of an instance. Requests can look them up while other threads change them. */
#ifndef VSI_HTTP_ROUTES_H
#define VSI_HTTP_ROUTES_H

#include "http/routes/trie.h"

typedef struct vsi_routes vsi_routes;

vestry_err vsi_routes_create(const vestry_host *host, vsi_routes **ret_routes);
/* No request may be running. NULL is accepted. */
void vsi_routes_destroy(vsi_routes *routes);

/* The route of a request. It exists until the table is destroyed. */
typedef struct vsi_visit {
  vsi_route *route;      /* NULL: none */
  vsi_captures captures; /* parts of the path */
} vsi_visit;

enum { VSI_ALLOW_BYTES = 256 };

/* Find a route. Returns false if there is none: allow is then the value of an Allow header, with all methods of the
 * path, HEAD if it has GET, and OPTIONS; "" if the path has none. */
VESTRY_API bool vsi_routes_find(vsi_routes *routes, const char *method, const char *path, vsi_visit *ret_visit,
                                char allow[VSI_ALLOW_BYTES]);
/* Run the guards of a request's path, the outermost first. Returns the first error. */
VESTRY_API vestry_err vsi_routes_guard(vsi_routes *routes, const vestry_request *req, vestry_reply *reply);
/* Remove the routes with this app, before the app is freed. No request of such a route may be running. */
VESTRY_API void vsi_routes_end(vestry *v, const void *app);

/* Same as vestry_route, for bodies that are received in pieces. receiver: static, borrowed. */
VESTRY_API vestry_err vsi_route_receiver(vestry *v, const char *method, const char *pattern,
                                         const vsi_receiver *receiver, void *app);

/* Same as vestry_route, for a GET of content that has no guards, because each page needs it, also that of a log-in. */
VESTRY_API vestry_err vsi_route_open(vestry *v, const char *pattern, vestry_handler_fn handler, void *app);

/* Same as vestry_body_limit, for bodies that are received in pieces: they may exceed max_request_bytes. */
VESTRY_API vestry_err vsi_body_limit(vestry *v, const char *prefix, size_t max_body_bytes);

/* Return the page for an error; NULL: none. */
VESTRY_API vestry_handler_fn vsi_routes_page(vsi_routes *routes, int status, void **ret_app);

#endif
