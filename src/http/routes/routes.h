/* SPDX-License-Identifier: MIT */
/* The routes of an instance. Requests can look them up while other threads change them. */
#ifndef VSI_HTTP_ROUTES_H
#define VSI_HTTP_ROUTES_H

#include <sys/queue.h>

#include "http/receiver.h"
#include "http/routes/pattern.h"

typedef struct vsi_routes vsi_routes;

typedef struct vsi_route {
  LIST_ENTRY(vsi_route) in; /* of vsi_routes: mounted, or removed */
  vestry_handler_fn handler;
  const vsi_receiver *receiver; /* receives bodies in pieces, instead of the handler. NULL: none */
  void *app;
  bool is_open;     /* it has no guards */
  size_t plain_len; /* of the pattern up to its first parameter */
  size_t names_count;
  const char *names[VESTRY_ROUTE_PARAMETERS_MAX]; /* of its parameters; in text */
  const char *method, *pattern;                   /* in text */
  char text[];
} vsi_route;

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

/* Observer of an instance's routes. The adapter for civetweb needs it inside a server that also has other handlers,
 * because it must claim exactly the paths of vestry's routes there. The functions are called one at a time for each
 * instance, under a lock of its routes: they must neither mount a route (vestry/routes.h), nor wait for a thread that
 * does. */
typedef struct vsi_route_follower {
  /* Called before a route is mounted; method and pattern as passed to vestry_route, borrowed. OK | any other error:
   *  the route is not mounted, and vestry_route returns the error. */
  vestry_err (*mounts)(void *ctx, const char *method, const char *pattern);
  /* Called when a route is removed by its owner (uploads, an observer), or when vestry refuses a route that `mounts`
   *  has accepted; requests may still be inside it. */
  void (*unmounted)(void *ctx, const char *method, const char *pattern);
} vsi_route_follower;

/* Follow the routes of an instance: those mounted now, and each later change.
 *  follower, ctx  borrowed until you stop following: call this again with follower NULL and the same ctx. When that
 *                 call returns, none of the follower's functions runs. An instance can have several followers; ctx
 *                 identifies each
 *  Returns  OK (for NULL also if ctx does not follow) | NO_MEMORY | the error of `mounts` for an existing route: vestry
 *           has called `unmounted` for the routes before it, and ctx does not follow
 *  Threads  any, but not from inside a follower; blocks while another thread mounts */
VESTRY_API vestry_err vsi_routes_follow(vestry *v, const vsi_route_follower *follower, void *ctx);

/* Get the maximum size of a body for a URL-decoded path.
 *  Threads any; takes a lock briefly. */
size_t vsi_max_body_bytes_at(vestry *v, const char *path);

#endif
