/* SPDX-License-Identifier: MIT */
/* The adapters of one civetweb server, for several instances of vestry in one program. A server does not list its
 * handlers, so the adapters register with each other. The list of all adapters of this process is the only static data
 * of this library. */
#ifndef VSI_CIVETWEB_NEIGHBOURS_H
#define VSI_CIVETWEB_NEIGHBOURS_H

#include <stdatomic.h>

#include "adapter/web/gate.h"
#include "vestry/adapter.h"

struct mg_context;
struct vsi_civetweb_claim;

/* The part of an adapter that its neighbours use. */
typedef struct vsi_civetweb_neighbour {
  /* Constant. */
  void *adapter;
  vestry *v;
  const vestry_host *host;
  struct mg_context *server;
  vsi_web_gate *gate;
  uint32_t limit; /* connections per address: its own limit, or that of the first adapter */

  struct vsi_civetweb_neighbour *next; /* guarded by the lock, as is the next member */
  struct vsi_civetweb_claim *claims;   /* its routes: mounts.h */
  _Atomic(bool) is_open;               /* it serves requests: its creation is complete */
  _Atomic(bool) has_logged_query;      /* a request with that method was refused and logged */
  _Atomic(bool) is_shared;             /* there is or was another adapter in the server; relaxed: an adapter that reads
                                          an old value finds only itself */
  bool has_entered;
} vsi_civetweb_neighbour;

/* Register an adapter. All constants are set; limit: from its options.
 * ret_first  the adapter that limits the connections of each address; NULL: none yet. Untouched on failure
 * Returns    OK | INVALID (the limit differs from that of the adapters that are there: logged) */
vestry_err vsi_civetweb_neighbours_enter(vsi_civetweb_neighbour *one, vsi_civetweb_neighbour **ret_first);
/* Unregister an adapter. An adapter that has not entered is accepted. */
void vsi_civetweb_neighbours_leave(vsi_civetweb_neighbour *one);

/* Log once for each adapter of this server that civetweb refuses the method QUERY. */
void vsi_civetweb_neighbours_log_query(const struct mg_context *server);

/* Take the lock, inside of a lock of an instance's routes (adapter.h), outside of the lock of a gate. */
void vsi_civetweb_neighbours_lock(void);
void vsi_civetweb_neighbours_unlock(void);

/* Return whether a condition holds for any other adapter of the same server that has not stopped. Under the lock. */
typedef bool (*vsi_civetweb_neighbour_fn)(const vsi_civetweb_neighbour *other, const void *ctx);
bool vsi_civetweb_neighbours_any(const vsi_civetweb_neighbour *one, vsi_civetweb_neighbour_fn is_so, const void *ctx);

/* Return the adapter that has the route of a request: the first that has one for method and path; otherwise the first
 * that has one for the path; NULL: none. one: the adapter whose handler got the request. */
vsi_civetweb_neighbour *vsi_civetweb_neighbours_find(vsi_civetweb_neighbour *one, const char *method, const char *path);

/* As vsi_web_gate_take_place, except that the places of all adapters of the server count, because they use the same
 * workers. */
bool vsi_civetweb_neighbours_take_place(vsi_civetweb_neighbour *one);
/* Return the number of places that all adapters of the server have taken. */
uint32_t vsi_civetweb_neighbours_streams(const vsi_civetweb_neighbour *one);

#endif
