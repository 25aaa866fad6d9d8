#include "nats/interests.h"

#include "base/hash.h"
#include "base/memory.h"
#include "base/refs.h"

vsi_nats_interest *vsi_nats_interest_ref(vsi_nats_interest *interest) {
  VSI_REFS_TAKE(&interest->refs);
  return interest;
}

void vsi_nats_interest_unref(vsi_nats_interest *interest) {
  if (VSI_REFS_DROP(&interest->refs)) vsi_free(interest->host, interest);
}

void vsi_nats_interests_init(vsi_nats_interests *interests, const vestry_host *host) {
  *interests = (vsi_nats_interests){.host = host};
  if (host->random(host->ctx, &interests->key, sizeof interests->key)) interests->key = 1;
}

void vsi_nats_interests_finish(vsi_nats_interests *interests) {
  for (vsi_map_link *next, *at = vsi_map_after(&interests->map, NULL); at; at = next) {
    next = vsi_map_after(&interests->map, at);
    vsi_nats_interest_unref(VSI_MAP_OWNER(at, vsi_nats_interest, in));
  }
  vsi_map_finish(&interests->map, interests->host);
  interests->wanted_count = 0;
}

static uint64_t hash_of(const vsi_nats_interests *interests, const char *subject) {
  return vsi_hash_bytes(interests->key, subject, strlen(subject));
}

vsi_nats_interest *vsi_nats_interests_find(const vsi_nats_interests *interests, const char *subject) {
  const vsi_map_link *at = vsi_map_first(&interests->map, hash_of(interests, subject));
  for (; at; at = vsi_map_further(at)) {
    vsi_nats_interest *found = VSI_MAP_OWNER(at, vsi_nats_interest, in);
    if (strcmp(found->subject, subject) == 0) return found;
  }
  return NULL;
}

vsi_nats_interest *vsi_nats_interests_add(vsi_nats_interests *interests, const char *subject, void *broker) {
  if (vsi_map_reserve(&interests->map, interests->host, interests->map.count + 1)) return NULL;
  vsi_nats_interest *made = vsi_calloc(interests->host, 1, sizeof *made);
  if (!made) return NULL;
  made->item.is_interest = true;
  made->broker = broker;
  made->host = interests->host;
  VSI_REFS_INIT(&made->refs, 1);
  memcpy(made->subject, subject, strlen(subject) + 1);
  vsi_map_add(&interests->map, &made->in, hash_of(interests, subject));
  return made;
}

void vsi_nats_interests_remove(vsi_nats_interests *interests, vsi_nats_interest *interest) {
  vsi_map_remove(&interests->map, &interest->in);
  vsi_nats_interest_unref(interest);
}

void vsi_nats_interests_each(vsi_nats_interests *interests, void (*visit)(vsi_nats_interest *interest, void *ctx),
                             void *ctx) {
  for (vsi_map_link *at = vsi_map_after(&interests->map, NULL); at; at = vsi_map_after(&interests->map, at))
    visit(VSI_MAP_OWNER(at, vsi_nats_interest, in), ctx);
}
