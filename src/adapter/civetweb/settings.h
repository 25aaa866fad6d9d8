/* A civetweb server's settings, as far as they concern vestry. */
#ifndef VSI_CIVETWEB_SETTINGS_H
#define VSI_CIVETWEB_SETTINGS_H

#include "vestry/civetweb.h"

typedef struct vsi_civetweb_settings {
  uint32_t threads_count;
  uint64_t request_timeout_ms;
  bool keep_alive;
  bool nodelay;
  bool tls; /* a port speaks TLS or redirects to one that does */
} vsi_civetweb_settings;

/* Of a running server. */
void vsi_civetweb_settings_read(const struct mg_context *server, vsi_civetweb_settings *ret_settings);

/* How many workers are kept free of streams: as asked for, or the default. */
uint32_t vsi_civetweb_reserve(uint32_t asked, uint32_t threads_count);

/* Whether a list of ports ("8080", "127.0.0.1:8080", "+8443s", "80r", separated by commas) has one with TLS. */
bool vsi_civetweb_names_tls_port(const char *ports);

#endif
