/* SPDX-License-Identifier: MIT */
/* One run of a fragment by a worker: render it, compare, send what differs. Without the lock but where it says
 * otherwise. Here is what runs of private pages (private.c) and of shared fragments (shared.c) have in common. */
#ifndef VSI_PAGE_RENDER_RUN_H
#define VSI_PAGE_RENDER_RUN_H

#include "app/page/fragment.h"
#include "app/page/pages.h"
#include "app/page/render.h"
#include "app/page/schedule.h"

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
  vsi_fragment *fragment;
  vsi_shared *shared;   /* the fragment; NULL: it is private */
  vsi_private *private; /* likewise; NULL: it is shared */
  /* As the fragment has them, in bits that others write beside. */
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
  vsi_state_tag had;    /* of a version: what the fragment has */
  vestry_slice content; /* what was made */
  vsi_hash_128 hash;    /* the content's */
  vestry_event *event;  /* made of it; a reference */
  vestry_event *kept;   /* a reference to the fragment's, which ends with the fragment; NULL: it has none */
} vsi_run;

/* html: what it renders into; cleared. started_seq: pages->seq now. */
void vsi_run_begin(vsi_run *r, vsi_fragment *fragment, vestry_html *html, uint64_t started_seq);
void vsi_run_end(vsi_run *r);

/* Render, and let the fragment depend on the topics that were named. */
vsi_outcome vsi_run_make(vsi_run *r);
/* Whether it is known from now on what all viewers of the fragment have. With the lock. */
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
/* What was made is what all viewers of the fragment have, if it was accepted. sent_bytes: that streams were given. With
 * the lock. */
void vsi_run_settle(vsi_run *r, bool is_same, vestry_err error, uint64_t sent_bytes);

/* Workers: by which fragments are rendered. */

/* As many, idle, each with a reference to the pages. OK | NO_MEMORY: those that there are stay */
vestry_err vsi_workers_create(vestry_pages *pages, size_t count);
/* No fragment is run any more: they end, now or soon. */
void vsi_workers_end(vestry_pages *pages);

/* A run of a private page. */

vsi_run_result vsi_private_run(vsi_run *r);

/* A run of a fragment that many see. */

/* is_dirty: what it shows may have changed; otherwise streams wait to join. */
vsi_run_result vsi_shared_run(vsi_run *r, bool is_dirty);

/* What is said of a page itself, to one stream: by signals, on which the page's element acts (script.c). So no script
 * comes by a stream. */

enum { VSI_SAY_RELOAD_MS = 1000 }; /* within which a tab that is led away loads its page anew */

void vsi_say_failing(vestry_connection *connection, bool is_failing);
/* The tab stays as it is, and its stream ends: the tab does not ask why, as it does otherwise. */
void vsi_say_over(vestry_connection *connection);
/* The tab goes there, and its stream ends; url: an address of the web. */
void vsi_say_go(vestry_connection *connection, const char *url);
/* The tab loads its page anew, and its stream ends. */
void vsi_say_reload(vestry_pages *pages, vestry_connection *connection, uint32_t within_ms);

#endif
