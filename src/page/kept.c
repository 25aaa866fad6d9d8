#include "page/kept.h"

#include "base/memory.h"

static void take_out(vestry_pages *pages, vsi_kept *kept) {
  if (kept->newer)
    kept->newer->older = kept->older;
  else
    pages->newest_kept = kept->older;
  if (kept->older)
    kept->older->newer = kept->newer;
  else
    pages->oldest_kept = kept->newer;
  pages->stats.kept_bytes -= sizeof *kept + vestry_event_bytes(kept->event).len;
  vestry_event_unref(kept->event);
  kept->event = NULL;
}

static void drop_kept(vestry_pages *pages, vsi_view *view) {
  if (!view->kept) return;
  take_out(pages, view->kept);
  vsi_free(pages->host, view->kept);
  view->kept = NULL;
}

static void put_newest(vestry_pages *pages, vsi_kept *kept) {
  kept->newer = NULL;
  kept->older = pages->newest_kept;
  if (kept->older)
    kept->older->newer = kept;
  else
    pages->oldest_kept = kept;
  pages->newest_kept = kept;
  pages->stats.kept_bytes += sizeof *kept + vestry_event_bytes(kept->event).len;
}

void vsi_kept_put(vsi_view *view, vestry_event *event) {
  vestry_pages *pages = view->page->pages;
  if (!event) {
    drop_kept(pages, view);
    return;
  }
  if (view->kept)
    take_out(pages, view->kept);
  else
    view->kept = vsi_alloc(pages->host, sizeof *view->kept);
  if (view->kept) {
    *view->kept = (vsi_kept){.view = view, .event = event};
    put_newest(pages, view->kept);
  } else {
    vestry_event_unref(event); /* the next change goes out whole */
  }
}

void vsi_kept_trim(vestry_pages *pages) {
  while (pages->stats.kept_bytes > pages->max_kept_bytes) {
    vsi_kept *oldest = pages->oldest_kept;
    while (oldest && oldest->view->state == VSI_VIEW_RUNNING) oldest = oldest->newer; /* its worker uses it */
    if (!oldest) return;
    drop_kept(pages, oldest->view);
    pages->stats.kept_dropped_count++;
  }
}
