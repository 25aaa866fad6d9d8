/* SPDX-License-Identifier: MIT */
/* Submissions of a tab that its page shows already. The page clears their "sent" signals
 * (vestry_backend_action_options.sent). */
#ifndef VSI_PAGE_SENT_H
#define VSI_PAGE_SENT_H

#include "app/page/render_run.h"

/* Create the submissions of the stream that this request opens. *ret_sent is NULL if its page has no such actions.
 * Returns OK | NO_MEMORY. */
vestry_err vsi_sent_create(vestry_pages *pages, const vestry_request *req, vsi_sent **ret_sent);
/* Begin, when the stream has begun and has its first fragments. own: its private fragment; NULL for a shared page. The
 * caller holds the lock. */
void vsi_sent_begin(vsi_sent *sent, vsi_viewer *viewer, vsi_fragment *own);
/* End and free, when the stream has ended. NULL is accepted. The caller holds the lock. */
void vsi_sent_end(vsi_sent *sent);

/* A vestry_bus_message_fn, called when the handler of an action has returned. ctx: the pages. The message is the header
 * Vestry-Sent of the request. */
void vsi_sent_done(const vestry_bus_message *message, void *ctx);
/* Same as vsi_sent_done, for a submission that another node reported. */
VESTRY_API void vsi_sent_done_elsewhere(vestry_pages *pages, const char *text, size_t len);

/* The check of a stream's submissions, by the worker that runs its private fragment. The caller holds the lock.
 * vsi_sent_unchecked returns the number of the first submission that was not checked yet; 0: none, or the fragment is
 * shared. Call vsi_sent_begin_check before all changes until then are refreshed, and vsi_sent_end_check afterwards.
 * is_sure: these are certainly all; otherwise the stream's parts are marked, too. */
uint64_t vsi_sent_unchecked(const vsi_fragment *fragment);
void vsi_sent_begin_check(const vsi_fragment *fragment);
void vsi_sent_end_check(const vsi_fragment *fragment, bool is_sure);

/* Create the event that reports the submissions that this run of a private page shows; owned by the caller. Returns
 * NULL if there are none, or without memory. *ret_count: their number, to be passed to vsi_sent_drop after the event
 * was sent. */
vestry_event *vsi_sent_event(vsi_run *r, size_t *ret_count);
void vsi_sent_drop(vsi_run *r, size_t count);
/* Report the submissions that are shown after a run of the fragment to their streams. A stream that the worker is going
 * to write anyway is not written here. The caller holds the lock; it is released meanwhile, and the fragment may be
 * freed then. */
void vsi_sent_settle(vsi_fragment *fragment, const vsi_worker *worker);

#endif
