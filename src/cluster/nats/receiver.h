/* SPDX-License-Identifier: MIT */
/* The thread that receives messages and passes them on; and writing of messages. */
#ifndef VSI_NATS_RECEIVER_H
#define VSI_NATS_RECEIVER_H

#include "cluster/nats/broker.h"

/* Set libnats's options so that libnats leaves the socket to this library. Before connections are made with them. */
natsStatus vsi_nats_receiver_choose(vsi_nats_broker *broker);
/* Take over the server's maximum of a message, which it can change. Returns whether it has. With io. */
bool vsi_nats_receiver_take_max(vsi_nats_broker *broker);
/* Run the thread, from start to stop. argument: the vsi_nats_broker. */
void *vsi_nats_receiver_run(void *argument);
/* Return whether the caller is that thread. */
bool vsi_nats_receiver_is_here(const vsi_nats_broker *broker);
/* Wake the thread, so that it checks for work. Any thread. */
void vsi_nats_receiver_wake(vsi_nats_broker *broker);
/* Write the send queue, unless another thread is writing. Any thread; does not block, unless the connection uses
 * TLS. */
void vsi_nats_receiver_write(vsi_nats_broker *broker);

#endif
