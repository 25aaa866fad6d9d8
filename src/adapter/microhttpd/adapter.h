/* SPDX-License-Identifier: MIT */
/* What an adapter is made of. */
#ifndef VSI_MICROHTTPD_ADAPTER_H
#define VSI_MICROHTTPD_ADAPTER_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "adapter/microhttpd/door.h"
#include "adapter/microhttpd/slots.h"
#include "adapter/microhttpd/socket.h"
#include "adapter/microhttpd/watch.h"
#include "adapter/microhttpd/writers.h"
#include "adapter/web/gate.h"
#include "vestry/adapter.h"
#include "vestry/microhttpd.h"

/* Of one that is attached to a daemon of the application's. */
typedef struct vsi_microhttpd_attached {
  vsi_microhttpd_slots slots; /* its requests */
  _Atomic(int) fits;          /* of the daemon's flags: 0: not looked at; 1: they do; -1: no. Relaxed, like the next */
  _Atomic(bool) has_threads;  /* the daemon runs by threads of its own */
  bool keeps_targets;         /* habits.h */
} vsi_microhttpd_attached;

typedef struct vsi_microhttpd {
  vestry_server base; /* its public part; the first member */
  /* Constant. */
  vestry *v;
  const vestry_host *host;
  int send_buffer_bytes; /* SO_SNDBUF; 0: the system's */
  unsigned lost_ms;      /* TCP_USER_TIMEOUT of streams; 0: the system's */
  size_t max_head_bytes; /* of a request; SIZE_MAX: its daemon's bound alone */
  bool is_tls;
  bool is_strict;      /* its daemon is (MHD_OPTION_STRICT_FOR_CLIENT) */
  bool measures_heads; /* its libmicrohttpd takes what is not allowed, and keeps heads so that it is found (head.c) */
  bool has_nobody;
  int nobody; /* if there is one: a socket that is put in the place of those that are handed over (handover.c) */

  _Atomic(struct MHD_Daemon *) daemon; /* NULL → one, in create, while its handlers may run already */

  vsi_web_gate gate;
  vsi_microhttpd_watch watch;
  vsi_microhttpd_sockets sockets;
  vsi_microhttpd_door door;
  vsi_microhttpd_writers writers;
  vsi_microhttpd_attached attached;
} vsi_microhttpd;

/* Whether its daemon is the application's. */
static inline bool vsi_microhttpd_is_attached(const vsi_microhttpd *adapter) {
  return adapter->attached.slots.count != 0;
}

/* Whether libmicrohttpd's threads look for connections that are resumed. */
static inline bool vsi_microhttpd_has_threads(const vsi_microhttpd *adapter) {
  return !vsi_microhttpd_is_attached(adapter) ||
         atomic_load_explicit(&adapter->attached.has_threads, memory_order_relaxed);
}

#endif
