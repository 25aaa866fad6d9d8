/* SPDX-License-Identifier: MIT */
/* Options of a broker, converted for libnats. */
#ifndef VSI_NATS_SETTINGS_H
#define VSI_NATS_SETTINGS_H

#include <nats/nats.h>

#include "vestry/cluster/nats.h"

/* Timeout of one attempt to connect; first pause after all servers were tried. */
enum { VSI_NATS_CONNECT_MS = 2000, VSI_NATS_RECONNECT_MS = 50 };

typedef struct vsi_nats_settings {
  const vestry_host *host;
  vestry_nats_options options; /* with the defaults; of its texts only those below are valid */
  natsOptions *nats;           /* for one connection after the other, on one thread */
  char **servers;              /* servers_count of them */
  char *ca_file, *certificate_file, *key_file;
  bool tls;
} vsi_nats_settings;

/* OK | INVALID | NO_MEMORY | UNSUPPORTED | IO. After a failure there is nothing to finish. */
vestry_err vsi_nats_settings_init(vsi_nats_settings *settings, const vestry_nats_options *options);
void vsi_nats_settings_finish(vsi_nats_settings *settings);
/* Select the server of the next connection. OK | NO_MEMORY | … */
natsStatus vsi_nats_settings_choose(vsi_nats_settings *settings, size_t server);

#endif
