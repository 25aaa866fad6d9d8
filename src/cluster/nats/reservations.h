/* SPDX-License-Identifier: MIT */
/* Reservations in a key-value bucket of JetStream. */
#ifndef VSI_NATS_RESERVATIONS_H
#define VSI_NATS_RESERVATIONS_H

#include <nats/nats.h>
#include <pthread.h>

#include "base/held_log.h"
#include "base/mutex.h"
#include "cluster/nats/settings.h"

typedef struct vsi_nats_reservations {
  vsi_mutex lock;
  pthread_cond_t changed;
  /* Guarded by lock. */
  natsConnection *connection; /* NULL: down */
  unsigned users;             /* number of threads inside libnats with it */
  unsigned setters;           /* those of them that use the bucket */
  bool opening;               /* one of them is opening the bucket */
  uint64_t lost_count;        /* number of buckets that were dropped because they were gone */
  bool fails;                 /* the last outcome that was logged is a failure */
  jsCtx *jetstream;
  kvStore *bucket;
  vsi_repeated_log outcomes; /* needs no lock */
} vsi_nats_reservations;

void vsi_nats_reservations_init(vsi_nats_reservations *reservations);
void vsi_nats_reservations_finish(vsi_nats_reservations *reservations);
/* Use a connection, which must exist until the detach. NULL: from now on new reservations return IO. */
void vsi_nats_reservations_attach(vsi_nats_reservations *reservations, natsConnection *connection);
/* Wait until no thread uses the connection. Attach NULL before, and then call natsConnection_Close, because it ends the
 * running requests. */
void vsi_nats_reservations_detach(vsi_nats_reservations *reservations);

/* Set a name, as reserve of vestry_broker_ops. name is valid. */
vestry_err vsi_nats_reservations_set(vsi_nats_reservations *reservations, const vsi_nats_settings *settings,
                                     const char *name, uint64_t expected, const void *data, size_t len,
                                     uint64_t *ret_revision);

#endif
