#include "nats/interests.h"

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
  for (size_t i = 0; i < interests->buckets_count; i++)
    for (vsi_nats_interest *interest = interests->buckets[i], *next; interest; interest = next) {
      next = interest->next;
      vsi_nats_interest_unref(interest);
    }
  vsi_free(interests->host, interests->buckets);
  interests->buckets = NULL;
  interests->buckets_count = interests->count = interests->wanted_count = 0;
}

/* FNV-1a, and the upper bits mixed in. */
static uint64_t hash_of(const vsi_nats_interests *interests, const char *subject) {
  uint64_t hash = interests->key;
  for (; *subject; subject++) hash = (hash ^ (unsigned char)*subject) * UINT64_C(0x100000001b3);
  return hash ^ hash >> 29;
}

static vsi_nats_interest **bucket(const vsi_nats_interests *interests, uint64_t hash) {
  return &interests->buckets[hash & (interests->buckets_count - 1)];
}

vsi_nats_interest *vsi_nats_interests_find(const vsi_nats_interests *interests, const char *subject) {
  if (!interests->buckets_count) return NULL;
  uint64_t hash = hash_of(interests, subject);
  vsi_nats_interest *found = *bucket(interests, hash);
  while (found && (found->hash != hash || strcmp(found->subject, subject) != 0)) found = found->next;
  return found;
}

static bool grow(vsi_nats_interests *interests) {
  vsi_nats_interests larger = *interests;
  larger.buckets_count = interests->buckets_count ? interests->buckets_count * 2 : 64;
  larger.buckets = vsi_calloc(interests->host, larger.buckets_count, sizeof *larger.buckets);
  if (!larger.buckets) return false;
  for (size_t i = 0; i < interests->buckets_count; i++)
    for (vsi_nats_interest *moved = interests->buckets[i], *next; moved; moved = next) {
      next = moved->next;
      vsi_nats_interest **to = bucket(&larger, moved->hash);
      moved->next = *to;
      *to = moved;
    }
  vsi_free(interests->host, interests->buckets);
  *interests = larger;
  return true;
}

vsi_nats_interest *vsi_nats_interests_add(vsi_nats_interests *interests, const char *subject, void *broker) {
  if (interests->count >= interests->buckets_count && !grow(interests)) return NULL;
  vsi_nats_interest *made = vsi_calloc(interests->host, 1, sizeof *made);
  if (!made) return NULL;
  made->item.is_interest = true;
  made->broker = broker;
  made->host = interests->host;
  VSI_REFS_INIT(&made->refs, 1);
  made->hash = hash_of(interests, subject);
  memcpy(made->subject, subject, strlen(subject) + 1);
  vsi_nats_interest **to = bucket(interests, made->hash);
  made->next = *to;
  *to = made;
  interests->count++;
  return made;
}

void vsi_nats_interests_remove(vsi_nats_interests *interests, vsi_nats_interest *interest) {
  vsi_nats_interest **at = bucket(interests, interest->hash);
  while (*at != interest) at = &(*at)->next;
  *at = interest->next;
  interests->count--;
  vsi_nats_interest_unref(interest);
}

void vsi_nats_interests_each(vsi_nats_interests *interests, void (*visit)(vsi_nats_interest *interest, void *ctx),
                             void *ctx) {
  for (size_t i = 0; i < interests->buckets_count; i++)
    for (vsi_nats_interest *interest = interests->buckets[i]; interest; interest = interest->next) visit(interest, ctx);
}
