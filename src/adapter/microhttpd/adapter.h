/* SPDX-License-Identifier: MIT */
/* The struct of an adapter. */
#ifndef VSI_MICROHTTPD_ADAPTER_H
#define VSI_MICROHTTPD_ADAPTER_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "adapter/microhttpd/acceptor.h"
#include "adapter/microhttpd/slots.h"
#include "adapter/microhttpd/socket.h"
#include "adapter/microhttpd/watch.h"
#include "adapter/microhttpd/writer_pool.h"
#include "adapter/web/gate.h"
#include "vestry/adapter.h"
#include "vestry/microhttpd.h"

/* The part that is used if the adapter is attached to a daemon of the application. */
typedef struct vsi_microhttpd_attached {
  vsi_microhttpd_slots slots; /* its requests */
  _Atomic(int) fits;          /* 1: the daemon's flags are suitable; -1: they are not; 0: unchecked. Relaxed */
  _Atomic(bool) has_threads;  /* the daemon has its own threads. Relaxed */
  bool keeps_targets;         /* see capabilities.h */
} vsi_microhttpd_attached;

typedef struct vsi_microhttpd {
  vestry_server base; /* the public part; first member */
  /* Constant. */
  vestry *v;
  const vestry_host *host;
  int send_buffer_bytes; /* SO_SNDBUF; 0: the system's */
  unsigned lost_ms;      /* TCP_USER_TIMEOUT of streams; 0: the system's */
  size_t max_head_bytes; /* of a request; SIZE_MAX: limited only by the daemon */
  bool is_tls;
  bool is_strict;      /* the daemon is strict (MHD_OPTION_STRICT_FOR_CLIENT) */
  bool measures_heads; /* libmicrohttpd accepts malformed heads, but keeps them in memory for a check (head.c) */
  bool has_placeholder;
  int placeholder; /* if there is one: a socket that takes the place of each socket that is
                      handed over to vestry (handover.c) */

  _Atomic(struct MHD_Daemon *) daemon; /* NULL, then set once during creation, when its handlers may run already */

  vsi_web_gate gate;
  vsi_microhttpd_watch watch;
  vsi_microhttpd_sockets sockets;
  vsi_microhttpd_acceptor acceptor;
  vsi_microhttpd_writer_pool writer_pool;
  vsi_microhttpd_attached attached;
} vsi_microhttpd;

/* Return whether the daemon belongs to the application. */
static inline bool vsi_microhttpd_is_attached(const vsi_microhttpd *adapter) {
  return adapter->attached.slots.count != 0;
}

/* Return whether threads of libmicrohttpd look for resumed connections. */
static inline bool vsi_microhttpd_has_threads(const vsi_microhttpd *adapter) {
  return !vsi_microhttpd_is_attached(adapter) ||
         atomic_load_explicit(&adapter->attached.has_threads, memory_order_relaxed);
}

#endif
