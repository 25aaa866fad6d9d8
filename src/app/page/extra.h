/* SPDX-License-Identifier: MIT */
/* Data of a private page that most pages do not need: see vsi_private_extra. */
#ifndef VSI_PAGE_EXTRA_H
#define VSI_PAGE_EXTRA_H

#include "app/page/fragment.h"

/* Return the state that the tab reported; NULL: none, or it is not valid any more. */
static inline const vsi_state_tag *vsi_private_extra_tag(const vsi_private *page) {
  return page->extra ? page->extra->tag : NULL;
}
/* Attach extra data to a page before its stream begins.
 * document: number of the document, 0: none. tag: state that the tab reported, NULL: none. seen: submissions of the
 * stream, NULL: none; the page owns it in any case. Returns OK | NO_MEMORY. */
vestry_err vsi_private_extra_take(vsi_private *page, uint64_t document, const vsi_state_tag *tag, vsi_sent *seen,
                                  vsi_long_poll poll);
/* Store the state of the tab in the resume cache when its stream ends, if that state is known. The caller holds the
 * lock. */
void vsi_private_extra_remember(const vsi_private *page);

#endif
