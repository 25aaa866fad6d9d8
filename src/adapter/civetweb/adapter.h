/* SPDX-License-Identifier: MIT */
/* The struct of an adapter. */
#ifndef VSI_CIVETWEB_ADAPTER_H
#define VSI_CIVETWEB_ADAPTER_H

#include "adapter/civetweb/deadline.h"
#include "adapter/civetweb/dedicated.h"
#include "adapter/civetweb/mounts.h"
#include "adapter/civetweb/settings.h"
#include "adapter/civetweb/watch.h"
#include "adapter/web/addresses.h"
#include "adapter/web/gate.h"

typedef struct vsi_civetweb {
  /* Constant. */
  vestry_server base; /* the public part; first member */
  vestry *v;
  const vestry_host *host;
  struct mg_context *server;
  vsi_civetweb_settings settings; /* of the server */
  uint64_t body_ns, linger_ns;    /* UINT64_MAX: no deadline */
  bool answers_all;               /* also paths without a route */

  vsi_civetweb_dedicated dedicated;
  vsi_civetweb_deadlines deadlines;
  vsi_web_addresses own_addresses; /* the requests and streams of each client address */
  vsi_web_addresses *addresses;    /* own_addresses, or those of the first adapter in this server */
  vsi_civetweb_watch *watch;       /* NULL: none */
  vsi_civetweb_mounts mounts;
  vsi_civetweb_neighbour neighbour;

  vsi_web_gate gate;
} vsi_civetweb;

#endif
