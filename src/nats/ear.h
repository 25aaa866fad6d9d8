/* SPDX-License-Identifier: MIT */
/* The thread that reads what comes in and tells it, and writing what goes out. */
#ifndef VSI_NATS_EAR_H
#define VSI_NATS_EAR_H

#include "nats/broker.h"

/* Have libnats leave the socket to us: of the options that connections are made with. */
natsStatus vsi_nats_ear_choose(vsi_nats_broker *broker);
/* The thread, from start to stop. argument: the vsi_nats_broker. */
void *vsi_nats_ear_run(void *argument);
/* Have the thread look around. Any thread. */
void vsi_nats_ear_wake(vsi_nats_broker *broker);
/* Write what is in the outbox, unless another thread does. Any thread; does not block, unless the connection is TLS. */
void vsi_nats_ear_write(vsi_nats_broker *broker);

#endif
