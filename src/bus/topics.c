#include "bus/topics.h"

#include <string.h>

#include "base/memory.h"

/* Chains in a power of two of buckets, at most one topic a bucket on average. Topics can be named by users, so the hash
 * is keyed: no user can choose names that meet in one chain. The table grows, by doubling, and does not shrink: it is
 * bounded by the number of subscriptions, at eight bytes each. */

enum { FIRST_BUCKETS = 16 };

vestry_err vsi_topics_init(vsi_topics *topics, const vestry_host *host) {
  *topics = (vsi_topics){.buckets = NULL};
  return vsi_siphash_key_random(host, &topics->key) ? VESTRY_IO : VESTRY_OK;
}

void vsi_topics_finish(vsi_topics *topics, const vestry_host *host) {
  vsi_free(host, topics->buckets);
  topics->buckets = NULL;
}

uint64_t vsi_topics_hash(const vsi_topics *topics, const void *bytes, size_t len) {
  return vsi_siphash_1_3(topics->key, bytes, len);
}

static vsi_topic **bucket_of(const vsi_topics *topics, uint64_t hash) {
  return &topics->buckets[hash & (topics->buckets_count - 1)];
}

vsi_topic *vsi_topics_find(const vsi_topics *topics, uint64_t hash, const void *bytes, size_t len) {
  if (!topics->buckets) return NULL;
  vsi_topic *at = *bucket_of(topics, hash);
  while (at && !(at->hash == hash && at->len == len && memcmp(at->bytes, bytes, len) == 0)) at = at->next;
  return at;
}

vsi_topic *vsi_topic_create(const vestry_host *host, uint64_t hash, const void *bytes, size_t len) {
  vsi_topic *topic = vsi_alloc(host, sizeof *topic + len);
  if (!topic) return NULL;
  *topic = (vsi_topic){.hash = hash, .len = len};
  TAILQ_INIT(&topic->subscriptions);
  memcpy(topic->bytes, bytes, len);
  return topic;
}

size_t vsi_topics_wanted(const vsi_topics *topics) {
  if (!topics->buckets) return FIRST_BUCKETS;
  return topics->count < topics->buckets_count ? 0 : topics->buckets_count * 2;
}

vsi_topic **vsi_topics_grow(vsi_topics *topics, vsi_topic **buckets, size_t count) {
  vsi_topic **former = topics->buckets;
  size_t former_count = topics->buckets_count;
  topics->buckets = buckets;
  topics->buckets_count = count;
  for (size_t i = 0; i < former_count; i++)
    for (vsi_topic *at = former[i], *next; at; at = next) {
      next = at->next;
      vsi_topic **bucket = bucket_of(topics, at->hash);
      at->next = *bucket;
      *bucket = at;
    }
  return former;
}

void vsi_topics_add(vsi_topics *topics, vsi_topic *topic) {
  vsi_topic **bucket = bucket_of(topics, topic->hash);
  topic->next = *bucket;
  *bucket = topic;
  topics->count++;
}

void vsi_topics_remove(vsi_topics *topics, vsi_topic *topic) {
  vsi_topic **link = bucket_of(topics, topic->hash);
  while (*link != topic) link = &(*link)->next;
  *link = topic->next;
  topics->count--;
}
