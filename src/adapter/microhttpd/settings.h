/* SPDX-License-Identifier: MIT */
/* The settings with which libmicrohttpd is started. */
#ifndef VSI_MICROHTTPD_SETTINGS_H
#define VSI_MICROHTTPD_SETTINGS_H

#include "adapter/microhttpd/socket.h"
#include "vestry/microhttpd.h"

enum {
  VSI_MICROHTTPD_DEFAULT_STREAMS = 10000,
  VSI_MICROHTTPD_MAX_STREAMS = 1000000,
  VSI_MICROHTTPD_DEFAULT_REQUEST_MS = 30000
};

/* Return TCP_USER_TIMEOUT for an option; 0: the system's. */
unsigned vsi_microhttpd_lost_ms(const vestry *v, uint64_t lost_ms);
/* Return whether SO_SNDBUF may have this value; 0: the system's. */
bool vsi_microhttpd_send_buffer_fits(size_t bytes);

/* Fill in the defaults and check the bounds: OK | INVALID. Afterwards lost_ms is TCP_USER_TIMEOUT; 0: the system's. */
vestry_err vsi_microhttpd_settings_resolve(const vestry *v, vestry_microhttpd_options *options);

/* Reduce connections and streams to the number of available descriptors; a reduction is logged. OK | IO (there are
 * hardly any) */
vestry_err vsi_microhttpd_settings_fit(const vestry_host *host, vestry_microhttpd_options *options);

#endif
