/* SPDX-License-Identifier: MIT */
/* The end of views and seats: a view ends with its last viewer, but a worker that is just running it buries it. */
#include "app/page/view.h"

#include "base/memory.h"
#include "channel/channel.h"

static void free_shared(const vestry_host *host, vsi_shared *shared) {
  vsi_channel_destroy(shared->channel);
  vsi_free(host, (void *)(uintptr_t)shared->id);
  vsi_free(host, shared);
}

static void free_private(const vestry_host *host, vsi_private *page) {
  if (page->view.is_over) vestry_connection_unref(page->viewer.connection); /* the stream has begun */
  if (page->extra) {
    vsi_free(host, page->extra->tag);
    vsi_free(host, page->extra->seen); /* it never began */
  }
  vsi_free(host, page->extra);
  vsi_free(host, page);
}

void vsi_view_free(vsi_view *view) {
  const vestry_host *host = view->page->pages->host;
  vsi_request_copy_unref(view->request);
  if (view->is_shared)
    free_shared(host, vsi_shared_of(view));
  else
    free_private(host, vsi_private_of(view));
}

void vsi_view_bury(vsi_view *view) {
  vestry_pages *pages = view->page->pages;
  view->next_dead = pages->dead_views;
  pages->dead_views = view;
}

static void free_seat(const vestry_host *host, vsi_seat *seat) {
  vestry_connection_unref(seat->connection);
  vsi_request_copy_unref(seat->request);
  vsi_free(host, seat);
}

void vsi_seat_bury(vsi_seat *seat) {
  vestry_pages *pages = seat->shared->view.page->pages;
  seat->next_of_viewer = pages->dead_seats;
  pages->dead_seats = seat;
}

void vsi_pages_unlock(vestry_pages *pages) {
  const vestry_host *host = pages->host;
  vsi_view *views = pages->dead_views;
  vsi_seat *seats = pages->dead_seats;
  pages->dead_views = NULL;
  pages->dead_seats = NULL;
  vsi_mutex_unlock(&pages->lock);
  for (vsi_seat *next; seats; seats = next) {
    next = seats->next_of_viewer;
    free_seat(host, seats);
  }
  for (vsi_view *next; views; views = next) {
    next = views->next_dead;
    vsi_view_free(views);
  }
}
