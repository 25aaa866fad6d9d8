/* SPDX-License-Identifier: MIT */
/* essay: a bucket is the time when it is full again */
/* A token bucket needs a level and a time. The time when it will be full again says both: each token that is taken
 * moves it on by what one token takes to come back, and a bucket whose time has passed is full, and can be forgotten.
 * This is the Generic Cell Rate Algorithm (ITU-T I.371, "theoretical arrival time").
 *
 * Buckets lie in sets of eight, two cache lines; the hash says which set. A newcomer takes the place of the bucket that
 * is full first: mostly one that is full already. Otherwise the client is forgotten that owes least, so the client that
 * sends most is remembered longest. No bucket is anywhere else, so the table never grows, and nothing is swept.
 * A map with links (base/map.h) would allocate 40 bytes for each address that a client invents.
 *
 * The hash is 64 bits of a keyed function; two names with one hash share a bucket. */
#include "app/guard/buckets.h"

#include "base/memory.h"
#include "base/mutex.h"

enum { WAYS = 8, STRIPES = 32 };

typedef struct bucket {
  uint64_t hash;
  uint64_t full_ns; /* when it is full again; 0: never used */
} bucket;

typedef struct set {
  bucket ways[WAYS];
} set;

typedef struct stripe {
  vsi_mutex lock; /* of each STRIPESth set */
  uint64_t passed_count, refused_count, forgotten_count;
} stripe;

struct vsi_buckets {
  stripe stripes[STRIPES];
  const vestry_host *host;
  uint64_t step_ns, room_ns; /* room: of all tokens */
  size_t sets_count;         /* a power of two */
  set *sets;
};

vestry_err vsi_buckets_create(const vestry_host *host, uint64_t step_ns, uint64_t tokens, size_t max_count,
                              vsi_buckets **ret_buckets) {
  size_t sets_count = STRIPES;
  while (sets_count * WAYS < max_count) sets_count *= 2;
  vsi_buckets *buckets = vsi_calloc(host, 1, sizeof *buckets);
  set *sets = vsi_calloc(host, sets_count, sizeof *sets);
  if (!buckets || !sets) {
    vsi_free(host, buckets);
    vsi_free(host, sets);
    return VESTRY_NO_MEMORY;
  }
  *buckets = (vsi_buckets){
      .host = host, .step_ns = step_ns, .room_ns = step_ns * tokens, .sets_count = sets_count, .sets = sets};
  for (stripe *part = buckets->stripes; part < buckets->stripes + STRIPES; part++)
    vsi_mutex_init(&part->lock, VSI_LOCK_BUCKETS);
  *ret_buckets = buckets;
  return VESTRY_OK;
}

void vsi_buckets_destroy(vsi_buckets *buckets) {
  if (!buckets) return;
  const vestry_host *host = buckets->host;
  for (int i = 0; i < STRIPES; i++) vsi_mutex_finish(&buckets->stripes[i].lock);
  vsi_free(host, buckets->sets);
  vsi_free(host, buckets);
}

/* The hash's bucket, or else the one that is full first. */
static bucket *find(set *in, uint64_t hash) {
  bucket *first = in->ways;
  for (bucket *at = in->ways; at < in->ways + WAYS; at++) {
    if (at->hash == hash && at->full_ns) return at;
    if (at->full_ns < first->full_ns) first = at;
  }
  return first;
}

uint64_t vsi_buckets_take(vsi_buckets *buckets, uint64_t hash, uint64_t now_ns) {
  size_t index = (size_t)hash & (buckets->sets_count - 1);
  stripe *part = &buckets->stripes[index % STRIPES];
  vsi_mutex_lock(&part->lock);
  bucket *at = find(&buckets->sets[index], hash);
  bool is_known = at->hash == hash;
  if (!is_known && at->full_ns > now_ns) part->forgotten_count++;
  uint64_t full_ns = is_known && at->full_ns > now_ns ? at->full_ns : now_ns;
  uint64_t owed_ns = full_ns - now_ns + buckets->step_ns; /* with this token */
  uint64_t wait_ns = owed_ns > buckets->room_ns ? owed_ns - buckets->room_ns : 0;
  if (!wait_ns) *at = (bucket){hash, full_ns + buckets->step_ns};
  if (wait_ns)
    part->refused_count++;
  else
    part->passed_count++;
  vsi_mutex_unlock(&part->lock);
  return wait_ns;
}

vsi_buckets_sums vsi_buckets_count(vsi_buckets *buckets, uint64_t now_ns) {
  vsi_buckets_sums sums = {.passed_count = 0};
  for (size_t s = 0; s < STRIPES; s++) {
    stripe *part = &buckets->stripes[s];
    vsi_mutex_lock(&part->lock);
    sums.passed_count += part->passed_count;
    sums.refused_count += part->refused_count;
    sums.forgotten_count += part->forgotten_count;
    for (size_t i = s; i < buckets->sets_count; i += STRIPES)
      for (int way = 0; way < WAYS; way++) sums.filling_count += buckets->sets[i].ways[way].full_ns > now_ns;
    vsi_mutex_unlock(&part->lock);
  }
  return sums;
}
