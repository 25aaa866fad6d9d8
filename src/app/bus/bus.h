/* SPDX-License-Identifier: MIT */
/* The bus as other modules use it. Topics are byte strings of any length, which subscribers do not see. */
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
  struct vsi_cursor *cursors;                      /* of the threads that are publishing to the topic; see bus.c */
  size_t len;
  unsigned char bytes[];
} vsi_topic;

typedef struct vsi_topics {
  vsi_siphash_key key; /* of the hashes of names (vsi_siphash_1_3) */
  vsi_map map;
} vsi_topics;

/* Return the topic with this name, or NULL if there is none. */
vsi_topic *vsi_topics_find(const vsi_topics *topics, uint64_t hash, const void *bytes, size_t len);

/* Create a topic. NULL: out of memory. Free it with vsi_free after it has been removed from its table. */
vsi_topic *vsi_topic_create(const vestry_host *host, uint64_t hash, const void *bytes, size_t len);

typedef struct vsi_bus vsi_bus;

/* A topic of the library: an action of a page was performed. The message is the value of the header Vestry-Sent. The
 * name cannot equal the packed name of a key, because packed names are longer. */
#define VSI_BUS_DONE ((vestry_slice){"d", 1})

/* Create a bus. OK | NO_MEMORY | IO (no randomness: topic names may come from users, so their hash is keyed) */
vestry_err vsi_bus_create(const vestry_host *host, vsi_bus **ret_bus);
/* Set the maximum number of concurrent subscriptions; 0: 100,000. false: it was set before, and is not changed */
bool vsi_bus_bound(vsi_bus *bus, size_t max_subscriptions_count);
/* Return the bus of an instance, and create it at the first use. OK | NO_MEMORY | IO */
vestry_err vsi_bus_use(vestry *v, vsi_bus **ret_bus);
/* Close the bus: from now on publish and subscribe return CLOSED. Idempotent; does not block. */
void vsi_bus_close(vsi_bus *bus);
/* Close the bus, end all subscriptions, wait until they are over and no thread is publishing, then free it. No function
 * may be called with the bus afterwards, except that a subscription returned through ret_subscription must still be
 * passed to vestry_unsubscribe, before or after this call. Do not call from a callback of the bus, because the call
 * waits for running callbacks. NULL is accepted. */
void vsi_bus_destroy(vsi_bus *bus);
/* Get a snapshot of the counters. Any thread. */
void vsi_bus_stats_get(vsi_bus *bus, vestry_bus_stats *ret_stats);
/* Publish a message, as vestry_publish does, but return OK without subscribers, too.
 * name     of the topic
 * message  complete except for its connection, which is set for each call */
vestry_err vsi_bus_publish(vsi_bus *bus, vestry_slice name, vestry_bus_message *message, size_t *ret_count);

/* Subscribe to a topic of this name, otherwise as vestry_subscribe. */
vestry_err vsi_bus_subscribe(vsi_bus *bus, vestry_slice name, const vestry_subscriber *subscriber,
                             vestry_subscription **ret_subscription);

/* Return whether a subscription would be refused now. OK | LIMIT | CLOSED */
vestry_err vsi_bus_may_subscribe(vsi_bus *bus);
/* Call `over` of a subscriber, as a callback of a bus: of a subscription that has ended, or that never began. */
void vsi_bus_call_over(const vestry_subscriber *subscriber);

/* ---- topics by key, on this node only */

/* Publish to the subscribers of a topic by key on this node only. Returns as vestry_publish. */
VESTRY_API vestry_err vsi_publish_here(vestry *v, const vestry_scoped_key *name, const void *data, size_t len);

#endif
