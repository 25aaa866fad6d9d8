/* SPDX-License-Identifier: MIT */
/* Which submissions of a tab its page shows: what the signals of "sent and seen" (vestry_backend_action_options.sent)
 * are cleared by. */
#ifndef VSI_PAGE_SENT_H
#define VSI_PAGE_SENT_H

#include "app/bus/bus.h"
#include "app/page/render_run.h"

/* What the first byte of a refresh says that tells other nodes of a submission. */
enum { VSI_SENT_MARK = 1 };

/* Of the stream that this request opens; *ret_sent NULL: its page has no such actions. OK | NO_MEMORY */
vestry_err vsi_sent_create(vestry_pages *pages, const vestry_request *req, vsi_sent **ret_sent);
/* With the lock: the stream has begun, and has its first fragments. own: its private fragment; NULL: it is a shared
 * page's. */
void vsi_sent_begin(vsi_sent *sent, vsi_viewer *viewer, vsi_fragment *own);
/* With the lock: the stream has ended. NULL is accepted. Frees it. */
void vsi_sent_end(vsi_sent *sent);

/* vestry_bus_message_fn; ctx: the pages. An action's handler has ended: its data are what the page has sent of it. */
void vsi_sent_done(const vestry_bus_message *message, void *ctx);
/* The same, told by another node. */
VESTRY_API void vsi_sent_done_elsewhere(vestry_pages *pages, const char *text, size_t len);

/* What says that submissions are seen by this run of a private page: an event, owned; NULL: none is, or no memory.
 * *ret_count: of how many, for vsi_sent_drop, once it has been sent. */
vestry_event *vsi_sent_event(vsi_run *r, size_t *ret_count);
void vsi_sent_drop(vsi_run *r, size_t count);
/* A run of the fragment is over: tell the streams whose submissions are seen by it. With the lock, which it gives up
 * meanwhile, and then the fragment may be no more. */
void vsi_sent_settle(vsi_fragment *fragment);

#endif
