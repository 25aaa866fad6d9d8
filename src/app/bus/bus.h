/* SPDX-License-Identifier: MIT */
/* The bus, as the layer above uses it: topics of any length, whose bytes are not shown to subscribers; and a
 * subscription in two steps, of which the second needs no memory. */
#ifndef VSI_BUS_BUS_H
#define VSI_BUS_BUS_H

#include "vestry/app/bus.h"

typedef struct vsi_bus vsi_bus;

/* A topic of the library's own (the packed names of keys are longer): an action of a page has been done. The message is
 * its header Vestry-Sent. */
#define VSI_BUS_DONE ((vestry_slice){"d", 1})

/* max_subscriptions_count: at one time; 0: 100,000. OK | NO_MEMORY | IO (no randomness: topics may come from users, so
 * their hash is keyed) */
vestry_err vsi_bus_create(const vestry_host *host, size_t max_subscriptions_count, vsi_bus **ret_bus);
/* The bus of an instance, which is made when it is first needed. OK | NO_MEMORY | IO */
vestry_err vsi_bus_use(vestry *v, vsi_bus **ret_bus);
/* Refuse what comes from here on: publish and subscribe return CLOSED. Idempotent; does not block. */
void vsi_bus_close(vsi_bus *bus);
/* Close it, end all subscriptions, wait until all are over and no thread is publishing, then free. Nothing may be
 * called with the bus any more; what was subscribed with a holder must still be handed to vestry_unsubscribe, now or
 * later. Not from a callback of the bus; waits for running callbacks. NULL is accepted. */
void vsi_bus_destroy(vsi_bus *bus);
/* A snapshot. Any thread. */
void vsi_bus_stats_get(vsi_bus *bus, vestry_bus_stats *ret_stats);

/* As vestry_publish, but OK without subscribers. name: of the topic; message: but for its connection, which is set for
 * each call. */
enum { VSI_BUS_NESTING_MAX = 32 }; /* callbacks that this thread is inside of: then LIMIT */
vestry_err vsi_bus_publish(vsi_bus *bus, vestry_slice name, vestry_bus_message *message, size_t *ret_count);

/* As vestry_subscribe. */
vestry_err vsi_bus_subscribe(vsi_bus *bus, vestry_slice name, const vestry_subscriber *subscriber,
                             vestry_subscription **ret_subscription);

/* Make a subscription for a connection that is to come: its topic is there, and it has its place among
 * max_subscriptions_count. It is begun or given up, once, before the bus ends; either way its `over` is called, once.
 * subscriber: without connection. OK | INVALID | LIMIT | CLOSED | NO_MEMORY */
vestry_err vsi_bus_prepare(vsi_bus *bus, vestry_slice name, const vestry_subscriber *subscriber,
                           vestry_subscription **ret_subscription);
/* Begin a subscription, until the connection ends. If the connection has ended, or the bus is closed, the subscription
 * is over. */
void vsi_bus_begin(vestry_subscription *subscription, vestry_connection *connection);
/* End a subscription that has not begun. */
void vsi_bus_give_up(vestry_subscription *subscription);

#endif
