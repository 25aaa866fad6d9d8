/* SPDX-License-Identifier: MIT */
/* Reading whole HTML: whether it is one element, which id this has, and the state of its elements that their HTML does
 * not determine: signals that they create, text and choices of a user, the focus. And the check whether one HTML can be
 * dropped for another without losing state. */
#ifndef VSI_HTML_STATE_H
#define VSI_HTML_STATE_H

#include <stdbool.h>

#include "vestry/host.h"

enum { VSI_HTML_SET_MAX = 16 };

/* A set of hashes. */
typedef struct vsi_html_set {
  uint32_t count;
  bool is_unclear; /* more than there is room for, or unsupported HTML */
  uint64_t hashes[VSI_HTML_SET_MAX];
} vsi_html_set;

/* Whether all elements of some kind are equal. */
typedef struct vsi_html_kind {
  uint64_t hash;  /* of the first */
  uint32_t count; /* 0; 1; 2: there are several different ones */
} vsi_html_kind;

/* Zero: nothing. */
typedef struct vsi_html_state {
  vsi_html_set binds;    /* elements with data-bind: by the tag as written, without its id, and its content */
  vsi_html_set reads;    /* signals that are read when the HTML is shown, by name */
  uint64_t bound, read;  /* the same by the first part of their names, as a bit of 64 each */
  uint64_t boxes;        /* all bound inputs, in order, if several have one name; otherwise 0 */
  uint64_t focus;        /* elements with autofocus, in order; 0: none */
  uint64_t select_list;  /* all select elements, in order; 0: none */
  vsi_html_kind selects; /* the same without their ids */
  vsi_html_kind unnamed; /* for fields without ids: the content of the nearest element with an id, without that id */
  uint64_t shape;        /* tags, ids and places of text, of the whole HTML */
  bool has_fields;       /* elements in which a user can type, choose or play */
} vsi_html_state;

uint64_t vsi_html_hash(uint64_t hash, vestry_slice text);
#define VSI_HTML_HASH UINT64_C(14695981039346656037)

/* Forget the user's state, because the element is replaced and not morphed, so that none of it is kept. */
void vsi_html_state_forget_user(vsi_html_state *state);

/* Return whether the page is the same after `later` alone as after `earlier` and `later`, for one target. Text that a
 * user has typed may be kept by `later` alone and lost by both. */
bool vsi_html_state_goes(const vsi_html_state *earlier, const vsi_html_state *later);
/* Return whether the order in which the two are shown affects the signals. */
bool vsi_html_state_meets(const vsi_html_state *before, const vsi_html_state *behind);

/* Read HTML in the form of an event: each line except the first is preceded by its key ("data: elements "), which the
 * client removes. true: it is supported, and with one_root it is certainly one element. Then ret_id is the value of the
 * first element's id attribute as written (len 0: none, or one with a character reference), and ret_state is the state
 * of the whole HTML. false: it is not supported, or a complete parser would be needed. No allocation; linear time. */
bool vsi_html_read(vestry_slice html, bool one_root, vestry_slice *ret_id, vsi_html_state *ret_state);

#endif
