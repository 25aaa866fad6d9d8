/* SPDX-License-Identifier: MIT */
/* Not too many connections of one address, also of those that are no requests yet.
 *
 * civetweb hands out neither connections nor sockets before a request is there. But they are this process's own, so a
 * timer looks through its descriptors, and shuts those that an address has too many of for reading: the worker that
 * waits for their head, or will, sees their end. Connections of requests and streams are never shut. */
#ifndef VSI_CIVETWEB_CROWD_H
#define VSI_CIVETWEB_CROWD_H

#include <sys/queue.h>

#include "adapter/civetweb/kernel.h"
#include "base/mutex.h"
#include "vestry/adapter.h"

struct vsi_civetweb_client;

/* One request's; part of it. Guarded by crowd->lock while it is there. */
typedef struct vsi_civetweb_guest {
  LIST_ENTRY(vsi_civetweb_guest) in;
  vsi_civetweb_peer peer;
  bool is_there; /* the worker's */
} vsi_civetweb_guest;

typedef struct vsi_civetweb_crowd {
  vestry *v;
  const vestry_host *host;
  vestry_timer *timer; /* NULL: there is no limit */
  uint32_t limit;
  vsi_mutex lock;
  LIST_HEAD(, vsi_civetweb_guest) guests; /* guarded by lock */

  /* The timer's. */
  struct vsi_civetweb_client *clients; /* of the round */
  size_t clients_count, clients_room;
  vsi_civetweb_port *ports;
  size_t ports_count;
  bool warned;
} vsi_civetweb_crowd;

/* limit  connections of one address; 0: none, and none is looked at. OK | NO_MEMORY | CLOSED (the runtime) */
vestry_err vsi_civetweb_crowd_init(vsi_civetweb_crowd *crowd, vestry *v, const vestry_host *host, uint32_t limit,
                                   const vsi_civetweb_port *ports, size_t ports_count);
/* No guest is there. Takes one that was only zeroed. */
void vsi_civetweb_crowd_finish(vsi_civetweb_crowd *crowd);

/* A request of this peer begins: its connection stays. leave: takes one that never entered. */
void vsi_civetweb_crowd_enter(vsi_civetweb_crowd *crowd, vsi_civetweb_guest *guest, const vsi_civetweb_peer *peer);
void vsi_civetweb_crowd_leave(vsi_civetweb_crowd *crowd, vsi_civetweb_guest *guest);

#endif
