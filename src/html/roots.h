/* SPDX-License-Identifier: MIT */
/* Whether HTML is one element, and which; and what state is in it. */
#ifndef VSI_HTML_ROOTS_H
#define VSI_HTML_ROOTS_H

#include "html/state.h"

/* Elements as they stand in an event: each line but the first has its key before it ("data: elements "), which the
 * client does not see. */

/* true: it is understood, and with one_root it is one element for certain. ret_id is then the value of the first
 * element's id attribute as written (len 0: none, or one with a character reference), and ret_state what is in all of
 * it. false: it is not, or that cannot be told without a whole parser. No memory; linear. */
bool vsi_html_read(vestry_slice html, bool one_root, vestry_slice *ret_id, vsi_html_state *ret_state);

#endif
