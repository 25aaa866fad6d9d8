/* Starting libmicrohttpd. */
#ifndef VSI_MICROHTTPD_DAEMON_H
#define VSI_MICROHTTPD_DAEMON_H

#include "adapter/microhttpd/adapter.h"

/* What a daemon is started with; defaults filled in. */
typedef struct vsi_microhttpd_settings {
  const char *address;
  uint16_t port;
  uint32_t streams_count;
  unsigned threads_count, connections_count, timeout_s;
  size_t memory_bytes;
  const char *tls_key, *tls_certificate;
} vsi_microhttpd_settings;

/* Fill in the defaults and check the bounds: OK | INVALID. */
vestry_err vsi_microhttpd_settings_resolve(const vestry_microhttpd_options *options,
                                           vsi_microhttpd_settings *ret_settings);

/* Start adapter->daemon, which serves from here on: OK | INVALID (the address) | UNSUPPORTED | IO */
vestry_err vsi_microhttpd_daemon_start(vestry_microhttpd *adapter, const vsi_microhttpd_settings *settings);

#endif
