/* SPDX-License-Identifier: MIT */
/* The bus, as the floor above uses it: topics of any length, whose bytes are not shown to subscribers; and a
 * subscription in two steps, of which the second needs no memory. */
#ifndef VSI_BUS_BUS_H
#define VSI_BUS_BUS_H

#include "vestry/bus.h"

/* As vestry_bus_publish. name: of the topic; message: but for its connection, which is set for each call. */
vestry_err vsi_bus_publish(vestry_bus *bus, vestry_slice name, vestry_bus_message *message, size_t *ret_count);

/* As vestry_bus_subscribe. */
vestry_err vsi_bus_subscribe(vestry_bus *bus, vestry_slice name, const vestry_subscriber *subscriber,
                             vestry_subscription **ret_subscription);

/* Make a subscription for a connection that is to come: its topic is there, and it has its place among
 * max_subscriptions_count. It is begun or given up, once, before the bus ends; either way its `over` is called, once.
 * subscriber: without connection. OK | INVALID | LIMIT | CLOSED | NO_MEMORY */
vestry_err vsi_bus_prepare(vestry_bus *bus, vestry_slice name, const vestry_subscriber *subscriber,
                           vestry_subscription **ret_subscription);
/* Begin a subscription, until the connection ends. If the connection has ended, or the bus is closed, the subscription
 * is over. */
void vsi_bus_begin(vestry_subscription *subscription, vestry_connection *connection);
/* End a subscription that has not begun. */
void vsi_bus_give_up(vestry_subscription *subscription);

#endif
