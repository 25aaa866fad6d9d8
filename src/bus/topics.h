/* A bus's topics by their bytes: a hash table whose look-ups cost the same however many there are. Guarded by the bus's
 * lock; allocates nothing itself, so that nothing is allocated under that lock. */
#ifndef VSI_BUS_TOPICS_H
#define VSI_BUS_TOPICS_H

#include <sys/queue.h>

#include "base/siphash.h"
#include "vestry/bus.h"

typedef struct vsi_topic {
  struct vsi_topic *next; /* in its bucket */
  uint64_t hash;
  TAILQ_HEAD(, vestry_subscription) subscriptions; /* in the order of subscribing */
  struct vsi_cursor *cursors;                      /* of the threads that publish to it; see bus.c */
  size_t kept_count;                               /* places kept for subscriptions that are about to come */
  size_t len;
  unsigned char bytes[];
} vsi_topic;

typedef struct vsi_topics {
  vsi_siphash_key key;
  vsi_topic **buckets; /* NULL: none yet */
  size_t buckets_count, count;
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

/* How many buckets there must be before one more topic is added; 0: there are enough. */
size_t vsi_topics_wanted(const vsi_topics *topics);
/* Take that many zeroed buckets; returns the former ones, the caller's to free. */
vsi_topic **vsi_topics_grow(vsi_topics *topics, vsi_topic **buckets, size_t count);
/* None of these bytes may be there, and there must be enough buckets. */
void vsi_topics_add(vsi_topics *topics, vsi_topic *topic);
void vsi_topics_remove(vsi_topics *topics, vsi_topic *topic);

#endif
