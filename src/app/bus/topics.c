/* SPDX-License-Identifier: MIT */
#include "app/bus/topics.h"

#include <string.h>

#include "base/memory.h"

/* Topics can be named by users, so the hash is keyed: no user can choose names that meet in one chain. The map is
 * bounded by the number of subscriptions, at eight bytes each. */

vestry_err vsi_topics_init(vsi_topics *topics, const vestry_host *host) {
  *topics = (vsi_topics){.map = {NULL, 0, 0}};
  return vsi_siphash_key_random(host, &topics->key) ? VESTRY_IO : VESTRY_OK;
}

void vsi_topics_finish(vsi_topics *topics, const vestry_host *host) {
  vsi_map_finish(&topics->map, host);
}

uint64_t vsi_topics_hash(const vsi_topics *topics, const void *bytes, size_t len) {
  return vsi_siphash_1_3(topics->key, bytes, len);
}

vsi_topic *vsi_topics_find(const vsi_topics *topics, uint64_t hash, const void *bytes, size_t len) {
  for (vsi_map_link *at = vsi_map_first(&topics->map, hash); at; at = vsi_map_further(at)) {
    vsi_topic *topic = (vsi_topic *)at;
    if (topic->len == len && memcmp(topic->bytes, bytes, len) == 0) return topic;
  }
  return NULL;
}

vsi_topic *vsi_topic_create(const vestry_host *host, uint64_t hash, const void *bytes, size_t len) {
  vsi_topic *topic = vsi_alloc(host, sizeof *topic + len);
  if (!topic) return NULL;
  *topic = (vsi_topic){.in = {.hash = hash}, .len = len};
  TAILQ_INIT(&topic->subscriptions);
  memcpy(topic->bytes, bytes, len);
  return topic;
}
