/* SPDX-License-Identifier: MIT */
/* Seats: the streams that see a shared view; and a view's end, with its last viewer. All with the lock held. */
#ifndef VSI_PAGE_SEAT_H
#define VSI_PAGE_SEAT_H

#include "app/page/key.h"

/* Promise a viewer a seat of the shared view of that key (vsi_key_view), which stays as long as the seat does.
 * OK | NO_MEMORY | LIMIT (requests) */
vestry_err vsi_seat_promise(vestry_pages *pages, vsi_viewer *viewer, vestry_page *page, const vestry_page_part *part,
                            const vsi_buffer *key, size_t share_at, vsi_request_copy *request, vsi_seat **ret_seat);
/* The seat's stream sees the view from now on. */
void vsi_seat_take(vsi_seat *seat);
/* join: the seat is among those that the view's worker lets join; joined: it is not any more. */
void vsi_seat_join(vsi_shared *shared, vsi_seat *seat);
void vsi_seat_joined(vsi_seat *seat);
/* The stream sees the view no more. The seat dies, unless a worker holds it. What the view sends by its channel still
 * arrives until vsi_channel_leave. */
void vsi_seat_leave(vsi_seat *seat);
/* Give a promise back: the seat dies. */
void vsi_seat_drop(vsi_seat *seat);
/* A worker uses the seat without the lock. */
void vsi_seat_hold(vsi_seat *seat);
void vsi_seat_release(vsi_seat *seat);
/* The view has no viewer any more. It dies now, or when the worker that has it is done. */
void vsi_view_end(vsi_view *view);

#endif
