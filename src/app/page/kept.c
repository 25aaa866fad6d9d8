/* SPDX-License-Identifier: MIT */
#include "app/page/kept.h"

#include "base/memory.h"

static void take_out(vestry_pages *pages, vsi_kept *kept) {
  vsi_ring_remove(&kept->by_age);
  pages->stats.kept_bytes -= sizeof *kept + vestry_event_bytes(kept->event).len;
  vestry_event_unref(kept->event);
}

void vsi_kept_drop(vsi_view *view) {
  vestry_pages *pages = view->page->pages;
  if (!view->kept) return;
  take_out(pages, view->kept);
  vsi_free(pages->host, view->kept);
  view->kept = NULL;
}

static void trim(vestry_pages *pages) {
  vsi_ring *next, *at = pages->kept.next;
  for (; at != &pages->kept && pages->stats.kept_bytes > pages->max_kept_bytes; at = next) {
    next = at->next;
    vsi_view *view = VSI_RING_OWNER(at, vsi_kept, by_age)->view;
    if (view->state == VSI_VIEW_RUNNING) continue; /* its worker uses it */
    vsi_kept_drop(view);
    pages->stats.kept_dropped_count++;
  }
}

void vsi_kept_put(vsi_view *view, vestry_event *event) {
  vestry_pages *pages = view->page->pages;
  if (view->kept)
    take_out(pages, view->kept);
  else
    view->kept = vsi_alloc(pages->host, sizeof *view->kept);
  if (!view->kept) {
    vestry_event_unref(event); /* the next change goes out whole */
    return;
  }
  view->kept->view = view;
  view->kept->event = event;
  vsi_ring_add_last(&pages->kept, &view->kept->by_age);
  pages->stats.kept_bytes += sizeof *view->kept + vestry_event_bytes(event).len;
  trim(pages);
}
