/* SPDX-License-Identifier: MIT */
/* The tallies of pages, parts and fragments. The caller holds the lock unless the comment states otherwise. */
#include "app/page/fragment.h"
#include "app/page/pages.h"
#include "app/page/tally.h"
#include "base/memory.h"
#include "http/routes/routes.h"
#include <string.h>

static vsi_tally *find(vsi_tally *first, const char *name) {
  while (first && strcmp(first->name, name) != 0) first = first->next;
  return first;
}

vsi_tally *vsi_tally_of_page(vestry_page *page, const vestry_request *req) {
  vsi_tallies *tallies = &page->pages->tallies;
  const vsi_visit *visit = req->own->visit;
  const char *pattern = visit && visit->route ? visit->route->pattern : "";
  vsi_tally *tally = find(page->tallies, pattern);
  if (tally) return tally;
  if (tallies->pages_count < VSI_TALLY_PAGES) tally = vsi_tallies_add(tallies, page->pages->host, pattern);
  if (!tally) return &tallies->others;
  tallies->pages_count++;
  tally->next = page->tallies;
  return page->tallies = tally;
}

vsi_tally *vsi_tally_of_part(vestry_pages *pages, vsi_tally *of, const char *id) {
  vsi_tallies *tallies = &pages->tallies;
  vsi_tally *tally = find(of->parts, id);
  if (tally) return tally;
  if (tallies->parts_count < VSI_TALLY_PARTS && of != &tallies->others)
    tally = vsi_tallies_add(tallies, pages->host, id);
  if (!tally) return &tallies->others;
  tallies->parts_count++;
  tally->of = of;
  tally->next = of->parts;
  return of->parts = tally;
}

vsi_tally *vsi_tally_of(const vsi_fragment *fragment) {
  const uint16_t place = fragment->request ? vsi_request_copy_tally(fragment->request) : vsi_shared_of(fragment)->tally;
  return fragment->page->pages->tallies.all[place];
}

size_t vsi_tallies_copy(vestry_pages *pages, vsi_tally ret[VSI_TALLIES]) {
  vsi_pages_lock(pages);
  const size_t count = pages->tallies.count;
  for (size_t i = 0; i < count; i++) ret[i] = *pages->tallies.all[i];
  vsi_pages_unlock(pages);
  return count;
}
