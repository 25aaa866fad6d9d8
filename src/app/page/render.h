/* SPDX-License-Identifier: MIT */
/* One call of a page's handler, or of a part's render. */
#ifndef VSI_PAGE_RENDER_H
#define VSI_PAGE_RENDER_H

#include "app/page/pages.h"
#include "app/page/state_tag.h"
#include "base/buffer.h"
#include "http/reply.h"

/* A part as a render has named it. */
typedef struct vsi_named_part {
  vestry_page_part part;         /* its texts are in `texts` */
  char *texts;                   /* owned */
  size_t inside_from, inside_to; /* in a document: where what is inside its element stands */
} vsi_named_part;

typedef struct vsi_render {
  vestry_render said; /* to the handler; its `own` is this */
  vestry_pages *pages;
  vestry_page *page;
  vsi_buffer *names; /* of topics, noted; NULL: a document's, whose stream will look for itself */
  size_t names_count;
  vestry_html *html;
  bool is_part, is_begun, is_ended;
  bool has_window;          /* the content has one, or more */
  bool is_denied;           /* by allow */
  bool is_current;          /* the tab has that version */
  bool is_again;            /* vestry_render_again */
  vestry_err error;         /* that sticks: of a topic or a part */
  size_t begin, end;        /* of the content, in html; of an ordinary handler's, in the reply's body */
  size_t head_end;          /* likewise: of the head; 0: none */
  const vsi_state_tag *had; /* what the tab has; NULL: not known */
  vsi_state_tag tag;        /* of what was made: version and parts as they are named, the hash at the end */
  size_t parts_count;
  vsi_named_part parts[VESTRY_PAGE_PARTS_MAX];
} vsi_render;

void vsi_render_init(vsi_render *render, vestry_page *page, vestry_html *html, const char *share);
void vsi_render_finish(vsi_render *render);
/* A vestry_handler_fn: have the page's handler make it. app: the render. Whose right it is is asked before. */
vestry_err vsi_render_handle(const vestry_request *req, vestry_reply *reply, void *app);
/* The content that was made, with its parts' elements, which are empty in a stream. */
vestry_slice vsi_render_content(const vsi_render *render);
/* Find the content in what an ordinary handler has answered, and hash it. false: there is none; the log says why. */
bool vsi_render_find(vsi_render *render);
/* Have a part make what is inside its element, for a stream or a document. names: the topics that it names; NULL: its
 * own fragment will look for itself. ret_again: whether it is to be rendered again after a while; NULL: not wanted.
 * OK | what it says | what sticks in the builder */
vestry_err vsi_part_render(vestry_pages *pages, bool is_stream, const vestry_page_part *part, vestry_html *html,
                           vsi_buffer *names, bool *ret_again);
/* A letter, then letters, digits, - and _. */
bool vsi_is_element_name(const char *text);
bool vsi_is_element_id(const char *text);
/* What is asked cannot be: the render and the builder fail with INVALID, and the log says why. */
vestry_err vsi_render_refuse(vsi_render *render, vestry_html *html, const char *why);

/* Observers of renders. No lock. */

/* Have the observers refresh what was changed until now. false: one is not sure that it has. */
bool vsi_observers_settle(vestry_pages *pages);

#endif
