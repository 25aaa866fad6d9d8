/* SPDX-License-Identifier: MIT */
/* Reservations by a key-value bucket of JetStream's. */
#ifndef VSI_NATS_RESERVATIONS_H
#define VSI_NATS_RESERVATIONS_H

#include <nats/nats.h>
#include <pthread.h>

#include "base/mutex.h"
#include "cluster/nats/settings.h"

typedef struct vsi_nats_reservations {
  vsi_mutex lock;
  pthread_cond_t changed;
  /* guarded by lock */
  natsConnection *connection; /* NULL: down */
  unsigned users;             /* are inside of libnats with it */
  bool opening;               /* one of them opens the bucket */
  jsCtx *jetstream;
  kvStore *bucket;
} vsi_nats_reservations;

void vsi_nats_reservations_init(vsi_nats_reservations *reservations);
void vsi_nats_reservations_finish(vsi_nats_reservations *reservations);
/* There is a connection. It lives until the detach. */
void vsi_nats_reservations_attach(vsi_nats_reservations *reservations, natsConnection *connection);
/* New reservations are IO; then, after a natsConnection_Close, which ends those under way: until none is. */
void vsi_nats_reservations_cut(vsi_nats_reservations *reservations);
void vsi_nats_reservations_detach(vsi_nats_reservations *reservations);

/* As the seam's reservation. name is valid. */
vestry_err vsi_nats_reservations_set(vsi_nats_reservations *reservations, const vsi_nats_settings *settings,
                                     const char *name, uint64_t expected, const void *data, size_t len,
                                     uint64_t *ret_revision);

#endif
