/* SPDX-License-Identifier: MIT */
/* Claims by a key-value bucket of JetStream's. */
#ifndef VSI_NATS_CLAIMS_H
#define VSI_NATS_CLAIMS_H

#include <nats/nats.h>
#include <pthread.h>

#include "base/mutex.h"
#include "cluster/nats/settings.h"

typedef struct vsi_nats_claims {
  vsi_mutex lock;
  pthread_cond_t changed;
  /* guarded by lock */
  natsConnection *connection; /* NULL: down */
  unsigned users;             /* are inside of libnats with it */
  bool opening;               /* one of them opens the bucket */
  jsCtx *jetstream;
  kvStore *bucket;
} vsi_nats_claims;

void vsi_nats_claims_init(vsi_nats_claims *claims);
void vsi_nats_claims_finish(vsi_nats_claims *claims);
/* There is a connection. It lives until the detach. */
void vsi_nats_claims_attach(vsi_nats_claims *claims, natsConnection *connection);
/* New claims are IO; then, after a natsConnection_Close, which ends those under way: until none is. */
void vsi_nats_claims_cut(vsi_nats_claims *claims);
void vsi_nats_claims_detach(vsi_nats_claims *claims);

/* As the seam's claim. name is valid. */
vestry_err vsi_nats_claims_set(vsi_nats_claims *claims, const vsi_nats_settings *settings, const char *name,
                               uint64_t expected, const void *data, size_t len, uint64_t *ret_revision);

#endif
