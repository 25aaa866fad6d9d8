/* SPDX-License-Identifier: MIT */
/* A limit of connections per client address, which also covers connections that have sent no request yet.
 *
 * civetweb exposes neither connections nor sockets before there is a request. But the sockets belong to this process,
 * so a timer looks through its descriptors. If an address has too many connections, it shuts the surplus for reading,
 * and the worker that waits for a head, now or later, reads the end. Connections with a request or a stream are never
 * shut. */
#ifndef VSI_CIVETWEB_LIMITER_H
#define VSI_CIVETWEB_LIMITER_H

#include <sys/queue.h>

#include "adapter/civetweb/kernel.h"
#include "base/mutex.h"
#include "vestry/adapter.h"

struct vsi_civetweb_client;

/* Part of a request. Guarded by limiter->lock while it is in the list. */
typedef struct vsi_civetweb_active {
  LIST_ENTRY(vsi_civetweb_active) in;
  vsi_civetweb_peer peer;
  bool is_there; /* used only by the worker */
} vsi_civetweb_active;

typedef struct vsi_civetweb_limiter {
  vestry *v;
  const vestry_host *host;
  vestry_timer *timer; /* NULL: there is no limit */
  uint32_t limit;
  vsi_mutex lock;
  LIST_HEAD(, vsi_civetweb_active) requests; /* guarded by lock */

  /* Of the timer. */
  struct vsi_civetweb_client *clients; /* of the current round */
  size_t clients_count, clients_room;
  vsi_civetweb_port *ports;
  size_t ports_count;
  bool warned;
} vsi_civetweb_limiter;

/* Start the timer. limit: connections of one address; 0: no limit and no timer. OK | NO_MEMORY | CLOSED (the
 * runtime) */
vestry_err vsi_civetweb_limiter_init(vsi_civetweb_limiter *limiter, vestry *v, const vestry_host *host, uint32_t limit,
                                     const vsi_civetweb_port *ports, size_t ports_count);
/* Stop the timer; no request may be in the list. A struct that was only zeroed is accepted. */
void vsi_civetweb_limiter_finish(vsi_civetweb_limiter *limiter);

/* Protect the connection of a running request from being shut, and end the protection. leave does nothing for a request
 * that has not entered. */
void vsi_civetweb_limiter_enter(vsi_civetweb_limiter *limiter, vsi_civetweb_active *active,
                                const vsi_civetweb_peer *peer);
void vsi_civetweb_limiter_leave(vsi_civetweb_limiter *limiter, vsi_civetweb_active *active);

#endif
