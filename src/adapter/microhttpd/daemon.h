/* SPDX-License-Identifier: MIT */
/* Starting libmicrohttpd. */
#ifndef VSI_MICROHTTPD_DAEMON_H
#define VSI_MICROHTTPD_DAEMON_H

#include "adapter/microhttpd/adapter.h"
#include "adapter/microhttpd/settings.h"

/* Start adapter->daemon and open adapter->acceptor; requests are served from then on. OK | INVALID (the address) |
 * UNSUPPORTED | IO */
vestry_err vsi_microhttpd_daemon_start(vsi_microhttpd *adapter, const vestry_microhttpd_options *options);

#endif
