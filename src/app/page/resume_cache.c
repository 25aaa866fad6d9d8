/* SPDX-License-Identifier: MIT */
/* essay: the state of a tab that reconnects */
/* The states that tabs had when their streams ended.
 *
 * A tab that reconnects sends the id of the last event that it received. For an event of the page's own content, this
 * id is the whole tag. The event of a part, however, has the same bytes for all pages that share the part, so its id
 * cannot cover the rest of each page. The server knows the rest, because it knows which events it put into the stream
 * of the tab, and in which order. If the tab received the last of them, it received all of them. Therefore the server
 * keeps the tag of the tab for a while, under a number in the document.
 *
 * The number of slots is fixed; a new tab takes the slot that was filled longest ago. The hash is keyed with a secret,
 * because clients send the numbers. */
#include "app/page/resume_cache.h"

#include "base/map.h"
#include "base/siphash.h"

typedef struct slot {
  vsi_map_link in;         /* first */
  uint64_t document, last; /* document 0: the slot is free */
  vsi_state_tag tag;
} slot;

struct vsi_resume_cache {
  const vestry_host *host;
  vsi_siphash_key secret;
  size_t count, newest; /* newest: index of the slot that is taken next */
  slot *tabs;           /* NULL: not allocated yet */
  vsi_map map;          /* the slots in use */
};

vestry_err vsi_resume_cache_create(const vestry_host *host, size_t max_count, vsi_resume_cache **ret_departed) {
  vsi_resume_cache *resume_cache = vsi_calloc(host, 1, sizeof *resume_cache);
  if (!resume_cache) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_siphash_key_random(host, &resume_cache->secret);
  if (error) {
    vsi_free(host, resume_cache);
    return error;
  }
  resume_cache->host = host;
  resume_cache->count = max_count;
  *ret_departed = resume_cache;
  return VESTRY_OK;
}

void vsi_resume_cache_destroy(vsi_resume_cache *resume_cache) {
  if (!resume_cache) return;
  vsi_map_finish(&resume_cache->map, resume_cache->host);
  vsi_free(resume_cache->host, resume_cache->tabs);
  vsi_free(resume_cache->host, resume_cache);
}

/* Allocate the table when the first tab is stored, because most applications have no parts. */
static bool make(vsi_resume_cache *resume_cache) {
  if (vsi_map_reserve(&resume_cache->map, resume_cache->host, resume_cache->count)) return false;
  if (!resume_cache->tabs)
    resume_cache->tabs = vsi_calloc(resume_cache->host, resume_cache->count, sizeof *resume_cache->tabs);
  return resume_cache->tabs != NULL;
}

static void forget(vsi_resume_cache *resume_cache, slot *one) {
  vsi_map_remove(&resume_cache->map, &one->in);
  one->document = 0;
}

static uint64_t hash_of(const vsi_resume_cache *resume_cache, uint64_t document) {
  return vsi_siphash_1_3(resume_cache->secret, &document, sizeof document);
}

static slot *find(const vsi_resume_cache *resume_cache, uint64_t document) {
  vsi_map_link *at = vsi_map_first(&resume_cache->map, hash_of(resume_cache, document));
  while (at && ((slot *)at)->document != document) at = vsi_map_further(at);
  return (slot *)at;
}

void vsi_resume_cache_put(vsi_resume_cache *resume_cache, uint64_t document, uint64_t last, const vsi_state_tag *tag) {
  if (!document || !make(resume_cache)) return;
  slot *one = find(resume_cache, document);
  if (one) forget(resume_cache, one);
  one = &resume_cache->tabs[resume_cache->newest];
  resume_cache->newest = (resume_cache->newest + 1) % resume_cache->count;
  if (one->document) forget(resume_cache, one);
  one->document = document;
  one->last = last;
  one->tag = *tag;
  vsi_map_add(&resume_cache->map, &one->in, hash_of(resume_cache, document));
}

bool vsi_resume_cache_take(vsi_resume_cache *resume_cache, uint64_t document, uint64_t last, vsi_state_tag *ret_tag) {
  slot *one = find(resume_cache, document);
  if (!one) return false;
  bool is_same = one->last == last;
  if (is_same) *ret_tag = one->tag;
  forget(resume_cache, one);
  return is_same;
}
