/* SPDX-License-Identifier: MIT */
/* The settings of a civetweb server that concern vestry. */
#ifndef VSI_CIVETWEB_SETTINGS_H
#define VSI_CIVETWEB_SETTINGS_H

#include "vestry/adapter.h"
#include "vestry/civetweb.h"

typedef struct vsi_civetweb_settings {
  uint32_t threads_count;
  uint32_t queue_count; /* accepted clients that wait for a thread */
  uint64_t request_timeout_ms;
  size_t head_bytes; /* maximum size of request line and headers */
  bool keep_alive;
  bool nodelay;
  bool query_is_decoded; /* handlers get the query decoded */
  bool path_is_raw;      /* handlers get the path as it was sent */
  bool tls;              /* a port uses TLS or redirects to one that does */
  bool unix_socket;      /* a port is a UNIX socket */
} vsi_civetweb_settings;

/* Read the settings of a running server. */
void vsi_civetweb_settings_read(const struct mg_context *server, vsi_civetweb_settings *ret_settings);

/* Check the number of descriptors. OK | LIMIT: the clients could use up all descriptors; why receives a line. */
vestry_err vsi_civetweb_check_descriptors(const vsi_civetweb_settings *settings, char *why, size_t capacity);

/* Return the number of workers that are kept free of streams: the requested one, or the default. */
uint32_t vsi_civetweb_reserve(uint32_t asked, uint32_t threads_count);

/* Return whether a list of ports ("8080", "127.0.0.1:8080", "+8443s", "80r", separated by commas) has one with TLS. */
bool vsi_civetweb_names_tls_port(const char *ports);
/* Return whether a list of ports has a UNIX socket ("x/run/web.sock"). */
bool vsi_civetweb_names_unix_socket(const char *ports);

#endif
