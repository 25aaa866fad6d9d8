/* What an adapter is made of. */
#ifndef VSI_MICROHTTPD_ADAPTER_H
#define VSI_MICROHTTPD_ADAPTER_H

#include <microhttpd.h>
#include <stdatomic.h>

#include "adapter/microhttpd/watch.h"
#include "adapter/web/gate.h"
#include "adapter/web/routes.h"
#include "vestry/microhttpd.h"

struct vestry_microhttpd {
  /* Constant. */
  vestry *v;
  const vestry_host *host;
  unsigned lost_ms; /* TCP_USER_TIMEOUT; 0: the system's */
  size_t max_body_bytes;
  bool is_tls;

  _Atomic(struct MHD_Daemon *) daemon; /* NULL → one, in create, while its handlers may run already */

  vsi_web_gate gate;
  vsi_web_routes routes;
  vsi_microhttpd_watch watch;
};

#endif
