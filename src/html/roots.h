/* SPDX-License-Identifier: MIT */
/* Checks whether HTML is one element, identifies it, and reads the state of its elements. */
#ifndef VSI_HTML_ROOTS_H
#define VSI_HTML_ROOTS_H

#include "html/state.h"

/* The elements are in the form of an event: each line except the first is preceded by its key ("data: elements "),
 * which the client removes. */

/* Read HTML. true: it is supported, and with one_root it is certainly one element. Then ret_id is the value of the
 * first element's id attribute as written (len 0: none, or one with a character reference), and ret_state is the state
 * of the whole HTML. false: it is not supported, or a complete parser would be needed. No allocation; linear time. */
bool vsi_html_read(vestry_slice html, bool one_root, vestry_slice *ret_id, vsi_html_state *ret_state);

#endif
