/* SPDX-License-Identifier: MIT */
/* The bus, as the layer above uses it: topics of any length, whose bytes are not shown to subscribers; and a
 * subscription in two steps, of which the second needs no memory. */
#ifndef VSI_BUS_BUS_H
#define VSI_BUS_BUS_H

#include <sys/queue.h>

#include "base/map.h"
#include "base/siphash.h"
#include "store/scoped_key.h"
#include "vestry/app/bus.h"

typedef struct vsi_topic {
  vsi_map_link in;                                 /* first */
  TAILQ_HEAD(, vestry_subscription) subscriptions; /* in the order of subscribing */
  struct vsi_cursor *cursors;                      /* of the threads that publish to it; see bus.c */
  size_t kept_count;                               /* places kept for subscriptions that are about to come */
  size_t len;
  unsigned char bytes[];
} vsi_topic;

typedef struct vsi_topics {
  vsi_siphash_key key;
  vsi_map map;
} vsi_topics;

/* OK | IO (no randomness). */
vestry_err vsi_topics_init(vsi_topics *topics, const vestry_host *host);
/* All topics must have been removed. */
void vsi_topics_finish(vsi_topics *topics, const vestry_host *host);

uint64_t vsi_topics_hash(const vsi_topics *topics, const void *bytes, size_t len);
/* NULL: there is none. */
vsi_topic *vsi_topics_find(const vsi_topics *topics, uint64_t hash, const void *bytes, size_t len);

/* NULL: out of memory. Free with vsi_free once it is in no table. */
vsi_topic *vsi_topic_create(const vestry_host *host, uint64_t hash, const void *bytes, size_t len);

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

/* Topics by key, on this node alone. */

/* Publish to the subscribers of a topic by key. Returns as vestry_publish. */
VESTRY_API vestry_err vsi_publish_here(vestry *v, const vestry_scoped_key *name, const void *data, size_t len);

#endif
