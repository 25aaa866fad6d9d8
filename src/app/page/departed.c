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
 * There is a fixed number of slots; a new tab takes the slot that was filled longest ago. Their hash has a secret,
 * since clients say the numbers. */
#include "app/page/departed.h"

#include "base/map.h"
#include "base/siphash.h"

typedef struct slot {
  vsi_map_link in;         /* first */
  uint64_t document, last; /* document 0: free */
  vsi_state_tag tag;
} slot;

struct vsi_departed {
  const vestry_host *host;
  vsi_siphash_key secret;
  size_t count, newest; /* newest: the slot that is taken next */
  slot *tabs;           /* NULL: none yet */
  vsi_map map;          /* of those that are not free */
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
  vsi_map_finish(&departed->map, departed->host);
  vsi_free(departed->host, departed->tabs);
  vsi_free(departed->host, departed);
}

/* Most applications have no parts: the table is made for the first tab that departs. */
static bool make(vsi_departed *departed) {
  if (vsi_map_reserve(&departed->map, departed->host, departed->count)) return false;
  if (!departed->tabs) departed->tabs = vsi_calloc(departed->host, departed->count, sizeof *departed->tabs);
  return departed->tabs != NULL;
}

static void forget(vsi_departed *departed, slot *one) {
  vsi_map_remove(&departed->map, &one->in);
  one->document = 0;
}

static uint64_t hash_of(const vsi_departed *departed, uint64_t document) {
  return vsi_siphash_1_3(departed->secret, &document, sizeof document);
}

static slot *find(const vsi_departed *departed, uint64_t document) {
  vsi_map_link *at = vsi_map_first(&departed->map, hash_of(departed, document));
  while (at && ((slot *)at)->document != document) at = vsi_map_further(at);
  return (slot *)at;
}

void vsi_departed_put(vsi_departed *departed, uint64_t document, uint64_t last, const vsi_state_tag *tag) {
  if (!document || !make(departed)) return;
  slot *one = find(departed, document);
  if (one) forget(departed, one);
  one = &departed->tabs[departed->newest];
  departed->newest = (departed->newest + 1) % departed->count;
  if (one->document) forget(departed, one);
  one->document = document;
  one->last = last;
  one->tag = *tag;
  vsi_map_add(&departed->map, &one->in, hash_of(departed, document));
}

bool vsi_departed_take(vsi_departed *departed, uint64_t document, uint64_t last, vsi_state_tag *ret_tag) {
  slot *one = find(departed, document);
  if (!one) return false;
  bool is_same = one->last == last;
  if (is_same) *ret_tag = one->tag;
  forget(departed, one);
  return is_same;
}
