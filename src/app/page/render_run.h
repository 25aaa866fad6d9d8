/* SPDX-License-Identifier: MIT */
/* One run of a fragment by a worker: render, compare, and send the difference. Called without the lock unless the
 * comment states otherwise. This file declares the operations that runs of private pages (private.c) and of shared
 * fragments (shared.c) have in common. */
#ifndef VSI_PAGE_RENDER_RUN_H
#define VSI_PAGE_RENDER_RUN_H

#include "app/page/fragment.h"
#include "app/page/pages.h"
#include "app/page/render.h"
#include "app/page/schedule.h"
#include "channel/channel.h"

/* The result of a call of the handler. */
typedef enum vsi_outcome {
  VSI_MADE_CONTENT,
  VSI_MADE_NOTHING, /* the version has not changed */
  VSI_MADE_END,     /* the stream ends; the tab stays as it is */
  VSI_MADE_REDIRECT,
  VSI_MADE_RELOAD, /* the tab reloads, because the document's response shows the reason */
  VSI_MADE_FAILED
} vsi_outcome;

typedef struct vsi_run {
  vestry_pages *pages;
  vsi_worker *worker;
  /* Run a part that was not rendered yet, on the thread of this run of a page that is about to send its content; unless
   * a worker runs it, or is about to. */
  void (*run_first)(struct vsi_run *r, vsi_shared *part);
  vsi_fragment *fragment;
  vsi_shared *shared;   /* the fragment, if it is shared; otherwise NULL */
  vsi_private *private; /* the fragment, if it is private; otherwise NULL */
  /* Copies of bits of the fragment, whose word other threads write. */
  bool is_first, has_hash, has_version;
  bool is_again;        /* the render called vestry_render_again */
  unsigned failures;    /* failures before this run, which were reported to the streams */
  uint64_t started_seq; /* number of the last refresh when the render began */
  uint64_t changed_ns;  /* time of the change that the run shows; 0: not known, or nothing observes */
  uint64_t ended_ns;    /* time when the handler returned */
  vsi_outcome made;     /* as recorded */
  vsi_reason reason;
  vsi_buffer *names; /* of the worker: notes of topics */
  vestry_html *html; /* owned by the worker */
  vestry_reply reply;
  vsi_render render;
  vsi_state_tag had;         /* used with a version: the state of the fragment */
  vestry_slice content;      /* the rendered content */
  vsi_hash_128 hash;         /* hash of the content */
  vestry_event *event;       /* event of the content; a reference */
  vestry_event *kept;        /* a reference to the last event of the fragment, which may end meanwhile; NULL: none */
  vestry_event *patches;     /* event of what changed in the content; a reference; NULL: none */
  vsi_unit_list *units;      /* likewise, units of the last content; NULL: not known */
  vsi_unit_list *next_units; /* units of the rendered content; a reference; NULL: it has not changed, or has none */
  vsi_few_streams few;       /* of a shared fragment: likewise, streams that its event was put into */
  size_t put_bytes;          /* of a private page: bytes put into the queue of its stream, whose runner was not woken */
} vsi_run;

/* Render, and record the result, except the content of a private page: vsi_private_run records it when it was sent, so
 * that the lock is taken once for both. */
vsi_outcome vsi_run_make(vsi_run *r);
/* Record the result of a render: link the fragment to the topics that were named, and count. The caller holds the lock.
 * Returns the result, which is FAILED if there is no memory for the links. */
vsi_outcome vsi_run_record(vsi_run *r, vsi_outcome made);
/* Set whether the hash or the version of the content that all viewers have is known. The caller holds the lock. */
void vsi_run_set_has_hash(vsi_run *r, bool has_hash);
void vsi_run_set_version(vsi_run *r, bool has_version);
/* Format the content of a part as an event, whose id claims the content of this part only. hash: first word of the hash
 * of the content. Returns OK | NO_MEMORY | TOO_LARGE. */
vestry_err vsi_run_format_part(vestry_pages *pages, const char *id, const char *share, vestry_slice inside,
                               uint64_t hash, vestry_event **ret_event);
/* Format the event of the run, followed by its id. tag: the id for the content of a page; NULL for a part. Returns OK |
 * NO_MEMORY | TOO_LARGE. */
vestry_err vsi_run_format(vsi_run *r, const char *tag);
/* Format the event of what changed in the content of a page, if that is known and better than the whole: r->patches.
 * Otherwise r->patches is NULL. tag: as for vsi_run_format. Returns OK | NO_MEMORY. */
vestry_err vsi_run_format_patches(vsi_run *r, const char *tag);
/* Redirect, end or reload a stream after a render without content. */
void vsi_run_lead_away(vsi_run *r, vsi_outcome made, vestry_connection *connection);
void vsi_run_begin_sending(vsi_run *r);
/* Record the result of a run: if the event was accepted, all viewers of the fragment have the content. sent_bytes:
 * bytes that the streams accepted. The caller holds the lock. */
void vsi_run_settle(vsi_run *r, bool is_same, vestry_err error, uint64_t sent_bytes);

/* Workers, which render fragments. */

/* Create idle workers, each with a reference to the pages. Returns OK | NO_MEMORY: the workers created before stay. */
vestry_err vsi_workers_create(vestry_pages *pages, size_t count);
/* End the workers, now or after their current run. No fragment runs afterwards. */
void vsi_workers_end(vestry_pages *pages);
/* The function of the timer pages->late; called without the lock. */
void vsi_workers_fire(vestry_timer *timer, void *ctx);

/* Run of a private page. */

vsi_run_result vsi_private_run(vsi_run *r);

/* Run of a shared fragment. */

/* is_dirty: its content may have changed; otherwise streams wait to join */
vsi_run_result vsi_shared_run(vsi_run *r, bool is_dirty);

/* Messages to one stream about the page itself. They are sent as signals, on which the page's element acts (script.c),
 * so that no code has to be sent through the stream. */

enum { VSI_SEND_RELOAD_MS = 1000 }; /* time within which a tab reloads, at random */

void vsi_send_failing(vestry_connection *connection, bool is_failing);
/* Make the tab reload its page, and end the stream. */
void vsi_send_reload(vestry_pages *pages, vestry_connection *connection, uint32_t within_ms);

#endif
