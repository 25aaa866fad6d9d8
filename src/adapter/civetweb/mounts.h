/* SPDX-License-Identifier: MIT */
/* The paths that a civetweb server gives to an adapter: those of its instance's routes, and no others, so that civetweb
 * itself goes on to the program's own handlers, whenever these were set. */
#ifndef VSI_CIVETWEB_MOUNTS_H
#define VSI_CIVETWEB_MOUNTS_H

#include <stdatomic.h>

#include "adapter/civetweb/neighbours.h"
#include "base/mutex.h"

struct mg_connection;

/* One of civetweb's handlers: its callback data. Patterns that differ in their parameters' names alone have one. */
typedef struct vsi_civetweb_mount {
  struct vsi_civetweb_mount *next; /* guarded by the neighbours' lock, like the next */
  size_t claims_count;
  void *adapter;             /* constant */
  _Atomic(uint32_t) running; /* requests that came by it; written and read crosswise with is_going */
  _Atomic(bool) is_going;
  char uri[]; /* constant: civetweb's pattern */
} vsi_civetweb_mount;

/* A route: by method and path it can be the same as another instance's. Guarded by the neighbours' lock. */
typedef struct vsi_civetweb_claim {
  struct vsi_civetweb_claim *next;
  vsi_civetweb_mount *mount; /* NULL: one that takes all paths stands for it */
  uint32_t count;            /* a route that is about to be refused is there twice */
  char name[];               /* the method, a blank, and the pattern without its parameters' names */
} vsi_civetweb_claim;

/* civetweb's handler: returns the status, or 0 if the request is not its affair. */
typedef int (*vsi_civetweb_serve_fn)(struct mg_connection *conn, void *mount);

/* Part of an adapter; zeroed to begin with. */
typedef struct vsi_civetweb_mounts {
  /* Constant. */
  vsi_civetweb_neighbour *self;
  vsi_civetweb_serve_fn serve;
  bool takes_all;

  vsi_civetweb_mount *first; /* guarded by the neighbours' lock */
  vestry_timer *sweeper;     /* takes those away that no route has any more; NULL: not begun */
  vsi_mutex sweeping;        /* held while the server takes handlers away; before the neighbours' lock */
} vsi_civetweb_mounts;

/* Take the paths of all routes, from now on, or all paths at once.
 *  self     has entered
 *  Returns  OK | EXISTS (another adapter of this server has such a route: logged) | UNSUPPORTED (a route for QUERY:
 *           logged) | NO_MEMORY | CLOSED (the runtime) */
vestry_err vsi_civetweb_mounts_begin(vsi_civetweb_mounts *of, vsi_civetweb_neighbour *self, bool takes_all,
                                     vsi_civetweb_serve_fn serve);
/* The gate was shut. From here on the server is not asked to do anything. */
void vsi_civetweb_mounts_shut(vsi_civetweb_mounts *of);
/* After a failed begin, while the server runs: all are taken away. */
void vsi_civetweb_mounts_undo(vsi_civetweb_mounts *of);
/* The server has ended. Takes one that was only zeroed. */
void vsi_civetweb_mounts_finish(vsi_civetweb_mounts *of);

/* Whether civetweb of this version (mg_version) lets requests with the method QUERY through. */
bool vsi_civetweb_takes_query(const char *version);

/* civetweb's pattern for a route's, without a terminating NUL; its length. At most twice as long as the route's. */
size_t vsi_civetweb_uri_of(const char *pattern, char *uri);

#endif
