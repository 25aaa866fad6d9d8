/* SPDX-License-Identifier: MIT */
/* essay: a tab that comes back, and what it had */
/* What tabs had when their streams ended.
 *
 * A tab that comes back says the last id that it has seen. For a page's own content that is its whole tag. But a part's
 * event is the same bytes for all pages that share the part, so its id can say nothing of the rest of each page. The
 * server knows the rest: what it has put into the tab's stream, and in which order. If the last event that it has put
 * there is the last one that the tab has seen, the tab has all of them. So the tab's tag is kept for a while, under a
 * number that the document has.
 *
 * The table has a fixed number of slots; a new tab takes the slot that was filled longest ago. Its hash has a secret,
 * since clients say the numbers. It is no base/map: slots name each other by numbers of four bytes, 12 for each slot
 * with its bucket, where links and buckets would take 24. */
#include "page/departed.h"

#include "base/memory.h"
#include "base/siphash.h"

typedef struct slot {
  uint64_t document, last; /* document 0: free */
  uint32_t next, at;       /* in its bucket: number + 1, 0: none; its bucket */
  vsi_state_tag tag;
} slot;

struct vsi_departed {
  const vestry_host *host;
  vsi_siphash_key secret;
  size_t count, newest; /* newest: the slot that is taken next */
  uint32_t *buckets;    /* as many as slots: number + 1 */
  slot *slots;
};

vestry_err vsi_departed_create(const vestry_host *host, size_t max_count, vsi_departed **ret_departed) {
  vsi_departed *departed = vsi_calloc(host, 1, sizeof *departed);
  if (!departed) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_siphash_key_random(host, &departed->secret);
  if (error) {
    vsi_free(host, departed);
    return error;
  }
  departed->host = host;
  departed->count = max_count;
  *ret_departed = departed;
  return VESTRY_OK;
}

void vsi_departed_destroy(vsi_departed *departed) {
  if (!departed) return;
  vsi_free(departed->host, departed->buckets);
  vsi_free(departed->host, departed->slots);
  vsi_free(departed->host, departed);
}

/* Most applications have no parts: the table is made for the first tab that departs. */
static bool make(vsi_departed *departed) {
  if (departed->slots) return true;
  departed->buckets = vsi_calloc(departed->host, departed->count, sizeof *departed->buckets);
  departed->slots = vsi_calloc(departed->host, departed->count, sizeof *departed->slots);
  if (departed->buckets && departed->slots) return true;
  vsi_free(departed->host, departed->buckets);
  vsi_free(departed->host, departed->slots);
  departed->buckets = NULL;
  departed->slots = NULL;
  return false;
}

static void forget(vsi_departed *departed, slot *one) {
  uint32_t number = (uint32_t)(one - departed->slots) + 1, *at = &departed->buckets[one->at];
  while (*at != number) at = &departed->slots[*at - 1].next;
  *at = one->next;
  one->document = 0;
}

static uint32_t bucket_of(const vsi_departed *departed, uint64_t document) {
  return (uint32_t)(vsi_siphash_1_3(departed->secret, &document, sizeof document) % departed->count);
}

static slot *find(vsi_departed *departed, uint64_t document) {
  if (!departed->slots || !document) return NULL;
  uint32_t number = departed->buckets[bucket_of(departed, document)];
  while (number && departed->slots[number - 1].document != document) number = departed->slots[number - 1].next;
  return number ? &departed->slots[number - 1] : NULL;
}

void vsi_departed_put(vsi_departed *departed, uint64_t document, uint64_t last, const vsi_state_tag *tag) {
  if (!document || !make(departed)) return;
  slot *one = find(departed, document);
  if (one) forget(departed, one);
  one = &departed->slots[departed->newest];
  departed->newest = (departed->newest + 1) % departed->count;
  if (one->document) forget(departed, one);
  one->document = document;
  one->last = last;
  one->tag = *tag;
  one->at = bucket_of(departed, document);
  one->next = departed->buckets[one->at];
  departed->buckets[one->at] = (uint32_t)(one - departed->slots) + 1;
}

bool vsi_departed_take(vsi_departed *departed, uint64_t document, uint64_t last, vsi_state_tag *ret_tag) {
  slot *one = find(departed, document);
  if (!one) return false;
  bool is_same = one->last == last;
  if (is_same) *ret_tag = one->tag;
  forget(departed, one);
  return is_same;
}
