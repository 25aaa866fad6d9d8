/* SPDX-License-Identifier: MIT */
/* The tallies of pages, parts and fragments. The caller holds the lock unless the comment states otherwise. */
#include "app/page/tally.h"

#include <string.h>

#include "app/page/fragment.h"
#include "base/memory.h"
#include "http/routes/routes.h"

/* Add a tally with a copy of the name. Returns NULL without memory. */
static vsi_tally *add_tally(vsi_tallies *tallies, const vestry_host *host, const void *owner, const char *name,
                            uint64_t hash) {
  const size_t len = strlen(name) + 1;
  if (vsi_map_reserve(&tallies->by_name, host, tallies->by_name.count + 1)) return NULL;
  vsi_tally *tally = vsi_calloc(host, 1, sizeof *tally + len);
  if (!tally) return NULL;
  tally->owner = owner;
  tally->name = memcpy(tally + 1, name, len);
  tally->place = (uint16_t)tallies->count;
  tallies->all[tallies->count++] = tally;
  vsi_map_add(&tallies->by_name, &tally->in, hash);
  return tally;
}

/* Find the tally of an owner's name, or add it if there are fewer than `most`. Without room or memory it is the tally
 * of all others. */
static vsi_tally *need_tally(vestry_pages *pages, const void *owner, const char *name, size_t *count, size_t most) {
  vsi_tallies *tallies = &pages->tallies;
  const uint64_t hash = vsi_siphash_1_3(pages->buckets_secret, name, strlen(name));
  for (vsi_map_link *at = vsi_map_first(&tallies->by_name, hash); at; at = vsi_map_further(at)) {
    vsi_tally *tally = (vsi_tally *)at;
    if (tally->owner == owner && strcmp(tally->name, name) == 0) return tally;
  }
  vsi_tally *tally = *count < most ? add_tally(tallies, pages->host, owner, name, hash) : NULL;
  if (!tally) return &tallies->others;
  ++*count;
  return tally;
}

vsi_tally *vsi_tally_of_page(vestry_page *page, const vestry_request *req) {
  const vsi_visit *visit = req->own->visit;
  const char *pattern = visit && visit->route ? visit->route->pattern : "";
  return need_tally(page->pages, page, pattern, &page->pages->tallies.pages_count, VSI_TALLY_PAGES);
}

vsi_tally *vsi_tally_of_part(vestry_pages *pages, vsi_tally *of, const char *id) {
  vsi_tallies *tallies = &pages->tallies;
  const size_t most = of == &tallies->others ? 0 : VSI_TALLY_PARTS;
  vsi_tally *tally = need_tally(pages, of, id, &tallies->parts_count, most);
  if (tally != &tallies->others) tally->of = of;
  return tally;
}

vsi_tally *vsi_tally_of(const vsi_fragment *fragment) {
  const uint16_t place = fragment->request ? fragment->request->tally : vsi_shared_of(fragment)->tally;
  return fragment->page->pages->tallies.all[place];
}

size_t vsi_tallies_copy(vestry_pages *pages, vsi_tally ret[VSI_TALLIES]) {
  vsi_pages_lock(pages);
  const size_t count = pages->tallies.count;
  for (size_t i = 0; i < count; i++) ret[i] = *pages->tallies.all[i];
  vsi_pages_unlock(pages);
  return count;
}
