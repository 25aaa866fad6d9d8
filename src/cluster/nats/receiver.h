/* SPDX-License-Identifier: MIT */
/* The thread that reads messages and passes them on; and how messages are written. */
#ifndef VSI_NATS_RECEIVER_H
#define VSI_NATS_RECEIVER_H

#include "cluster/nats/broker.h"

/* Set libnats's options so that libnats leaves the socket to this library. Before connections are made with them. */
natsStatus vsi_nats_receiver_choose(vsi_nats_broker *broker);
/* The thread, from start to stop. argument: the vsi_nats_broker. */
void *vsi_nats_receiver_run(void *argument);
/* Whether this is that thread. */
bool vsi_nats_receiver_is_here(const vsi_nats_broker *broker);
/* Have the thread look around. Any thread. */
void vsi_nats_receiver_wake(vsi_nats_broker *broker);
/* Write what is in the send queue, unless another thread does. Any thread; does not block, unless the connection is
 * TLS. */
void vsi_nats_receiver_write(vsi_nats_broker *broker);

#endif
