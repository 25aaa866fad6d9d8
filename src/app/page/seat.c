/* SPDX-License-Identifier: MIT */
#include "app/page/seat.h"

#include "app/page/kept.h"
#include "app/page/schedule.h"
#include "app/page/tallies.h"
#include "app/page/topic.h"
#include "base/memory.h"

void vsi_view_end(vsi_view *view) {
  vestry_pages *pages = view->page->pages;
  bool is_running = view->state == VSI_VIEW_RUNNING;
  vsi_topics_forget(view);
  vsi_kept_drop(view);
  if (view->is_shared) {
    vsi_key_forget(vsi_shared_of(view));
    vsi_ring_remove(&vsi_shared_of(view)->sents); /* streams that waited for it look again after their own page's run */
  }
  vsi_schedule_leave(view);
  if (view->request) vsi_requests_give_back(pages, vsi_request_copy_bytes(view->request));
  view->is_over = true;
  if (!is_running) vsi_view_bury(view);
}

vestry_err vsi_seat_promise(vestry_pages *pages, vsi_viewer *viewer, vestry_page *page, const vestry_page_part *part,
                            const vsi_buffer *key, size_t share_at, vsi_request_copy *request, vsi_seat **ret_seat) {
  vsi_seat *seat = vsi_calloc(pages->host, 1, sizeof *seat); /* first: a view without a seat would have to end again */
  if (!seat) return VESTRY_NO_MEMORY;
  seat->viewer = viewer;
  vestry_err error = vsi_key_view(pages, page, part, key, share_at, request, &seat->shared);
  if (error) {
    vsi_free(pages->host, seat);
    return error;
  }
  seat->shared->seats_count++;
  *ret_seat = seat;
  return VESTRY_OK;
}

void vsi_seat_drop(vsi_seat *seat) {
  vsi_shared *shared = seat->shared;
  vsi_requests_give_back(shared->view.page->pages, seat->request_bytes);
  vsi_seat_bury(seat);
  if (!--shared->seats_count) vsi_view_end(&shared->view);
}

void vsi_seat_join(vsi_shared *shared, vsi_seat *seat) {
  vsi_ring_add_first(&shared->joining, &seat->joining);
}

void vsi_seat_take(vsi_seat *seat) {
  vsi_shared *shared = seat->shared;
  vsi_view *view = &shared->view;
  seat->connection = vestry_connection_ref(seat->viewer->connection);
  seat->next_of_viewer = seat->viewer->seats;
  seat->viewer->seats = seat;
  vsi_ring_add_first(&shared->seats, &seat->of_shared);
  vsi_tally_of(view)->streams_count++;
  shared->asks |= seat->request != NULL;
  vsi_seat_join(shared, seat);
  if (view->is_first) view->is_dirty = true;
  if (view->state == VSI_VIEW_IDLE || (view->state == VSI_VIEW_WAITING && view->is_poor))
    vsi_schedule_at(view, vsi_now_ns(view->page->pages->host));
}

void vsi_seat_joined(vsi_seat *seat) {
  vsi_ring_remove(&seat->joining);
  vsi_ring_init(&seat->joining);
}

void vsi_seat_leave(vsi_seat *seat) {
  vsi_seat **at = &seat->viewer->seats;
  while (*at != seat) at = &(*at)->next_of_viewer;
  *at = seat->next_of_viewer;
  vsi_tally_of(&seat->shared->view)->streams_count--;
  vsi_ring_remove(&seat->of_shared);
  vsi_seat_joined(seat);
  seat->is_over = true;
  if (!seat->holds) vsi_seat_drop(seat);
}

void vsi_seat_hold(vsi_seat *seat) {
  seat->holds++;
}

void vsi_seat_release(vsi_seat *seat) {
  if (!--seat->holds && seat->is_over) vsi_seat_drop(seat);
}
