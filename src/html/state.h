/* SPDX-License-Identifier: MIT */
/* What elements hold beyond what their HTML says: signals that they make, what a user has typed or chosen, the focus.
 * And whether one HTML can be left out for another without a loss of it. */
#ifndef VSI_HTML_STATE_H
#define VSI_HTML_STATE_H

#include <stdbool.h>

#include "vestry/host.h"

enum { VSI_HTML_SET_MAX = 16 };

/* Hashes, equal ones once. */
typedef struct vsi_html_set {
  uint32_t count;
  bool is_unclear; /* more than there is room for, or something that is not understood */
  uint64_t hashes[VSI_HTML_SET_MAX];
} vsi_html_set;

/* Whether all of some kind are alike. */
typedef struct vsi_html_kind {
  uint64_t hash;  /* of the first */
  uint32_t count; /* 0; 1; 2: there are several different ones */
} vsi_html_kind;

/* Zero: nothing. */
typedef struct vsi_html_state {
  vsi_html_set binds;    /* elements with data-bind: by the tag as it is written, but for its id, and what is in it */
  vsi_html_set reads;    /* signals that are read when the HTML is shown, by name */
  uint64_t bound, read;  /* the same by the first part of their names, a bit of 64 each */
  uint64_t boxes;        /* all bound inputs, in order, if several have one name; otherwise 0 */
  uint64_t focus;        /* elements with autofocus, in order; 0: none */
  uint64_t select_list;  /* all select elements, in order; 0: none */
  vsi_html_kind selects; /* the same without their ids */
  vsi_html_kind unnamed; /* where there are fields without ids: all of the nearest element with one, but for that id */
  uint64_t shape;        /* tags, ids and where text is, of all */
  bool has_fields;       /* what a user can type in, choose or play */
} vsi_html_state;

uint64_t vsi_html_hash(uint64_t hash, vestry_slice text);
#define VSI_HTML_HASH UINT64_C(14695981039346656037)

void vsi_html_set_add(vsi_html_set *set, uint64_t hash);
void vsi_html_kind_add(vsi_html_kind *kind, uint64_t hash);

/* The name that a data-bind has: its key, or its value. Returns a hash that is the same however the name is cased. */
uint64_t vsi_html_state_bind(vsi_html_state *state, vestry_slice name);
/* The value of an attribute that is an expression, evaluated when its element is shown. */
void vsi_html_state_read(vsi_html_state *state, vestry_slice expression);

/* What is there is replaced, not morphed: nothing that a user has done is kept. */
void vsi_html_state_forget_user(vsi_html_state *state);

/* Whether the page after `later` is the page after `earlier` and `later`, of one target; what a user has typed may be
 * kept by `later` alone and lost by both. */
bool vsi_html_state_goes(const vsi_html_state *earlier, const vsi_html_state *later);
/* Whether it makes a difference to the signals which of the two is shown first. */
bool vsi_html_state_meets(const vsi_html_state *before, const vsi_html_state *behind);

#endif
