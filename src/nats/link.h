/* The thread that speaks to libnats. */
#ifndef VSI_NATS_LINK_H
#define VSI_NATS_LINK_H

/* Connects, subscribes, writes, until the broker stops. argument: the vsi_nats_broker. */
void *vsi_nats_link_run(void *argument);

#endif
