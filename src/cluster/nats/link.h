/* SPDX-License-Identifier: MIT */
/* The thread that makes connections. */
#ifndef VSI_NATS_LINK_H
#define VSI_NATS_LINK_H

/* Connects and subscribes, again and again, until the broker stops. argument: the vsi_nats_broker. */
void *vsi_nats_link_run(void *argument);

#endif
