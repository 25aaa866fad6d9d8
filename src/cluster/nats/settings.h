/* SPDX-License-Identifier: MIT */
/* What a broker was made with, as libnats wants it. */
#ifndef VSI_NATS_SETTINGS_H
#define VSI_NATS_SETTINGS_H

#include <nats/nats.h>

#include "vestry/cluster/nats.h"

typedef struct vsi_nats_settings {
  const vestry_host *host;
  vestry_nats_options options; /* with the defaults filled in; of its texts only those below are valid */
  natsOptions *nats;           /* for one connection after the other, by one thread */
  char **servers;              /* servers_count of them */
  char *tls_host, *ca_file, *certificate_file, *key_file, *reservations_bucket;
  bool tls;
} vsi_nats_settings;

/* OK | INVALID | NO_MEMORY | UNSUPPORTED | IO. On failure nothing is left to be finished. */
vestry_err vsi_nats_settings_init(vsi_nats_settings *settings, const vestry_nats_options *options);
void vsi_nats_settings_finish(vsi_nats_settings *settings);
/* The next connection goes to that server. OK | NO_MEMORY | … */
natsStatus vsi_nats_settings_choose(vsi_nats_settings *settings, size_t server);

/* IO for all that says nothing more particular, such as a connection that has ended. */
vestry_err vsi_nats_error(natsStatus status);

#endif
