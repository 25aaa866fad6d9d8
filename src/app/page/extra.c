/* SPDX-License-Identifier: MIT */
#include "app/page/extra.h"

#include "app/page/departed.h"
#include "app/page/secret.h"
#include "base/memory.h"

vestry_err vsi_private_extra_take(vsi_private *page, uint64_t document, const vsi_state_tag *tag, vsi_sent *seen,
                                  vsi_page_ask ask) {
  const vestry_host *host = page->view.page->pages->host;
  if (!document && !tag && !seen && !ask.hold_ms) return VESTRY_OK;
  vsi_private_extra *extra = page->extra = vsi_calloc(host, 1, sizeof *extra);
  if (!extra) {
    vsi_free(host, seen);
    return VESTRY_NO_MEMORY;
  }
  extra->seen = seen;
  extra->ask = ask;
  extra->document = document;
  if (!tag) return VESTRY_OK;
  extra->tag = vsi_alloc(host, sizeof *tag);
  if (!extra->tag) return VESTRY_NO_MEMORY;
  *extra->tag = *tag;
  return VESTRY_OK;
}

vsi_private_extra *vsi_private_extra_get(vsi_private *page) {
  vestry_pages *pages = page->view.page->pages;
  if (page->extra) return page->extra;
  vsi_private_extra *extra = vsi_calloc(pages->host, 1, sizeof *extra);
  vsi_pages_lock(pages); /* the thread that ends the stream looks for it */
  page->extra = extra;
  vsi_pages_unlock(pages);
  return extra;
}

void vsi_private_extra_forget_tag(vsi_private *page) {
  vestry_pages *pages = page->view.page->pages;
  vsi_private_extra *extra = page->extra;
  if (!extra) return;
  vsi_free(pages->host, extra->tag);
  extra->tag = NULL;
  vsi_pages_lock(pages); /* the thread that ends the stream looks for it, and takes `seen` away */
  bool is_needed = extra->document || extra->renders || extra->seen; /* it has parts, or will have; or it tells */
  if (!is_needed) page->extra = NULL;
  vsi_pages_unlock(pages);
  if (!is_needed) vsi_free(pages->host, extra);
}

static vsi_part_claim claim_of(const vsi_shared *part) {
  const vsi_view *view = &part->view;
  return vsi_secret_claim(view->page->pages, part->id, part->key + part->share_at, view->hash.high);
}

/* If the last event of the stream was a part's, its id claims that part alone: so the server remembers here what a tab
 * has that has seen this event. Sendings of several views may overlap, and then it is not known which was the last. */
void vsi_private_extra_remember(const vsi_private *page) {
  const vsi_view *view = &page->view;
  vestry_pages *pages = view->page->pages;
  const vsi_private_extra *extra = page->extra;
  const vsi_seat *last = NULL;
  if (!extra || !extra->document || !page->viewer.seats || !view->has_hash || view->is_first) return;
  uint64_t from = extra->sent.from;
  vsi_state_tag tag = {
      .hash = view->hash, .build = pages->build, .has_version = view->has_version, .version = view->version};
  for (const vsi_seat *seat = page->viewer.seats; seat; seat = seat->next_of_viewer) {
    const vsi_shared *part = seat->shared;
    if (!seat->is_in || !part->view.has_hash || seat->render != extra->renders ||
        tag.parts_count == VESTRY_PAGE_PARTS_MAX)
      return;
    bool is_published = part->sent.from > seat->joined;
    uint64_t seat_from = is_published ? part->sent.from : seat->joined;
    if (seat_from > from) {
      last = seat;
      from = seat_from;
    }
    tag.parts[tag.parts_count++] = claim_of(part);
  }
  if (!last || view->state == VSI_VIEW_RUNNING) return;
  for (const vsi_seat *seat = page->viewer.seats; seat; seat = seat->next_of_viewer) {
    bool is_published = seat->shared->sent.from > seat->joined;
    uint64_t to = is_published ? seat->shared->sent.to : seat->joined;
    if (to == UINT64_MAX || (seat != last && to >= from)) return;
  }
  if (extra->sent.to >= from) return;
  vsi_departed_put(pages->departed, extra->document, claim_of(last->shared).content, &tag);
}
