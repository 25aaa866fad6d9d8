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

/* What a daemon is started with; defaults filled in. */
typedef struct vsi_microhttpd_settings {
  const char *address;
  uint16_t port;
  const char *unix_path; /* NULL: address and port */
  mode_t unix_mode;
  unsigned lost_ms;         /* TCP_USER_TIMEOUT; 0: the system's */
  size_t send_buffer_bytes; /* 0: the system's */
  uint32_t streams_count;
  unsigned threads_count, connections_count, timeout_s;
  vsi_microhttpd_limits limits;
  const char *tls_key, *tls_certificate;
} vsi_microhttpd_settings;

/* Fill in the defaults and check the bounds: OK | INVALID. */
vestry_err vsi_microhttpd_settings_resolve(const vestry *v, const vestry_microhttpd_options *options,
                                           vsi_microhttpd_settings *ret_settings);

/* Take as many connections and streams as there will be descriptors for; fewer than were asked for are logged.
 * OK | IO (there are hardly any) */
vestry_err vsi_microhttpd_settings_fit(const vestry_host *host, vsi_microhttpd_settings *settings);

#endif
