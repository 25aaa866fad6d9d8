/* SPDX-License-Identifier: MIT */
/* The paths that a civetweb server passes to an adapter: exactly those of the instance's routes, so that the program's
 * own handlers get all other requests, whenever they were set. */
#ifndef VSI_CIVETWEB_MOUNTS_H
#define VSI_CIVETWEB_MOUNTS_H

#include <stdatomic.h>

#include "adapter/civetweb/neighbours.h"
#include "base/mutex.h"

struct mg_connection;

/* The callback data of one civetweb handler. Patterns that differ only in the names of their parameters share one. */
typedef struct vsi_civetweb_mount {
  struct vsi_civetweb_mount *next; /* guarded by the neighbours' lock, as is the next member */
  size_t claims_count;
  void *adapter;             /* constant */
  _Atomic(uint32_t) running; /* number of requests inside; a request writes it and then reads is_going, and the sweeper
                                writes is_going and then reads it */
  _Atomic(bool) is_going;
  char uri[]; /* constant: civetweb's pattern */
} vsi_civetweb_mount;

/* The method and path of a route, which another instance may not use, too. Guarded by the neighbours' lock. */
typedef struct vsi_civetweb_claim {
  struct vsi_civetweb_claim *next;
  vsi_civetweb_mount *mount; /* NULL: a mount for all paths covers it */
  uint32_t count;            /* 2 while a duplicate route is checked, before it is refused */
  char name[];               /* the method, a blank, and the pattern without the names of its parameters */
} vsi_civetweb_claim;

/* Handles a request of civetweb. Returns the status; 0: the request is not for vestry. */
typedef int (*vsi_civetweb_serve_fn)(struct mg_connection *conn, void *mount);

/* Part of an adapter; zeroed at first. */
typedef struct vsi_civetweb_mounts {
  /* Constant. */
  vsi_civetweb_neighbour *self;
  vsi_civetweb_serve_fn serve;
  bool takes_all;

  vsi_civetweb_mount *first; /* guarded by the neighbours' lock */
  vestry_timer *sweeper;     /* removes mounts without a route; NULL: not begun */
  vsi_mutex sweeping;        /* held while the server removes handlers; taken before the neighbours' lock */
} vsi_civetweb_mounts;

/* Register the paths of all current and future routes, or all paths at once.
 * self     has entered
 * Returns  OK | EXISTS (another adapter of this server has such a route: logged) | UNSUPPORTED (a route for QUERY:
 *          logged) | NO_MEMORY | CLOSED (the runtime) */
vestry_err vsi_civetweb_mounts_begin(vsi_civetweb_mounts *of, vsi_civetweb_neighbour *self, bool takes_all,
                                     vsi_civetweb_serve_fn serve);
/* Stop calling the server. The gate must be shut. */
void vsi_civetweb_mounts_shut(vsi_civetweb_mounts *of);
/* Remove all mounts after a failed begin, while the server runs. */
void vsi_civetweb_mounts_undo(vsi_civetweb_mounts *of);
/* Free all, after the server has ended. A struct that was only zeroed is accepted. */
void vsi_civetweb_mounts_finish(vsi_civetweb_mounts *of);

/* Return whether civetweb of this version (mg_version) accepts requests with the method QUERY. */
bool vsi_civetweb_takes_query(const char *version);

/* Write civetweb's pattern for a route's pattern, without a terminating NUL. Returns its length, which is at most twice
 * that of `pattern`. */
size_t vsi_civetweb_uri_of(const char *pattern, char *uri);

#endif
