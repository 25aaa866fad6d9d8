/* SPDX-License-Identifier: MIT */
/* A civetweb server's settings, as far as they concern vestry. */
#ifndef VSI_CIVETWEB_SETTINGS_H
#define VSI_CIVETWEB_SETTINGS_H

#include "vestry/adapter.h"
#include "vestry/civetweb.h"

typedef struct vsi_civetweb_settings {
  uint32_t threads_count;
  uint32_t queue_count; /* of accepted clients that wait for a thread */
  uint64_t request_timeout_ms;
  size_t head_bytes; /* a request line and headers have at most so many */
  bool keep_alive;
  bool nodelay;
  bool query_is_decoded; /* handlers get it so */
  bool path_is_raw;      /* handlers get it as it was sent */
  bool tls;              /* a port speaks TLS or redirects to one that does */
  bool unix_socket;      /* a port is a UNIX socket */
} vsi_civetweb_settings;

/* Of a running server. */
void vsi_civetweb_settings_read(const struct mg_context *server, vsi_civetweb_settings *ret_settings);

/* OK | LIMIT: its clients could take all descriptors; why receives a line. */
vestry_err vsi_civetweb_check_descriptors(const vsi_civetweb_settings *settings, char *why, size_t capacity);

/* How many workers are kept free of streams: as asked for, or the default. */
uint32_t vsi_civetweb_reserve(uint32_t asked, uint32_t threads_count);

/* Whether a list of ports ("8080", "127.0.0.1:8080", "+8443s", "80r", separated by commas) has one with TLS. */
bool vsi_civetweb_names_tls_port(const char *ports);
/* Whether it has a UNIX socket ("x/run/web.sock"). */
bool vsi_civetweb_names_unix_socket(const char *ports);

#endif
