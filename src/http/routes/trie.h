/* SPDX-License-Identifier: MIT */
/* Path patterns by segments. The caller serializes changes and lookups. */
#ifndef VSI_HTTP_TRIE_H
#define VSI_HTTP_TRIE_H

#include <sys/queue.h>

#include "http/receiver.h"
#include "vestry/routes.h"

typedef struct vsi_route {
  struct vsi_route *next; /* with another method, at the same pattern */
  vestry_handler_fn handler;
  const vsi_receiver *receiver; /* receives bodies in pieces, instead of the handler. NULL: none */
  void *app;
  bool is_open; /* it has no guards */
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
/* Remove a route, which must be there. */
void vsi_trie_remove(vsi_trie_node *root, const vestry_host *host, const char *pattern, const char *method);
/* Find the route for a method; HEAD falls back to GET. NULL: none. */
vsi_route *vsi_trie_find(const vsi_trie_node *root, const char *method, const char *path, vsi_captures *ret_captures);

/* Called for each method of a path. */
typedef void (*vsi_trie_method_fn)(const char *method, void *ctx);
void vsi_trie_methods(const vsi_trie_node *root, const char *path, vsi_trie_method_fn call, void *ctx);

/* Free the content of the tree with its routes, but not the root. */
void vsi_trie_finish(vsi_trie_node *root, const vestry_host *host);

#endif
