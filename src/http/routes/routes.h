/* SPDX-License-Identifier: MIT */
/* The routes of an instance. Requests can look them up while other threads change them. */
#ifndef VSI_HTTP_ROUTES_H
#define VSI_HTTP_ROUTES_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "http/receiver.h"
#include "vestry/routes.h"

/* Path patterns by segments. The caller serializes changes and lookups. */

typedef struct vsi_route {
  struct vsi_route *next; /* with another method, at the same pattern */
  _Atomic(uint32_t) running;
  vestry_handler_fn handler;
  const vsi_receiver *receiver; /* receives bodies in pieces, instead of the handler. NULL: none */
  void *app;
  size_t names_count;
  const char *names[VESTRY_ROUTE_PARAMETERS_MAX]; /* of its parameters; in text */
  const char *method, *pattern;                   /* in text */
  LIST_ENTRY(vsi_route) in;                       /* in a list of all routes; routes.c defines its owner and lock */
  char text[];
} vsi_route;

typedef struct vsi_trie_node {
  struct vsi_trie_node *parent;
  struct vsi_trie_node **literals; /* sorted by segment */
  size_t literals_count, literals_room;
  struct vsi_trie_node *parameter; /* for any one segment; NULL: none */
  struct vsi_trie_node *rest;      /* for the whole rest of the path; NULL: none */
  vsi_route *routes;
  size_t segment_len;
  char segment[]; /* of a literal */
} vsi_trie_node;

/* The values of a path's parameters: parts of the path. */
typedef struct vsi_captures {
  size_t count;
  vestry_slice values[VESTRY_ROUTE_PARAMETERS_MAX];
} vsi_captures;

/* Check a pattern. OK | INVALID (no pattern, or a rest that is not allowed) | LIMIT */
vestry_err vsi_pattern_check(const char *pattern, bool may_have_rest);
/* Return whether a path matches a pattern: completely if is_exact, otherwise with its beginning. */
bool vsi_pattern_fits(const char *pattern, const char *path, bool is_exact);

/* Create a route. method, pattern: checked. NULL: no memory. */
vsi_route *vsi_route_create(const vestry_host *host, const char *method, const char *pattern, vestry_handler_fn handler,
                            void *app);

/* Add a route. root: zeroed, without a segment. OK (takes the route) | EXISTS | NO_MEMORY */
vestry_err vsi_trie_add(vsi_trie_node *root, const vestry_host *host, const char *pattern, vsi_route *route);
/* Return the route with the same pattern, except for names; NULL: none. */
vsi_route *vsi_trie_get(vsi_trie_node *root, const char *pattern, const char *method);
/* Remove a route, which must be there. */
void vsi_trie_remove(vsi_trie_node *root, const vestry_host *host, const char *pattern, const char *method);
/* Find the route for a method; HEAD falls back to GET. NULL: none. */
vsi_route *vsi_trie_find(const vsi_trie_node *root, const char *method, const char *path, vsi_captures *ret_captures);

/* Called for each method of a path. */
typedef void (*vsi_trie_method_fn)(const char *method, void *ctx);
void vsi_trie_methods(const vsi_trie_node *root, const char *path, vsi_trie_method_fn call, void *ctx);

/* Free the content of the tree with its routes, but not the root. */
void vsi_trie_finish(vsi_trie_node *root, const vestry_host *host);

/* ------------------------------------------------------------------------------------------------- routes --------- */

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
bool vsi_routes_enter(vsi_routes *routes, const char *method, const char *path, vsi_visit *ret_visit,
                      char allow[VSI_ALLOW_BYTES]);
void vsi_routes_leave(vsi_routes *routes, vsi_visit *visit);
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
