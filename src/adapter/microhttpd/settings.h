/* SPDX-License-Identifier: MIT */
/* What libmicrohttpd is started with. */
#ifndef VSI_MICROHTTPD_SETTINGS_H
#define VSI_MICROHTTPD_SETTINGS_H

#include "adapter/microhttpd/socket.h"
#include "vestry/microhttpd.h"

enum {
  VSI_MICROHTTPD_DEFAULT_STREAMS = 10000,
  VSI_MICROHTTPD_MAX_STREAMS = 1000000,
  VSI_MICROHTTPD_DEFAULT_REQUEST_MS = 30000
};

/* TCP_USER_TIMEOUT by an option; 0: the system's. */
unsigned vsi_microhttpd_lost_ms(const vestry *v, uint64_t lost_ms);
/* Whether SO_SNDBUF may be so much; 0: the system's. */
bool vsi_microhttpd_send_buffer_fits(size_t bytes);

/* Fill in the defaults and check the bounds: OK | INVALID. lost_ms is TCP_USER_TIMEOUT then; 0: the system's. */
vestry_err vsi_microhttpd_settings_resolve(const vestry *v, vestry_microhttpd_options *options);

/* Take as many connections and streams as there will be descriptors for; fewer than were asked for are logged.
 * OK | IO (there are hardly any) */
vestry_err vsi_microhttpd_settings_fit(const vestry_host *host, vestry_microhttpd_options *options);

#endif
