/* SPDX-License-Identifier: MIT */
/* Patterns of paths, by their segments. The caller keeps it from being changed meanwhile. */
#ifndef VSI_HTTP_TRIE_H
#define VSI_HTTP_TRIE_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "http/receiver.h"
#include "vestry/routes.h"

typedef struct vsi_route {
  struct vsi_route *next; /* of another method, at the same pattern */
  _Atomic(uint32_t) running;
  vestry_handler_fn handler;
  const vsi_receiver *receiver; /* instead of the handler: bodies come to it in pieces. NULL: none */
  void *app;
  size_t names_count;
  const char *names[VESTRY_ROUTE_PARAMETERS_MAX]; /* of its parameters; in text */
  const char *method, *pattern;                   /* in text */
  LIST_ENTRY(vsi_route) in;                       /* in a list of all; whose, and guarded how, see routes.c */
  char text[];
} vsi_route;

typedef struct vsi_trie_node {
  struct vsi_trie_node *parent;
  struct vsi_trie_node **literals; /* by their segment */
  size_t literals_count, literals_room;
  struct vsi_trie_node *parameter; /* for one segment, whatever it is; NULL: none */
  struct vsi_trie_node *rest;      /* for all that is left; NULL: none */
  vsi_route *routes;
  size_t segment_len;
  char segment[]; /* literals: what it stands for */
} vsi_trie_node;

/* What the parameters of a path stood for: pieces of it. */
typedef struct vsi_captures {
  size_t count;
  vestry_slice values[VESTRY_ROUTE_PARAMETERS_MAX];
} vsi_captures;

/* OK | INVALID (no pattern, or with a rest where there may be none) | LIMIT */
vestry_err vsi_pattern_check(const char *pattern, bool may_have_rest);
/* Whether a path is what a pattern says: to its end, if it is exact, else in what it begins with. */
bool vsi_pattern_fits(const char *pattern, const char *path, bool is_exact);

/* method, pattern: checked. NULL: no memory. */
vsi_route *vsi_route_create(const vestry_host *host, const char *method, const char *pattern, vestry_handler_fn handler,
                            void *app);

/* root: zeroed, without a segment. OK (the route is its) | EXISTS | NO_MEMORY */
vestry_err vsi_trie_add(vsi_trie_node *root, const vestry_host *host, const char *pattern, vsi_route *route);
/* The route with that very pattern, but for names; NULL: none. */
vsi_route *vsi_trie_get(vsi_trie_node *root, const char *pattern, const char *method);
/* Take one out that is there. */
void vsi_trie_remove(vsi_trie_node *root, const vestry_host *host, const char *pattern, const char *method);
/* The route for a method, GET's for HEAD. NULL: none. */
vsi_route *vsi_trie_find(const vsi_trie_node *root, const char *method, const char *path, vsi_captures *ret_captures);

/* Called for each method that a path has. */
typedef void (*vsi_trie_method_fn)(const char *method, void *ctx);
void vsi_trie_methods(const vsi_trie_node *root, const char *path, vsi_trie_method_fn call, void *ctx);

/* Free all that is in it, routes too; not the root. */
void vsi_trie_finish(vsi_trie_node *root, const vestry_host *host);

#endif
