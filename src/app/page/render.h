/* SPDX-License-Identifier: MIT */
/* A single call of a page's handler, or of the render function of a part. */
#ifndef VSI_PAGE_RENDER_H
#define VSI_PAGE_RENDER_H

#include "app/page/pages.h"
#include "app/page/state_tag.h"
#include "app/page/unit.h"
#include "app/session/seal.h"
#include "base/buffer.h"
#include "http/reply.h"

/* A part that a render has named. */
typedef struct vsi_named_part {
  vestry_page_part part;         /* its strings are in `texts` */
  char *texts;                   /* owned */
  size_t inside_from, inside_to; /* in a document: where the content of its element begins and ends */
} vsi_named_part;

typedef struct vsi_render {
  vestry_render is; /* passed to the handler; `own` points to this struct */
  vestry_pages *pages;
  vestry_page *page;
  vsi_buffer *names; /* notes of topics; NULL for a document, because its stream renders and notes again */
  size_t names_count;
  vestry_html *html;
  bool is_part, is_begun, is_ended;
  bool has_window;          /* the content has at least one window */
  bool is_refused;          /* the request may not see the page */
  bool is_current;          /* the tab has the version of this render */
  bool is_again;            /* vestry_render_again was called */
  bool has_form;            /* there is a form outside of the content, or in it */
  bool has_memory_form;     /* the content has a form whose values are in the memory of this process */
  vestry_err error;         /* first error of a topic or a part; kept until the end */
  size_t begin, end;        /* bounds of the content in html, or in the reply's body if the page has an ordinary
                               handler */
  size_t head_end;          /* end of the head in the reply's body; 0: no head, or no ordinary handler */
  const vsi_state_tag *had; /* state of the tab; NULL: not known */
  vsi_state_tag tag;        /* tag of this render; version and parts are added as they are named, the hash at the end */
  size_t parts_count;
  vsi_named_part parts[VESTRY_PAGE_PARTS_MAX];
} vsi_render;

void vsi_render_init(vsi_render *render, vestry_page *page, vestry_html *html, const char *share);
void vsi_render_finish(vsi_render *render);
/* A vestry_handler_fn: check allow, then call the page's handler. app: the render. */
vestry_err vsi_render_handle(const vestry_request *req, vestry_reply *reply, void *app);
/* Get the rendered content. It includes the elements of parts, which are empty in a stream. */
vestry_slice vsi_render_content(const vsi_render *render);
/* Divide the content of a render for a stream into units, as vsi_units_divide. */
vestry_err vsi_render_divide(const vsi_render *render, const vsi_unit_list *had, vsi_units *ret_units);
/* Find the content in the response of an ordinary handler, and hash it. Returns false if there is none; the log
 * contains the reason. */
bool vsi_render_find(vsi_render *render);
/* Render and hash the content of a part's element, for a stream, and log errors.
 * names: receives the topics; NULL: they are not needed, because the part's fragment renders again. ret_again: whether
 * vestry_render_again was called; NULL: not wanted. ret_content: valid while html is unchanged.
 * Returns OK | the error of the render function | the error of the builder. */
vestry_err vsi_part_make(vestry_pages *pages, const vestry_page_part *part, vestry_html *html, vsi_buffer *names,
                         bool *ret_again, vestry_slice *ret_content, vsi_hash_128 *ret_hash);
/* Return whether the text is a letter, then letters, digits, - and _. */
bool vsi_is_element_id(const char *text);
/* Log why a render for a stream failed, with the reason of the function whose error it returned. The render is repeated
 * for each tab, so the same reason is logged once a minute.
 * what, which: "page at " and its path, or "part #" and its id. held: the line that the render has logged
 * (vsi_log_hold); "": none */
void vsi_render_log(vestry_page *page, const char *what, const char *which, const vestry_html *html, vestry_err error,
                    const char *held);
/* Fail the render and the builder with INVALID, and log why. */
vestry_err vsi_render_refuse(vsi_render *render, vestry_html *html, const char *why);

/* Observers of renders. Called without the lock. */

/* Let the observers refresh all changes until now. Returns false if an observer is not certain that it has. */
bool vsi_observers_settle(vestry_pages *pages);

#endif
