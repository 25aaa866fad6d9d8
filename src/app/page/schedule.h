/* SPDX-License-Identifier: MIT */
/* The schedule: when each fragment is rendered. The caller holds the lock unless the comment states otherwise. */
#ifndef VSI_PAGE_SCHEDULE_H
#define VSI_PAGE_SCHEDULE_H

#include "app/page/fragment.h"
#include "vestry/html.h"
#include "vestry/runtime.h"

enum { VSI_UNWRITTEN_MOST = 64, VSI_LATE_MS = 10 };

struct vsi_worker {
  vestry_pages *pages;
  vestry_actor *actor;
  struct vsi_paper {
    vestry_html html; /* target of a render; kept for its memory and its learned formats */
    vsi_buffer names; /* notes of its topics; kept for its memory */
  } papers[2];        /* the second one is of a run inside of a run (run_first), which keeps less */
  /* The lock guards all members below. */
  vsi_worker *next_idle;
  vsi_woken woken;
  bool is_idle;
  bool is_lent;    /* the thread of a request runs it (vsi_pages_lend) */
  uint64_t run_ns; /* when its run began; 0: none runs */
  /* Streams whose events are in their queues and not written yet; references. */
  vestry_connection *unwritten[VSI_UNWRITTEN_MOST];
  size_t unwritten_count;
  uint64_t unwritten_ns; /* when the first one was added */
};

/* The result of a run of a fragment. */
typedef enum vsi_run_result {
  VSI_RUN_DONE,    /* rendered, or no render was necessary */
  VSI_RUN_AGAIN,   /* rendered, and to be rendered again after a while (vestry_render_again) */
  VSI_RUN_BLOCKED, /* postponed: events in the stream are not written yet; the stream's runner unblocks the fragment */
  VSI_RUN_FAILED   /* to be retried */
} vsi_run_result;

/* Enter a fragment that has not been rendered, and take the memory of its request (NULL: none) from the budget. A
 * shared fragment is not in pages->shared yet. Returns OK | NO_MEMORY | LIMIT (max_requests_bytes). */
vestry_err vsi_schedule_enter(vsi_fragment *fragment);
/* Remove a fragment in any state, and give the memory of its request back to the budget. */
void vsi_schedule_leave(vsi_fragment *fragment);
/* Mark a fragment for rendering because of a refresh; seq 0: because of another event. */
void vsi_schedule_mark(vsi_fragment *fragment, uint64_t seq);
/* The same for one of many fragments, with the time of the refresh. */
void vsi_schedule_mark_at(vsi_fragment *fragment, uint64_t seq, uint64_t now_ns);
/* Mark a fragment to be checked: it renders only if data on which it depends has changed by then. */
void vsi_schedule_check(vsi_fragment *fragment, uint64_t seq);
/* Schedule a run of a fragment at due_ns or later. The fragment must not be running. */
void vsi_schedule_at(vsi_fragment *fragment, uint64_t due_ns);
/* Unblock a fragment whose stream is written. */
void vsi_schedule_unblock(vsi_fragment *fragment);
/* Wake an idle worker, which runs the fragments that are due, when the lock is released: then it need not wait for the
 * lock, nor the other threads that need the lock for the system call. */
void vsi_schedule_wake(vestry_pages *pages);
/* From now on, what this thread marks in these pages wakes no worker, because the thread is a worker that soon takes
 * the next due fragment itself, or calls vsi_schedule_hand_over. false: no longer. Returns whether it did before. */
bool vsi_schedule_look_after(vestry_pages *pages, bool does);
/* The function of the timer; called without the lock. */
void vsi_schedule_fire(vestry_timer *timer, void *ctx);
/* Take the next due fragment, which is in the state RUNNING from then on. Returns NULL if none is due; then the timer
 * is set for the next one. */
vsi_fragment *vsi_schedule_next(vestry_pages *pages, uint64_t now_ns);
/* The same for the thread of a request: only fragments that were quick before, or are probably only checked, and
 * without the timer. Those to be checked come first: then a stream that waits for a part gets the part and the report
 * of its submission with one write. */
vsi_fragment *vsi_schedule_next_quick(vestry_pages *pages, uint64_t now_ns);
/* Wake another worker for the other due fragments, before this worker begins a run that may be long. */
void vsi_schedule_hand_over(vestry_pages *pages, uint64_t now_ns);
/* Put a fragment back after a run: idle, or due again. marked_seq, is_guessed: the marks that the run had taken from
 * the fragment, restored if it was not rendered. */
void vsi_schedule_put_back(vsi_fragment *fragment, vsi_run_result result, uint64_t marked_seq, bool is_guessed);

/* Let this thread settle the observers when its request was answered, and then run what that has marked, so that no
 * other thread need be woken for it. Until then, what this thread marks in these pages wakes no worker. Returns false
 * if the thread serves no request that is ending (vsi_inside_set_ending), or should not do this now. Called without the
 * lock. */
VESTRY_API bool vsi_pages_lend(vestry_pages *pages);

#endif
