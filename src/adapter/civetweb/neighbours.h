/* SPDX-License-Identifier: MIT */
/* The adapters of one civetweb server, of several instances of vestry in one program. A server cannot be asked which
 * handlers it has, so adapters know of each other by themselves: the list of all of this process is this library's one
 * static thing. */
#ifndef VSI_CIVETWEB_NEIGHBOURS_H
#define VSI_CIVETWEB_NEIGHBOURS_H

#include <stdatomic.h>

#include "adapter/web/gate.h"
#include "vestry/adapter.h"

struct mg_context;
struct vsi_civetweb_claim;

/* An adapter, as its neighbours know it. Part of it. */
typedef struct vsi_civetweb_neighbour {
  /* Constant. */
  void *adapter;
  vestry *v;
  const vestry_host *host;
  struct mg_context *server;
  vsi_web_gate *gate;
  uint32_t limit; /* of connections of one address: its own, or what the first one says */

  struct vsi_civetweb_neighbour *next; /* guarded by the lock, like the next */
  struct vsi_civetweb_claim *claims;   /* its routes: mounts.h */
  _Atomic(bool) is_open;               /* it serves: its create is through */
  _Atomic(bool) has_told_of_query;     /* a request with that method was refused, and the log has it */
  _Atomic(bool) is_shared;             /* there is, or was, another one; relaxed: one that hears it late finds itself */
  bool has_entered;
} vsi_civetweb_neighbour;

/* Be known. All constants are set; limit: as its options say.
 *  ret_first  what watches the connections of each address; NULL: nothing yet. Untouched on failure
 *  Returns    OK | INVALID (the limit is another one than that of the adapters that are there: logged) */
vestry_err vsi_civetweb_neighbours_enter(vsi_civetweb_neighbour *one, vsi_civetweb_neighbour **ret_first);
/* Takes one that never entered. */
void vsi_civetweb_neighbours_leave(vsi_civetweb_neighbour *one);

/* Have the log of each adapter in this server say that civetweb refuses the method QUERY: once each. */
void vsi_civetweb_neighbours_tell_of_query(const struct mg_context *server);

/* Taken inside of a lock of an instance's routes (adapter.h), outside of a gate's. */
void vsi_civetweb_neighbours_lock(void);
void vsi_civetweb_neighbours_unlock(void);

/* Under the lock: whether this is so of any other one of the same server that has not stopped. */
typedef bool (*vsi_civetweb_neighbour_fn)(const vsi_civetweb_neighbour *other, const void *ctx);
bool vsi_civetweb_neighbours_any(const vsi_civetweb_neighbour *one, vsi_civetweb_neighbour_fn is_so, const void *ctx);

/* Whose route a request is for that came to this one's handler: the first that has one for the method; else the first
 * that has one for the path; NULL: none. */
vsi_civetweb_neighbour *vsi_civetweb_neighbours_find(vsi_civetweb_neighbour *one, const char *method, const char *path);

/* As vsi_web_gate_take_place, but the places of all of them count: they park the same workers. */
bool vsi_civetweb_neighbours_take_place(vsi_civetweb_neighbour *one);
/* The places that all of them have taken. */
uint32_t vsi_civetweb_neighbours_streams(const vsi_civetweb_neighbour *one);

#endif
