/* What an adapter is made of. */
#ifndef VSI_MICROHTTPD_ADAPTER_H
#define VSI_MICROHTTPD_ADAPTER_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "adapter/microhttpd/door.h"
#include "adapter/microhttpd/socket.h"
#include "adapter/microhttpd/watch.h"
#include "adapter/web/gate.h"
#include "vestry/microhttpd.h"

struct vestry_microhttpd {
  /* Constant. */
  vestry *v;
  const vestry_host *host;
  int send_buffer_bytes; /* SO_SNDBUF; 0: the system's */
  size_t max_body_bytes;
  bool is_tls;
  bool has_nobody;
  int nobody; /* if there is one: a socket that is put in the place of those that are handed over (handover.c) */

  _Atomic(struct MHD_Daemon *) daemon; /* NULL → one, in create, while its handlers may run already */

  vsi_web_gate gate;
  vsi_microhttpd_watch watch;
  vsi_microhttpd_sockets sockets;
  vsi_microhttpd_door door;
};

#endif
