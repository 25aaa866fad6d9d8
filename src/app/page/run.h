/* SPDX-License-Identifier: MIT */
/* One run of a view by a worker: render it, compare, send what differs. Without the lock but where it says otherwise.
 * Here is what runs of private pages (private.c) and of shared views (shared.c) have in common. */
#ifndef VSI_PAGE_RUN_H
#define VSI_PAGE_RUN_H

#include "app/page/render.h"
#include "app/page/view.h"

/* What has become of a call of the handler. */
typedef enum vsi_outcome {
  VSI_MADE_CONTENT,
  VSI_MADE_NOTHING, /* the version has not changed */
  VSI_MADE_END,     /* the page is to stay as it is */
  VSI_MADE_REDIRECT,
  VSI_MADE_RELOAD, /* the document says better why it cannot be seen */
  VSI_MADE_FAILED
} vsi_outcome;

typedef struct vsi_run {
  vestry_pages *pages;
  vsi_view *view;
  vsi_shared *shared;   /* the view; NULL: it is private */
  vsi_private *private; /* likewise; NULL: it is shared */
  /* As the view has them, in bits that others write beside. */
  bool is_first, has_hash, has_version;
  bool is_again;     /* the render has asked to be made again */
  unsigned failures; /* before this run, of which the streams were told */
  uint64_t started_seq;
  uint64_t changed_ns; /* given: when the change came that it answers; 0: none that is known, or nothing observes */
  uint64_t ended_ns;   /* when the handler returned */
  vsi_reason reason;   /* given */
  vsi_buffer names;    /* of topics */
  vestry_html *html;   /* the worker's */
  vestry_reply reply;
  vsi_render render;
  vsi_state_tag had;    /* of a version: what the view has */
  vestry_slice content; /* what was made */
  vsi_hash_128 hash;    /* the content's */
  vestry_event *event;  /* made of it; a reference */
  vestry_event *kept;   /* a reference to the view's, which ends with the view; NULL: it has none */
} vsi_run;

/* html: what it renders into; cleared here. started_seq: pages->seq now. */
void vsi_run_begin(vsi_run *r, vsi_view *view, vestry_html *html, uint64_t started_seq);
void vsi_run_end(vsi_run *r);

/* Render, and let the view depend on the topics that were named. */
vsi_outcome vsi_run_make(vsi_run *r);
/* Whether it is known from now on what all viewers of the view have. With the lock. */
void vsi_run_set_has_hash(vsi_run *r, bool has_hash);
void vsi_run_set_version(vsi_run *r, bool has_version);
/* What is inside of a part, whose first word of the hash that is; it claims that part's content alone.
 * OK | NO_MEMORY | TOO_LARGE */
vestry_err vsi_run_format_part(vestry_pages *pages, const char *id, const char *share, vestry_slice inside,
                               uint64_t hash, vestry_event **ret_event);
/* The event, with its id after it; tag: of a page's content, for a part NULL. OK | NO_MEMORY | TOO_LARGE */
vestry_err vsi_run_format(vsi_run *r, const char *tag);
/* The content is none: what becomes of one stream. */
void vsi_run_lead_away(vsi_run *r, vsi_outcome made, vestry_connection *connection);
void vsi_run_begin_sending(vsi_run *r);
/* What was made is what all viewers of the view have, if it was accepted. sent_bytes: that streams were given. With the
 * lock. */
void vsi_run_settle(vsi_run *r, bool is_same, vestry_err error, uint64_t sent_bytes);

#endif
