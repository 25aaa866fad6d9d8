/* SPDX-License-Identifier: MIT */
/* A bus's topics by their bytes: a hash table whose look-ups cost the same however many there are. Guarded by the bus's
 * lock; allocates nothing itself, so that nothing is allocated under that lock. */
#ifndef VSI_BUS_TOPICS_H
#define VSI_BUS_TOPICS_H

#include <sys/queue.h>

#include "base/map.h"
#include "base/siphash.h"
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

#endif
