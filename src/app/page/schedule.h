/* SPDX-License-Identifier: MIT */
/* When which fragment is rendered. All with the lock held but where it says otherwise. */
#ifndef VSI_PAGE_SCHEDULE_H
#define VSI_PAGE_SCHEDULE_H

#include "app/page/fragment.h"
#include "vestry/html.h"
#include "vestry/runtime.h"

struct vsi_worker {
  vestry_pages *pages;
  vestry_actor *actor;
  vsi_worker *next_idle;
  bool is_idle;
  vestry_html html; /* what it renders into: its memory, and what it has learned, are kept */
};

/* What has become of a run of a fragment. */
typedef enum vsi_run_result {
  VSI_RUN_DONE,    /* rendered, or nothing was to be */
  VSI_RUN_AGAIN,   /* rendered, and to be rendered again after a while (vestry_render_again) */
  VSI_RUN_BLOCKED, /* not now: what it has sent is not written yet, and the stream's runner tells */
  VSI_RUN_FAILED   /* to be tried again */
} vsi_run_result;

/* Room for one more fragment, which is counted from here on. A shared one is entered before the lock is given up.
 * OK | NO_MEMORY */
vestry_err vsi_schedule_reserve(vestry_pages *pages, bool is_shared);
/* The room is not used. */
void vsi_schedule_give_back(vestry_pages *pages);
/* Among all fragments, with nothing rendered yet; room was reserved. */
void vsi_schedule_enter(vsi_fragment *fragment);
/* The fragment is there no more, whatever its state; its room is free. */
void vsi_schedule_leave(vsi_fragment *fragment);
/* The fragment is to be rendered, because of that refresh; 0: of none. */
void vsi_schedule_mark(vsi_fragment *fragment, uint64_t seq);
/* The fragment is to be rendered if anything that it depends on was changed until it is looked at. */
void vsi_schedule_ask(vsi_fragment *fragment, uint64_t seq);
/* The fragment is to be run, at that time at the earliest. Not while it is running. */
void vsi_schedule_at(vsi_fragment *fragment, uint64_t due_ns);
/* Its stream is written. */
void vsi_schedule_unblock(vsi_fragment *fragment);
/* The fragment has begun to render, at that time. The running worker's, no lock; shared: NULL: it is private. */
void vsi_schedule_began(vsi_fragment *fragment, vsi_shared *shared, uint64_t now_ns);
/* A worker is to look. */
void vsi_schedule_wake(vestry_pages *pages);
/* The timer's; no lock. */
void vsi_schedule_fire(vestry_timer *timer, void *ctx);
/* The next fragment that is due, which is running from now on; NULL: none, and the timer is set for when one will
 * be. */
vsi_fragment *vsi_schedule_next(vestry_pages *pages);
/* Another worker is to look for the others, however long this one's run takes. */
void vsi_schedule_hand_over(vestry_pages *pages);
/* After a run: idle, or due again. marked_seq: what the run was for, if it did not come to be rendered; is_guessed: as
 * the fragment's. */
void vsi_schedule_put_back(vsi_fragment *fragment, vsi_run_result result, uint64_t marked_seq, bool is_guessed);

#endif
